// Matrix products of a few rows, in the vector types of the including file, for every format.
//
// A format says how activations are stored (`Element`), how a row of floats becomes them (`encode`)
// and how they meet the weights (`product`). Each output is summed in an order that does not depend
// on the number of rows. All of a matrix's lines are read once for up to kMaxRows rows.
#pragma once

#include "lanes.hpp"
#include "network.hpp"

namespace vocoder::VOCODER_ISA {

constexpr int kVectors = kPanel / kLanes;  // vectors of a panel

// Tiles of rows by panels, so that the accumulators fit the registers and hide the latency of a
// multiply-add. kSplit partial sums, of alternate lines, make up for few accumulators.
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
  int stride;            // elements from row to row
  const float* scale;    // of each row; int8 only
};

// Runs `tile(first row, rows as Fixed, first panel, panels as Fixed)` over all rows and panels, a
// few panels at a time, so that their weights stay in the first cache while the rows pass.
template <class Tile>
VOCODER_INLINE void for_tiles(int rows, int panels, Tile tile) {
  int panel = 0;
  auto rest = [&](auto wide, int row) {
    for (; row < rows; ++row) tile(row, Fixed<1>{}, panel, wide);
  };
  if (rows < kTileRows) {
    for (; panel + kRowPanels <= panels; panel += kRowPanels) rest(Fixed<kRowPanels>{}, 0);
    for (; panel < panels; ++panel) rest(Fixed<1>{}, 0);
    return;
  }
  auto sweep = [&](auto wide) {
    int row = 0;
    for (; row + kTileRows <= rows; row += kTileRows) tile(row, Fixed<kTileRows>{}, panel, wide);
    rest(wide, row);
  };
  for (; panel + kTilePanels <= panels; panel += kTilePanels) sweep(Fixed<kTilePanels>{});
  for (; panel < panels; ++panel) sweep(Fixed<1>{});
}

// What a thread must set up before it can use a format; nothing, for most.
struct NoSession {
  explicit NoSession(int) {}
};

struct Fp32 {
  using Element = float;
  using Session = NoSession;
  static constexpr Weights kWeights = Weights::fp32;

  template <class N>
  VOCODER_INLINE float encode(const float*, N, Element*) {
    return 1.0f;
  }

  // out[row][n] = sum_k in[row][k] w[n][k].
  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const float> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    const float* lines = reinterpret_cast<const float*>(w.lines);
    for_tiles(rows, outputs / kPanel, [&](int row, auto r, int panel, auto p) {
      constexpr int R = r, P = p;
      Floats acc[kSplit][R][P][kVectors] = {};
      const float* a = in.data + row * in.stride;
      const float* line = lines + panel * inputs * kPanel;
      for (int k = 0; k < inputs; k += kSplit)
        for (int s = 0; s < kSplit; ++s)
          for (int q = 0; q < P; ++q)
            for (int v = 0; v < kVectors; ++v) {
              const Floats weight = load(line + (q * inputs + k + s) * kPanel + v * kLanes);
              for (int i = 0; i < R; ++i)
                acc[s][i][q][v] += weight * broadcast(a[i * in.stride + k + s]);
            }
      for (int i = 0; i < R; ++i)
        for (int q = 0; q < P; ++q)
          for (int v = 0; v < kVectors; ++v) {
            Floats total = acc[0][i][q][v];
            if (kSplit == 2) total += acc[kSplit - 1][i][q][v];
            store(out + (row + i) * out_stride + (panel + q) * kPanel + v * kLanes, total);
          }
    });
  }
};

// bf16 weights, fp32 activations: a bf16 is the upper half of a float.
struct Bf16 {
  using Element = float;
  using Session = NoSession;
  static constexpr Weights kWeights = Weights::bf16;

  template <class N>
  VOCODER_INLINE float encode(const float*, N, Element*) {
    return 1.0f;
  }

  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const float> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    const std::uint32_t* lines = reinterpret_cast<const std::uint32_t*>(w.lines);
    for_tiles(rows, outputs / kPanel, [&](int row, auto r, int panel, auto p) {
      constexpr int R = r, P = p;
      Floats acc[2][R][P][kVectors] = {};
      const float* a = in.data + row * in.stride;
      const std::uint32_t* line = lines + panel * (inputs / 2) * kPanel;
      for (int k = 0; k < inputs / 2; ++k)
        for (int q = 0; q < P; ++q)
          for (int v = 0; v < kVectors; ++v) {
            Words pair;
            __builtin_memcpy(&pair, line + (q * (inputs / 2) + k) * kPanel + v * kLanes,
                             sizeof pair);
            const Floats even = (Floats)(pair << 16), odd = (Floats)(pair & 0xffff0000u);
            for (int i = 0; i < R; ++i) {
              acc[0][i][q][v] += even * broadcast(a[i * in.stride + 2 * k]);
              acc[1][i][q][v] += odd * broadcast(a[i * in.stride + 2 * k + 1]);
            }
          }
      for (int i = 0; i < R; ++i)
        for (int q = 0; q < P; ++q)
          for (int v = 0; v < kVectors; ++v)
            store(out + (row + i) * out_stride + (panel + q) * kPanel + v * kLanes,
                  acc[0][i][q][v] + acc[1][i][q][v]);
    });
  }
};

// Activations as 0 to 255 around 128, one scale a row: x = scale (q - 128).
struct Int8Activations {
  using Element = std::uint8_t;
  using Session = NoSession;
  static constexpr Weights kWeights = Weights::int8;

  template <class N>
  VOCODER_INLINE float encode(const float* from, N count, Element* to) {
    Floats highest = {};
    for (int i = 0; i < count; i += kLanes) {
      const Floats v = load(from + i);
      const Floats size = v < Floats{} ? -v : v;
      highest = size > highest ? size : highest;
    }
    const float largest = maximum(highest);
    if (!(largest > 0)) {
      for (int i = 0; i < count; ++i) to[i] = 128;
      return 0.0f;
    }
    quantise(from, count, to, 127.0f / largest);
    return largest / 127.0f;
  }

  template <class N>
  VOCODER_INLINE void quantise(const float* from, N count, Element* to, float factor) {
#if defined(__AVX512F__)
    for (int i = 0; i < count; i += kLanes) {
      const __m512i q = _mm512_cvtps_epi32(load(from + i) * broadcast(factor));
      const __m128i bytes = _mm512_cvtsepi32_epi8(q);
      const __m128i moved = _mm_xor_si128(bytes, _mm_set1_epi8(static_cast<char>(0x80)));
      __builtin_memcpy(to + i, &moved, sizeof moved);
    }
#else
    for (int i = 0; i < count; ++i)
      to[i] = static_cast<Element>(__builtin_nearbyintf(from[i] * factor) + 128.0f);
#endif
  }

  // What an output's integer sum stands for.
  VOCODER_INLINE void finish(const Matrix& w, const std::int32_t* total, float scale, int output,
                             float* to) {
    for (int i = 0; i < kPanel; i += kLanes) {
      Ints value, offset;
      __builtin_memcpy(&value, total + i, sizeof value);
      __builtin_memcpy(&offset, w.offset + output + i, sizeof offset);
      const Floats exact = __builtin_convertvector(value - offset, Floats);
      store(to + i, exact * (load(w.scale + output + i) * broadcast(scale)));
    }
  }
};

struct Int8 : Int8Activations {
  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    const std::int8_t* lines = reinterpret_cast<const std::int8_t*>(w.lines);
    for (int panel = 0; panel < outputs / kPanel; ++panel)
      for (int row = 0; row < rows; ++row) {
        const Element* a = in.data + row * in.stride;
        const std::int8_t* line = lines + panel * inputs * kPanel;
        std::int32_t total[kPanel] = {};
        for (int k = 0; k < inputs; k += 4, line += kLineBytes)
          for (int n = 0; n < kPanel; ++n)
            for (int j = 0; j < 4; ++j) total[n] += line[4 * n + j] * a[k + j];
        finish(w, total, in.scale[row], panel * kPanel,
               out + row * out_stride + panel * kPanel);
      }
  }
};

}  // namespace vocoder::VOCODER_ISA
