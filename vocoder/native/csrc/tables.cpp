#include "tables.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>
#include <stdexcept>
#include <string>

namespace vocoder {
namespace {

template <class T>
const T* keep(std::vector<std::unique_ptr<Memory>>& memory, const std::vector<T>& values) {
  memory.push_back(std::make_unique<Memory>(values.size() * sizeof(T)));
  std::memcpy(memory.back()->data(), values.data(), values.size() * sizeof(T));
  return reinterpret_cast<const T*>(memory.back()->data());
}

}  // namespace

Circle Tables::circle(int count, int of) {
  std::vector<double> cosine(count), sine(count);
  for (int i = 0; i < count; ++i) {
    const double angle = 2 * std::numbers::pi * (i % of) / of;
    cosine[i] = std::cos(angle);
    sine[i] = std::sin(angle);
  }
  return {keep(memory_, cosine), keep(memory_, sine)};
}

Tables::Tables(int size, int bands, const double* filters, const double* interpolation) {
  if (size < kSmallestTransform || size > kLargestTransform || !std::has_single_bit(unsigned(size)))
    throw std::invalid_argument("n_fft " + std::to_string(size) + " is not a power of two from " +
                                std::to_string(kSmallestTransform) + " to " +
                                std::to_string(kLargestTransform));
  if (bands < 1 || bands > 4096) throw std::invalid_argument("bands must be from 1 to 4096");
  const int half = size / 2, bins = half + 1;
  int rows = 1;
  while (4 * rows * rows <= half) rows *= 2;
  const int columns = half / rows;
  const Circle whole = circle(size, size);
  std::vector<double> cosine(half), sine(half);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      const int part = i * j % half;
      cosine[i * columns + j] = whole.cosine[2 * part];
      sine[i * columns + j] = whole.sine[2 * part];
    }
  fourier_ = {size, rows, columns, whole, {keep(memory_, cosine), keep(memory_, sine)}};

  std::vector<int> left(bins), right(bins), first(bands + 1), start;
  std::vector<double> right_part(padded(bins, 16)), filter;
  for (int k = 0; k < bins; ++k) {
    int found = 0;
    double sum = 0.0;
    for (int b = 0; b < bands; ++b) {
      const double part = interpolation[std::size_t(b) * bins + k];
      if (part == 0.0) continue;
      if (!found++) left[k] = b;
      right[k] = b;
      right_part[k] = found == 1 ? 0.0 : part;
      sum += part;
    }
    if (found < 1 || found > 2 || !(std::fabs(sum - 1.0) < 1e-9))
      throw std::invalid_argument("the interpolation's bin " + std::to_string(k) +
                                  " is not between two bands");
  }
  for (int b = 0; b < bands; ++b) {
    int from = bins, to = 0;
    for (int k = 0; k < bins; ++k)
      if (filters[std::size_t(k) * bands + b] != 0.0) {
        if (from == bins) from = k;
        to = k + 1;
      }
    for (int k = from; k < to; k += kGroup) {
      start.push_back(k);
      for (int i = 0; i < kGroup; ++i)
        filter.push_back(k + i < to ? filters[std::size_t(k + i) * bands + b] : 0.0);
    }
    first[b + 1] = static_cast<int>(start.size());
  }
  bands_ = {bins,
            bands,
            keep(memory_, left),
            keep(memory_, right),
            keep(memory_, right_part),
            keep(memory_, first),
            keep(memory_, start),
            keep(memory_, filter)};
}

}  // namespace vocoder
