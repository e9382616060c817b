// Stacks of convolutions over frames: the acoustic model's networks and the WaveNet's conditioning.
// Frames are (F, C), channels last, so the taps of a convolution are adjacent in memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "packing.hpp"

namespace vocoder {

enum class Activation { none, rectify, gelu };

// Padded as in network.hpp; `taps` frames of `inputs` channels, the oldest first.
struct Convolution {
  Matrix weights;  // empty: no convolution
  const float* bias;
  int taps, inputs, outputs;
  Activation activation;
  float slope;  // negative slope of the rectifier
};

// Layer normalisation of each frame, with scale and shift.
struct Norm {
  const float *scale, *shift;  // null if there is none
  const float* inside;         // 1 for channels, 0 for padding
  float channels;
};

// x <- activation(convolution(norm(x))), or, with a mix,
// x <- x + mix(activation(convolution(norm(x)))). Without a convolution: x <- norm(x).
struct StackLayer {
  Norm norm;
  Convolution convolution, mix;
};

struct Stack {
  Weights weights;  // fp32 or bf16
  bool same;        // zero padding, no frame is lost; otherwise unpadded
  const StackLayer* layers;
  int count, inputs, outputs;  // channels without padding
  int widest, hidden;          // largest number of channels of x, and within a layer, padded
  int taps;                    // largest number in a layer
  int lost;                    // frames fewer in the output than in the input
};

// A stack's run over frames.
struct StackRun {
  const float* in;  // (frames, inputs)
  int frames;
  const float* base;  // (frames, padded outputs of the first layer), replaces its bias; or null
  float* out;         // (frames - lost, outputs)
  std::byte* work;    // stack_work(stack, frames) bytes, zeroed before the first run
};

using RunStack = void (*)(const Stack&, const StackRun&);

// Rows of one product.
constexpr int kStackRows = 32;

std::size_t stack_work(const Stack& stack, int frames);

// A stack with its weights. Layers are added one by one, before the first run.
class FrameStack {
 public:
  FrameStack(Weights weights, bool same, int inputs, RunStack run);
  FrameStack(const FrameStack&) = delete;
  FrameStack& operator=(const FrameStack&) = delete;

  // `weight` (outputs, inputs, taps) in PyTorch's order.
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
  // Euler steps along the vector field given by the stack: x <- x + stack(x) / steps. In step s the
  // first layer's bias is `base` (frames, C) plus `times` (steps, C), C its outputs.
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
