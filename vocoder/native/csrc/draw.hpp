// Samples from the network's outputs and given noise; see vocoder/wavenet/distributions.py.
#pragma once

#include <math.h>

#include "network.hpp"
#include "simd.hpp"

namespace vocoder::VOCODER_ISA {

constexpr int kMostChoices = 256;

template <class N>
VOCODER_INLINE void copy(const float* from, float* to, N count) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, load(from + i));
  for (; i < count; ++i) to[i] = from[i];
}

// Inverts the cumulative distribution of exp(logits * sharpness) at `uniform`.
VOCODER_INLINE int pick(const float* from, int count, float sharpness, float uniform) {
  float logits[kMostChoices];
  const int whole = padded(count, kPanel);
  copy(from, logits, count);
  for (int i = count; i < whole; ++i) logits[i] = -1e30f;
  Floats highest = load(logits);
  for (int i = kLanes; i < whole; i += kLanes) {
    const Floats v = load(logits + i);
    highest = v > highest ? v : highest;
  }
  const Floats top = broadcast(maximum(highest));
  float masses[kMostChoices / kPanel], total = 0.0f;
  for (int i = 0; i < whole; i += kPanel) {
    Floats mass = {};
    for (int v = 0; v < kPanel; v += kLanes) {
      const Floats centred = (load(logits + i + v) - top) * broadcast(sharpness);
      const Floats e = power_of_two(at_least(centred * broadcast(kLog2E), -126.0f));
      store(logits + i + v, e);
      mass += e;
    }
    masses[i / kPanel] = sum(mass);
    total += masses[i / kPanel];
  }
  const float threshold = uniform * total;
  float below = 0.0f;
  int i = 0;
  for (; i + kPanel < whole && below + masses[i / kPanel] < threshold; i += kPanel)
    below += masses[i / kPanel];
  for (; i < count - 1; ++i) {
    below += logits[i];
    if (!(below < threshold)) break;
  }
  return i;
}

// A draw in units of the excitation: selects a component, then inverts its CDF. `parameters` are
// weight logits, locations and log-scales.
VOCODER_INLINE float draw_logistic(const float* parameters, int components, float log_scale_min,
                                   float temperature, const float* noise) {
  const int chosen = pick(parameters, components, 1.0f, noise[0]);
  const float location = parameters[components + chosen];
  float log_scale = parameters[2 * components + chosen];
  if (log_scale < log_scale_min) log_scale = log_scale_min;
  const float quantile = logf(noise[1]) - log1pf(-noise[1]);
  return location + temperature * expf(log_scale) * quantile;
}

// A draw in units of the excitation, by the Box-Muller transform of two uniforms. `parameters` are
// location and log-scale.
VOCODER_INLINE float draw_gaussian(const float* parameters, float log_scale_min, float temperature,
                                   const float* noise) {
  constexpr float kWholeTurn = 6.28318530717958648f;
  const float log_scale = parameters[1] < log_scale_min ? log_scale_min : parameters[1];
  const float normal = sqrtf(-2.0f * logf(noise[0])) * cosf(kWholeTurn * noise[1]);
  return parameters[0] + temperature * expf(log_scale) * normal;
}

// Rounds to the 16-bit grid and clips to its range, [-limit, limit); NaN stays NaN.
VOCODER_INLINE float to_16_bit(float sample, float limit) {
  constexpr float kLevels = 32768.0f;
  const float largest = limit - 1.0f / kLevels;
  sample = nearbyintf(sample * kLevels) / kLevels;
  if (sample < -limit) sample = -limit;
  if (sample > largest) sample = largest;
  return sample;
}

// Compands samples in [-1, 1] without quantising them; see vocoder/wavenet/mu_law.py.
VOCODER_INLINE float mu_law_compand(float sample) {
  constexpr float kMu = 255.0f, kLargest = 5.54517744447956248f;  // ln(1 + mu)
  return copysignf(log1pf(kMu * fabsf(sample)), sample) / kLargest;
}

}  // namespace vocoder::VOCODER_ISA
