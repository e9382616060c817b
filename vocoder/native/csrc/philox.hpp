// Counter-based noise: vocoder/generation/noise.py, natively and to the bit.
#pragma once

#include "simd.hpp"

namespace vocoder::VOCODER_ISA {

// Products of the lower halves.
VOCODER_INLINE LongWords multiply_lower(LongWords a, std::uint32_t b) {
#if defined(__AVX512F__)
  return (LongWords)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#else
  return (a & 0xffffffffu) * std::uint64_t{b};
#endif
}

// Uniforms in (0, 1) of `steps` samples from `position` on, two a sample (Philox4x32-10). A word
// stands in the lower half of 64 bits; what its upper half holds does not matter.
VOCODER_INLINE void uniforms(std::uint64_t seed, std::uint64_t position, std::int64_t steps,
                             float* to) {
  constexpr int kRounds = 10, kVectors = 4, kTogether = kVectors * kDoubleLanes;
  for (std::int64_t t = 0; t < steps; t += kTogether) {
    LongWords a[kVectors], b[kVectors], c[kVectors] = {}, d[kVectors] = {};
    for (int v = 0; v < kVectors; ++v) {
      for (int i = 0; i < kDoubleLanes; ++i) a[v][i] = position + t + v * kDoubleLanes + i;
      b[v] = a[v] >> 32;
    }
    std::uint32_t first_key = static_cast<std::uint32_t>(seed);
    std::uint32_t second_key = static_cast<std::uint32_t>(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < kRounds; ++round) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const LongWords first = multiply_lower(a[v], 0xD2511F53u);
        const LongWords second = multiply_lower(c[v], 0xCD9E8D57u);
        a[v] = (second >> 32) ^ b[v] ^ first_key;
        c[v] = (first >> 32) ^ d[v] ^ second_key;
        b[v] = second;
        d[v] = first;
      }
      first_key += 0x9E3779B9u;
      second_key += 0xBB67AE85u;
    }
    // 23 bits and a half: exact in float32, and the largest value stays below 1.
    float drawn[2 * kTogether];
    for (int v = 0; v < kVectors; ++v) {
      const LongWords words = ((a[v] & 0xffffffffu) >> 9) | (b[v] << 32 >> 41 << 32);
      store(drawn + v * kLanes,
            (__builtin_convertvector((Ints)words, Floats) + broadcast(0.5f)) * broadcast(0x1p-23f));
    }
    const std::int64_t left = steps - t;
    __builtin_memcpy(to + 2 * t, drawn,
                     sizeof(float) * 2 * (left < kTogether ? left : std::int64_t{kTogether}));
  }
}

}  // namespace vocoder::VOCODER_ISA
