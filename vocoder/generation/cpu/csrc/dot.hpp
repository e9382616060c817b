// Products by the dot-product instructions of AVX-512: BF16 (pairs) and VNNI (quadruples).
#pragma once

#include <immintrin.h>

#include "products.hpp"

namespace vocoder::VOCODER_ISA {

// Activations rounded to bf16, nearest even.
struct Bf16Activations {
  using Element = std::uint16_t;
  using Session = NoSession;
  static constexpr Weights kWeights = Weights::bf16;

  template <class N>
  VOCODER_INLINE float encode(const float* from, N count, Element* to) {
    for (int i = 0; i < count; i += 32) {
      const __m512bh pair = _mm512_cvtne2ps_pbh(load(from + i + 16), load(from + i));
      __builtin_memcpy(to + i, &pair, sizeof pair);
    }
    return 1.0f;
  }
};

struct Bf16Dot : Bf16Activations {
  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    for_tiles(rows, outputs / kPanel, [&](int row, auto r, int panel, auto p) {
      constexpr int R = r, P = p;
      __m512 acc[2][R][P] = {};
      const Element* a = in.data + row * in.stride;
      const std::byte* line = w.lines + panel * (inputs / 2) * kLineBytes;
      for (int k = 0; k < inputs / 2; k += 2)
#pragma GCC unroll 2
        for (int s = 0; s < 2; ++s)
#pragma GCC unroll 4
          for (int q = 0; q < P; ++q) {
            const auto weight =
                (__m512bh)_mm512_load_si512(line + (q * (inputs / 2) + k + s) * kLineBytes);
#pragma GCC unroll 4
            for (int i = 0; i < R; ++i) {
              std::int32_t pair;
              __builtin_memcpy(&pair, a + i * in.stride + 2 * (k + s), sizeof pair);
              acc[s][i][q] =
                  _mm512_dpbf16_ps(acc[s][i][q], weight, (__m512bh)_mm512_set1_epi32(pair));
            }
          }
#pragma GCC unroll 4
      for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int q = 0; q < P; ++q)
          store(out + (row + i) * out_stride + (panel + q) * kPanel, acc[0][i][q] + acc[1][i][q]);
    });
  }
};

struct Int8Dot : Int8Activations {
  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    for_tiles(rows, outputs / kPanel, [&](int row, auto r, int panel, auto p) {
      constexpr int R = r, P = p;
      __m512i acc[2][R][P] = {};
      const Element* a = in.data + row * in.stride;
      const std::byte* line = w.lines + panel * (inputs / 4) * kLineBytes;
      for (int k = 0; k < inputs / 4; k += 2)
#pragma GCC unroll 2
        for (int s = 0; s < 2; ++s)
#pragma GCC unroll 4
          for (int q = 0; q < P; ++q) {
            const __m512i weight =
                _mm512_load_si512(line + (q * (inputs / 4) + k + s) * kLineBytes);
#pragma GCC unroll 4
            for (int i = 0; i < R; ++i) {
              std::int32_t four;
              __builtin_memcpy(&four, a + i * in.stride + 4 * (k + s), sizeof four);
              acc[s][i][q] = _mm512_dpbusd_epi32(acc[s][i][q], _mm512_set1_epi32(four), weight);
            }
          }
#pragma GCC unroll 4
      for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
        for (int q = 0; q < P; ++q) {
          alignas(kLineBytes) std::int32_t total[kPanel];
          _mm512_store_si512(total, _mm512_add_epi32(acc[0][i][q], acc[1][i][q]));
          finish(w, total, in.scale[row + i], (panel + q) * kPanel,
                 out + (row + i) * out_stride + (panel + q) * kPanel);
        }
    });
  }
};

}  // namespace vocoder::VOCODER_ISA
