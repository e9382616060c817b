// The signal processing of the Python module `vocoder.native._native`.
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <memory>

#include "arrays.hpp"
#include "band_synthesis.hpp"
#include "contrast.hpp"
#include "correction_chain.hpp"

namespace vocoder {
namespace {

using Audio = nb::ndarray<nb::numpy, float, nb::ndim<1>>;
using Frames = nb::ndarray<nb::numpy, float, nb::ndim<2>>;

Audio as_array(std::vector<float>&& samples) {
  auto* kept = new std::vector<float>(std::move(samples));
  const nb::capsule owner(kept,
                          [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
  return Audio(kept->data(), {kept->size()}, owner);
}

Frames as_frames(std::vector<float>&& values, std::size_t bands) {
  auto* kept = new std::vector<float>(std::move(values));
  const nb::capsule owner(kept,
                          [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
  return Frames(kept->data(), {kept->size() / bands, bands}, owner);
}

void draw_uniforms(const Readable& seeds, const Readable& positions, const Writable& uniform,
                   const std::string& instructions) {
  const Draw draw = instruction_set_of(instructions).signals().draw;
  const std::int64_t rows = size(seeds, 0), steps = size(uniform, 1);
  const auto* seed = checked<std::int64_t>(seeds, "seeds", {rows});
  const auto* position = checked<std::int64_t>(positions, "positions", {rows});
  auto* to = checked<float>(uniform, "uniforms", {rows, steps, 2});
  const nb::gil_scoped_release release;
  for (std::int64_t r = 0; r < rows; ++r) draw(seed[r], position[r], steps, to + 2 * steps * r);
}

void solve(const Readable& lags, const Writable& coefficients, const Writable& error,
           const std::string& instructions) {
  const Solve run = instruction_set_of(instructions).signals().solve;
  const int rows = size(lags, 0), order = size(lags, 1) - 1;
  if (order < 1 || order > 4096) throw std::invalid_argument("order must be from 1 to 4096");
  const auto* from = checked<double>(lags, "lags", {rows, order + 1});
  auto* to = checked<double>(coefficients, "coefficients", {rows, order});
  auto* left = checked<double>(error, "error", {rows});
  const nb::gil_scoped_release release;
  run(from, order, rows, to, left);
}

std::shared_ptr<const Tables> tables_of(int n_fft, const Readable& filters,
                                        const Readable& interpolation) {
  const int bins = size(filters, 0), bands = size(filters, 1);
  if (n_fft / 2 + 1 != bins)
    throw std::invalid_argument("filters must have " + std::to_string(n_fft / 2 + 1) +
                                " bins, as n_fft is " + std::to_string(n_fft));
  return std::make_shared<Tables>(n_fft, bands, checked<double>(filters, "filters", {bins, bands}),
                                  checked<double>(interpolation, "interpolation", {bands, bins}));
}

class Predictor {
 public:
  Predictor(int n_fft, const Readable& filters, const Readable& interpolation,
            const Readable& log_area, const Readable& lag_window, const std::string& instructions)
      : tables_(tables_of(n_fft, filters, interpolation)),
        predict_(instruction_set_of(instructions).signals().predict) {
    const int bands = tables_->bands().count, order = size(lag_window, 0) - 1;
    if (order < 1 || order >= n_fft)
      throw std::invalid_argument("order " + std::to_string(order) + " is not from 1 to " +
                                  std::to_string(n_fft - 1));
    const auto* area = checked<double>(log_area, "log_area", {bands});
    const auto* window = checked<double>(lag_window, "lag_window", {order + 1});
    log_area_.assign(area, area + bands);
    lag_window_.assign(window, window + order + 1);
    prediction_ = {&tables_->fourier(), &tables_->bands(), order, log_area_.data(),
                   lag_window_.data()};
  }

  void predict(const Readable& mel, const Writable& coefficients, const Writable& gain,
               const Writable& level) const {
    const int frames = size(mel, 1);
    std::int64_t stride;
    const auto* from = checked<float>(mel, "mel", {prediction_.bands->count, frames}, &stride);
    auto* to = checked<float>(coefficients, "coefficients", {frames, prediction_.order});
    auto* gains = checked<float>(gain, "gain", {frames});
    auto* levels = checked<float>(level, "level", {frames});
    const nb::gil_scoped_release release;
    predict_(prediction_, from, stride, frames, to, gains, levels);
  }

 private:
  std::shared_ptr<const Tables> tables_;
  Predict predict_;
  std::vector<double> log_area_, lag_window_;
  Prediction prediction_{};
};

std::shared_ptr<CorrectionPlan> plan_of(int n_fft, int hop, const Readable& filters,
                                        const Readable& interpolation, const Readable& window,
                                        double energy, double log_floor,
                                        const std::string& instructions) {
  const auto* from = checked<double>(window, "window", {n_fft});
  return std::make_shared<CorrectionPlan>(
      tables_of(n_fft, filters, interpolation), hop, std::vector<double>(from, from + n_fft),
      energy, log_floor, instruction_set_of(instructions).signals().correct);
}

void extend(CorrectionChain& chain, const Readable& mel) {
  const std::int64_t frames = size(mel, 1);
  std::int64_t stride;
  const auto* from = checked<float>(mel, "mel", {chain.bands(), frames}, &stride);
  const nb::gil_scoped_release release;
  chain.extend(from, stride, frames);
}

Audio push(CorrectionChain& chain, const Readable& samples) {
  const std::int64_t count = size(samples, 0);
  const auto* from = checked<float>(samples, "samples", {count});
  std::vector<float> finished;
  {
    const nb::gil_scoped_release release;
    finished = chain.push(from, count);
  }
  return as_array(std::move(finished));
}

Audio flush(CorrectionChain& chain) {
  std::vector<float> finished;
  {
    const nb::gil_scoped_release release;
    finished = chain.flush();
  }
  return as_array(std::move(finished));
}

ContrastFilter contrast_filter_of(int bands, int first, int last, double frequency, double time,
                                  int frames, bool keep_level, double floor) {
  return ContrastFilter({bands, first, last, frequency, time, frames, keep_level, floor});
}

Frames sharpen(ContrastFilter& filter, const Readable& mel) {
  const std::int64_t count = size(mel, 1);
  std::int64_t stride;
  const auto* from = checked<float>(mel, "mel", {filter.bands(), count}, &stride);
  std::vector<float> finished;
  {
    const nb::gil_scoped_release release;
    filter.push(from, stride, count, finished);
  }
  return as_frames(std::move(finished), filter.bands());
}

Frames finish(ContrastFilter& filter) {
  std::vector<float> finished;
  filter.flush(finished);
  return as_frames(std::move(finished), filter.bands());
}

BandSynthesis band_synthesis_of(const Readable& taps, int before) {
  const int length = size(taps, 0), bands = size(taps, 1);
  if (length < 1 || bands < 1 || before < 0 || before > length)
    throw std::invalid_argument("taps must not be empty, and before be from 0 to their length");
  return {checked<double>(taps, "taps", {length, bands}), length, bands, before};
}

Audio join(BandSynthesis& synthesis, const Readable& samples) {
  const std::int64_t count = size(samples, 0);
  const auto* from = checked<float>(samples, "samples", {count});
  std::vector<float> finished;
  {
    const nb::gil_scoped_release release;
    synthesis.push(from, count, finished);
  }
  return as_array(std::move(finished));
}

}  // namespace

void bind_signals(nb::module_& m) {
  m.def("uniforms", &draw_uniforms, nb::kw_only(), nb::arg("seeds"), nb::arg("positions"),
        nb::arg("uniforms"), nb::arg("instructions"),
        "Write uniforms; see `vocoder.generation.noise.uniforms`.");
  m.def("levinson_durbin", &solve, nb::kw_only(), nb::arg("lags"), nb::arg("coefficients"),
        nb::arg("error"), nb::arg("instructions"),
        "Solve each row's normal equations; see "
        "`vocoder.wavenet.linear_prediction.levinson_durbin`.");
  nb::class_<Predictor>(m, "Predictor", "Linear prediction from log-mel frames.")
      .def(nb::init<int, const Readable&, const Readable&, const Readable&, const Readable&,
                    const std::string&>(),
           nb::kw_only(), nb::arg("n_fft"), nb::arg("filters"), nb::arg("interpolation"),
           nb::arg("log_area"), nb::arg("lag_window"), nb::arg("instructions"))
      .def("predict", &Predictor::predict, nb::kw_only(), nb::arg("mel"), nb::arg("coefficients"),
           nb::arg("gain"), nb::arg("level"), "Write the predictor of each column of `mel`.");
  nb::class_<CorrectionPlan>(m, "CorrectionPlan",
                             "Settings and tables shared by spectral corrections.")
      .def(nb::new_(&plan_of), nb::kw_only(), nb::arg("n_fft"), nb::arg("hop"), nb::arg("filters"),
           nb::arg("interpolation"), nb::arg("window"), nb::arg("energy"), nb::arg("log_floor"),
           nb::arg("instructions"));
  nb::class_<CorrectionChain>(m, "CorrectionChain",
                              "See `vocoder.synthesis.spectral_correction.CorrectionChain`.")
      .def(nb::init<std::shared_ptr<const CorrectionPlan>, int, double>(), nb::kw_only(),
           nb::arg("plan"), nb::arg("passes"), nb::arg("limit"))
      .def("extend", &extend, nb::arg("mel"), "Append target frames (bands, F).")
      .def("push", &push, nb::arg("samples"),
           "Append samples (T,); returns the finished ones (T',).")
      .def("flush", &flush, "End the stream; returns the rest.");
  nb::class_<BandSynthesis>(m, "BandSynthesis", "See `vocoder.wavenet.filter_bank.BandSynthesis`.")
      .def(nb::new_(&band_synthesis_of), nb::kw_only(), nb::arg("taps"), nb::arg("before"))
      .def("push", &join, nb::arg("samples"),
           "Append band samples (T,); returns the finished samples (T',).");
  nb::class_<ContrastFilter>(m, "ContrastFilter",
                             "See `vocoder.features.spectral_contrast.SpectralContrast`.")
      .def(nb::new_(&contrast_filter_of), nb::kw_only(), nb::arg("bands"), nb::arg("first"),
           nb::arg("last"), nb::arg("frequency"), nb::arg("time"), nb::arg("frames"),
           nb::arg("keep_level"), nb::arg("floor"))
      .def("push", &sharpen, nb::arg("mel"),
           "Append frames (bands, F); returns the finished ones (F', bands).")
      .def("flush", &finish, "End the stream; returns the rest.");
}

}  // namespace vocoder
