// Stacks of convolutions over frames: the acoustic model's networks, and what conditions the
// WaveNet. Frames are (F, C), channels last, so a convolution's taps on a frame lie side by side.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "packing.hpp"

namespace vocoder {

enum class Activation { none, rectify, gelu };

// Everything is padded as network.hpp says; `taps` frames of `inputs` channels, the oldest first.
struct Convolution {
  Matrix weights;  // no lines: no convolution
  const float* bias;
  int taps, inputs, outputs;
  Activation activation;
  float slope;  // of what is below zero, where it is rectified
};

// Normalisation of each frame over its channels, a scale and a shift.
struct Norm {
  const float *scale, *shift;  // null where there is none
  const float* inside;         // 1 for channels, 0 for padding
  float channels;
};

// x <- activation(convolution(norm(x))), or, where there is a mix,
// x <- x + mix(activation(convolution(norm(x)))). Without a convolution: x <- norm(x).
struct StackLayer {
  Norm norm;
  Convolution convolution, mix;
};

struct Stack {
  Weights weights;  // fp32 or bf16
  bool same;        // zeros stand beyond the ends, and no frame is lost; else there are no ends
  const StackLayer* layers;
  int count, inputs, outputs;  // channels without padding
  int widest, hidden;          // most channels of x, and inside a layer, padded
  int taps;                    // most of a layer
  int lost;                    // frames fewer than were given
};

// How a stack runs over frames.
struct StackRun {
  const float* in;  // (frames, inputs)
  int frames;
  const float* base;  // (frames, padded outputs of the first layer) instead of its bias, or null
  float* out;         // (frames - lost, outputs)
  std::byte* work;    // stack_work(stack, frames) bytes, zeroed before the first run
};

using RunStack = void (*)(const Stack&, const StackRun&);

// Rows that are multiplied together.
constexpr int kStackRows = 32;

std::size_t stack_work(const Stack& stack, int frames);

// A stack with its weights. Layers are added one by one; none after the first run.
class FrameStack {
 public:
  FrameStack(Weights weights, bool same, int inputs, RunStack run);
  FrameStack(const FrameStack&) = delete;
  FrameStack& operator=(const FrameStack&) = delete;

  // `weight` (outputs, inputs, taps) as PyTorch holds it.
  struct Kernel {
    const float *weight, *bias;
    int outputs, inputs, taps;
  };
  struct Affine {
    const float *scale, *shift;
    int channels;
  };
  void convolve(const Kernel& kernel, Activation activation, float slope);
  void residual(const Affine* norm, const Kernel& kernel, Activation activation, float slope,
                const Kernel& mix);
  void normalise(const Affine& norm);

  int inputs() const { return stack_.inputs; }
  int outputs() const { return stack_.outputs; }
  int lost() const { return stack_.lost; }
  bool empty() const { return layers_.empty(); }
  std::size_t bytes() const { return bytes_; }

  void run(const float* in, int frames, float* out) const;
  // Euler steps along the field that the stack is: x <- x + stack(x) / steps. Step s begins from
  // `base` (frames, C) plus `times` (steps, C), C the first layer's outputs.
  void flow(float* x, int frames, const float* base, const float* times, int steps) const;
  // Outputs of the first layer.
  int first_outputs() const { return first_; }

 private:
  Convolution pack(const Kernel& kernel, Activation activation, float slope);
  Norm pack(const Affine& norm);
  void add(const StackLayer& layer);
  void expect(int channels, const char* what) const;

  Stack stack_{};
  RunStack run_;
  int first_ = 0;
  std::size_t bytes_ = 0;
  std::vector<StackLayer> layers_;
  std::vector<std::unique_ptr<Memory>> memory_;
};

}  // namespace vocoder
