// Builds a network from the weights of a PyTorch model.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "packing.hpp"

namespace vocoder {

// The model's shapes, unpadded.
struct StackShape {
  std::vector<int> dilations;  // of each layer, in steps
  int kernel_size, residual, gated, skip;
};

struct ContextShape {
  int pool, channels;
  StackShape stack;
};

class Given;

class BuiltNetwork {
 public:
  // Uses every weight of `given`, which is keyed by the names in the model's state.
  // Throws std::invalid_argument for a weight that is missing, unknown or of the wrong shape.
  BuiltNetwork(const Config& config, std::vector<int> dilations,
               const std::vector<ContextShape>& contexts, Weights weights, int global_channels,
               const std::map<std::string, Dense>& given);

  const Network& network() const { return network_; }
  std::size_t bytes() const { return bytes_; }
  int global_channels() const { return global_channels_; }
  std::size_t gates() const { return gate_bias_.size(); }

  // Contribution of global conditioning (global_channels) and biases to the gates: (gates), padded.
  void global_gates(const float* given, float* to) const;

 private:
  // Packs one context stack. `projection` contains the weights of all stacks to the gates; this
  // stack's begin at column `first`.
  Context context(const ContextShape& whole, const std::string& name, Weights weights, Given& take,
                  Packer& pack, const Dense& projection, int first, const Place& gate);

  std::vector<int> dilations_;
  int global_channels_;
  std::vector<float> gate_bias_, gate_of_global_;
  std::vector<Layer> layers_;
  std::vector<Context> contexts_;
  std::vector<std::vector<ContextLayer>> context_layers_;
  std::size_t bytes_ = 0;
  std::unique_ptr<Memory> memory_;
  Network network_{};
};

}  // namespace vocoder
