#include "stack.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace vocoder {
namespace {

constexpr int kMostChannels = 1 << 16, kMostTaps = 63;

}  // namespace

std::size_t stack_work(const Stack& stack, int frames) {
  const std::size_t rows = padded(frames, kStackRows) + kStackRows;
  const std::size_t lines = rows * stack.widest * 2 * sizeof(float)  // x, before and after
                            + (rows + 2 * stack.taps) * stack.widest * sizeof(float) +
                            3 * std::size_t{kStackRows + 2} * stack.hidden * sizeof(float);
  return lines + 16 * kLineBytes;
}

FrameStack::FrameStack(Weights weights, bool same, int inputs, RunStack run) : run_(run) {
  if (weights == Weights::int8) throw std::invalid_argument("a stack's weights are fp32 or bf16");
  if (inputs < 1 || inputs > kMostChannels)
    throw std::invalid_argument("inputs must be from 1 to 65536");
  stack_.weights = weights;
  stack_.same = same;
  stack_.inputs = stack_.outputs = inputs;
  stack_.widest = stack_.hidden = padded(inputs, 4 * kPanel);
  stack_.taps = 1;
}

void FrameStack::expect(int channels, const char* what) const {
  if (channels != stack_.outputs)
    throw std::invalid_argument(std::string(what) + " has " + std::to_string(channels) +
                                " channels, expected " + std::to_string(stack_.outputs));
}

Convolution FrameStack::pack(const Kernel& kernel, Activation activation, float slope) {
  if (kernel.taps < 1 || kernel.taps > kMostTaps || (stack_.same && kernel.taps % 2 == 0))
    throw std::invalid_argument("taps " + std::to_string(kernel.taps) + " are not odd, from 1 to " +
                                std::to_string(kMostTaps));
  if (kernel.outputs < 1 || kernel.outputs > kMostChannels)
    throw std::invalid_argument("outputs must be from 1 to 65536");
  const int inputs = padded(kernel.inputs, kPanel), outputs = padded(kernel.outputs, kPanel);
  const int columns = padded(kernel.taps * inputs, 16 * inputs_of_line(stack_.weights));
  const Dense weight = {kernel.weight, kernel.outputs, kernel.inputs * kernel.taps};
  const Dense bias = {kernel.bias, kernel.outputs, 1};
  Convolution packed{};
  const auto build = [&](std::byte* memory) {
    Arena arena(memory);
    Packer packer(arena, memory != nullptr);
    packed.weights = packer.matrix(weight, stack_.weights, outputs, columns, same, [&](int i) {
      return i % kernel.taps * inputs + i / kernel.taps;
    });
    packed.bias = packer.vector(bias, outputs);
    return arena.used();
  };
  const std::size_t bytes = build(nullptr);
  memory_.push_back(std::make_unique<Memory>(bytes));
  build(memory_.back()->data());
  bytes_ += bytes;
  packed.taps = kernel.taps;
  packed.inputs = inputs;
  packed.outputs = outputs;
  packed.activation = activation;
  packed.slope = slope;
  return packed;
}

Norm FrameStack::pack(const Affine& norm) {
  expect(norm.channels, "the normalisation");
  const int width = padded(norm.channels, kPanel);
  memory_.push_back(std::make_unique<Memory>(3 * width * sizeof(float)));
  auto* to = reinterpret_cast<float*>(memory_.back()->data());
  for (int c = 0; c < norm.channels; ++c) {
    to[c] = norm.scale[c];
    to[width + c] = norm.shift[c];
    to[2 * width + c] = 1.0f;
  }
  return {to, to + width, to + 2 * width, static_cast<float>(norm.channels)};
}

void FrameStack::add(const StackLayer& layer) {
  layers_.push_back(layer);
  stack_.layers = layers_.data();
  stack_.count = static_cast<int>(layers_.size());
  for (const Convolution* each : {&layer.convolution, &layer.mix}) {
    if (!each->weights.lines) continue;
    // As wide as the next product may read, whose inputs are padded again.
    const int width = padded(each->outputs, 4 * kPanel);
    stack_.hidden = std::max(stack_.hidden, width);
    if (!layer.mix.weights.lines || each == &layer.mix)
      stack_.widest = std::max(stack_.widest, width);
  }
  const int taps = layer.convolution.weights.lines ? layer.convolution.taps : 1;
  stack_.taps = std::max(stack_.taps, taps);
  if (!stack_.same) stack_.lost += taps - 1;
}

void FrameStack::convolve(const Kernel& kernel, Activation activation, float slope) {
  expect(kernel.inputs, "the convolution");
  const StackLayer layer{{}, pack(kernel, activation, slope), {}};
  if (layers_.empty()) first_ = kernel.outputs;
  add(layer);
  stack_.outputs = kernel.outputs;
}

void FrameStack::residual(const Affine* norm, const Kernel& kernel, Activation activation,
                          float slope, const Kernel& mix) {
  expect(kernel.inputs, "the convolution");
  expect(mix.outputs, "the mix");
  if (mix.inputs != kernel.outputs || mix.taps != 1)
    throw std::invalid_argument(
        "the mix must have one tap, and as many inputs as the convolution has outputs");
  StackLayer layer{};
  if (norm) layer.norm = pack(*norm);
  layer.convolution = pack(kernel, activation, slope);
  layer.mix = pack(mix, Activation::none, 0.0f);
  add(layer);
}

void FrameStack::normalise(const Affine& norm) {
  StackLayer layer{};
  layer.norm = pack(norm);
  add(layer);
}

void FrameStack::run(const float* in, int frames, float* out) const {
  const Memory work(stack_work(stack_, frames));
  run_(stack_, {in, frames, nullptr, out, work.data()});
}

void FrameStack::flow(float* x, int frames, const float* base, const float* times,
                      int steps) const {
  const Memory work(stack_work(stack_, frames));
  const std::size_t width = padded(first_, kPanel), size = std::size_t(frames) * stack_.inputs;
  std::vector<float> begin(frames * width), direction(size);
  const float part = 1.0f / static_cast<float>(steps);
  for (int s = 0; s < steps; ++s) {
    for (int t = 0; t < frames; ++t)
      for (int c = 0; c < first_; ++c)
        begin[t * width + c] = base[std::int64_t(t) * first_ + c] + times[s * first_ + c];
    run_(stack_, {x, frames, begin.data(), direction.data(), work.data()});
    for (std::size_t i = 0; i < size; ++i) x[i] += direction[i] * part;
  }
}

}  // namespace vocoder
