// From the network's outputs to its next input, for a row: sampling, linear prediction, and the
// input convolution over past samples.
#pragma once

#include "draw.hpp"
#include "shapes.hpp"

namespace vocoder::VOCODER_ISA {

template <class Shape>
class Samples {
 public:
  Samples(const Network& net, Row* rows, int count, Arena& arena)
      : net_(net), config_(net.config), shape_(net), rows_(rows) {
    inputs_ = arena.take<float>(count * (config_.kernel_size - 1) * config_.input_channels);
    codes_ = arena.take<int>(count * config_.kernel_size);
    history_ = arena.take<float>(count * 2 * config_.order);
    newest_ = arena.take<int>(count);
    shift_ = arena.take<float>(count);
  }

  // Loads the part of a row's state that has a different layout here.
  void begin(int r) {
    const Row& row = rows_[r];
    const std::int64_t position = *row.position;
    // Past inputs, oldest first; a code is stored as its index, -1 before the start.
    const int taps = config_.kernel_size, channels = config_.input_channels;
    for (int j = 0; j + 1 < taps; ++j) {
      const float* input = row.inputs + (position + j) % (taps - 1) * channels;
      if (config_.coded()) {
        codes_[r * taps + j] = -1;
        for (int c = 0; c < channels; ++c)
          if (input[c] != 0.0f) codes_[r * taps + j] = c;
      } else {
        for (int c = 0; c < channels; ++c) inputs_[(r * (taps - 1) + j) * channels + c] = input[c];
      }
    }
    // History, newest first and stored twice, so that the last `order` samples are contiguous.
    newest_[r] = 0;
    float* history = history_ + r * 2 * config_.order;
    for (int i = 0; i < config_.order; ++i) {
      const std::int64_t slot = ((position - 1 - i) % config_.order + config_.order);
      history[i] = history[i + config_.order] = row.history[slot % config_.order];
    }
  }

  // Stores it back.
  void end(int r) {
    const Row& row = rows_[r];
    const std::int64_t position = *row.position;
    const int taps = config_.kernel_size, channels = config_.input_channels;
    for (int j = 0; j + 1 < taps; ++j) {
      float* input = row.inputs + (position + j) % (taps - 1) * channels;
      for (int c = 0; c < channels; ++c)
        input[c] = config_.coded() ? float(codes_[r * taps + j] == c)
                                   : inputs_[(r * (taps - 1) + j) * channels + c];
    }
    const float* history = history_ + r * 2 * config_.order + newest_[r];
    for (int i = 0; i < config_.order; ++i) {
      const std::int64_t slot = ((position - 1 - i) % config_.order + config_.order);
      row.history[slot % config_.order] = history[i];
    }
  }

  // Linear prediction, and the input convolution, whose output is x.
  void enter(int r, float* x) {
    Row& row = rows_[r];
    const int taps = shape_.taps, channels = config_.input_channels;
    for (int i = 0; i < shape_.residual; i += kLanes) store(x + i, load(net_.input_bias + i));
    auto add = [&](const float* weight, float value) {
      for (int i = 0; i < shape_.residual; i += kLanes)
        store(x + i, load(x + i) + load(weight + i) * broadcast(value));
    };
    const int width = shape_.residual;
    if (config_.coded()) {
      int* codes = codes_ + r * taps;
      codes[taps - 1] = static_cast<int>(*row.code);
      for (int j = 0; j < taps; ++j)
        if (codes[j] >= 0) add(net_.input + (j * channels + codes[j]) * width, 1.0f);
      for (int j = 0; j + 1 < taps; ++j) codes[j] = codes[j + 1];
      shift_[r] = 0.0f;
      return;
    }
    float now[3] = {*row.sample, 0.0f, 0.0f};
    shift_[r] = 0.0f;
    if (config_.order) {
      shift_[r] = predict(row.prediction, history_ + r * 2 * config_.order + newest_[r]);
      now[0] = *row.sample / *row.level;
      now[1] = shift_[r] / *row.level;
      now[2] = *row.excitation;
    }
    float* past = inputs_ + r * (taps - 1) * channels;
    for (int i = 0; i < (taps - 1) * channels; ++i) add(net_.input + i * width, past[i]);
    for (int c = 0; c < channels; ++c)
      add(net_.input + ((taps - 1) * channels + c) * width, now[c]);
    for (int i = 0; i < (taps - 2) * channels; ++i) past[i] = past[i + channels];
    for (int c = 0; c < channels; ++c) past[(taps - 2) * channels + c] = now[c];
  }

  // Draws sample t from the network's outputs, and records it, or the forced one, as the row's
  // latest. Returns the recorded sample.
  float leave(int r, std::int64_t t, const float* parameters) {
    Row& row = rows_[r];
    if (row.trace) copy(parameters, row.trace + t * config_.parameters, config_.parameters);
    const float* noise = row.noise + 2 * t;
    float sample;
    if (config_.coded()) {
      const int code = pick(parameters, config_.parameters, 1.0f / config_.temperature, noise[0]);
      *row.code = row.forced_code ? row.forced_code[t] : code;
      sample = net_.decode[code];
    } else {
      const float gain = config_.order ? *row.gain : 1.0f;
      sample = to_16_bit(shift_[r] + gain * excitation(parameters, noise));
    }
    row.audio[t] = sample + config_.pre_emphasis * *row.output;
    if (row.forced) sample = row.forced[t];
    *row.output = sample + config_.pre_emphasis * *row.output;
    *row.sample = sample;
    *row.excitation = config_.order ? (sample - shift_[r]) / *row.gain : sample;
    if (config_.order) {
      float* history = history_ + r * 2 * config_.order;
      newest_[r] = (newest_[r] ? newest_[r] : config_.order) - 1;
      history[newest_[r]] = history[newest_[r] + config_.order] = sample;
    }
    ++*row.position;
    return sample;
  }

 private:
  float predict(const float* coefficients, const float* history) const {
    Floats even = {}, odd = {};
    int i = 0;
    for (; i + 2 * kLanes <= config_.order; i += 2 * kLanes) {
      even += load(coefficients + i) * load(history + i);
      odd += load(coefficients + i + kLanes) * load(history + i + kLanes);
    }
    float rest = 0.0f;
    for (; i < config_.order; ++i) rest += coefficients[i] * history[i];
    return sum(even + odd) + rest;
  }

  float excitation(const float* parameters, const float* noise) const {
    if (config_.distribution == Distribution::gaussian)
      return draw_gaussian(parameters, config_.log_scale_min, config_.temperature, noise);
    return draw_logistic(parameters, config_.parameters / 3, config_.log_scale_min,
                         config_.temperature, noise);
  }

  const Network& net_;
  const Config& config_;
  Shape shape_;
  Row* rows_;
  float *inputs_, *history_, *shift_;
  int *codes_, *newest_;
};

}  // namespace vocoder::VOCODER_ISA
