#include "band_synthesis.hpp"

#include <algorithm>

namespace vocoder {

BandSynthesis::BandSynthesis(const double* taps, int length, int bands, int before)
    : length_(length),
      bands_(bands),
      taps_(taps, taps + std::size_t(length) * bands),
      input_(before, 0.0) {}

void BandSynthesis::push(const float* samples, std::int64_t count, std::vector<float>& out) {
  input_.insert(input_.end(), samples, samples + count);
  std::size_t start = 0;
  std::vector<double> sums(bands_);
  for (; start + length_ <= input_.size(); start += bands_) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int i = 0; i < length_; ++i)
      for (int b = 0; b < bands_; ++b) sums[b] += input_[start + i] * taps_[i * bands_ + b];
    out.insert(out.end(), sums.begin(), sums.end());
  }
  input_.erase(input_.begin(), input_.begin() + start);
}

}  // namespace vocoder
