// Joins the bands of one stream; see vocoder/wavenet/filter_bank.py.
#pragma once

#include <cstdint>
#include <vector>

namespace vocoder {

// Not thread-safe.
class BandSynthesis {
 public:
  // `taps` (length, bands) is the synthesis matrix, `before` the silent samples before the first.
  BandSynthesis(const double* taps, int length, int bands, int before);

  // Appends the finished samples to `out`.
  void push(const float* samples, std::int64_t count, std::vector<float>& out);

 private:
  int length_, bands_;
  std::vector<double> taps_, input_;
};

}  // namespace vocoder
