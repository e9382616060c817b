// The checked arrays of a generation state (vocoder/generation/state.py), row by row.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "network.hpp"

namespace vocoder {

class StateRows {
 public:
  // Throws std::invalid_argument for an array that is missing or has the wrong shape or type.
  StateRows(const Network& net, const std::map<std::string, Writable>& state) : state_(state) {
    const Config& config = net.config;
    const std::int64_t past = config.kernel_size - 1;
    rows_ = size(get("position"), 0);
    inputs_ = array<float>("inputs", {rows_, past, config.input_channels});
    bands_ = config.bands;
    history_ = array<float>("history", {rows_, bands_, config.order});
    position_ = array<std::int64_t>("position", {rows_});
    code_ = array<std::int64_t>("code", {rows_});
    sample_ = array<float>("sample", {rows_, bands_});
    excitation_ = array<float>("excitation", {rows_, bands_});
    output_ = array<float>("output", {rows_, bands_});
    input_size_ = past * config.input_channels;
    order_ = config.order;
    for (int l = 0; l < config.layers; ++l)
      add_rings(rings_, 0, l, past * config.dilations[l], config.residual);
    for (int s = 0; s < net.context_count; ++s) {
      const Context& context = net.contexts[s];
      const std::string number = std::to_string(s);
      add(windows_, array<float>("windows." + number, {rows_, context.pool}), context.pool);
      add(contexts_, array<float>("contexts." + number, {rows_, context.channels}),
          context.channels);
      for (int l = 0; l < context.layer_count; ++l)
        add_rings(context_rings_, s + 1, l,
                  std::int64_t{context.kernel_size - 1} * context.layers[l].dilation, context.real);
    }
    // The pointers are stored array by array for all rows; a row needs its own next to each other.
    for (auto* lists : {&rings_, &windows_, &contexts_, &context_rings_}) by_row(*lists);
  }

  std::int64_t rows() const { return rows_; }

  // Fills in a row's pointers into the state.
  void row(std::int64_t r, Row& to) const {
    const auto of = [&](const std::vector<float*>& lists) {
      return lists.data() + r * (lists.size() / rows_);
    };
    to.rings = of(rings_);
    to.windows = of(windows_);
    to.contexts = of(contexts_);
    to.context_rings = of(context_rings_);
    to.inputs = inputs_ + r * input_size_;
    to.history = history_ + r * bands_ * order_;
    to.position = position_ + r;
    to.code = code_ + r;
    to.sample = sample_ + r * bands_;
    to.excitation = excitation_ + r * bands_;
    to.output = output_ + r * bands_;
  }

 private:
  const Writable& get(const std::string& name) const {
    const auto found = state_.find(name);
    if (found == state_.end()) throw std::invalid_argument("state." + name + " is missing");
    return found->second;
  }

  template <class T>
  T* array(const std::string& name, const Shape& shape, std::int64_t* row_stride = nullptr) const {
    return checked<T>(get(name), "state." + name, shape, row_stride);
  }

  void add(std::vector<float*>& lists, float* base, std::int64_t stride) const {
    for (std::int64_t r = 0; r < rows_; ++r) lists.push_back(base + r * stride);
  }

  void add_rings(std::vector<float*>& lists, int stack, int layer, std::int64_t length,
                 std::int64_t channels) const {
    std::int64_t stride;
    float* ring = array<float>("stacks." + std::to_string(stack) + "." + std::to_string(layer),
                               {rows_, length, channels}, &stride);
    add(lists, ring, stride);
  }

  void by_row(std::vector<float*>& lists) const {
    const std::vector<float*> of_arrays = lists;
    const std::size_t count = rows_ ? lists.size() / rows_ : 0;
    for (std::size_t i = 0; i < lists.size(); ++i)
      lists[i] = of_arrays[i % count * rows_ + i / count];
  }

  const std::map<std::string, Writable>& state_;
  std::int64_t rows_, input_size_, bands_, order_;
  float *inputs_, *history_, *sample_, *excitation_, *output_;
  std::int64_t *position_, *code_;
  std::vector<float*> rings_, windows_, contexts_, context_rings_;
};

}  // namespace vocoder
