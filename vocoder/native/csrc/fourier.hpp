// Fourier transforms of real signals whose length is a power of two: 1024 samples in a microsecond.
//
// N real numbers are taken as M = N / 2 complex ones, z_n = x_2n + i x_2n+1. These stand as a
// matrix of `rows` times `columns`. The transform of all its columns, a turn of each element, and
// the transform of all columns of the transposed matrix give the transform of the whole, in order
// (the six-step algorithm, Bailey 1990). Columns lie side by side, so every loop has a vector's
// width. The columns' transforms are Stockham's, radix 4, which need no reordering.
#pragma once

#include "simd.hpp"
#include "tables.hpp"

namespace vocoder::VOCODER_ISA {

// Real and imaginary parts.
struct Complex {
  double* __restrict__ re;
  double* __restrict__ im;
};

// One stage: elements p, p + quarter, p + 2 quarter and p + 3 quarter, each `width` numbers.
VOCODER_INLINE void butterflies(Complex from, Complex to, int quarter, int width,
                                const double* cosine, const double* sine, int step) {
  for (int p = 0; p < quarter; ++p) {
    const double c1 = cosine[p * step], s1 = sine[p * step];
    const double c2 = cosine[2 * p * step], s2 = sine[2 * p * step];
    const double c3 = cosine[3 * p * step], s3 = sine[3 * p * step];
    const int a = p * width, b = a + quarter * width, c = b + quarter * width,
              d = c + quarter * width, out = 4 * p * width;
    for (int q = 0; q < width; q += kDoubleLanes) {
      const Doubles ar = load(from.re + a + q), ai = load(from.im + a + q);
      const Doubles br = load(from.re + b + q), bi = load(from.im + b + q);
      const Doubles cr = load(from.re + c + q), ci = load(from.im + c + q);
      const Doubles dr = load(from.re + d + q), di = load(from.im + d + q);
      const Doubles er = ar + cr, ei = ai + ci, fr = ar - cr, fi = ai - ci;
      const Doubles gr = br + dr, gi = bi + di, hr = br - dr, hi = bi - di;
      const auto put = [&](int i, Doubles re, Doubles im, double cos, double sin) {
        store(to.re + out + i * width + q, re * broadcast(cos) + im * broadcast(sin));
        store(to.im + out + i * width + q, im * broadcast(cos) - re * broadcast(sin));
      };
      store(to.re + out + q, er + gr);
      store(to.im + out + q, ei + gi);
      put(1, fr + hi, fi - hr, c1, s1);
      put(2, er - gr, ei - gi, c2, s2);
      put(3, fr - hi, fi + hr, c3, s3);
    }
  }
}

// Transforms of `count` columns of `length` rows each, from `x`, which is lost; returns where they
// are: `x` or `y`. `step` is how many of the whole circle's parts one of a column's is.
VOCODER_INLINE Complex transform_columns(Complex x, Complex y, int length, int count,
                                         const Circle& circle, int step) {
  int width = count;
  for (; length >= 4; length /= 4, width *= 4, step *= 4) {
    butterflies(x, y, length / 4, width, circle.cosine, circle.sine, step);
    const Complex swap = x;
    x = y;
    y = swap;
  }
  if (length == 1) return x;
  for (int q = 0; q < width; q += kDoubleLanes) {
    const Doubles ar = load(x.re + q), ai = load(x.im + q);
    const Doubles br = load(x.re + width + q), bi = load(x.im + width + q);
    store(y.re + q, ar + br);
    store(y.im + q, ai + bi);
    store(y.re + width + q, ar - br);
    store(y.im + width + q, ai - bi);
  }
  return y;
}

// The transform of M complex numbers in `x`; returns where it is: `x` or `y`. The inverse, times M,
// is the same with real and imaginary parts exchanged.
VOCODER_INLINE Complex transform_complex(const Fourier& fourier, Complex x, Complex y) {
  const int rows = fourier.rows, columns = fourier.columns;
  Complex z = transform_columns(x, y, rows, columns, fourier.circle, 2 * columns);
  Complex other = z.re == x.re ? y : x;
  for (int i = 1; i < rows; ++i)
    for (int j = 0; j < columns; j += kDoubleLanes) {
      const int at = i * columns + j;
      const Doubles re = load(z.re + at), im = load(z.im + at);
      const Doubles cos = load(fourier.turn.cosine + at), sin = load(fourier.turn.sine + at);
      store(z.re + at, re * cos + im * sin);
      store(z.im + at, im * cos - re * sin);
    }
  for (int j = 0; j < columns; ++j)
    for (int i = 0; i < rows; ++i) {
      other.re[j * rows + i] = z.re[i * columns + j];
      other.im[j * rows + i] = z.im[i * columns + j];
    }
  return transform_columns(other, z, columns, rows, fourier.circle, 2 * rows);
}

// The spectrum of N real numbers that stand in `z` by pairs: bins 0 to M (M + 1 of them).
VOCODER_INLINE void transform_real(const Fourier& fourier, Complex z, Complex work, Complex bins) {
  const int half = fourier.size / 2;
  z = transform_complex(fourier, z, work);
  bins.re[0] = z.re[0] + z.im[0];
  bins.im[0] = 0.0;
  bins.re[half] = z.re[0] - z.im[0];
  bins.im[half] = 0.0;
  const double *cosine = fourier.circle.cosine, *sine = fourier.circle.sine;
  for (int k = 1; k < half; ++k) {
    const double even_re = 0.5 * (z.re[k] + z.re[half - k]);
    const double even_im = 0.5 * (z.im[k] - z.im[half - k]);
    const double odd_re = 0.5 * (z.im[k] + z.im[half - k]);
    const double odd_im = 0.5 * (z.re[half - k] - z.re[k]);
    bins.re[k] = even_re + odd_re * cosine[k] + odd_im * sine[k];
    bins.im[k] = even_im + odd_im * cosine[k] - odd_re * sine[k];
  }
}

// N real numbers, by pairs, of a spectrum of bins 0 to M; returns where they are: `z` or `work`.
// They are M times too large.
VOCODER_INLINE Complex invert_real(const Fourier& fourier, Complex bins, Complex z, Complex work) {
  const int half = fourier.size / 2;
  const double *cosine = fourier.circle.cosine, *sine = fourier.circle.sine;
  z.re[0] = 0.5 * (bins.re[0] + bins.re[half]);
  z.im[0] = 0.5 * (bins.re[0] - bins.re[half]);
  for (int k = 1; k < half; ++k) {
    const double even_re = 0.5 * (bins.re[k] + bins.re[half - k]);
    const double even_im = 0.5 * (bins.im[k] - bins.im[half - k]);
    const double wide_re = 0.5 * (bins.re[k] - bins.re[half - k]);
    const double wide_im = 0.5 * (bins.im[k] + bins.im[half - k]);
    const double odd_re = wide_re * cosine[k] - wide_im * sine[k];
    const double odd_im = wide_im * cosine[k] + wide_re * sine[k];
    z.re[k] = even_re - odd_im;
    z.im[k] = even_im + odd_re;
  }
  const Complex out = transform_complex(fourier, {z.im, z.re}, {work.im, work.re});
  return {out.im, out.re};
}

}  // namespace vocoder::VOCODER_ISA
