// Matrix products with AMX tiles: 16 lines of weights times up to 16 rows at once.
//
// A tile of weights is 16 consecutive lines, 1 KiB. The instruction processes each row separately
// and in a fixed order, so a single row's product has the same bits as within sixteen rows. A tile
// takes as long as loading its 1 KiB from the L2 cache, so a single row is no slower than with
// other code.
#pragma once

#include "dot.hpp"

namespace vocoder::VOCODER_ISA {

constexpr int kTileBytes = 16 * kLineBytes;

// Tiles 0 to 3 hold sums, tile 4 activations, tiles 5 to 7 weights.
class TileSession {
 public:
  explicit TileSession(int count) { rows(count); }

  // Sets the number of rows of the following products.
  void rows(int count) {
    struct alignas(kLineBytes) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } config;
    for (int i = 0; i < 8; ++i) {
      config.row_bytes[i] = kLineBytes;
      config.rows[i] = static_cast<std::uint8_t>(i < 5 ? count : 16);
    }
    barrier();
    _tile_loadconfig(&config);
  }
  ~TileSession() { _tile_release(); }

  // The tile intrinsics do not tell the compiler that they read memory.
  VOCODER_INLINE void barrier() { asm volatile("" ::: "memory"); }
};

// Sums over all tiles of up to four adjacent panels, into tiles 0 to 3. `Multiply` has one member
// for each pair of tiles to multiply.
template <class Multiply, int P>
VOCODER_INLINE void sum_panels(const std::byte* lines, const void* in, int in_bytes, int tiles) {
  _tile_zero(0);
  if constexpr (P > 1) _tile_zero(1);
  if constexpr (P > 2) _tile_zero(2);
  if constexpr (P > 3) _tile_zero(3);
  for (int t = 0; t < tiles; ++t, lines += P * kTileBytes) {
    _tile_loadd(4, static_cast<const std::byte*>(in) + t * kLineBytes, in_bytes);
    _tile_loadd(5, lines, kLineBytes);
    Multiply::tile_0_by_5();
    if constexpr (P > 1) {
      _tile_loadd(6, lines + kTileBytes, kLineBytes);
      Multiply::tile_1_by_6();
    }
    if constexpr (P > 2) {
      _tile_loadd(7, lines + 2 * kTileBytes, kLineBytes);
      Multiply::tile_2_by_7();
    }
    if constexpr (P > 3) {
      _tile_loadd(5, lines + 3 * kTileBytes, kLineBytes);
      Multiply::tile_3_by_5();
    }
  }
}

template <int P>
VOCODER_INLINE void store_panels(float* out, int bytes) {
  _tile_stored(0, out, bytes);
  if constexpr (P > 1) _tile_stored(1, out + kPanel, bytes);
  if constexpr (P > 2) _tile_stored(2, out + 2 * kPanel, bytes);
  if constexpr (P > 3) _tile_stored(3, out + 3 * kPanel, bytes);
}

template <class Multiply>
VOCODER_INLINE void tile_product(const Matrix& w, const void* in, int in_bytes, float* out,
                                 int out_stride, int outputs, int tiles) {
  TileSession::barrier();
  const int panels = outputs / kPanel, bytes = out_stride * 4;
  const std::byte* lines = w.lines;
  const auto pass = [&](auto p) {
    sum_panels<Multiply, p>(lines, in, in_bytes, tiles);
    store_panels<p>(out, bytes);
    lines += std::size_t{p} * tiles * kTileBytes;
    out += p * kPanel;
  };
  for (int i = 0; i < panels / kTogether; ++i) pass(Fixed<kTogether>{});
  if (panels % kTogether == 1) pass(Fixed<1>{});
  if (panels % kTogether == 2) pass(Fixed<2>{});
  if (panels % kTogether == 3) pass(Fixed<3>{});
}

// The same for twice as many rows, which share each load of the weights: sums in tiles 0 to 3,
// activations in 4 and 5, weights in 6 and 7.
template <int P>
VOCODER_INLINE void sum_row_pair(const std::byte* lines, int beside, const std::byte* in,
                                 int in_bytes, int tiles) {
  _tile_zero(0);
  _tile_zero(2);
  if constexpr (P > 1) _tile_zero(1);
  if constexpr (P > 1) _tile_zero(3);
  for (int t = 0; t < tiles; ++t, lines += beside * kTileBytes) {
    _tile_loadd(4, in + t * kLineBytes, in_bytes);
    _tile_loadd(6, lines, kLineBytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, in + t * kLineBytes + kMaxRows * in_bytes, in_bytes);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (P > 1) {
      _tile_loadd(7, lines + kTileBytes, kLineBytes);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
}

VOCODER_INLINE void tile_product_of_row_pair(const Matrix& w, const void* in, int in_bytes,
                                             float* out, int out_stride, int outputs, int tiles) {
  TileSession::barrier();
  const int panels = outputs / kPanel, bytes = out_stride * 4;
  float* below = out + kMaxRows * out_stride;
  for (int panel = 0; panel < panels;) {
    const int before = panel / kTogether * kTogether;
    const int beside = panels - before < kTogether ? panels - before : kTogether;
    const std::byte* lines =
        w.lines + (std::size_t(before) * tiles + (panel - before)) * kTileBytes;
    const auto* rows = static_cast<const std::byte*>(in);
    if (beside - (panel - before) > 1) {
      sum_row_pair<2>(lines, beside, rows, in_bytes, tiles);
      _tile_stored(1, out + (panel + 1) * kPanel, bytes);
      _tile_stored(3, below + (panel + 1) * kPanel, bytes);
    } else {
      sum_row_pair<1>(lines, beside, rows, in_bytes, tiles);
    }
    _tile_stored(0, out + panel * kPanel, bytes);
    _tile_stored(2, below + panel * kPanel, bytes);
    panel += beside - (panel - before) > 1 ? 2 : 1;
  }
  TileSession::barrier();
}

// Call this once per row in loops over rows that do no products. The multiplier powers down after
// about 200 ns without work and takes 370 ns to wake up (measured on a fifth-generation Xeon): an
// occasional dummy product is cheaper.
VOCODER_INLINE void keep_multiplier_awake(int row) {
  if (row % 4 == 3) _tile_dpbf16ps(3, 4, 7);
}

struct Bf16Tile : Bf16Activations {
  using ContextFormat = Bf16Tile;
  using Session = TileSession;

  VOCODER_INLINE void keep_awake(int row) { keep_multiplier_awake(row); }

  VOCODER_INLINE void tile_0_by_5() { _tile_dpbf16ps(0, 4, 5); }
  VOCODER_INLINE void tile_1_by_6() { _tile_dpbf16ps(1, 4, 6); }
  VOCODER_INLINE void tile_2_by_7() { _tile_dpbf16ps(2, 4, 7); }
  VOCODER_INLINE void tile_3_by_5() { _tile_dpbf16ps(3, 4, 5); }

  // With more rows than one tile has, complete tiles of rows are read and written.
  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    for (; rows > kMaxRows; rows -= 2 * kMaxRows) {
      tile_product_of_row_pair(w, in.data, in.stride * 2, out, out_stride, outputs, inputs / 32);
      in.data += 2 * kMaxRows * in.stride;
      out += 2 * kMaxRows * out_stride;
    }
    if (rows > 0)
      tile_product<Bf16Tile>(w, in.data, in.stride * 2, out, out_stride, outputs, inputs / 32);
  }
};

struct Int8Tile : Int8Activations {
  using ContextFormat = Bf16Tile;
  using Session = TileSession;

  VOCODER_INLINE void keep_awake(int row) { keep_multiplier_awake(row); }

  VOCODER_INLINE void tile_0_by_5() { _tile_dpbusd(0, 4, 5); }
  VOCODER_INLINE void tile_1_by_6() { _tile_dpbusd(1, 4, 6); }
  VOCODER_INLINE void tile_2_by_7() { _tile_dpbusd(2, 4, 7); }
  VOCODER_INLINE void tile_3_by_5() { _tile_dpbusd(3, 4, 5); }

  // Integer sums are exact in any order, so a few rows can use the dot products, which start
  // sooner.
  static constexpr int kFewRows = 2;

  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    if (rows <= kFewRows) return Int8Dot::product(w, in, rows, out, out_stride, outputs, inputs);
    tile_product<Int8Tile>(w, in.data, in.stride, out, out_stride, outputs, inputs / 64);
    // The tiles stored integers in the place of the floats.
    for (int r = 0; r < rows; ++r)
      for (int o = 0; o < outputs; o += kPanel) {
        Ints total;
        __builtin_memcpy(&total, out + r * out_stride + o, sizeof total);
        finish(w, total, in.scale[r], o, out + r * out_stride + o);
      }
  }
};

}  // namespace vocoder::VOCODER_ISA
