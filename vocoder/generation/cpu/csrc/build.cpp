#include "build.hpp"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace vocoder {

Memory::Memory(std::size_t bytes) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const bool huge = bytes >= kHugePage / 2;
  const std::size_t page = huge ? kHugePage : 4096;
  const std::size_t size = (bytes + page - 1) / page * page;
  data_ = static_cast<std::byte*>(std::aligned_alloc(page, size ? size : page));
  if (!data_) throw std::bad_alloc();
#if defined(__linux__)
  if (huge) madvise(data_, size, MADV_HUGEPAGE);
#endif
  std::memset(data_, 0, size);
}

Memory::~Memory() { std::free(data_); }

namespace {

// The given weights by name, each asked for once, with the shape it must have.
class Given {
 public:
  explicit Given(const std::map<std::string, Dense>& weights) : left_(weights) {}

  Dense take(const std::string& name, int rows, int columns) {
    const auto found = left_.find(name);
    if (found == left_.end()) throw std::invalid_argument("weight " + name + " is missing");
    const Dense weight = found->second;
    if (weight.rows != rows || weight.columns != columns)
      throw std::invalid_argument("weight " + name + " is (" + std::to_string(weight.rows) + ", " +
                                  std::to_string(weight.columns) + "), the shape needs (" +
                                  std::to_string(rows) + ", " + std::to_string(columns) + ")");
    left_.erase(found);
    return weight;
  }

  void finish() const {
    if (!left_.empty())
      throw std::invalid_argument("weight " + left_.begin()->first +
                                  " has no place in the network");
  }

 private:
  std::map<std::string, Dense> left_;
};

}  // namespace

BuiltNetwork::BuiltNetwork(const Config& config, std::vector<int> dilations, Weights weights,
                           int speakers, const std::map<std::string, Dense>& given)
    : dilations_(std::move(dilations)), speakers_(speakers) {
  const int layers = static_cast<int>(dilations_.size()), taps = config.kernel_size;
  const int residual = padded(config.residual, kPanel), gated = padded(config.gated, kPanel);
  const int group = 16 * inputs_of_line(weights);
  Network net{};
  net.config = config;
  net.config.dilations = dilations_.data();
  net.config.layers = layers;
  net.weights = weights;
  net.residual = residual;
  net.gated = gated;
  net.skip = padded(config.skip, kPanel);
  net.parameters = padded(config.parameters, kPanel);
  net.past_inputs = padded((taps - 1) * residual, group);
  net.present_inputs = padded(residual, group);
  net.gated_inputs = padded(gated, group);
  net.skip_inputs = layers * net.gated_inputs;
  net.local_inputs = padded(config.local_channels, kPanel);
  const int real_gates = 2 * config.gated, gates = 2 * gated;
  // Filters stand first, gates second, each half padded by itself.
  const Place half = [&](int o) { return o < config.gated ? o : gated + o - config.gated; };
  const Place gate_of_layer = [&](int o) { return o / real_gates * gates + half(o % real_gates); };
  gate_bias_.assign(std::size_t(layers) * gates, 0.0f);
  gate_of_speaker_.assign(gate_bias_.size() * speakers, 0.0f);

  const auto build = [&](std::byte* memory) {
    Arena arena(memory);
    Packer pack(arena, memory != nullptr);
    Given take(given);
    layers_.clear();
    for (int l = 0; l < layers; ++l) {
      const std::string block = "stack.blocks." + std::to_string(l);
      Layer layer{};
      const Dense dilated =
          take.take(block + ".dilated.linear.weight", real_gates, taps * config.residual);
      const int past = (taps - 1) * config.residual;
      layer.present = pack.matrix(dilated, weights, gates, net.present_inputs, half,
                                  [&](int i) { return i - past; });
      layer.past = pack.matrix(dilated, weights, gates, net.past_inputs, half, [&](int i) {
        return i < past ? i / config.residual * residual + i % config.residual : kNowhere;
      });
      const Dense bias = take.take(block + ".dilated.linear.bias", real_gates, 1);
      for (int o = 0; o < real_gates; ++o) gate_bias_[l * gates + half(o)] = bias.data[o];
      if (l + 1 < layers) {
        layer.residual =
            pack.matrix(take.take(block + ".residual.weight", config.residual, config.gated),
                        weights, residual, net.gated_inputs);
        layer.residual_bias =
            pack.vector(take.take(block + ".residual.bias", config.residual, 1), residual);
      }
      layers_.push_back(layer);
    }
    net.skips = pack.matrix(take.take("stack.skip.weight", config.skip, layers * config.gated),
                            weights, net.skip, net.skip_inputs, same, [&](int i) {
                              return i / config.gated * net.gated_inputs + i % config.gated;
                            });
    net.skips_bias = pack.vector(take.take("stack.skip.bias", config.skip, 1), net.skip);
    const int skip_inputs = padded(net.skip, group);
    net.head = pack.matrix(take.take("head.weight", config.skip, config.skip), weights, net.skip,
                           skip_inputs);
    net.head_bias = pack.vector(take.take("head.bias", config.skip, 1), net.skip);
    net.output = pack.matrix(take.take("output.weight", config.parameters, config.skip), weights,
                             net.parameters, skip_inputs);
    net.output_bias = pack.vector(take.take("output.bias", config.parameters, 1), net.parameters);

    const int channels = config.input_channels;
    const Dense input = take.take("input.linear.weight", config.residual, taps * channels);
    float* transposed = arena.take<float>(std::size_t(taps) * channels * residual);
    if (memory)
      for (int o = 0; o < config.residual; ++o)
        for (int i = 0; i < taps * channels; ++i)
          transposed[i * residual + o] = input.data[o * taps * channels + i];
    net.input = transposed;
    net.input_bias = pack.vector(take.take("input.linear.bias", config.residual, 1), residual);
    net.project = pack.matrix(
        take.take("stack.local_projection.weight", layers * real_gates, config.local_channels),
        Weights::fp32, layers * gates, net.local_inputs, gate_of_layer);
    const Dense speaker =
        take.take("stack.global_projection.weight", layers * real_gates, speakers);
    for (int o = 0; o < speaker.rows; ++o)
      for (int s = 0; s < speakers; ++s)
        gate_of_speaker_[gate_of_layer(o) * speakers + s] = speaker.data[o * speakers + s];
    net.decode = pack.vector(config.mu_law ? take.take("decode", config.parameters, 1) : Dense{},
                             config.mu_law ? config.parameters : 0);
    take.finish();
    return arena.used();
  };
  bytes_ = build(nullptr);
  memory_ = std::make_unique<Memory>(bytes_);
  build(memory_->data());
  net.layers = layers_.data();
  network_ = net;
}

void BuiltNetwork::speaker_gates(const float* speaker, float* to) const {
  for (std::size_t o = 0; o < gate_bias_.size(); ++o) {
    float sum = 0.0f;
    for (int s = 0; s < speakers_; ++s) sum += gate_of_speaker_[o * speakers_ + s] * speaker[s];
    to[o] = sum + gate_bias_[o];
  }
}

}  // namespace vocoder
