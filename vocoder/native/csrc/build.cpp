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

// The given weights by name. Each is taken once and checked against its expected shape.
class Given {
 public:
  explicit Given(const std::map<std::string, Dense>& weights) : left_(weights) {}

  Dense take(const std::string& name, int rows, int columns) {
    const auto found = left_.find(name);
    if (found == left_.end()) throw std::invalid_argument("weight " + name + " is missing");
    const Dense weight = found->second;
    if (weight.rows != rows || weight.columns != columns)
      throw std::invalid_argument("weight " + name + " is (" + std::to_string(weight.rows) + ", " +
                                  std::to_string(weight.columns) + "), expected (" +
                                  std::to_string(rows) + ", " + std::to_string(columns) + ")");
    left_.erase(found);
    return weight;
  }

  void finish() const {
    if (!left_.empty())
      throw std::invalid_argument("weight " + left_.begin()->first +
                                  " does not belong to the network");
  }

 private:
  std::map<std::string, Dense> left_;
};

namespace {

// Position of an input among several taps, each padded separately.
Place tap_of(int channels, int padded_channels) {
  return [=](int i) { return i / channels * padded_channels + i % channels; };
}

// Position of an output in the gates, whose halves are padded separately.
Place half_of(int gated, int padded_gated) {
  return [=](int o) { return o < gated ? o : padded_gated + o - gated; };
}

}  // namespace

BuiltNetwork::BuiltNetwork(const Config& config, std::vector<int> dilations,
                           const std::vector<ContextShape>& contexts, Weights weights,
                           int global_channels, const std::map<std::string, Dense>& given)
    : dilations_(std::move(dilations)), global_channels_(global_channels) {
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
  net.head = padded(config.head, kPanel);
  const int parameters = config.bands * config.parameters;
  net.parameters = padded(parameters, kPanel);
  net.past_inputs = padded((taps - 1) * residual, group);
  net.present_inputs = padded(residual, group);
  net.gated_inputs = padded(gated, group);
  net.skip_inputs = layers * net.gated_inputs;
  net.local_inputs = padded(config.local_channels, kPanel);
  const int real_gates = 2 * config.gated, gates = 2 * gated;
  const Place half = half_of(config.gated, gated), tap = tap_of(config.residual, residual);
  const Place gate_of_layer = [&](int o) { return o / real_gates * gates + half(o % real_gates); };
  gate_bias_.assign(std::size_t(layers) * gates, 0.0f);
  gate_of_global_.assign(gate_bias_.size() * global_channels, 0.0f);

  const auto build = [&](std::byte* memory) {
    Arena arena(memory);
    Packer pack(arena, memory != nullptr);
    Given take(given);
    layers_.clear();
    contexts_.clear();
    context_layers_.clear();
    for (int l = 0; l < layers; ++l) {
      const std::string block = "stack.blocks." + std::to_string(l);
      Layer layer{};
      const Dense dilated =
          take.take(block + ".dilated.linear.weight", real_gates, taps * config.residual);
      const int past = (taps - 1) * config.residual;
      layer.present = pack.matrix(dilated, weights, gates, net.present_inputs, half,
                                  [&](int i) { return i - past; });
      layer.past = pack.matrix(dilated, weights, gates, net.past_inputs, half,
                               [&](int i) { return i < past ? tap(i) : kNowhere; });
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
    net.skips =
        pack.matrix(take.take("stack.skip.weight", config.skip, layers * config.gated), weights,
                    net.skip, net.skip_inputs, same, tap_of(config.gated, net.gated_inputs));
    net.skips_bias = pack.vector(take.take("stack.skip.bias", config.skip, 1), net.skip);
    const int skip_inputs = padded(net.skip, group);
    net.to_head = pack.matrix(take.take("head.weight", config.head, config.skip), weights, net.head,
                              skip_inputs);
    net.head_bias = pack.vector(take.take("head.bias", config.head, 1), net.head);
    net.output = pack.matrix(take.take("output.weight", parameters, config.head), weights,
                             net.parameters, padded(net.head, group));
    net.output_bias = pack.vector(take.take("output.bias", parameters, 1), net.parameters);

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
    const Dense global =
        take.take("stack.global_projection.weight", layers * real_gates, global_channels);
    for (int o = 0; o < global.rows; ++o)
      for (int c = 0; c < global_channels; ++c)
        gate_of_global_[gate_of_layer(o) * global_channels + c] =
            global.data[o * global_channels + c];
    int context_channels = 0;
    for (const ContextShape& shape : contexts) context_channels += shape.channels;
    const Dense projection = contexts.empty() ? Dense{}
                                              : take.take("stack.context_projection.weight",
                                                          layers * real_gates, context_channels);
    const Weights small = weights == Weights::fp32 ? Weights::fp32 : Weights::bf16;
    for (int s = 0, first = 0; first < context_channels; first += contexts[s++].channels)
      contexts_.push_back(context(contexts[s], "contexts." + std::to_string(s), small, take, pack,
                                  projection, first, gate_of_layer));
    net.decode = pack.vector(config.coded() ? take.take("decode", config.parameters, 1) : Dense{},
                             config.coded() ? config.parameters : 0);
    take.finish();
    return arena.used();
  };
  bytes_ = build(nullptr);
  memory_ = std::make_unique<Memory>(bytes_);
  build(memory_->data());
  net.layers = layers_.data();
  net.contexts = contexts_.data();
  net.context_count = static_cast<int>(contexts_.size());
  network_ = net;
}

Context BuiltNetwork::context(const ContextShape& whole, const std::string& name, Weights weights,
                              Given& take, Packer& pack, const Dense& projection, int first,
                              const Place& gate) {
  const StackShape& shape = whole.stack;
  const int layers = static_cast<int>(shape.dilations.size()), taps = shape.kernel_size;
  const int group = kPanel * inputs_of_line(weights);
  Context context{};
  context.pool = whole.pool;
  context.channels = whole.channels;
  context.layer_count = layers;
  context.kernel_size = taps;
  context.real = shape.residual;
  const int residual = context.residual = padded(shape.residual, kPanel);
  const int gated = context.gated = padded(shape.gated, kPanel);
  const int skip = context.skip = padded(shape.skip, kPanel);
  const int gated_inputs = padded(gated, group), outputs = padded(whole.channels, kPanel);
  const auto weight = [&](const std::string& of, int rows, int columns) {
    return take.take(name + "." + of + ".weight", rows, columns);
  };
  const auto bias = [&](const std::string& of, int count, int padded_count,
                        const Place& place = same) {
    return pack.vector(take.take(name + "." + of + ".bias", count, 1), padded_count, place);
  };
  context.input = pack.matrix(weight("input", shape.residual, whole.pool), weights, residual,
                              padded(whole.pool, group));
  context.input_bias = bias("input", shape.residual, residual);
  auto& packed = context_layers_.emplace_back();
  for (int l = 0; l < layers; ++l) {
    const std::string block = "blocks." + std::to_string(l);
    const Place half = half_of(shape.gated, gated);
    ContextLayer layer{};
    layer.dilation = shape.dilations[l];
    layer.dilated = pack.matrix(
        weight(block + ".dilated.linear", 2 * shape.gated, taps * shape.residual), weights,
        2 * gated, padded(taps * residual, group), half, tap_of(shape.residual, residual));
    layer.bias = bias(block + ".dilated.linear", 2 * shape.gated, 2 * gated, half);
    if (l + 1 < layers) {
      layer.residual = pack.matrix(weight(block + ".residual", shape.residual, shape.gated),
                                   weights, residual, gated_inputs);
      layer.residual_bias = bias(block + ".residual", shape.residual, residual);
    }
    packed.push_back(layer);
  }
  context.layers = packed.data();
  context.skips = pack.matrix(weight("skip", shape.skip, layers * shape.gated), weights, skip,
                              layers * gated_inputs, same, tap_of(shape.gated, gated_inputs));
  context.skips_bias = bias("skip", shape.skip, skip);
  context.output = pack.matrix(weight("output", whole.channels, shape.skip), weights, outputs,
                               padded(skip, group));
  context.output_bias = bias("output", whole.channels, outputs);
  context.project = pack.matrix(
      projection, weights, static_cast<int>(gates()), padded(outputs, group), gate,
      [&](int i) { return i >= first && i < first + whole.channels ? i - first : kNowhere; });
  return context;
}

void BuiltNetwork::global_gates(const float* given, float* to) const {
  for (std::size_t o = 0; o < gate_bias_.size(); ++o) {
    float sum = 0.0f;
    for (int c = 0; c < global_channels_; ++c)
      sum += gate_of_global_[o * global_channels_ + c] * given[c];
    to[o] = sum + gate_bias_[o];
  }
}

}  // namespace vocoder
