// Products by AMX tiles: 16 lines of weights against up to 16 rows at once.
//
// A tile of weights is 16 consecutive lines, 1 KiB. The instruction works on each row by itself and
// in one order, so one row's product has the same bits as that row's among sixteen; and a tile takes
// as long as its 1 KiB takes to arrive from the second cache, so one row loses nothing by it.
#pragma once

#include "dot.hpp"

namespace vocoder::VOCODER_ISA {

constexpr int kTileBytes = 16 * kLineBytes;

// Tiles 0 to 3 hold sums, 4 the activations, 5 to 7 weights.
class TileSession {
 public:
  explicit TileSession(int rows) {
    struct alignas(kLineBytes) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } config;
    for (int i = 0; i < 8; ++i) {
      config.row_bytes[i] = kLineBytes;
      config.rows[i] = static_cast<std::uint8_t>(i < 5 ? rows : 16);
    }
    barrier();
    _tile_loadconfig(&config);
  }
  ~TileSession() { _tile_release(); }

  // The tile intrinsics do not tell the compiler that they read memory.
  VOCODER_INLINE void barrier() { asm volatile("" ::: "memory"); }
};

// Sums of `groups` times 16 lines for four panels, or for one, into tiles 0 to 3. `Multiply` has
// one member for each pair of tiles that meet.
template <class Multiply>
VOCODER_INLINE void sum_four(const std::byte* lines, std::ptrdiff_t panel_bytes, const void* in,
                             int in_bytes, int groups) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int g = 0; g < groups; ++g, lines += kTileBytes) {
    _tile_loadd(4, static_cast<const std::byte*>(in) + g * kLineBytes, in_bytes);
    _tile_loadd(5, lines, kLineBytes);
    Multiply::tile_0_by_5();
    _tile_loadd(6, lines + panel_bytes, kLineBytes);
    Multiply::tile_1_by_6();
    _tile_loadd(7, lines + 2 * panel_bytes, kLineBytes);
    Multiply::tile_2_by_7();
    _tile_loadd(5, lines + 3 * panel_bytes, kLineBytes);
    Multiply::tile_3_by_5();
  }
}

template <class Multiply>
VOCODER_INLINE void sum_one(const std::byte* lines, const void* in, int in_bytes, int groups) {
  _tile_zero(0);
  for (int g = 0; g < groups; ++g, lines += kTileBytes) {
    _tile_loadd(4, static_cast<const std::byte*>(in) + g * kLineBytes, in_bytes);
    _tile_loadd(5, lines, kLineBytes);
    Multiply::tile_0_by_5();
  }
}

template <class Multiply, class Done>
VOCODER_INLINE void tile_product(const Matrix& w, const void* in, int in_bytes, float* out,
                                 int out_stride, int outputs, int groups, Done done) {
  TileSession::barrier();
  const std::ptrdiff_t panel_bytes = std::ptrdiff_t{groups} * kTileBytes;
  const int panels = outputs / kPanel, bytes = out_stride * 4;
  for (int panel = 0; panel < panels / 4 * 4; panel += 4) {
    sum_four<Multiply>(w.lines + panel * panel_bytes, panel_bytes, in, in_bytes, groups);
    float* to = out + panel * kPanel;
    _tile_stored(0, to, bytes);
    _tile_stored(1, to + kPanel, bytes);
    _tile_stored(2, to + 2 * kPanel, bytes);
    _tile_stored(3, to + 3 * kPanel, bytes);
    for (int q = 0; q < 4; ++q) done(panel + q);
  }
  for (int q = 0; q < panels % 4; ++q) {
    const int panel = panels / 4 * 4 + q;
    sum_one<Multiply>(w.lines + panel * panel_bytes, in, in_bytes, groups);
    _tile_stored(0, out + panel * kPanel, bytes);
    done(panel);
  }
}

struct Bf16Tile : Bf16Activations {
  using Session = TileSession;

  VOCODER_INLINE void tile_0_by_5() { _tile_dpbf16ps(0, 4, 5); }
  VOCODER_INLINE void tile_1_by_6() { _tile_dpbf16ps(1, 4, 6); }
  VOCODER_INLINE void tile_2_by_7() { _tile_dpbf16ps(2, 4, 7); }
  VOCODER_INLINE void tile_3_by_5() { _tile_dpbf16ps(3, 4, 5); }

  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int, float* out,
                              int out_stride, N outputs, K inputs) {
    tile_product<Bf16Tile>(w, in.data, in.stride * 2, out, out_stride, outputs, inputs / 32,
                           [](int) {});
  }
};

struct Int8Tile : Int8Activations {
  using Session = TileSession;

  VOCODER_INLINE void tile_0_by_5() { _tile_dpbusd(0, 4, 5); }
  VOCODER_INLINE void tile_1_by_6() { _tile_dpbusd(1, 4, 6); }
  VOCODER_INLINE void tile_2_by_7() { _tile_dpbusd(2, 4, 7); }
  VOCODER_INLINE void tile_3_by_5() { _tile_dpbusd(3, 4, 5); }

  // The tiles store their integers where the floats will be.
  template <class N, class K>
  VOCODER_INLINE void product(const Matrix& w, Activations<const Element> in, int rows, float* out,
                              int out_stride, N outputs, K inputs) {
    tile_product<Int8Tile>(
        w, in.data, in.stride, out, out_stride, outputs, inputs / 64, [&](int panel) {
          for (int r = 0; r < rows; ++r) {
            float* to = out + r * out_stride + panel * kPanel;
            std::int32_t total[kPanel];
            __builtin_memcpy(total, to, sizeof total);
            finish(w, total, in.scale[r], panel * kPanel, to);
          }
        });
  }
};

}  // namespace vocoder::VOCODER_ISA
