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

constexpr int kDoubleLanes = kLanes / 2;
typedef double Doubles __attribute__((vector_size(kDoubleLanes * 8)));
typedef std::int64_t Longs __attribute__((vector_size(kDoubleLanes * 8)));
typedef std::uint64_t LongWords __attribute__((vector_size(kDoubleLanes * 8)));

#define VOCODER_INLINE static inline __attribute__((always_inline))

VOCODER_INLINE Floats load(const float* from) {
  Floats v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

// The first `count` of a vector, zeros behind them; never reads beyond.
VOCODER_INLINE Floats load_first(const float* from, int count) {
  if (count >= kLanes) return load(from);
  Floats v = {};
  for (int i = 0; i < kLanes; ++i)
    if (i < count) v[i] = from[i];
  return v;
}

VOCODER_INLINE void store(float* to, Floats v) { __builtin_memcpy(to, &v, sizeof v); }

VOCODER_INLINE void store_first(float* to, Floats v, int count) {
  if (count >= kLanes) return store(to, v);
  for (int i = 0; i < kLanes; ++i)
    if (i < count) to[i] = v[i];
}

VOCODER_INLINE Floats broadcast(float value) { return value - Floats{}; }

VOCODER_INLINE Doubles load(const double* from) {
  Doubles v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

VOCODER_INLINE void store(double* to, Doubles v) { __builtin_memcpy(to, &v, sizeof v); }

VOCODER_INLINE Doubles broadcast(double value) { return value - Doubles{}; }

// These let NaN through.
#if defined(__AVX512F__)
// GCC makes a comparison and a blend of the other form.
VOCODER_INLINE Floats at_least(Floats v, float limit) { return _mm512_max_ps(broadcast(limit), v); }
VOCODER_INLINE Floats at_most(Floats v, float limit) { return _mm512_min_ps(broadcast(limit), v); }
#else
VOCODER_INLINE Floats at_least(Floats v, float limit) {
  return v < broadcast(limit) ? broadcast(limit) : v;
}
VOCODER_INLINE Floats at_most(Floats v, float limit) {
  return v > broadcast(limit) ? broadcast(limit) : v;
}
#endif

// 2^x within 3e-7 relative, for x in [-126, 127]: 2^n times a polynomial on [-1/2, 1/2], fitted
// for the least relative error.
VOCODER_INLINE Floats power_of_two(Floats x) {
  const Floats magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Floats shifted = x + magic;
  const Floats r = x - (shifted - magic);
  Floats p = broadcast(0.0013264715f);
  p = p * r + broadcast(0.00967151351f);
  p = p * r + broadcast(0.0555073378f);
  p = p * r + broadcast(0.240222421f);
  p = p * r + broadcast(0.693146978f);
  p = p * r + broadcast(1.0f);
  return (Floats)((Ints)p + (Ints)((Words)shifted << 23));
}

constexpr float kLog2E = 1.44269504088896341f;

constexpr double kLn2High = 0x1.62e42fefa38p-1, kLn2Low = 0x1.ef35793c7673p-45;

// e^x within 1e-15 relative, for |x| up to 700: 2^n times the exponential series on
// [-ln 2 / 2, ln 2 / 2].
VOCODER_INLINE Doubles exponential(Doubles x) {
  const Doubles magic = broadcast(6755399441055744.0);  // 1.5 * 2^52: rounds, as above
  const Doubles shifted = x * broadcast(1.4426950408889634) + magic;
  const Doubles n = shifted - magic;
  const Doubles r = (x - n * broadcast(kLn2High)) - n * broadcast(kLn2Low);
  Doubles p = broadcast(1.0 / 479001600);
  double factorial = 479001600;
  for (int i = 12; i > 0; --i) {
    factorial /= i;
    p = p * r + broadcast(1.0 / factorial);
  }
  return (Doubles)((LongWords)p + ((LongWords)shifted << 52));
}

// ln x within 1e-15 (of 1 or of itself) for normal positive x: the exponent and the series of
// atanh((m - 1) / (m + 1)) for m in [sqrt(1/2), sqrt(2)).
VOCODER_INLINE Doubles logarithm(Doubles x) {
  const LongWords bits = (LongWords)x;
  const Longs exponent = (Longs)(bits - 0x3fe6a09e667f3bcdu) >> 52;
  const Doubles m = (Doubles)(bits - ((LongWords)exponent << 52));
  const Doubles s = (m - broadcast(1.0)) / (m + broadcast(1.0)), square = s * s;
  Doubles p = broadcast(1.0 / 21);
  for (int i = 19; i > 0; i -= 2) p = p * square + broadcast(1.0 / i);
  const Doubles n = __builtin_convertvector(exponent, Doubles);
  return n * broadcast(kLn2High) + (broadcast(2.0) * s * p + n * broadcast(kLn2Low));
}

VOCODER_INLINE Floats reciprocal(Floats v) {
#if defined(__AVX512F__)
  const Floats near = _mm512_rcp14_ps(v);
  return near * (broadcast(2.0f) - v * near);  // a Newton step: 28 bits
#else
  return broadcast(1.0f) / v;
#endif
}

VOCODER_INLINE Floats rough_reciprocal(Floats v) {
#if defined(__AVX512F__)
  return _mm512_rcp14_ps(v);
#else
  return broadcast(1.0f) / v;
#endif
}

// tanh(a) * sigmoid(b) = (1 - e^-2a) / ((1 + e^-2a) (1 + e^-b)).
VOCODER_INLINE Floats gated_unit(Floats a, Floats b) {
  const Floats one = broadcast(1.0f);
  // Beyond 2^40 the quotient has reached its limit; 2^-100 stands for zero.
  const Floats u = power_of_two(at_most(at_least(a * broadcast(-2.0f * kLog2E), -100.0f), 40.0f));
  const Floats v = power_of_two(at_most(at_least(b * broadcast(-kLog2E), -100.0f), 40.0f));
  return (one - u) * reciprocal((one + u) * (one + v));
}

// The same within 2e-4, at two thirds of the cost, for what is rounded to bf16 or int8: tanh as a
// quotient of polynomials fitted on [-5, 5] for the least relative error, and
// sigmoid(b) = (1 + tanh(b / 2)) / 2.
VOCODER_INLINE Floats rough_gated_unit(Floats a, Floats b) {
  constexpr float kP[] = {0.9999476671f, 0.1024155319f, 0.0006705162814f};
  constexpr float kQ[] = {1.0f, 0.4354296327f, 0.0128193219f};
  a = at_most(at_least(a, -5.0f), 5.0f);
  b = at_most(at_least(b, -10.0f), 10.0f);
  const Floats s = a * a, t = b * b;
  const Floats over_a =
      a * (broadcast(kP[0] / 2) + s * (broadcast(kP[1] / 2) + s * broadcast(kP[2] / 2)));
  const Floats under_a = broadcast(kQ[0]) + s * (broadcast(kQ[1]) + s * broadcast(kQ[2]));
  const Floats over_b =
      broadcast(kP[0] / 2) + t * (broadcast(kP[1] / 8) + t * broadcast(kP[2] / 32));
  const Floats under_b = broadcast(kQ[0]) + t * (broadcast(kQ[1] / 4) + t * broadcast(kQ[2] / 16));
  return over_a * (under_b + b * over_b) * rough_reciprocal(under_a * under_b);
}

// Both by halves, in a fixed order.
#if defined(__AVX512F__)
VOCODER_INLINE float sum(Floats v) { return _mm512_reduce_add_ps(v); }
VOCODER_INLINE float maximum(Floats v) { return _mm512_reduce_max_ps(v); }
#else
VOCODER_INLINE float sum(Floats v) {
  float parts[kLanes];
  store(parts, v);
  for (int width = kLanes / 2; width; width /= 2)
    for (int i = 0; i < width; ++i) parts[i] += parts[i + width];
  return parts[0];
}

VOCODER_INLINE float maximum(Floats v) {
  float parts[kLanes];
  store(parts, v);
  for (int width = kLanes / 2; width; width /= 2)
    for (int i = 0; i < width; ++i)
      parts[i] = parts[i + width] > parts[i] ? parts[i + width] : parts[i];
  return parts[0];
}
#endif

}  // namespace vocoder::VOCODER_ISA
