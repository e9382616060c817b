// The sample loop without Python, on every instruction set of this processor:
//
//   loop numbers CHUNK       parameters along a forced signal, one line per row
//   loop allocations CHUNK   allocations of 10 samples and of 1000, one line per format
//
// CHUNK is the number of samples that each call advances; 0 means all. The networks' inputs are
// computed from integers with exact or correctly rounded operations, so they are the same on every
// machine.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "blocks.hpp"
#include "build.hpp"
#include "instruction_sets.hpp"
#include "random_weights.hpp"

namespace {
long allocations = 0;
}

// The linker redirects our objects' calls to __wrap; shared libraries call the originals.
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

// The library's own operators would call malloc unseen; the other forms call these two.
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

constexpr int kRows = 3, kLocalChannels = 6;
constexpr std::int64_t kSamples = 300;

struct Case {
  const char* name;
  int kernel_size, residual, gate, skip;
  Distribution distribution;
  int components;  // of logistics
  int order, hold;
  bool contexts;
};

constexpr Case kCases[] = {
    {"mu_law", 2, 16, 32, 16, Distribution::mu_law, 0, 0, 4, false},
    {"odd", 3, 7, 10, 5, Distribution::logistics, 4, 5, 5, false},
    // Enough coefficients for a vector of every width, with a remainder.
    {"long_prediction", 2, 16, 32, 16, Distribution::logistics, 10, 37, 20, false},
    {"contexts", 2, 16, 32, 16, Distribution::mu_law, 0, 0, 5, true},
    {"gaussian", 3, 7, 10, 5, Distribution::gaussian, 0, 6, 4, true},
};

// As long as the hold and longer, narrow and wide, and not in step with each other.
std::vector<ContextShape> contexts_of(const Case& shape) {
  if (!shape.contexts) return {};
  return {{shape.hold, 9, {{1, 2, 4}, 2, 24, 20, 12}},
          {7 * shape.hold, 17, {{1, 2}, 3, 5, 7, 6}},
          {3 * shape.hold, 4, {{1}, 2, 16, 16, 16}}};
}
constexpr struct {
  const char* name;
  Weights weights;
} kFormats[] = {{"fp32", Weights::fp32}, {"bf16", Weights::bf16}, {"int8", Weights::int8}};

Config config_of(const Case& shape) {
  Config config{};
  config.kernel_size = shape.kernel_size;
  config.residual = shape.residual;
  config.gated = shape.gate / 2;
  config.skip = config.head = shape.skip;
  config.distribution = shape.distribution;
  config.parameters = config.coded() ? 256 : shape.components ? 3 * shape.components : 2;
  config.input_channels = config.coded() ? 256 : shape.order ? 3 : 1;
  config.local_channels = kLocalChannels;
  config.log_scale_min = -7.0f;
  config.temperature = 1.0f;
  config.pre_emphasis = 0.85f;
  config.order = shape.order;
  config.hold = shape.hold;
  return config;
}

// A row's state, inputs and outputs. Rows are at different positions in their blocks.
class Stream {
 public:
  Stream(const BuiltNetwork& built, int index, std::int64_t samples)
      : config_(built.network().config), start_(3 * index), random_(100 + index) {
    for (int l = 0; l < config_.layers; ++l)
      add(rings_, std::size_t(config_.kernel_size - 1) * config_.dilations[l] * config_.residual);
    for (int s = 0; s < built.network().context_count; ++s) {
      const Context& context = built.network().contexts[s];
      add(windows_, context.pool);
      add(contexts_, context.channels);
      for (int l = 0; l < context.layer_count; ++l)
        add(context_rings_,
            std::size_t(context.kernel_size - 1) * context.layers[l].dilation * context.real);
    }
    inputs_.resize(std::size_t(config_.kernel_size - 1) * config_.input_channels);
    history_.resize(config_.order);
    position_ = start_;
    code_ = config_.coded() ? config_.parameters / 2 : 0;

    const std::size_t blocks = (start_ % config_.hold + samples) / config_.hold + 1;
    local_ = random_.uniform(blocks * config_.local_channels, -1.0f, 1.0f);
    const float most = config_.order ? 0.9f / config_.order : 0.0f;
    prediction_ = random_.uniform(blocks * config_.order, -most, most);
    gain_ = random_.uniform(blocks, 0.4f, 0.8f);
    level_ = random_.uniform(blocks, 0.4f, 0.8f);
    const std::vector<float> global = random_.uniform(kGlobalChannels, -1.0f, 1.0f);
    gate_.resize(built.gates());
    built.global_gates(global.data(), gate_.data());
    noise_ = random_.uniform(2 * samples, 0.1f, 0.9f);
    for (std::int64_t t = 0; t < samples; ++t) {
      codes_.push_back(random_.below(256));
      forced_.push_back((codes_.back() - 128) / 256.0f);
    }
    audio_.resize(samples);
    trace_.resize(samples * config_.parameters);
  }
  Stream(Stream&&) = default;

  // The row for a call that advances from sample t.
  Row row(std::int64_t t) {
    const std::int64_t block = (start_ + t) / config_.hold - start_ / config_.hold;
    Row row{};
    row.rings = rings_.data();
    row.windows = windows_.data();
    row.contexts = contexts_.data();
    row.context_rings = context_rings_.data();
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
    row.forced_code = config_.coded() ? codes_.data() + t : nullptr;
    row.audio = audio_.data() + t;
    row.trace = trace_.data() + t * config_.parameters;
    return row;
  }

  void print(std::int64_t t) const {
    for (int i = 0; i < config_.parameters; ++i)
      std::printf(" %.9g", trace_[t * config_.parameters + i]);
  }

 private:
  // Zeros that a list of the state points to.
  void add(std::vector<float*>& list, std::size_t count) {
    list.push_back(arrays_.emplace_back(count).data());
  }

  const Config& config_;
  std::int64_t start_, position_, code_;
  Random random_;
  std::vector<std::vector<float>> arrays_;
  std::vector<float*> rings_, windows_, contexts_, context_rings_;
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

// Returns the number of allocations.
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
    // Samples from the first to the last, enough for a few dozen values.
    const int apart = built.network().config.parameters < 12 ? 20 : 2;
    for (int i = 0; i <= apart; ++i) streams[r].print(i * (kSamples - 1) / apart);
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
    const std::vector<ContextShape> contexts = contexts_of(shape);
    const RandomWeights weights(config, dilations, contexts);
    for (const auto& format : kFormats) {
      const BuiltNetwork built(config, dilations, contexts, format.weights, kGlobalChannels,
                               weights.dense());
      for (const InstructionSet& set : instruction_sets())
        if (set.available())
          print(std::string(shape.name) + " " + set.name + " " + format.name, set, built,
                std::atoll(arguments[2]));
    }
  }
}
