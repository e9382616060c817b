// Spectral correction of one frame: vocoder/generation/correction.py, natively.
#pragma once

#include "fourier.hpp"

namespace vocoder::VOCODER_ISA {

// Power of each band, of at least `floor`, as its logarithm; `power` has kGroup zeros behind it.
VOCODER_INLINE void log_bands(const Bands& bands, const double* power, double floor,
                              double* log_power) {
  for (int b = 0; b < bands.count; ++b) {
    double sums[kGroup] = {};
    for (int g = bands.first[b]; g < bands.first[b + 1]; ++g) {
      const double *of = power + bands.start[g], *weight = bands.filter + g * kGroup;
      for (int i = 0; i < kGroup; ++i) sums[i] += of[i] * weight[i];
    }
    const double sum =
        ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    log_power[b] = sum < floor ? floor : sum;
  }
  for (int b = 0; b < bands.count; b += kDoubleLanes)
    store(log_power + b, logarithm(load(log_power + b)));
}

// e to the power of what lies between the bands' values at each bin.
VOCODER_INLINE void spread_exponential(const Bands& bands, const double* of_bands,
                                       double* of_bins) {
  for (int k = 0; k < bands.bins; ++k) {
    const double left = of_bands[bands.left[k]], right = of_bands[bands.right[k]];
    of_bins[k] = left + bands.right_part[k] * (right - left);
  }
  for (int k = 0; k < bands.bins; k += kDoubleLanes)
    store(of_bins + k, exponential(load(of_bins + k)));
}

VOCODER_INLINE void correct_frame(const Correction& correction, double limit, const double* frame,
                                  const float* asked, double* sum, double* work) {
  const Fourier& fourier = *correction.fourier;
  const Bands& bands = *correction.bands;
  const int half = fourier.size / 2, room = padded(half + 1, kBlock);
  const auto take = [&](int count) {
    double* taken = work;
    work += count;
    return taken;
  };
  const Complex z = {take(half), take(half)}, other = {take(half), take(half)};
  const Complex bins = {take(room), take(room)};
  double *power = take(room + kGroup), *gain = take(room);
  double* change = take(padded(bands.count, kBlock));
  const double* window = correction.window;
  for (int i = 0; i < half; ++i) {
    z.re[i] = frame[2 * i] * window[2 * i];
    z.im[i] = frame[2 * i + 1] * window[2 * i + 1];
  }
  transform_real(fourier, z, other, bins);
  const double scale = 1.0 / correction.energy;
  for (int k = 0; k <= half; ++k)
    power[k] = (bins.re[k] * bins.re[k] + bins.im[k] * bins.im[k]) * scale;
  for (int k = half + 1; k <= half + kGroup; ++k) power[k] = 0.0;
  log_bands(bands, power, correction.log_floor, change);
  for (int b = 0; b < bands.count; ++b) {
    const double wanted = 0.5 * (asked[b] - change[b]);
    change[b] = wanted < -limit ? -limit : wanted > limit ? limit : wanted;
  }
  spread_exponential(bands, change, gain);
  for (int k = 0; k <= half; ++k) {
    bins.re[k] *= gain[k];
    bins.im[k] *= gain[k];
  }
  const Complex out = invert_real(fourier, bins, z, other);
  const double back = 1.0 / half;
  for (int i = 0; i < half; ++i) {
    sum[2 * i] += out.re[i] * back * window[2 * i];
    sum[2 * i + 1] += out.im[i] * back * window[2 * i + 1];
  }
}

}  // namespace vocoder::VOCODER_ISA
