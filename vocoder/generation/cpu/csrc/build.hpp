// A network from the weights of a PyTorch model.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "packing.hpp"

namespace vocoder {

class BuiltNetwork {
 public:
  // Takes every weight of `given`, whose names are those of the model's state.
  // Throws std::invalid_argument for a weight that is missing, surplus or of another shape.
  BuiltNetwork(const Config& config, std::vector<int> dilations, Weights weights, int speakers,
               const std::map<std::string, Dense>& given);

  const Network& network() const { return network_; }
  std::size_t bytes() const { return bytes_; }
  int speakers() const { return speakers_; }
  std::size_t gates() const { return gate_bias_.size(); }

  // What a speaker's features (speakers) add to the gates, biases included: (gates), padded.
  void speaker_gates(const float* speaker, float* to) const;

 private:
  std::vector<int> dilations_;
  int speakers_;
  std::vector<float> gate_bias_, gate_of_speaker_;
  std::vector<Layer> layers_;
  std::size_t bytes_ = 0;
  std::unique_ptr<Memory> memory_;
  Network network_{};
};

}  // namespace vocoder
