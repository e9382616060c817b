// Passes of spectral correction over one stream: vocoder/generation/correction.py, natively.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "tables.hpp"

namespace vocoder {

// What all streams with the same settings share. `window` (size) and the tables are copied.
class CorrectionPlan {
 public:
  CorrectionPlan(std::shared_ptr<const Tables> tables, int hop, const std::vector<double>& window,
                 double energy, double log_floor, Correct correct);

  const Correction& correction() const { return correction_; }
  // What the sum of overlapping frames is multiplied with: its first hop, once frame `frame` has
  // been added, ...
  const double* inverse(std::int64_t frame) const {
    return inverse_.data() + (frame < overlap_ ? frame : overlap_) * hop_;
  }
  // ... and sample `i` of the rest, once the last of `frames` frames has been added and moved past.
  double inverse_of_rest(std::int64_t frames, int i) const;
  int size() const { return correction_.fourier->size; }
  int bands() const { return correction_.bands->count; }
  int hop() const { return hop_; }
  Correct correct() const { return correct_; }

 private:
  std::shared_ptr<const Tables> tables_;
  int hop_;
  int overlap_;  // frames that a frame meets before it
  std::vector<double> window_, inverse_;
  Correction correction_;
  Correct correct_;
};

// The frames that are asked for, as far as they are known and still needed.
class AskedFrames {
 public:
  explicit AskedFrames(int bands) : bands_(bands) {}

  std::int64_t known() const { return first_ + std::int64_t(values_.size()) / bands_; }
  const float* at(std::int64_t frame) const { return values_.data() + (frame - first_) * bands_; }
  // Row b of `mel` (bands, count) begins `stride` numbers after row b - 1.
  void extend(const float* mel, std::int64_t stride, std::int64_t count);
  void forget(std::int64_t before);

 private:
  int bands_;
  std::int64_t first_ = 0;
  std::vector<float> values_;  // (frames, bands)
};

// One pass. Its input begins with the window of its next frame; the sum of the frames so far begins
// where that window does, at `start_` of a longer buffer.
class CorrectionPass {
 public:
  explicit CorrectionPass(const CorrectionPlan& plan);

  std::int64_t frame() const { return frame_; }
  // Appends to `out` what samples and frames suffice for.
  void push(const AskedFrames& asked, double limit, const std::vector<float>& samples, double* work,
            std::vector<float>& out);
  // Appends the rest, silence instead of samples that never came.
  void flush(const AskedFrames& asked, double limit, double* work, std::vector<float>& out);

 private:
  void run(const AskedFrames& asked, double limit, double* work, std::vector<float>& out);
  void finish_frame(std::vector<float>& out);

  const CorrectionPlan& plan_;
  std::int64_t frame_ = 0, before_, skip_;
  std::size_t start_ = 0;
  std::vector<double> input_, sum_;
};

// Safe to use from several threads.
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
