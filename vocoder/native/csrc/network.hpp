// The sample loop's data: the network with packed weights, and the rows that it advances.
//
// Weight layout. Every matrix except the input convolution consists of 64-byte lines, the size of
// an AVX-512 register: 16 outputs (a panel) times g consecutive inputs, with g = 1 in fp32, 2 in
// bf16 and 4 in int8, inputs fastest. 16 lines of successive inputs form a tile, the size of an AMX
// register. The order is [four panels][tile][panel][line], so a product reads memory sequentially,
// and the matrices are stored in the order of their use.
//
// Invariants.
//  - Outputs are padded with zero weights to a multiple of 16, inputs to a multiple of 16, 32 or 64
//    (fp32, bf16, int8); padded activations are finite, so they add exactly zero.
//  - The summation order of a row's result depends on the matrix only: not on the number of rows,
//  the
//    thread, or the chunk.
//  - Sums are in fp32, or in int32 for int8, where they are exact.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vocoder {

constexpr int kLineBytes = 64;
constexpr int kPanel = 16;  // outputs in a line
constexpr int kTileLines = 16;
constexpr int kTogether = 4;  // adjacent panels
constexpr int kMaxRows = 16;  // rows that share each load of weights: the rows of an AMX tile

enum class Weights { fp32, bf16, int8 };

// Always inlined: if an instruction set's file emitted such a function out of line, the linker
// might keep that copy for all instruction sets.
#define VOCODER_ALWAYS_INLINE __attribute__((always_inline))

VOCODER_ALWAYS_INLINE constexpr int inputs_of_line(Weights weights) {
  return weights == Weights::fp32 ? 1 : weights == Weights::bf16 ? 2 : 4;
}

VOCODER_ALWAYS_INLINE constexpr int padded(int count, int multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// Zeroed memory, aligned to cache lines and on huge pages if available, so that a large matrix
// needs few address translations.
class Memory {
 public:
  explicit Memory(std::size_t bytes);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  VOCODER_ALWAYS_INLINE std::byte* data() const { return data_; }

 private:
  std::byte* data_;
};

// Allocates parts of one buffer, each aligned to a cache line. Without a buffer it only counts.
class Arena {
 public:
  VOCODER_ALWAYS_INLINE explicit Arena(std::byte* memory) : memory_(memory) {}
  template <class T>
  VOCODER_ALWAYS_INLINE T* take(std::size_t count) {
    const std::size_t at = used_;
    used_ += (count * sizeof(T) + kLineBytes - 1) / kLineBytes * kLineBytes;
    return memory_ ? reinterpret_cast<T*>(memory_ + at) : nullptr;
  }
  VOCODER_ALWAYS_INLINE std::size_t used() const { return used_; }

 private:
  std::byte* memory_;
  std::size_t used_ = 0;
};

struct Matrix {
  int outputs, inputs;     // padded
  const std::byte* lines;  // null if there is no matrix
  // int8 only, for each output: its scale, and 128 times the sum of its weights, which compensates
  // for the offset of the activations (0 to 255, zero at 128).
  const float* scale;
  const std::int32_t* offset;
};

enum class Distribution { mu_law, logistics, gaussian };

struct Config {
  const int* dilations;                            // of each layer
  int layers, kernel_size, residual, gated, skip;  // gated: half of the gate channels
  int head;                                        // of the head's hidden layer
  int parameters, input_channels, local_channels;  // parameters: of a sample
  Distribution distribution;
  float log_scale_min, temperature, pre_emphasis;
  int order;
  int hold;       // of the conditioning, in steps
  int bands = 1;  // samples of a step, one of each band

  // The range of samples is [-limit, limit).
  VOCODER_ALWAYS_INLINE float limit() const { return static_cast<float>(bands); }

  // Whether input and output are mu-law codes.
  VOCODER_ALWAYS_INLINE bool coded() const { return distribution == Distribution::mu_law; }
};

struct Layer {
  // The dilated convolution: filters, then gates (2 gated). Its past taps, oldest first
  // ((kernel_size - 1) * residual), and its present tap (residual).
  Matrix past, present;
  Matrix residual;  // (residual, gated); empty in the last layer
  const float* residual_bias;
};

// A context stack: advances every `pool` samples, which are whole steps, and conditions the network
// until its next step. Its weights are in fp32 or bf16, the ContextFormat of the network's format.
struct ContextLayer {
  Matrix dilated;  // (2 gated, kernel_size * residual), oldest tap first
  const float* bias;
  Matrix residual;  // (residual, gated); empty in the last layer
  const float* residual_bias;
  int dilation;  // in steps
};

struct Context {
  int pool, channels;  // channels: of its output
  int layer_count, kernel_size;
  int real;                   // residual channels without the padding
  int residual, gated, skip;  // padded to 16
  Matrix input;               // (residual, pool)
  const ContextLayer* layers;
  Matrix skips;    // (skip, layers * gated)
  Matrix output;   // (channels, skip)
  Matrix project;  // (the network's layers * 2 gated, channels): to the gates
  const float *input_bias, *skips_bias, *output_bias;
};

// All sizes are padded; biases have the padded length of their outputs.
struct Network {
  Config config;
  Weights weights;
  int residual, gated, skip, head, parameters;  // padded to 16; parameters: of a step
  int past_inputs, present_inputs, gated_inputs, skip_inputs, local_inputs;
  const float* input;  // fp32 [tap][input channel][residual]
  const float* input_bias;
  const Layer* layers;
  Matrix project;  // fp32 (layers * 2 gated, local channels)
  Matrix skips;    // (skip, layers * gated): the 1x1 convolutions of all layers
  Matrix to_head, output;
  const float *skips_bias, *head_bias, *output_bias;
  const float* decode;  // sample of each code
  const Context* contexts;
  int context_count;
};

// One row of a state with its inputs and outputs: pointers into the caller's arrays.
struct Row {
  float* const* rings;     // of each layer: (ring length, residual channels)
  float* inputs;           // (kernel_size - 1, input channels)
  float* history;          // (bands, order)
  std::int64_t* position;  // in samples, a multiple of the bands
  std::int64_t* code;
  float *sample, *excitation, *output;  // (bands)
  // For each context stack: (pool) companded samples, its output (channels) for the last window,
  // and the rings of its layers, those of all stacks in one list.
  float* const* windows;
  float* const* contexts;
  float* const* context_rings;

  const float* local;         // (blocks, local channels), from the first sample's block on
  const float* gate;          // (layers * 2 gated): contribution of speaker and biases to the gates
  const float* prediction;    // (blocks, bands, order), or null
  const float *gain, *level;  // (blocks, bands)
  const float* noise;         // (steps, bands, 2)

  const float* forced;              // samples (steps, bands) that replace the drawn ones, or null
  const std::int64_t* forced_code;  // likewise, codes
  float* audio;                     // (steps, bands): drawn, after de-emphasis
  float* trace;                     // (steps, bands, parameters), or null
};

// Advances up to kMaxRows rows by `steps` steps.
using Advance = void (*)(const Network&, Row* rows, int count, std::int64_t steps);

}  // namespace vocoder
