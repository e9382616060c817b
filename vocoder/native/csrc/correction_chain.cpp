#include "correction_chain.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace vocoder {
namespace {

constexpr int kMostPasses = 64;
constexpr double kLeastWeight = 1e-3;
constexpr int kRoom = 4;  // windows that fit into a pass's sum, so that it is rarely moved
constexpr std::int64_t kForgetFrames = 256;  // dropped at once, so that the rest is rarely moved

// Window weight of frames `first` to `last`, counted back from the latest, at that one's sample i.
double inverse_of(const std::vector<double>& window, int hop, std::int64_t first, std::int64_t last,
                  int i) {
  double weight = 0.0;
  for (std::int64_t frame = last; frame >= first; --frame)
    if (const std::size_t at = i + frame * hop; at < window.size())
      weight += window[at] * window[at];
  return 1.0 / std::max(weight, kLeastWeight);
}

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
    throw std::invalid_argument("window must have " + std::to_string(size) + " values");
  if (!(energy > 0.0) || !(log_floor > 0.0))
    throw std::invalid_argument("energy and log_floor must be positive");
  overlap_ = (size - 1) / hop;
  for (int frame = 0; frame <= overlap_; ++frame)
    for (int i = 0; i < hop; ++i) inverse_.push_back(inverse_of(window_, hop, 0, frame, i));
  correction_ = {&tables_->fourier(), &tables_->bands(), window_.data(), energy, log_floor};
}

double CorrectionPlan::inverse_of_rest(std::int64_t frames, int i) const {
  return inverse_of(window_, hop_, 1, std::min<std::int64_t>(frames, overlap_), i);
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
      sum_(kRoom * plan.size(), 0.0) {}

void CorrectionPass::push(const AskedFrames& asked, double limit, const std::vector<float>& samples,
                          double* work, std::vector<float>& out) {
  input_.insert(input_.end(), samples.begin(), samples.end());
  run(asked, limit, work, out);
}

void CorrectionPass::flush(const AskedFrames& asked, double limit, double* work,
                           std::vector<float>& out) {
  const std::int64_t total = asked.known() * plan_.hop();
  const std::int64_t done = std::max<std::int64_t>(0, frame_ * plan_.hop() - before_ + skip_);
  const std::size_t wanted = out.size() + std::max<std::int64_t>(0, total - done);
  input_.resize(input_.size() + (asked.known() - frame_) * plan_.hop() + plan_.size(), 0.0);
  run(asked, limit, work, out);
  for (int i = static_cast<int>(std::min<std::int64_t>(skip_, plan_.size())); i < plan_.size(); ++i)
    out.push_back(static_cast<float>(sum_[start_ + i] * plan_.inverse_of_rest(frame_, i)));
  out.resize(std::min(out.size(), wanted));
}

void CorrectionPass::run(const AskedFrames& asked, double limit, double* work,
                         std::vector<float>& out) {
  std::int64_t at = 0;
  for (; std::int64_t(input_.size()) - at >= plan_.size() && frame_ < asked.known(); ++frame_) {
    plan_.correct()(plan_.correction(), limit, input_.data() + at, asked.at(frame_),
                    sum_.data() + start_, work);
    finish_frame(out);
    at += plan_.hop();
  }
  input_.erase(input_.begin(), input_.begin() + at);
}

// Outputs the first hop of the sum, which no later frame overlaps.
void CorrectionPass::finish_frame(std::vector<float>& out) {
  const int hop = plan_.hop(), skipped = static_cast<int>(std::min<std::int64_t>(skip_, hop));
  const double *sum = sum_.data() + start_, *inverse = plan_.inverse(frame_);
  const std::size_t at = out.size();
  out.resize(at + hop - skipped);
  for (int i = skipped; i < hop; ++i)
    out[at + i - skipped] = static_cast<float>(sum[i] * inverse[i]);
  skip_ -= skipped;
  start_ += hop;
  if (start_ + plan_.size() <= sum_.size()) return;
  // The sum is still zero behind the window's end: no frame has been added there.
  std::copy(sum_.begin() + start_, sum_.end(), sum_.begin());
  std::fill(sum_.end() - start_, sum_.end(), 0.0);
  start_ = 0;
}

namespace {

// Shared by all streams of a thread, so that it stays in the cache.
double* work(const CorrectionPlan& plan) {
  static thread_local std::vector<double> memory;
  memory.resize(std::max<std::size_t>(memory.size(), correction_work(plan.size(), plan.bands())));
  return memory.data();
}

}  // namespace

CorrectionChain::CorrectionChain(std::shared_ptr<const CorrectionPlan> plan, int passes,
                                 double limit)
    : plan_(std::move(plan)), limit_(limit), asked_(plan_->bands()) {
  if (passes < 0 || passes > kMostPasses)
    throw std::invalid_argument("passes must be from 0 to 64");
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
    pass.push(asked_, limit_, now, work(*plan_), next);
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
    pass.push(asked_, limit_, held, work(*plan_), next);
    pass.flush(asked_, limit_, work(*plan_), next);
    std::swap(held, next);
  }
  return held;
}

}  // namespace vocoder
