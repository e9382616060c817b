// Linear prediction from the mel: vocoder/wavenet/linear_prediction.py, natively. Frames are solved
// in the lanes of vectors, so that none has anything to do with those beside it.
#pragma once

#include "correction.hpp"

namespace vocoder::VOCODER_ISA {

// The Levinson-Durbin recursion of kDoubleLanes frames. `lags` and `coefficients` hold a vector for
// each lag; returns the prediction errors' power. The pass that updates the coefficients also sums
// what the next reflection needs of them.
VOCODER_INLINE Doubles levinson_durbin(const double* lags, int order, double* coefficients) {
  const auto lag = [&](int i) { return load(lags + i * kDoubleLanes); };
  const auto known = [&](int i) { return load(coefficients + i * kDoubleLanes); };
  const auto put = [&](int i, Doubles value) { store(coefficients + i * kDoubleLanes, value); };
  Doubles error = lag(0), total = {};
  for (int i = 0; i < order; ++i) {
    const Doubles reflection = (lag(i + 1) - total) / error;
    Doubles sums[4] = {};
    const auto update = [&](int j, Doubles& first, Doubles& second) VOCODER_ALWAYS_INLINE {
      const Doubles one = known(j), other = known(i - 1 - j);
      const Doubles next_one = one - reflection * other, next_other = other - reflection * one;
      put(j, next_one);
      put(i - 1 - j, next_other);
      first += next_one * lag(i + 1 - j);
      second += next_other * lag(j + 2);
    };
    int j = 0;
    for (; 2 * j + 2 < i - 1; j += 2) {
      update(j, sums[0], sums[1]);
      update(j + 1, sums[2], sums[3]);
    }
    if (2 * j < i - 1) update(j++, sums[0], sums[1]);
    if (i % 2) {
      const Doubles middle = known(j) - reflection * known(j);
      put(j, middle);
      sums[2] += middle * lag(i + 1 - j);
    }
    put(i, reflection);
    total = (sums[0] + sums[1]) + (sums[2] + sums[3]) + reflection * lag(1);
    error -= error * reflection * reflection;
  }
  return error;
}

// Lanes beyond the last row are given the equations of white noise.
VOCODER_INLINE void solve_rows(const double* lags, int order, int count, double* coefficients,
                               double* error) {
  const Memory memory(2 * sizeof(double) * padded((order + 1) * kDoubleLanes, kBlock));
  Arena arena(memory.data());
  auto* of_lanes = arena.take<double>((order + 1) * kDoubleLanes);
  auto* solution = arena.take<double>(order * kDoubleLanes);
  for (int first = 0; first < count; first += kDoubleLanes) {
    const int here = count - first < kDoubleLanes ? count - first : kDoubleLanes;
    for (int i = 0; i <= order; ++i)
      for (int lane = 0; lane < kDoubleLanes; ++lane)
        of_lanes[i * kDoubleLanes + lane] =
            lane < here ? lags[std::int64_t(first + lane) * (order + 1) + i] : !i;
    const Doubles left = levinson_durbin(of_lanes, order, solution);
    for (int lane = 0; lane < here; ++lane) {
      error[first + lane] = left[lane];
      for (int i = 0; i < order; ++i)
        coefficients[std::int64_t(first + lane) * order + i] = solution[i * kDoubleLanes + lane];
    }
  }
}

VOCODER_INLINE void predict_frames(const Prediction& prediction, const float* mel,
                                   std::int64_t stride, int count, float* coefficients, float* gain,
                                   float* level) {
  const Fourier& fourier = *prediction.fourier;
  const Bands& bands = *prediction.bands;
  const int half = fourier.size / 2, room = padded(half + 1, kBlock), order = prediction.order;
  const int lags_size = padded((order + 1) * kDoubleLanes, kBlock);
  const Memory memory(sizeof(double) *
                      (4 * half + 2 * room + padded(bands.count, kBlock) + 2 * lags_size));
  Arena arena(memory.data());
  const auto take = [&](int size) { return arena.take<double>(size); };
  const Complex z = {take(half), take(half)}, other = {take(half), take(half)};
  const Complex power = {take(room), take(room)};
  double *log_power = take(padded(bands.count, kBlock)), *lags = take(lags_size);
  double* solution = take(lags_size);
  for (int first = 0; first < count; first += kDoubleLanes) {
    const int here = count - first < kDoubleLanes ? count - first : kDoubleLanes;
    for (int i = 0; i < lags_size; ++i) lags[i] = i < kDoubleLanes;
    for (int lane = 0; lane < here; ++lane) {
      for (int b = 0; b < bands.count; ++b)
        log_power[b] = mel[b * stride + first + lane] - prediction.log_area[b];
      spread_exponential(bands, log_power, power.re);
      const Complex out = invert_real(fourier, power, z, other);
      for (int i = 0; i <= order; ++i) {
        const double lag = i % 2 ? out.im[i / 2] : out.re[i / 2];
        lags[i * kDoubleLanes + lane] = lag * prediction.lag_window[i] * (1.0 / half);
      }
    }
    const Doubles error = levinson_durbin(lags, order, solution);
    for (int lane = 0; lane < here; ++lane) {
      gain[first + lane] = static_cast<float>(__builtin_sqrt(error[lane]));
      level[first + lane] = static_cast<float>(__builtin_sqrt(lags[lane]));
      for (int i = 0; i < order; ++i)
        coefficients[std::int64_t(first + lane) * order + i] =
            static_cast<float>(solution[i * kDoubleLanes + lane]);
    }
  }
}

}  // namespace vocoder::VOCODER_ISA
