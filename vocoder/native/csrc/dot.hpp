// Matrix products with AVX-512's dot-product instructions: BF16 (pairs) and VNNI (quadruples).
#pragma once

#include <immintrin.h>

#include "products.hpp"

namespace vocoder::VOCODER_ISA {

// Sums over the lines for a few rows and panels. `step(sum, line, four bytes of activations)` adds
// one line's dot products; `done(row, panel, sum)` receives a row's 16 outputs.
template <class Sum, class N, class Step, class Done>
VOCODER_INLINE void dot_product(const Matrix& w, const void* in, int in_bytes, int rows, N outputs,
                                int tiles, Step step, Done done) {
  for_tiles(w, rows, outputs / kPanel, tiles,
            [&](int row, auto r, int panel, auto p, const std::byte* lines, int beside) {
              constexpr int R = r, P = p;
              Sum acc[2][R][P] = {};
              const std::byte* a = static_cast<const std::byte*>(in) + row * in_bytes;
              for (int t = 0; t < tiles; ++t, lines += beside * kTileLines * kLineBytes)
#pragma GCC unroll 2
                for (int k = 0; k < kTileLines; k += 2)
#pragma GCC unroll 2
                  for (int s = 0; s < 2; ++s)
#pragma GCC unroll 4
                    for (int q = 0; q < P; ++q) {
                      const __m512i line =
                          _mm512_load_si512(lines + (q * kTileLines + k + s) * kLineBytes);
#pragma GCC unroll 4
                      for (int i = 0; i < R; ++i) {
                        std::int32_t four;
                        __builtin_memcpy(&four, a + i * in_bytes + 4 * (t * kTileLines + k + s),
                                         sizeof four);
                        acc[s][i][q] = step(acc[s][i][q], line, _mm512_set1_epi32(four));
                      }
                    }
#pragma GCC unroll 4
              for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
                for (int q = 0; q < P; ++q) done(row + i, panel + q, acc[0][i][q] + acc[1][i][q]);
            });
}

// Activations rounded to bf16, to nearest even.
struct Bf16Activations : AlwaysAwake, RoughGates {
  using Element = std::uint16_t;
  using Session = NoSession;
  static constexpr Weights kWeights = Weights::bf16;
  static constexpr bool kByVector = true;
  static constexpr int kAhead = kMaxRows;

  VOCODER_INLINE void put(Element* to, Floats v) {
    const __m256bh rounded = _mm512_cvtneps_pbh(v);
    __builtin_memcpy(to, &rounded, sizeof rounded);
  }
  VOCODER_INLINE void put_gated(Element* to, Floats v) { put(to, v); }
};

struct Bf16Dot : Bf16Activations {
  using ContextFormat = Bf16Dot;

  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    dot_product<Floats>(
        w, in.data, in.stride * 2, rows, outputs, inputs / 2 / kTileLines,
        [](Floats sum, __m512i line, __m512i pair) {
          return (Floats)_mm512_dpbf16_ps(sum, (__m512bh)line, (__m512bh)pair);
        },
        [&](int row, int panel, Floats sum) {
          store(out + row * out_stride + panel * kPanel, sum);
        });
  }
};

struct Int8Dot : Int8Activations {
  using ContextFormat = Bf16Dot;
  static constexpr int kAhead = kMaxRows;  // memory-bound

  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    dot_product<Ints>(
        w, in.data, in.stride, rows, outputs, inputs / 4 / kTileLines,
        [](Ints sum, __m512i line, __m512i four) {
          return (Ints)_mm512_dpbusd_epi32((__m512i)sum, four, line);
        },
        [&](int row, int panel, Ints sum) {
          finish(w, sum, in.scale[row], panel * kPanel, out + row * out_stride + panel * kPanel);
        });
  }
};

}  // namespace vocoder::VOCODER_ISA
