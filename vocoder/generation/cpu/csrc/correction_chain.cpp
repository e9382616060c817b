#include "correction_chain.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace vocoder {

namespace {

constexpr double kLeastWeight = 1e-3;
constexpr std::int64_t kForgetFrames = 256;  // at once, so that moving the rest is seldom

}  // namespace

CorrectionPlan::CorrectionPlan(std::shared_ptr<const Tables> tables, int hop,
                               const std::vector<double>& window, double energy, double log_floor,
                               Correct correct)
    : tables_(std::move(tables)), hop_(hop), window_(window), correct_(correct) {
  const int size = tables_->fourier().size;
  if (hop < 1 || hop > size || (size - hop) % 2)
    throw std::invalid_argument("hop " + std::to_string(hop) + " does not fit n_fft " +
                                std::to_string(size));
  if (window.size() != std::size_t(size))
    throw std::invalid_argument("window must have " + std::to_string(size) + " numbers");
  if (!(energy > 0.0) || !(log_floor > 0.0))
    throw std::invalid_argument("energy and log_floor must be positive");
  for (const double value : window) square_.push_back(value * value);
  correction_ = {&tables_->fourier(), &tables_->bands(), window_.data(), energy, log_floor};
}

void AskedFrames::extend(const float* mel, std::int64_t stride, std::int64_t count) {
  for (std::int64_t f = 0; f < count; ++f)
    for (int b = 0; b < bands_; ++b) values_.push_back(mel[b * stride + f]);
}

void AskedFrames::forget(std::int64_t before) {
  if (before - first_ < kForgetFrames) return;
  values_.erase(values_.begin(), values_.begin() + (before - first_) * bands_);
  first_ = before;
}

CorrectionPass::CorrectionPass(const CorrectionPlan& plan)
    : plan_(plan),
      before_((plan.size() - plan.hop()) / 2),
      skip_(before_),
      input_(before_, 0.0),
      sum_(plan.size(), 0.0),
      weight_(plan.size(), 0.0),
      work_(correction_work(plan.size(), plan.bands())) {}

void CorrectionPass::push(const AskedFrames& asked, double limit, const std::vector<float>& samples,
                          std::vector<float>& out) {
  input_.insert(input_.end(), samples.begin(), samples.end());
  run(asked, limit, out);
}

void CorrectionPass::flush(const AskedFrames& asked, double limit, std::vector<float>& out) {
  const std::int64_t total = asked.known() * plan_.hop();
  const std::int64_t done = std::max<std::int64_t>(0, frame_ * plan_.hop() - before_ + skip_);
  const std::size_t wanted = out.size() + std::max<std::int64_t>(0, total - done);
  input_.resize(input_.size() + (asked.known() - frame_) * plan_.hop() + plan_.size(), 0.0);
  run(asked, limit, out);
  finish(plan_.size(), out);
  out.resize(std::min(out.size(), wanted));
}

void CorrectionPass::run(const AskedFrames& asked, double limit, std::vector<float>& out) {
  const int size = plan_.size(), hop = plan_.hop();
  std::int64_t at = 0;
  for (; std::int64_t(input_.size()) - at >= size && frame_ < asked.known(); at += hop, ++frame_) {
    plan_.correct()(plan_.correction(), limit, input_.data() + at, asked.at(frame_), sum_.data(),
                    work_.data());
    for (int i = 0; i < size; ++i) weight_[i] += plan_.square()[i];
    finish(hop, out);
  }
  input_.erase(input_.begin(), input_.begin() + at);
}

// Takes the first `count` samples of the sum, which no later frame reaches.
void CorrectionPass::finish(std::int64_t count, std::vector<float>& out) {
  const std::int64_t skipped = std::min(skip_, count), at = out.size();
  out.resize(at + count - skipped);
  for (std::int64_t i = skipped; i < count; ++i)
    out[at + i - skipped] = static_cast<float>(sum_[i] / std::max(weight_[i], kLeastWeight));
  skip_ = std::max<std::int64_t>(0, skip_ - count);
  for (std::vector<double>* each : {&sum_, &weight_}) {
    std::copy(each->begin() + count, each->end(), each->begin());
    std::fill(each->end() - count, each->end(), 0.0);
  }
}

CorrectionChain::CorrectionChain(std::shared_ptr<const CorrectionPlan> plan, int passes,
                                 double limit)
    : plan_(std::move(plan)), limit_(limit), asked_(plan_->bands()) {
  if (passes < 0 || passes > 64) throw std::invalid_argument("passes must be from 0 to 64");
  passes_.reserve(passes);
  for (int i = 0; i < passes; ++i) passes_.emplace_back(*plan_);
}

void CorrectionChain::extend(const float* mel, std::int64_t stride, std::int64_t count) {
  const std::lock_guard lock(guard_);
  if (!passes_.empty()) asked_.extend(mel, stride, count);
}

std::vector<float> CorrectionChain::push(const float* samples, std::size_t count) {
  const std::lock_guard lock(guard_);
  std::vector<float> now(samples, samples + count), next;
  for (CorrectionPass& pass : passes_) {
    next.clear();
    pass.push(asked_, limit_, now, next);
    std::swap(now, next);
  }
  if (!passes_.empty()) asked_.forget(passes_.back().frame());
  return now;
}

std::vector<float> CorrectionChain::flush() {
  const std::lock_guard lock(guard_);
  std::vector<float> held, next;
  for (CorrectionPass& pass : passes_) {
    next.clear();
    pass.push(asked_, limit_, held, next);
    pass.flush(asked_, limit_, next);
    std::swap(held, next);
  }
  return held;
}

}  // namespace vocoder
