// Matrix products of a few rows, in the vector types of the including file, for every format.
//
// A format says how activations are stored (`Element`), how vectors of floats become them (`put`
// and `encode`), how they meet the weights (`product`), and which format of the same session
// context stacks have beside it (`ContextFormat`): they are too small for int8 to pay. Each output
// is summed in an order that does not depend on the number of rows, and all of a matrix is read
// once for up to kMaxRows rows.
#pragma once

#include "network.hpp"
#include "simd.hpp"

namespace vocoder::VOCODER_ISA {

constexpr int kVectors = kPanel / kLanes;  // vectors of a panel

// Rows and panels whose sums are kept in registers at once: enough of them to hide the latency of
// a multiply-add, few enough to fit. kSplit partial sums, of alternate lines, help where one row
// has too few of its own.
#if defined(__AVX512F__)
constexpr int kSplit = 2, kTileRows = 4, kTilePanels = 2, kRowPanels = 4;
#elif defined(__AVX2__)
constexpr int kSplit = 1, kTileRows = 2, kTilePanels = 2, kRowPanels = 4;
#elif defined(__aarch64__)
constexpr int kSplit = 1, kTileRows = 4, kTilePanels = 1, kRowPanels = 4;
#else
constexpr int kSplit = 1, kTileRows = 2, kTilePanels = 1, kRowPanels = 2;
#endif

// A number known when compiling, so that one template serves fixed and free shapes.
template <int N>
struct Fixed {
  constexpr operator int() const { return N; }
};

template <class Element>
struct Activations {
  Element* data;
  int stride;          // elements from row to row
  const float* scale;  // of each row; int8 only
};

// What a thread must set up before it can use a format, and what it must do to keep the units it
// multiplies with awake; nothing, for most.
struct NoSession {
  explicit NoSession(int) {}
  void rows(int) {}
};
struct AlwaysAwake {
  VOCODER_INLINE void keep_awake(int) {}
};

// How near to the gated unit a format comes.
struct ExactGates {
  VOCODER_INLINE Floats gate(Floats a, Floats b) { return gated_unit(a, b); }
};
struct RoughGates {
  VOCODER_INLINE Floats gate(Floats a, Floats b) { return rough_gated_unit(a, b); }
};

// Calls `tile(first row, rows as Fixed, first panel, panels as Fixed, lines, beside)` for all rows
// and panels. The panels' first tiles stand at `lines`, those of one panel `beside` tiles apart.
// A few panels pass at a time, so that their weights stay in the first cache while the rows pass.
template <class Tile>
VOCODER_INLINE void for_tiles(const Matrix& w, int rows, int panels, int tiles, Tile tile) {
  for (int first = 0; first < panels; first += kTogether) {
    const int beside = panels - first < kTogether ? panels - first : kTogether;
    const std::byte* lines = w.lines + std::size_t(first) * tiles * kTileLines * kLineBytes;
    int panel = 0;
    const auto at = [&](int row, auto r, auto p) {
      tile(row, r, first + panel, p, lines + panel * kTileLines * kLineBytes, beside);
    };
    const auto sweep = [&](auto p) {
      int row = 0;
      if constexpr (int(p) <= kTilePanels)
        for (; row + kTileRows <= rows; row += kTileRows) at(row, Fixed<kTileRows>{}, p);
      for (; row < rows; ++row) at(row, Fixed<1>{}, p);
      panel += p;
    };
    if (rows < kTileRows)
      while (panel + kRowPanels <= beside) sweep(Fixed<kRowPanels>{});
    while (panel + kTilePanels <= beside) sweep(Fixed<kTilePanels>{});
    while (panel < beside) sweep(Fixed<1>{});
  }
}

struct Fp32 : AlwaysAwake, ExactGates {
  using ContextFormat = Fp32;
  using Element = float;
  using Session = NoSession;
  static constexpr Weights kWeights = Weights::fp32;
  static constexpr bool kByVector = true;  // activations can be put one vector at a time
  static constexpr int kAhead = kMaxRows;  // samples whose pasts may be summed together

  VOCODER_INLINE void put(Element* to, Floats v) { store(to, v); }
  VOCODER_INLINE void put_gated(Element* to, Floats v) { store(to, v); }

  // out[row][n] = sum_k in[row][k] w[n][k].
  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const float> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    const int tiles = inputs / kTileLines;
    for_tiles(w, rows, outputs / kPanel, tiles,
              [&](int row, auto r, int panel, auto p, const std::byte* lines, int beside) {
                constexpr int R = r, P = p;
                Floats acc[kSplit][R][P][kVectors] = {};
                const float* a = in.data + row * in.stride;
                for (int t = 0; t < tiles; ++t, lines += beside * kTileLines * kLineBytes)
                  for (int k = 0; k < kTileLines; k += kSplit)
#pragma GCC unroll 2
                    for (int s = 0; s < kSplit; ++s)
#pragma GCC unroll 4
                      for (int q = 0; q < P; ++q)
#pragma GCC unroll 4
                        for (int v = 0; v < kVectors; ++v) {
                          const Floats weight = load(reinterpret_cast<const float*>(
                              lines + ((q * kTileLines + k + s) * kVectors + v) * sizeof(Floats)));
#pragma GCC unroll 4
                          for (int i = 0; i < R; ++i)
                            acc[s][i][q][v] +=
                                weight * broadcast(a[i * in.stride + t * kTileLines + k + s]);
                        }
#pragma GCC unroll 4
                for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
                  for (int q = 0; q < P; ++q)
#pragma GCC unroll 4
                    for (int v = 0; v < kVectors; ++v) {
                      Floats total = acc[0][i][q][v];
                      if constexpr (kSplit == 2) total += acc[1][i][q][v];
                      store(out + (row + i) * out_stride + (panel + q) * kPanel + v * kLanes,
                            total);
                    }
              });
  }
};

// bf16 weights, fp32 activations: a bf16 is the upper half of a float.
struct Bf16 : AlwaysAwake, ExactGates {
  using ContextFormat = Bf16;
  using Element = float;
  using Session = NoSession;
  static constexpr Weights kWeights = Weights::bf16;
  static constexpr bool kByVector = true;
  static constexpr int kAhead = kMaxRows;

  VOCODER_INLINE void put(Element* to, Floats v) { store(to, v); }
  VOCODER_INLINE void put_gated(Element* to, Floats v) { store(to, v); }

  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const float> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    const int tiles = inputs / 2 / kTileLines;
    for_tiles(w, rows, outputs / kPanel, tiles,
              [&](int row, auto r, int panel, auto p, const std::byte* lines, int beside) {
                constexpr int R = r, P = p;
                Floats acc[2][R][P][kVectors] = {};
                const float* a = in.data + row * in.stride;
                for (int t = 0; t < tiles; ++t, lines += beside * kTileLines * kLineBytes)
                  for (int k = 0; k < kTileLines; ++k)
#pragma GCC unroll 4
                    for (int q = 0; q < P; ++q)
#pragma GCC unroll 4
                      for (int v = 0; v < kVectors; ++v) {
                        Words pair;
                        __builtin_memcpy(
                            &pair, lines + ((q * kTileLines + k) * kVectors + v) * sizeof(Words),
                            sizeof pair);
                        const Floats even = (Floats)(pair << 16),
                                     odd = (Floats)(pair & 0xffff0000u);
#pragma GCC unroll 4
                        for (int i = 0; i < R; ++i) {
                          const float* two = a + i * in.stride + 2 * (t * kTileLines + k);
                          acc[0][i][q][v] += even * broadcast(two[0]);
                          acc[1][i][q][v] += odd * broadcast(two[1]);
                        }
                      }
#pragma GCC unroll 4
                for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
                  for (int q = 0; q < P; ++q)
#pragma GCC unroll 4
                    for (int v = 0; v < kVectors; ++v)
                      store(out + (row + i) * out_stride + (panel + q) * kPanel + v * kLanes,
                            acc[0][i][q][v] + acc[1][i][q][v]);
              });
  }
};

// Activations as 0 to 255 around 128, one scale a row: x = scale (q - 128). A gated unit's output
// lies in -1 to 1 and has a scale of 1/127, so that it may be rough; others are scaled by their
// largest.
struct Int8Activations : AlwaysAwake, RoughGates {
  using Element = std::uint8_t;
  using Session = NoSession;
  static constexpr Weights kWeights = Weights::int8;
  static constexpr bool kByVector = false;
  static constexpr int kAhead = 1;  // not bound by what is read, where not said otherwise

  VOCODER_INLINE void put_gated(Element* to, Floats v) { quantise(to, v, 127.0f); }

  // Encodes a row of `count` floats, a multiple of 16; returns its scale.
  template <class N>
  VOCODER_INLINE float encode(const float* from, N count, Element* to) {
    Floats highest = {};
    for (int i = 0; i < count; i += kLanes) {
      const Floats v = load(from + i);
      const Floats size = v < Floats{} ? -v : v;
      highest = size > highest ? size : highest;
    }
    const float largest = maximum(highest);
    const float factor = largest > 0 ? 127.0f / largest : 0.0f;
    for (int i = 0; i < count; i += kLanes) quantise(to + i, load(from + i), factor);
    return largest / 127.0f;
  }

  VOCODER_INLINE void quantise(Element* to, Floats v, float factor) {
#if defined(__AVX512F__)
    const __m128i bytes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v * broadcast(factor)));
    const __m128i moved = _mm_xor_si128(bytes, _mm_set1_epi8(static_cast<char>(0x80)));
    __builtin_memcpy(to, &moved, sizeof moved);
#else
    // Adding 1.5 * 2^23 rounds to an integer, which then stands in the lowest bits.
    const Ints q = (Ints)(v * broadcast(factor) + broadcast(12582912.0f + 128.0f));
    for (int i = 0; i < kLanes; ++i) to[i] = static_cast<Element>(q[i]);
#endif
  }

  // What integer sums, of `output` and those after it, stand for.
  VOCODER_INLINE void finish(const Matrix& w, Ints total, float scale, int output, float* to) {
    Ints offset;
    __builtin_memcpy(&offset, w.offset + output, sizeof offset);
    const Floats exact = __builtin_convertvector(total - offset, Floats);
    store(to, exact * (load(w.scale + output) * broadcast(scale)));
  }
};

struct Int8 : Int8Activations {
  using ContextFormat = Bf16;

  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    const int tiles = inputs / 4 / kTileLines;
    for_tiles(w, rows, outputs / kPanel, tiles,
              [&](int row, auto r, int panel, auto p, const std::byte* lines, int beside) {
                for (int i = 0; i < r; ++i)
                  for (int q = 0; q < p; ++q) {
                    const Element* a = in.data + (row + i) * in.stride;
                    alignas(kLineBytes) std::int32_t total[kPanel] = {};
                    for (int t = 0; t < tiles; ++t)
                      for (int k = 0; k < kTileLines; ++k, a += 4) {
                        const auto* line = reinterpret_cast<const std::int8_t*>(
                            lines + ((t * beside + q) * kTileLines + k) * kLineBytes);
                        for (int n = 0; n < kPanel; ++n)
                          for (int j = 0; j < 4; ++j) total[n] += line[4 * n + j] * a[j];
                      }
                    for (int v = 0; v < kPanel; v += kLanes) {
                      Ints part;
                      __builtin_memcpy(&part, total + v, sizeof part);
                      const int output = (panel + q) * kPanel + v;
                      finish(w, part, in.scale[row + i], output,
                             out + (row + i) * out_stride + output);
                    }
                  }
              });
  }
};

}  // namespace vocoder::VOCODER_ISA
