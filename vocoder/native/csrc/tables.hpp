// Lookup tables of the signal transforms, built once and shared by all instruction sets.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "network.hpp"

namespace vocoder {

// Points on the unit circle.
struct Circle {
  const double *cosine, *sine;
};

// Tables of a Fourier transform of `size` real numbers; see fourier.hpp.
struct Fourier {
  int size, rows, columns;  // size = 2 rows columns, all powers of two
  Circle circle;            // (size): the roots of unity in order
  Circle turn;  // (rows, columns): twiddle factors; element (i, j) is root i j of rows * columns
};

// Maps between the bins of a spectrum and the bands of a mel spectrogram. A bin lies between the
// centres of two bands, and a band covers few bins.
struct Bands {
  int bins, count;
  const int *left, *right;   // (bins): the bands on either side of a bin
  const double* right_part;  // (bins): weight of the right band, 0 to 1
  // Filters: band b consists of the groups first[b] to first[b + 1], each of kGroup bins from
  // start[g] on.
  const int *first, *start;
  const double* filter;
};

constexpr int kGroup = 8;

constexpr int kSmallestTransform = 256, kLargestTransform = 1 << 16;

// Both tables, with their memory. Throws std::invalid_argument for a size that is out of range or
// not a power of two, and for an unsupported interpolation or filters.
class Tables {
 public:
  // `filters` (bins, bands) map bins to bands; `interpolation` (bands, bins) maps back.
  Tables(int size, int bands, const double* filters, const double* interpolation);

  const Fourier& fourier() const { return fourier_; }
  const Bands& bands() const { return bands_; }

 private:
  Circle circle(int count, int of);

  std::vector<std::unique_ptr<Memory>> memory_;
  Fourier fourier_{};
  Bands bands_{};
};

// Correction of one frame; see correction.hpp.
struct Correction {
  const Fourier* fourier;
  const Bands* bands;
  const double* window;  // (size)
  double energy;         // of the window
  double log_floor;      // minimum power of a band
};

// Adds a corrected frame (size) to `sum` (size). `asked` (bands) is the target log power, `limit`
// the largest change of a band's log magnitude; `work` (correction_work(...)) is scratch memory.
using Correct = void (*)(const Correction&, double limit, const double* frame, const float* asked,
                         double* sum, double* work);

constexpr int kBlock = 16;  // arrays of bins and bands are padded to a multiple of this

VOCODER_ALWAYS_INLINE constexpr int correction_work(int size, int bands) {
  return 2 * size + 4 * padded(size / 2 + 1, kBlock) + kGroup + padded(bands, kBlock);
}

// Linear prediction from a mel spectrogram; see prediction.hpp.
struct Prediction {
  const Fourier* fourier;
  const Bands* bands;
  int order;
  const double* log_area;    // (bands): logarithm of each filter's sum
  const double* lag_window;  // (order + 1)
};

// Predictors of `count` frames. `mel` (bands, count) has rows `stride` values apart; writes
// `coefficients` (count, order), `gain` and `level` (count).
using Predict = void (*)(const Prediction&, const float* mel, std::int64_t stride, int count,
                         float* coefficients, float* gain, float* level);

// Solves the normal equations of `count` rows: `lags` (count, order + 1) to `coefficients`
// (count, order) and `error` (count).
using Solve = void (*)(const double* lags, int order, int count, double* coefficients,
                       double* error);

// Uniforms in (0, 1) for a seed's samples from `position` on, two per sample.
using Draw = void (*)(std::uint64_t seed, std::uint64_t position, std::int64_t steps, float* to);

}  // namespace vocoder
