// Stacks of convolutions (stack.hpp), in the vector types of the including file.
//
// A layer processes kStackRows frames at a time: a product, the activation, the product of the mix,
// all within the L1 cache. A frame's result does not depend on the other frames of such a block.
// Input frames are stored as elements of the format, so the taps of a frame are adjacent: a row of
// the product starts at its oldest frame.
#pragma once

#include "products.hpp"
#include "stack.hpp"

namespace vocoder::VOCODER_ISA {

// erf(x) within 2e-7 for x >= 0 (Abramowitz and Stegun 1964, 7.1.26).
VOCODER_INLINE Floats error_function(Floats x) {
  const Floats t = reciprocal(broadcast(1.0f) + broadcast(0.3275911f) * x);
  Floats p = broadcast(1.061405429f);
  p = p * t + broadcast(-1.453152027f);
  p = p * t + broadcast(1.421413741f);
  p = p * t + broadcast(-0.284496736f);
  p = p * t + broadcast(0.254829592f);
  const Floats power = power_of_two(at_least(x * x * broadcast(-kLog2E), -126.0f));
  return broadcast(1.0f) - p * t * power;
}

// GELU: x times the normal distribution function of x.
VOCODER_INLINE Floats gelu(Floats x) {
  const Floats size = x < Floats{} ? -x : x;
  return broadcast(0.5f) * (x + size * error_function(size * broadcast(0.70710678f)));
}

VOCODER_INLINE Floats activate(Floats x, const Convolution& convolution) {
  switch (convolution.activation) {
    case Activation::rectify:
      return x < Floats{} ? x * broadcast(convolution.slope) : x;
    case Activation::gelu:
      return gelu(x);
    default:
      return x;
  }
}

template <class Format>
class StackPass {
  using Element = typename Format::Element;

 public:
  static void run(const Stack& stack, const StackRun& given) {
    [[maybe_unused]] const typename Format::Session session(kMaxRows);
    StackPass(stack, given).layers();
  }

 private:
  StackPass(const Stack& stack, const StackRun& given)
      : stack_(stack), given_(given), frames_(given.frames) {
    Arena arena(given.work);
    const std::size_t rows = padded(frames_, kStackRows) + kStackRows;
    x_ = arena.take<float>(rows * stack.widest);
    next_ = arena.take<float>(rows * stack.widest);
    elements_ = arena.take<Element>((rows + 2 * stack.taps) * stack.widest);
    hidden_ = arena.take<float>(kStackRows * stack.hidden);
    gated_ = arena.take<Element>((kStackRows + 2) * stack.hidden);
    mixed_ = arena.take<float>(kStackRows * stack.hidden);
  }

  void layers() {
    width_ = padded(stack_.inputs, kPanel);
    for (int t = 0; t < frames_; ++t)
      copy_row(given_.in + std::int64_t(t) * stack_.inputs, x_ + t * width_, stack_.inputs);
    const float* base = given_.base;
    for (int l = 0; l < stack_.count; ++l, base = nullptr) layer(stack_.layers[l], base);
    for (int t = 0; t < frames_; ++t)
      for (int c = 0; c < stack_.outputs; ++c)
        given_.out[std::int64_t(t) * stack_.outputs + c] = x_[t * width_ + c];
  }

  static void copy_row(const float* from, float* to, int count) {
    const int whole = padded(count, kPanel);
    for (int c = 0; c < count; ++c) to[c] = from[c];
    for (int c = count; c < whole; ++c) to[c] = 0.0f;
  }

  void layer(const StackLayer& layer, const float* base) {
    const Convolution &convolution = layer.convolution, &mix = layer.mix;
    if (!convolution.weights.lines) {
      for (int t = 0; t < frames_; ++t) {
        const Centred centred = centre(layer.norm, x_ + t * width_);
        for (int c = 0; c < width_; c += kLanes)
          store(x_ + t * width_ + c, normal(layer.norm, centred, x_ + t * width_, c));
      }
      return;
    }
    const int side = convolution.taps / 2, before = stack_.same ? side : 0;
    encode(layer.norm, before, convolution.taps);
    if (!stack_.same) frames_ -= convolution.taps - 1;
    const int outputs = convolution.outputs;
    for (int first = 0; first < frames_; first += kStackRows) {
      const int rows = frames_ - first < kStackRows ? frames_ - first : kStackRows;
      product(convolution, elements_ + std::int64_t(first) * width_, width_, rows, hidden_);
      if (!mix.weights.lines) {
        for (int r = 0; r < rows; ++r)
          finish(convolution, hidden_ + r * outputs,
                 base ? base + std::int64_t(first + r) * outputs : nullptr,
                 next_ + std::int64_t(first + r) * outputs);
        continue;
      }
      for (int r = 0; r < rows; ++r)
        for (int c = 0; c < outputs; c += kLanes)
          Format::put(
              gated_ + r * outputs + c,
              activate(load(hidden_ + r * outputs + c) + load(convolution.bias + c), convolution));
      product(mix, gated_, outputs, rows, mixed_);
      const int moved = stack_.same ? 0 : side;
      for (int r = 0; r < rows; ++r)
        for (int c = 0; c < width_; c += kLanes)
          store(x_ + (first + r) * width_ + c,
                load(x_ + (first + r + moved) * width_ + c) +
                    (load(mixed_ + r * width_ + c) + load(mix.bias + c)));
    }
    if (mix.weights.lines) return;
    float* swap = x_;
    x_ = next_;
    next_ = swap;
    width_ = outputs;
  }

  // Bias and activation; `base` is a row that replaces the first layer's bias.
  void finish(const Convolution& convolution, const float* hidden, const float* base, float* to) {
    const float* bias = base ? base : convolution.bias;
    for (int c = 0; c < convolution.outputs; c += kLanes)
      store(to + c, activate(load(hidden + c) + load(bias + c), convolution));
  }

  // Writes the normalised x as elements, with `before` frames of zeros before and after it, and
  // zeros where a product may read past the end.
  void encode(const Norm& norm, int before, int taps) {
    const auto clear = [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from * width_; i < to * width_; ++i) elements_[i] = 0;
    };
    clear(0, before);
    Element* to = elements_ + before * width_;
    for (int t = 0; t < frames_; ++t, to += width_) {
      const float* x = x_ + t * width_;
      if (!norm.scale) {
        for (int c = 0; c < width_; c += kLanes) Format::put(to + c, load(x + c));
        continue;
      }
      const Centred centred = centre(norm, x);
      for (int c = 0; c < width_; c += kLanes) Format::put(to + c, normal(norm, centred, x, c));
    }
    clear(before + frames_, padded(frames_, kStackRows) + kStackRows + taps);
  }

  struct Centred {
    Floats mean, inverse;
  };

  Centred centre(const Norm& norm, const float* x) {
    Floats total = {};
    for (int c = 0; c < width_; c += kLanes) total += load(x + c);
    const Floats mean = broadcast(sum(total) / norm.channels);
    Floats squares = {};
    for (int c = 0; c < width_; c += kLanes) {
      const Floats centred = (load(x + c) - mean) * load(norm.inside + c);
      squares += centred * centred;
    }
    return {mean, broadcast(1.0f / __builtin_sqrtf(sum(squares) / norm.channels + 1e-5f))};
  }

  Floats normal(const Norm& norm, const Centred& centred, const float* x, int c) {
    return (load(x + c) - centred.mean) * centred.inverse * load(norm.scale + c) +
           load(norm.shift + c);
  }

  void product(const Convolution& convolution, const Element* in, int stride, int rows,
               float* out) {
    Format::product(convolution.weights, {in, stride, nullptr}, rows, out, convolution.outputs,
                    convolution.outputs, convolution.weights.inputs);
  }

  const Stack& stack_;
  const StackRun& given_;
  int frames_, width_ = 0;
  float *x_, *next_, *hidden_, *mixed_;
  Element *elements_, *gated_;
};

}  // namespace vocoder::VOCODER_ISA
