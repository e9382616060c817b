// Spectral contrast over one stream of frames; see vocoder/features/spectral_contrast.py.
#pragma once

#include <cstdint>
#include <vector>

namespace vocoder {

struct ContrastSettings {
  int bands;
  int first, last;  // coefficients to multiply
  double frequency;
  double time;
  int frames;  // odd
  bool keep_level;
  double floor;  // least log power
};

// Not thread-safe.
class ContrastFilter {
 public:
  explicit ContrastFilter(const ContrastSettings& settings);

  int bands() const { return settings_.bands; }
  // Frame f of `mel` (bands, count) begins at mel[f], its band b at mel[f + b * stride]. Appends to
  // `out` the frames (count, bands) that are finished.
  void push(const float* mel, std::int64_t stride, std::int64_t count, std::vector<float>& out);
  // Appends the rest.
  void flush(std::vector<float>& out);

 private:
  void sharpen(double* frame);
  void append(const std::vector<double>& frame, double level, std::vector<float>& out);

  ContrastSettings settings_;
  int side_;                             // frames on each side that a frame depends on
  std::vector<double> basis_, by_band_;  // (last - first + 1, bands), and transposed
  std::vector<double> coefficients_, frame_, sum_;
  double level_ = 0.0;          // log power of the latest frame as it came
  std::vector<double> window_;  // (frames, bands), a ring
  std::vector<double> levels_;  // of the frames in the window
  std::int64_t received_ = 0;   // frames in the window so far, repeated ones included
};

}  // namespace vocoder
