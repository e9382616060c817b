// The Python module `vocoder.native._native`. Every array is checked before it is read.
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <optional>
#include <set>
#include <stdexcept>

#include "arrays.hpp"
#include "blocks.hpp"
#include "build.hpp"
#include "network_settings.hpp"
#include "state_rows.hpp"

namespace vocoder {

const InstructionSet& instruction_set_of(const std::string& name) {
  for (const InstructionSet& set : instruction_sets()) {
    if (set.name != name) continue;
    if (!set.available())
      throw std::invalid_argument("this processor does not support the instruction set " + name);
    return set;
  }
  throw std::invalid_argument("instruction set " + name + " is unknown");
}

Weights weights_of(const std::string& name) {
  if (name == "fp32") return Weights::fp32;
  if (name == "bf16") return Weights::bf16;
  if (name == "int8") return Weights::int8;
  throw std::invalid_argument("weights format " + name + " is unknown: choose fp32, bf16 or int8");
}

namespace {

std::vector<std::string> available_instruction_sets() {
  std::vector<std::string> names;
  for (const InstructionSet& set : instruction_sets())
    if (set.available()) names.emplace_back(set.name);
  return names;
}

class NativeNetwork {
 public:
  NativeNetwork(const std::vector<int>& dilations, int kernel_size, int residual_channels,
                int gate_channels, int skip_channels, const std::vector<ContextSettings>& contexts,
                int parameters, int input_channels, int local_channels, int global_channels,
                const std::string& distribution, float log_scale_min, float temperature,
                float pre_emphasis, int order, int hold, int bands, int head_channels,
                const std::map<std::string, Readable>& weights, const std::string& format,
                const std::string& instructions)
      : set_(instruction_set_of(instructions)) {
    const StackShape stack =
        checked_stack(dilations, kernel_size, residual_channels, gate_channels, skip_channels);
    check_positive("local_channels", local_channels);
    check_positive("global_channels", global_channels);
    check_positive("hold", hold);
    check_positive("head_channels", head_channels);
    if (bands < 1 || bands > kMostBands || hold % bands)
      throw std::invalid_argument("bands " + std::to_string(bands) + " must be from 1 to " +
                                  std::to_string(kMostBands) + " and divide the hold, " +
                                  std::to_string(hold));
    if (order < 0 || order > 4096) throw std::invalid_argument("order must be from 0 to 4096");
    Config config{};
    config.distribution = checked_distribution(distribution, parameters);
    if (config.coded() && bands != 1) throw std::invalid_argument("a mu-law network has one band");
    if (input_channels != (config.coded() ? 256 : bands * (order ? 3 : 1)))
      throw std::invalid_argument("input_channels " + std::to_string(input_channels) +
                                  " do not match the distribution " + distribution);
    config.kernel_size = stack.kernel_size;
    config.residual = stack.residual;
    config.gated = stack.gated;
    config.skip = stack.skip;
    config.head = head_channels;
    config.bands = bands;
    config.parameters = parameters;
    config.input_channels = input_channels;
    config.local_channels = local_channels;
    config.log_scale_min = log_scale_min;
    config.temperature = temperature;
    config.pre_emphasis = pre_emphasis;
    config.order = order;
    config.hold = hold / bands;
    std::vector<ContextShape> shapes;
    for (const ContextSettings& settings : contexts)
      shapes.push_back(checked_context(settings, hold));
    std::map<std::string, Dense> dense;
    for (const auto& [name, array] : weights) {
      if (array.ndim() < 1 || array.ndim() > 2)
        throw std::invalid_argument("weight " + name + " must have one or two dimensions");
      const int rows = size(array, 0), columns = array.ndim() == 2 ? size(array, 1) : 1;
      const Shape shape = array.ndim() == 2 ? Shape{rows, columns} : Shape{rows};
      dense[name] = {checked<float>(array, "weight " + name, shape), rows, columns};
    }
    built_ = std::make_unique<BuiltNetwork>(config, dilations, shapes, weights_of(format),
                                            global_channels, dense);
    advance_ = set_.advance(built_->network());
  }

  std::size_t bytes() const { return built_->bytes(); }

  void advance(const std::map<std::string, Writable>& state, const Readable& rows,
               const Readable& local, const Readable& speaker, const Readable& first,
               const std::optional<std::vector<Readable>>& prediction, const Readable& noise,
               const Writable& audio, const std::optional<Readable>& forced,
               const std::optional<Readable>& forced_codes, const std::optional<Writable>& trace,
               int threads) const {
    const Config& config = built_->network().config;
    const std::int64_t n = size(rows, 0), blocks = size(local, 1), length = size(noise, 1);
    const std::int64_t bands = config.bands, hold = config.hold * bands;
    if (length % bands)
      throw std::invalid_argument(std::to_string(length) +
                                  " samples are not whole steps: a step has " +
                                  std::to_string(bands) + ", one of each band");
    const auto* index = checked<std::int64_t>(rows, "rows", {n});
    const auto* features = checked<float>(local, "local", {n, blocks, config.local_channels});
    const auto* speakers = checked<float>(speaker, "speaker", {n, built_->global_channels()});
    const auto* first_block = checked<std::int64_t>(first, "first", {n});
    const auto* draws = checked<float>(noise, "noise", {n, length, 2});
    auto* heard = checked<float>(audio, "audio", {n, length});
    const float *coefficients = nullptr, *gain = nullptr, *level = nullptr;
    if (bool(config.order) != prediction.has_value())
      throw std::invalid_argument(config.order ? "this network needs a prediction"
                                               : "this network takes no prediction");
    if (prediction) {
      if (prediction->size() != 3)
        throw std::invalid_argument("prediction must be coefficients, gain and level");
      coefficients = checked<float>((*prediction)[0], "prediction.coefficients",
                                    {n, blocks, bands, config.order});
      gain = checked<float>((*prediction)[1], "prediction.gain", {n, blocks, bands});
      level = checked<float>((*prediction)[2], "prediction.level", {n, blocks, bands});
    }
    const float* samples = forced ? checked<float>(*forced, "forced", {n, length}) : nullptr;
    const std::int64_t* codes =
        forced_codes ? checked<std::int64_t>(*forced_codes, "forced_codes", {n, length}) : nullptr;
    if (bool(samples && config.coded()) != bool(codes))
      throw std::invalid_argument("forced samples of a mu-law network need their codes");
    for (std::int64_t i = 0; codes && i < n * length; ++i) check_code(codes[i], config);
    float* traced =
        trace ? checked<float>(*trace, "trace", {n, length, config.parameters}) : nullptr;

    const StateRows rows_of_state(built_->network(), state);
    std::vector<float> gates(n * built_->gates());
    std::vector<Row> block(n);
    std::set<std::int64_t> seen;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t row = index[i];
      if (row < 0 || row >= rows_of_state.rows() || !seen.insert(row).second)
        throw std::invalid_argument("rows must be distinct and from 0 to " +
                                    std::to_string(rows_of_state.rows() - 1));
      Row& to = block[i];
      rows_of_state.row(row, to);
      check_code(*to.code, config);
      const std::int64_t position = *to.position;
      if (position < 0 || position > std::numeric_limits<std::int64_t>::max() / 2 ||
          position % bands)
        throw std::invalid_argument("position " + std::to_string(position) + " is out of range");
      const std::int64_t from = position / hold - first_block[i];
      const std::int64_t to_block = (position + (length ? length - 1 : 0)) / hold - first_block[i];
      if (from < 0 || to_block >= blocks)
        throw std::invalid_argument("conditioning has blocks 0 to " + std::to_string(blocks - 1) +
                                    ", generation needs " + std::to_string(from) + " to " +
                                    std::to_string(to_block));
      const std::int64_t at = i * blocks + from;
      to.local = features + at * config.local_channels;
      built_->global_gates(speakers + i * built_->global_channels(),
                           gates.data() + i * built_->gates());
      to.gate = gates.data() + i * built_->gates();
      to.prediction = coefficients ? coefficients + at * bands * config.order : nullptr;
      to.gain = gain ? gain + at * bands : nullptr;
      to.level = level ? level + at * bands : nullptr;
      to.noise = draws + i * length * 2;
      to.forced = samples ? samples + i * length : nullptr;
      to.forced_code = codes ? codes + i * length : nullptr;
      to.audio = heard + i * length;
      to.trace = traced ? traced + i * length * config.parameters : nullptr;
    }
    const nb::gil_scoped_release release;
    advance_all(advance_, built_->network(), block, length / bands, threads);
  }

 private:
  static void check_code(std::int64_t code, const Config& config) {
    if (config.coded() && (code < 0 || code >= config.parameters))
      throw std::invalid_argument("code " + std::to_string(code) + " is not in 0 to 255");
  }

  const InstructionSet& set_;
  std::unique_ptr<BuiltNetwork> built_;
  Advance advance_;
};

}  // namespace
}  // namespace vocoder

namespace nb = nanobind;

NB_MODULE(_native, m) {
  using vocoder::NativeNetwork;
  // Objects in Python's caches live until the process exits; they are not leaks.
  nb::set_leak_warnings(false);
  m.doc() = "Native code: the sample loop, and signal processing before and after it.";
  m.def("instruction_sets", &vocoder::available_instruction_sets,
        "Names of the instruction sets that this processor supports, the best first.");
  nb::class_<NativeNetwork>(m, "Network",
                            "A network with its weights packed for one instruction set.")
      .def(nb::init<const std::vector<int>&, int, int, int, int,
                    const std::vector<vocoder::ContextSettings>&, int, int, int, int,
                    const std::string&, float, float, float, int, int, int, int,
                    const std::map<std::string, vocoder::Readable>&, const std::string&,
                    const std::string&>(),
           nb::kw_only(), nb::arg("dilations"), nb::arg("kernel_size"),
           nb::arg("residual_channels"), nb::arg("gate_channels"), nb::arg("skip_channels"),
           nb::arg("contexts"), nb::arg("parameters"), nb::arg("input_channels"),
           nb::arg("local_channels"), nb::arg("global_channels"), nb::arg("distribution"),
           nb::arg("log_scale_min"), nb::arg("temperature"), nb::arg("pre_emphasis"),
           nb::arg("order"), nb::arg("hold"), nb::arg("bands"), nb::arg("head_channels"),
           nb::arg("weights"), nb::arg("format"), nb::arg("instructions"))
      .def_prop_ro("bytes", &NativeNetwork::bytes, "Size of the packed weights.")
      .def("advance", &NativeNetwork::advance, nb::kw_only(), nb::arg("state"), nb::arg("rows"),
           nb::arg("local"), nb::arg("speaker"), nb::arg("first"), nb::arg("prediction").none(),
           nb::arg("noise"), nb::arg("audio"), nb::arg("forced") = nb::none(),
           nb::arg("forced_codes") = nb::none(), nb::arg("trace") = nb::none(),
           nb::arg("threads") = 1,
           "Advance rows; see `CpuEngine.generate`. Updates `state`, writes `audio` and `trace`.");
  vocoder::bind_signals(m);
  vocoder::bind_stack(m);
}
