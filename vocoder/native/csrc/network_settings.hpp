// Checked settings of a network from Python.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "build.hpp"

namespace vocoder {

// Settings of one context stack, by the names in ContextConfig and StackConfig (vocoder/config.py).
using ContextSettings = std::map<std::string, std::variant<int, std::vector<int>>>;

constexpr int kMostBands = 8;

inline void check_positive(const std::string& name, int value) {
  if (value < 1 || value > 1 << 16)
    throw std::invalid_argument(name + " " + std::to_string(value) + " is not in 1 to 65536");
}

inline StackShape checked_stack(const std::vector<int>& dilations, int kernel_size,
                                int residual_channels, int gate_channels, int skip_channels) {
  check_positive("the number of layers", static_cast<int>(dilations.size()));
  for (const int dilation : dilations) check_positive("dilation", dilation);
  check_positive("residual_channels", residual_channels);
  check_positive("gate_channels", gate_channels);
  check_positive("skip_channels", skip_channels);
  if (kernel_size < 2 || kernel_size > 64)
    throw std::invalid_argument("kernel_size must be from 2 to 64");
  if (gate_channels % 2) throw std::invalid_argument("gate_channels must be even");
  return {dilations, kernel_size, residual_channels, gate_channels / 2, skip_channels};
}

// `hold` is in samples.
inline ContextShape checked_context(const ContextSettings& settings, int hold) {
  const auto get = [&]<class T>(const std::string& name, T) {
    const auto found = settings.find(name);
    const T* value = found == settings.end() ? nullptr : std::get_if<T>(&found->second);
    if (!value) throw std::invalid_argument("a context stack needs " + name);
    return *value;
  };
  const int pool = get("pool", 0), channels = get("channels", 0);
  check_positive("pool", pool);
  check_positive("channels", channels);
  if (pool % hold)
    throw std::invalid_argument("pool " + std::to_string(pool) +
                                " is not a multiple of the hold, " + std::to_string(hold));
  return {
      pool, channels,
      checked_stack(get("dilations", std::vector<int>{}), get("kernel_size", 0),
                    get("residual_channels", 0), get("gate_channels", 0), get("skip_channels", 0))};
}

inline Distribution checked_distribution(const std::string& name, int parameters) {
  const auto known = [&](bool fits, Distribution distribution) {
    if (!fits)
      throw std::invalid_argument("parameters " + std::to_string(parameters) +
                                  " do not match the distribution " + name);
    return distribution;
  };
  if (name == "mu_law") return known(parameters == 256, Distribution::mu_law);
  if (name == "gaussian") return known(parameters == 2, Distribution::gaussian);
  if (name == "logistics")
    return known(parameters % 3 == 0 && parameters >= 3 && parameters <= 192,
                 Distribution::logistics);
  throw std::invalid_argument("distribution " + name + " is unknown");
}

}  // namespace vocoder
