// Random network weights for tests, the same on every machine.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "build.hpp"

namespace vocoder {

constexpr int kGlobalChannels = 3;

// Knuth's linear congruential generator; std distributions differ between libraries.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  int below(int count) { return static_cast<int>(bits() * count >> 24); }
  float unit() { return static_cast<float>(bits()) / (1 << 24); }  // [0, 1), exact
  float within(float low, float high) { return low + (high - low) * unit(); }
  std::vector<float> uniform(std::size_t count, float low, float high) {
    std::vector<float> values(count);
    for (float& value : values) value = within(low, high);
    return values;
  }

 private:
  std::uint64_t bits() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return state_ >> 40;
  }

  std::uint64_t state_;
};

class RandomWeights {
 public:
  RandomWeights(const Config& config, const std::vector<int>& dilations,
                const std::vector<ContextShape>& contexts) {
    const int taps = config.kernel_size, layers = static_cast<int>(dilations.size());
    const int gates = 2 * config.gated;
    // One of a code's 256 channels is set.
    const int input_sum = taps * (config.coded() ? 1 : config.input_channels);
    linear("input.linear", config.residual, taps * config.input_channels, input_sum);
    blocks("stack.", dilations, taps, config.residual, config.gated);
    linear("stack.skip", config.skip, layers * config.gated, config.gated);
    linear("head", config.skip, config.skip, config.skip);
    linear("output", config.parameters, config.skip, config.skip);
    add("stack.local_projection.weight", layers * gates, config.local_channels, 0.4f);
    add("stack.global_projection.weight", layers * gates, kGlobalChannels, 0.4f);
    if (config.coded()) add("decode", config.parameters, 1, 0.9f);
    int context_channels = 0;
    for (std::size_t s = 0; s < contexts.size(); ++s) {
      const std::string name = "contexts." + std::to_string(s) + ".";
      const StackShape& stack = contexts[s].stack;
      linear(name + "input", stack.residual, contexts[s].pool, contexts[s].pool);
      blocks(name, stack.dilations, stack.kernel_size, stack.residual, stack.gated);
      const int units = static_cast<int>(stack.dilations.size()) * stack.gated;
      linear(name + "skip", stack.skip, units, stack.gated);
      linear(name + "output", contexts[s].channels, stack.skip, stack.skip);
      context_channels += contexts[s].channels;
    }
    if (context_channels)
      add("stack.context_projection.weight", layers * gates, context_channels, 0.4f);
  }

  const std::map<std::string, Dense>& dense() const { return dense_; }

 private:
  void blocks(const std::string& name, const std::vector<int>& dilations, int taps, int residual,
              int gated) {
    for (std::size_t l = 0; l < dilations.size(); ++l) {
      const std::string block = name + "blocks." + std::to_string(l);
      linear(block + ".dilated.linear", 2 * gated, taps * residual, taps * residual);
      if (l + 1 < dilations.size()) linear(block + ".residual", residual, gated, gated);
    }
  }

  // `summed`: number of inputs that count, each of about unit variance.
  void linear(const std::string& name, int rows, int columns, int summed) {
    add(name + ".weight", rows, columns, 2.0f / std::sqrt(static_cast<float>(summed)));
    add(name + ".bias", rows, 1, 0.3f);
  }
  void add(const std::string& name, int rows, int columns, float limit) {
    values_[name] = random_.uniform(std::size_t(rows) * columns, -limit, limit);
    dense_[name] = {values_[name].data(), rows, columns};
  }

  Random random_{1};
  std::map<std::string, std::vector<float>> values_;
  std::map<std::string, Dense> dense_;
};

}  // namespace vocoder
