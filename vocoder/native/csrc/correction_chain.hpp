// Spectral correction passes over one stream; see vocoder/synthesis/spectral_correction.py.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "tables.hpp"

namespace vocoder {

// State shared by all streams with the same settings. `window` (size) and the tables are copied.
class CorrectionPlan {
 public:
  CorrectionPlan(std::shared_ptr<const Tables> tables, int hop, const std::vector<double>& window,
                 double energy, double log_floor, Correct correct);

  const Correction& correction() const { return correction_; }
  // Factors for the sum of overlapping frames: of its first hop, after frame `frame` was added, ...
  const double* inverse(std::int64_t frame) const {
    return inverse_.data() + (frame < overlap_ ? frame : overlap_) * hop_;
  }
  // ... and of sample `i` of the rest, after the last of `frames` frames was added.
  double inverse_of_rest(std::int64_t frames, int i) const;
  int size() const { return correction_.fourier->size; }
  int bands() const { return correction_.bands->count; }
  int hop() const { return hop_; }
  Correct correct() const { return correct_; }

 private:
  std::shared_ptr<const Tables> tables_;
  int hop_;
  int overlap_;  // earlier frames that overlap a frame
  std::vector<double> window_, inverse_;
  Correction correction_;
  Correct correct_;
};

// The target frames that are known and still needed.
class AskedFrames {
 public:
  explicit AskedFrames(int bands) : bands_(bands) {}

  std::int64_t known() const { return first_ + std::int64_t(values_.size()) / bands_; }
  const float* at(std::int64_t frame) const { return values_.data() + (frame - first_) * bands_; }
  // Row b of `mel` (bands, count) begins `stride` values after row b - 1.
  void extend(const float* mel, std::int64_t stride, std::int64_t count);
  void forget(std::int64_t before);

 private:
  int bands_;
  std::int64_t first_ = 0;
  std::vector<float> values_;  // (frames, bands)
};

// One pass. Its input begins with the window of its next frame, and so does the sum of the frames
// so far, at `start_` of a longer buffer.
class CorrectionPass {
 public:
  explicit CorrectionPass(const CorrectionPlan& plan);

  std::int64_t frame() const { return frame_; }
  // Appends to `out` the samples that are complete.
  void push(const AskedFrames& asked, double limit, const std::vector<float>& samples, double* work,
            std::vector<float>& out);
  // Appends the rest; missing samples count as silence.
  void flush(const AskedFrames& asked, double limit, double* work, std::vector<float>& out);

 private:
  void run(const AskedFrames& asked, double limit, double* work, std::vector<float>& out);
  void finish_frame(std::vector<float>& out);

  const CorrectionPlan& plan_;
  std::int64_t frame_ = 0, before_, skip_;
  std::size_t start_ = 0;
  std::vector<double> input_, sum_;
};

// Thread-safe.
class CorrectionChain {
 public:
  CorrectionChain(std::shared_ptr<const CorrectionPlan> plan, int passes, double limit);

  int bands() const { return plan_->bands(); }
  void extend(const float* mel, std::int64_t stride, std::int64_t count);
  std::vector<float> push(const float* samples, std::size_t count);
  std::vector<float> flush();

 private:
  std::mutex guard_;
  std::shared_ptr<const CorrectionPlan> plan_;
  double limit_;
  AskedFrames asked_;
  std::vector<CorrectionPass> passes_;
};

}  // namespace vocoder
