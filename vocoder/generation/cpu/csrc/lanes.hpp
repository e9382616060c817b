// Vectors of the width that the including file is compiled for, in the compiler's own vector types:
// the same lines serve SSE2, AVX2, AVX-512 and NEON.
#pragma once

#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace vocoder::VOCODER_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef std::int32_t Ints __attribute__((vector_size(kLanes * 4)));
typedef std::uint32_t Words __attribute__((vector_size(kLanes * 4)));

#define VOCODER_INLINE static inline __attribute__((always_inline))

VOCODER_INLINE Floats load(const float* from) {
  Floats v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

VOCODER_INLINE void store(float* to, Floats v) { __builtin_memcpy(to, &v, sizeof v); }

VOCODER_INLINE Floats broadcast(float value) { return value - Floats{}; }

// Both let NaN through.
VOCODER_INLINE Floats at_most(Floats v, float limit) {
  return v > broadcast(limit) ? broadcast(limit) : v;
}
VOCODER_INLINE Floats at_least(Floats v, float limit) {
  return v < broadcast(limit) ? broadcast(limit) : v;
}

// e^x within 2e-7 relative, for x in [-87, 88]: 2^n times a polynomial of degree 6 on
// [-ln(2)/2, ln(2)/2].
VOCODER_INLINE Floats exponential(Floats x) {
  const Floats magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Floats shifted = x * broadcast(1.44269504088896341f) + magic;
  const Floats n = shifted - magic;
  Floats r = x - n * broadcast(0.693359375f);  // ln 2 in two parts
  r = r - n * broadcast(-2.12194440e-4f);
  Floats p = broadcast(1.0f / 720);
  p = p * r + broadcast(1.0f / 120);
  p = p * r + broadcast(1.0f / 24);
  p = p * r + broadcast(1.0f / 6);
  p = p * r + broadcast(0.5f);
  p = p * r + broadcast(1.0f);
  p = p * r + broadcast(1.0f);
  return (Floats)((Ints)p + (Ints)((Words)shifted << 23));
}

VOCODER_INLINE Floats reciprocal(Floats v) {
#if defined(__AVX512F__)
  const Floats near = _mm512_rcp14_ps(v);
  return near * (broadcast(2.0f) - v * near);  // a Newton step: 28 bits
#else
  return broadcast(1.0f) / v;
#endif
}

// tanh(a) * sigmoid(b) = (1 - e^-2a) / ((1 + e^-2a) (1 + e^-b)).
VOCODER_INLINE Floats gated_unit(Floats a, Floats b) {
  a = at_least(at_most(a, 9.0f), -9.0f);
  b = at_least(at_most(b, 30.0f), -30.0f);
  const Floats one = broadcast(1.0f);
  const Floats u = exponential(a * broadcast(-2.0f)), v = exponential(-b);
  return (one - u) * reciprocal((one + u) * (one + v));
}

VOCODER_INLINE float sum(Floats v) {
  // By halves, in a fixed order.
  float parts[kLanes];
  store(parts, v);
  for (int width = kLanes / 2; width; width /= 2)
    for (int i = 0; i < width; ++i) parts[i] += parts[i + width];
  return parts[0];
}

VOCODER_INLINE float maximum(Floats v) {
  float parts[kLanes];
  store(parts, v);
  float found = parts[0];
  for (int i = 1; i < kLanes; ++i) found = parts[i] > found ? parts[i] : found;
  return found;
}

}  // namespace vocoder::VOCODER_ISA
