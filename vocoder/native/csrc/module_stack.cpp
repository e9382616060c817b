// Python bindings of stacks of convolutions.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <optional>

#include "arrays.hpp"
#include "stack.hpp"

namespace vocoder {
namespace {

using Pair = std::pair<Readable, Readable>;  // weight and bias, or scale and shift

class NativeStack {
 public:
  NativeStack(int inputs, bool same, const std::string& format, const std::string& instructions)
      : stack_(weights_of(format), same, inputs, runner(format, instructions)) {}

  void convolve(const Pair& kernel, const std::string& activation, float slope) {
    stack_.convolve(kernel_of(kernel), activation_of(activation), slope);
  }

  void residual(const std::optional<Pair>& norm, const Pair& kernel, const std::string& activation,
                float slope, const Pair& mix) {
    FrameStack::Affine affine{};
    if (norm) affine = affine_of(*norm);
    stack_.residual(norm ? &affine : nullptr, kernel_of(kernel), activation_of(activation), slope,
                    kernel_of(mix));
  }

  void normalise(const Pair& norm) { stack_.normalise(affine_of(norm)); }

  void run(const Readable& frames, const Writable& out) const {
    const int count = frames_of(frames);
    const auto* from = checked<float>(frames, "frames", {count, stack_.inputs()});
    auto* to = checked<float>(out, "out", {count - stack_.lost(), stack_.outputs()});
    const nb::gil_scoped_release release;
    stack_.run(from, count, to);
  }

  void flow(const Writable& frames, const Readable& base, const Readable& times) const {
    const int count = frames_of(frames), steps = size(times, 0);
    if (stack_.inputs() != stack_.outputs() || stack_.lost() || !stack_.first_outputs())
      throw std::invalid_argument(
          "flow needs equal inputs and outputs, and a convolution as the first layer");
    auto* x = checked<float>(frames, "frames", {count, stack_.inputs()});
    const auto* from = checked<float>(base, "base", {count, stack_.first_outputs()});
    const auto* at = checked<float>(times, "times", {steps, stack_.first_outputs()});
    const nb::gil_scoped_release release;
    stack_.flow(x, count, from, at, steps);
  }

  std::size_t bytes() const { return stack_.bytes(); }

 private:
  static RunStack runner(const std::string& format, const std::string& instructions) {
    const Signals signals = instruction_set_of(instructions).signals();
    return weights_of(format) == Weights::bf16 ? signals.run_bf16 : signals.run_fp32;
  }

  static Activation activation_of(const std::string& name) {
    if (name == "none") return Activation::none;
    if (name == "rectify") return Activation::rectify;
    if (name == "gelu") return Activation::gelu;
    throw std::invalid_argument("activation " + name + " is unknown: choose none, rectify or gelu");
  }

  static FrameStack::Kernel kernel_of(const Pair& given) {
    const int outputs = size(given.first, 0), inputs = size(given.first, 1);
    const int taps = size(given.first, 2);
    return {checked<float>(given.first, "weight", {outputs, inputs, taps}),
            checked<float>(given.second, "bias", {outputs}), outputs, inputs, taps};
  }

  static FrameStack::Affine affine_of(const Pair& given) {
    const int channels = size(given.first, 0);
    return {checked<float>(given.first, "scale", {channels}),
            checked<float>(given.second, "shift", {channels}), channels};
  }

  template <class Array>
  int frames_of(const Array& frames) const {
    const int count = size(frames, 0);
    if (stack_.empty()) throw std::invalid_argument("the stack has no layers");
    if (count <= stack_.lost())
      throw std::invalid_argument(std::to_string(count) + " frames are too few: at least " +
                                  std::to_string(stack_.lost() + 1) + " are needed");
    return count;
  }

  FrameStack stack_;
};

}  // namespace

void bind_stack(nb::module_& m) {
  nb::class_<NativeStack>(m, "Stack", "Convolutions over frames (F, C), with packed weights.")
      .def(nb::init<int, bool, const std::string&, const std::string&>(), nb::kw_only(),
           nb::arg("inputs"), nb::arg("same"), nb::arg("format"), nb::arg("instructions"))
      .def("convolve", &NativeStack::convolve, nb::kw_only(), nb::arg("kernel"),
           nb::arg("activation") = "none", nb::arg("slope") = 0.0f,
           "Add a convolution: weight (out, in, taps) and bias.")
      .def("residual", &NativeStack::residual, nb::kw_only(), nb::arg("norm").none(),
           nb::arg("kernel"), nb::arg("activation"), nb::arg("slope") = 0.0f, nb::arg("mix"),
           "Add `x + mix(activation(convolution(norm(x))))`.")
      .def("normalise", &NativeStack::normalise, nb::arg("norm"), "Add a normalisation.")
      .def("run", &NativeStack::run, nb::arg("frames"), nb::arg("out"),
           "Run the stack and write its output.")
      .def("flow", &NativeStack::flow, nb::arg("frames"), nb::arg("base"), nb::arg("times"),
           "Move `frames` along the stack's vector field, one Euler step for each row of `times`.")
      .def_prop_ro("bytes", &NativeStack::bytes, "Size of the packed weights.");
}

}  // namespace vocoder
