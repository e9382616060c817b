// The sample loop without Python, on every instruction set of this processor:
//
//   loop numbers CHUNK       parameters along a forced signal, one line a row
//   loop allocations CHUNK   allocations of 10 samples and of 1000, one line a format
//
// CHUNK is how many samples each call advances; 0: all. Whatever goes into the networks is made of
// integers and exact or correctly rounded operations, so it is the same on every machine.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "blocks.hpp"
#include "build.hpp"
#include "instruction_sets.hpp"

namespace {
long allocations = 0;
}

// The linker leads our objects' calls to __wrap; shared libraries call the originals.
extern "C" {
void* __real_malloc(std::size_t);
void* __real_calloc(std::size_t, std::size_t);
void* __real_realloc(void*, std::size_t);
void* __real_aligned_alloc(std::size_t, std::size_t);

void* __wrap_malloc(std::size_t size) {
  ++allocations;
  return __real_malloc(size);
}
void* __wrap_calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __real_calloc(count, size);
}
void* __wrap_realloc(void* old, std::size_t size) {
  ++allocations;
  return __real_realloc(old, size);
}
void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations;
  return __real_aligned_alloc(alignment, size);
}
}

// The library's own would call malloc unseen; the other forms call these two.
void* operator new(std::size_t size) {
  if (void* memory = std::malloc(size ? size : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const std::size_t step = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(step, (size + step - 1) / step * step)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace vocoder {
namespace {

constexpr int kRows = 3, kSpeakers = 3, kLocalChannels = 6;
constexpr std::int64_t kSamples = 300;

struct Case {
  const char* name;
  int kernel_size, residual, gate, skip;
  int components;  // of logistics; 0: mu-law
  int order, hold;
};

constexpr Case kCases[] = {
    {"mu_law", 2, 16, 32, 16, 0, 0, 4},
    {"odd", 3, 7, 10, 5, 4, 5, 5},
    // Enough coefficients for a vector of every width, and some left over.
    {"long_prediction", 2, 16, 32, 16, 10, 37, 20},
};
constexpr struct {
  const char* name;
  Weights weights;
} kFormats[] = {{"fp32", Weights::fp32}, {"bf16", Weights::bf16}, {"int8", Weights::int8}};

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

Config config_of(const Case& shape) {
  Config config{};
  config.kernel_size = shape.kernel_size;
  config.residual = shape.residual;
  config.gated = shape.gate / 2;
  config.skip = shape.skip;
  config.mu_law = !shape.components;
  config.parameters = config.mu_law ? 256 : 3 * shape.components;
  config.input_channels = config.mu_law ? 256 : shape.order ? 3 : 1;
  config.local_channels = kLocalChannels;
  config.log_scale_min = -7.0f;
  config.temperature = 1.0f;
  config.pre_emphasis = 0.85f;
  config.order = shape.order;
  config.hold = shape.hold;
  return config;
}

class RandomWeights {
 public:
  RandomWeights(const Config& config, const std::vector<int>& dilations) {
    const int taps = config.kernel_size, layers = static_cast<int>(dilations.size());
    const int gates = 2 * config.gated;
    // Of a code's 256 channels one is set.
    const int input_sum = taps * (config.mu_law ? 1 : config.input_channels);
    linear("input.linear", config.residual, taps * config.input_channels, input_sum);
    for (int l = 0; l < layers; ++l) {
      const std::string block = "stack.blocks." + std::to_string(l);
      linear(block + ".dilated.linear", gates, taps * config.residual, taps * config.residual);
      if (l + 1 < layers) linear(block + ".residual", config.residual, config.gated, config.gated);
    }
    linear("stack.skip", config.skip, layers * config.gated, config.gated);
    linear("head", config.skip, config.skip, config.skip);
    linear("output", config.parameters, config.skip, config.skip);
    add("stack.local_projection.weight", layers * gates, config.local_channels, 0.4f);
    add("stack.global_projection.weight", layers * gates, kSpeakers, 0.4f);
    if (config.mu_law) add("decode", config.parameters, 1, 0.9f);
  }

  const std::map<std::string, Dense>& dense() const { return dense_; }

 private:
  // `summed`: how many inputs count, each of about unit variance.
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

// A row's state, inputs and outputs. Rows stand at different places of their blocks.
class Stream {
 public:
  Stream(const BuiltNetwork& built, int index, std::int64_t samples)
      : config_(built.network().config), start_(3 * index), random_(100 + index) {
    const int residual = config_.residual;
    rings_of_layers_.resize(config_.layers);
    for (int l = 0; l < config_.layers; ++l)
      rings_of_layers_[l].resize(std::size_t(config_.kernel_size - 1) * config_.dilations[l] *
                                 residual);
    for (auto& ring : rings_of_layers_) rings_.push_back(ring.data());
    inputs_.resize(std::size_t(config_.kernel_size - 1) * config_.input_channels);
    history_.resize(config_.order);
    position_ = start_;
    code_ = config_.mu_law ? config_.parameters / 2 : 0;

    const std::size_t blocks = (start_ % config_.hold + samples) / config_.hold + 1;
    local_ = random_.uniform(blocks * config_.local_channels, -1.0f, 1.0f);
    const float most = config_.order ? 0.9f / config_.order : 0.0f;
    prediction_ = random_.uniform(blocks * config_.order, -most, most);
    gain_ = random_.uniform(blocks, 0.4f, 0.8f);
    level_ = random_.uniform(blocks, 0.4f, 0.8f);
    const std::vector<float> speaker = random_.uniform(kSpeakers, -1.0f, 1.0f);
    gate_.resize(built.gates());
    built.speaker_gates(speaker.data(), gate_.data());
    noise_ = random_.uniform(2 * samples, 0.1f, 0.9f);
    for (std::int64_t t = 0; t < samples; ++t) {
      codes_.push_back(random_.below(256));
      forced_.push_back((codes_.back() - 128) / 256.0f);
    }
    audio_.resize(samples);
    trace_.resize(samples * config_.parameters);
  }
  Stream(Stream&&) = default;

  // As the call needs it that advances from sample t.
  Row row(std::int64_t t) {
    const std::int64_t block = (start_ + t) / config_.hold - start_ / config_.hold;
    Row row{};
    row.rings = rings_.data();
    row.inputs = inputs_.data();
    row.history = history_.data();
    row.position = &position_;
    row.code = &code_;
    row.sample = &sample_;
    row.excitation = &excitation_;
    row.output = &output_;
    row.local = local_.data() + block * config_.local_channels;
    row.gate = gate_.data();
    row.prediction = prediction_.data() + block * config_.order;
    row.gain = gain_.data() + block;
    row.level = level_.data() + block;
    row.noise = noise_.data() + 2 * t;
    row.forced = forced_.data() + t;
    row.forced_code = config_.mu_law ? codes_.data() + t : nullptr;
    row.audio = audio_.data() + t;
    row.trace = trace_.data() + t * config_.parameters;
    return row;
  }

  void print(std::int64_t t) const {
    for (int i = 0; i < config_.parameters; ++i)
      std::printf(" %.9g", trace_[t * config_.parameters + i]);
  }

 private:
  const Config& config_;
  std::int64_t start_, position_, code_;
  Random random_;
  std::vector<std::vector<float>> rings_of_layers_;
  std::vector<float*> rings_;
  std::vector<float> inputs_, history_;
  float sample_ = 0.0f, excitation_ = 0.0f, output_ = 0.0f;
  std::vector<float> local_, prediction_, gain_, level_, gate_, noise_, forced_, audio_, trace_;
  std::vector<std::int64_t> codes_;
};

std::vector<Stream> start(const BuiltNetwork& built, std::int64_t samples) {
  std::vector<Stream> streams;
  for (int r = 0; r < kRows; ++r) streams.emplace_back(built, r, samples);
  return streams;
}

// Returns how often the calls allocated.
long advance(const InstructionSet& set, const Network& net, std::vector<Stream>& streams,
             std::int64_t samples, std::int64_t chunk) {
  const Advance loop = set.advance(net);
  long during = 0;
  for (std::int64_t t = 0; t < samples; t += chunk) {
    std::vector<Row> rows;
    for (Stream& stream : streams) rows.push_back(stream.row(t));
    const long before = allocations;
    advance_all(loop, net, rows, samples - t < chunk ? samples - t : chunk, 1);
    during += allocations - before;
  }
  return during;
}

void print_numbers(const std::string& name, const InstructionSet& set, const BuiltNetwork& built,
                   std::int64_t chunk) {
  std::vector<Stream> streams = start(built, kSamples);
  advance(set, built.network(), streams, kSamples, chunk ? chunk : kSamples);
  for (int r = 0; r < kRows; ++r) {
    std::printf("%s %d", name.c_str(), r);
    for (const std::int64_t t : {std::int64_t{0}, kSamples / 2, kSamples - 1}) streams[r].print(t);
    std::printf("\n");
  }
}

void print_allocations(const std::string& name, const InstructionSet& set,
                       const BuiltNetwork& built, std::int64_t chunk) {
  std::printf("%s", name.c_str());
  for (const std::int64_t samples : {10, 1000}) {
    std::vector<Stream> streams = start(built, samples);
    std::printf(" %ld", advance(set, built.network(), streams, samples, chunk ? chunk : samples));
  }
  std::printf("\n");
}

}  // namespace
}  // namespace vocoder

int main(int count, char** arguments) {
  using namespace vocoder;
  const std::string what = count == 3 ? arguments[1] : "";
  if (what != "numbers" && what != "allocations") {
    std::fprintf(stderr, "usage: %s numbers|allocations CHUNK\n", arguments[0]);
    return 2;
  }
  const auto print = what == "numbers" ? print_numbers : print_allocations;
  const std::vector<int> dilations = {1, 2, 4, 1, 2, 4};
  for (const Case& shape : kCases) {
    const Config config = config_of(shape);
    const RandomWeights weights(config, dilations);
    for (const auto& format : kFormats) {
      const BuiltNetwork built(config, dilations, format.weights, kSpeakers, weights.dense());
      for (const InstructionSet& set : instruction_sets())
        if (set.available())
          print(std::string(shape.name) + " " + set.name + " " + format.name, set, built,
                std::atoll(arguments[2]));
    }
  }
}
