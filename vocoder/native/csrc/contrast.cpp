#include "contrast.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

namespace vocoder {
namespace {

double log_power(const double* frame, int bands) {
  const double largest = *std::max_element(frame, frame + bands);
  double sum = 0.0;
  for (int b = 0; b < bands; ++b) sum += std::exp(frame[b] - largest);
  return largest + std::log(sum);
}

}  // namespace

ContrastFilter::ContrastFilter(const ContrastSettings& settings)
    : settings_(settings), side_(settings.time != 0.0 ? settings.frames / 2 : 0) {
  if (settings.bands < 1) throw std::invalid_argument("bands must be positive");
  if (settings.first < 1 || settings.last < settings.first)
    throw std::invalid_argument("coefficients must be from 1, the first not above the last");
  if (settings.frames < 1 || settings.frames % 2 == 0)
    throw std::invalid_argument("frames must be odd");
  settings_.last = std::min(settings.last, settings.bands - 1);
  const int bands = settings_.bands;
  const double scale = std::sqrt(2.0 / bands);
  for (int k = settings_.first; k <= settings_.last; ++k)
    for (int b = 0; b < bands; ++b)
      basis_.push_back(scale * std::cos(std::numbers::pi * k * (2 * b + 1) / (2.0 * bands)));
  coefficients_.resize(settings_.last - settings_.first + 1);
  for (int b = 0; b < bands; ++b)
    for (std::size_t k = 0; k < coefficients_.size(); ++k)
      by_band_.push_back(basis_[k * bands + b]);
  frame_.resize(bands);
  sum_.resize(bands);
  window_.resize(std::size_t(2 * side_ + 1) * bands);
  levels_.resize(2 * side_ + 1);
}

void ContrastFilter::sharpen(double* frame) {
  const int bands = settings_.bands;
  const int count = int(coefficients_.size());
  // The inner loops run over neighbours without a carried sum, so that they are vectorised.
  std::fill(coefficients_.begin(), coefficients_.end(), 0.0);
  for (int b = 0; b < bands; ++b)
    for (int k = 0; k < count; ++k)
      coefficients_[k] += frame[b] * by_band_[std::size_t(b) * count + k];
  std::fill(sum_.begin(), sum_.end(), 0.0);
  for (int k = 0; k < count; ++k)
    for (int b = 0; b < bands; ++b)
      sum_[b] += coefficients_[k] * basis_[std::size_t(k) * bands + b];
  for (int b = 0; b < bands; ++b) frame[b] += (settings_.frequency - 1.0) * sum_[b];
}

void ContrastFilter::append(const std::vector<double>& frame, double level,
                            std::vector<float>& out) {
  const int bands = settings_.bands, length = 2 * side_ + 1;
  std::copy(frame.begin(), frame.end(), window_.begin() + (received_ % length) * bands);
  levels_[received_ % length] = level;
  ++received_;
  if (received_ < length) return;
  const std::int64_t at = (received_ - 1 - side_) % length;
  const double* centre = window_.data() + at * bands;
  std::fill(sum_.begin(), sum_.end(), 0.0);
  for (std::int64_t f = received_ - length; f < received_; ++f) {
    const double* other = window_.data() + (f % length) * bands;
    for (int b = 0; b < bands; ++b) sum_[b] += other[b];
  }
  for (int b = 0; b < bands; ++b)
    sum_[b] = centre[b] + settings_.time * (centre[b] - sum_[b] / length);
  const double change = settings_.keep_level ? levels_[at] - log_power(sum_.data(), bands) : 0.0;
  for (int b = 0; b < bands; ++b) out.push_back(float(std::max(sum_[b] + change, settings_.floor)));
}

void ContrastFilter::push(const float* mel, std::int64_t stride, std::int64_t count,
                          std::vector<float>& out) {
  for (std::int64_t f = 0; f < count; ++f) {
    for (int b = 0; b < settings_.bands; ++b) frame_[b] = mel[f + b * stride];
    level_ = log_power(frame_.data(), settings_.bands);
    sharpen(frame_.data());
    // Before its start the stream repeats its first frame.
    const int times = received_ ? 1 : side_ + 1;
    for (int i = 0; i < times; ++i) append(frame_, level_, out);
  }
}

void ContrastFilter::flush(std::vector<float>& out) {
  // After its end the stream repeats its last frame, which is still in `frame_`.
  for (int i = 0; received_ && i < side_; ++i) append(frame_, level_, out);
}

}  // namespace vocoder
