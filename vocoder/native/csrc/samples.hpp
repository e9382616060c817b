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
    history_ = arena.take<float>(count * config_.bands * 2 * config_.order);
    newest_ = arena.take<int>(count);
    shift_ = arena.take<float>(count * config_.bands);
    now_ = arena.take<float>(config_.input_channels);
  }

  // Loads the part of a row's state that has a different layout here.
  void begin(int r) {
    const Row& row = rows_[r];
    const std::int64_t step = *row.position / config_.bands;
    // Past inputs, oldest first; a code is stored as its index, -1 before the start.
    const int taps = config_.kernel_size, channels = config_.input_channels;
    for (int j = 0; j + 1 < taps; ++j) {
      const float* input = row.inputs + (step + j) % (taps - 1) * channels;
      if (config_.coded()) {
        codes_[r * taps + j] = -1;
        for (int c = 0; c < channels; ++c)
          if (input[c] != 0.0f) codes_[r * taps + j] = c;
      } else {
        for (int c = 0; c < channels; ++c) inputs_[(r * (taps - 1) + j) * channels + c] = input[c];
      }
    }
    // History of each band, newest first and stored twice, so that the last `order` samples are
    // contiguous.
    newest_[r] = 0;
    for (int b = 0; b < config_.bands; ++b) {
      float* history = history_of(r, b);
      for (int i = 0; i < config_.order; ++i)
        history[i] = history[i + config_.order] = row.history[slot(step, b, i)];
    }
  }

  // Stores it back.
  void end(int r) {
    const Row& row = rows_[r];
    const std::int64_t step = *row.position / config_.bands;
    const int taps = config_.kernel_size, channels = config_.input_channels;
    for (int j = 0; j + 1 < taps; ++j) {
      float* input = row.inputs + (step + j) % (taps - 1) * channels;
      for (int c = 0; c < channels; ++c)
        input[c] = config_.coded() ? float(codes_[r * taps + j] == c)
                                   : inputs_[(r * (taps - 1) + j) * channels + c];
    }
    for (int b = 0; b < config_.bands; ++b) {
      const float* history = history_of(r, b) + newest_[r];
      for (int i = 0; i < config_.order; ++i) row.history[slot(step, b, i)] = history[i];
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
    // The past samples of all bands, then their predictions, then the past excitations.
    const int bands = config_.bands;
    for (int b = 0; b < bands; ++b) {
      float& shift = shift_[r * bands + b];
      shift = 0.0f;
      now_[b] = row.sample[b];
      if (!config_.order) continue;
      shift = predict(row.prediction + b * config_.order, history_of(r, b) + newest_[r]);
      now_[b] = row.sample[b] / row.level[b];
      now_[bands + b] = shift / row.level[b];
      now_[2 * bands + b] = row.excitation[b];
    }
    float* past = inputs_ + r * (taps - 1) * channels;
    for (int i = 0; i < (taps - 1) * channels; ++i) add(net_.input + i * width, past[i]);
    for (int c = 0; c < channels; ++c)
      add(net_.input + ((taps - 1) * channels + c) * width, now_[c]);
    for (int i = 0; i < (taps - 2) * channels; ++i) past[i] = past[i + channels];
    for (int c = 0; c < channels; ++c) past[(taps - 2) * channels + c] = now_[c];
  }

  // Draws the samples of step t from the network's outputs, and records them, or the forced ones,
  // as the row's latest. Returns the recorded samples (bands).
  const float* leave(int r, std::int64_t t, const float* parameters) {
    Row& row = rows_[r];
    const int bands = config_.bands, count = config_.parameters;
    if (row.trace) copy(parameters, row.trace + t * bands * count, bands * count);
    if (config_.order) newest_[r] = (newest_[r] ? newest_[r] : config_.order) - 1;
    for (int b = 0; b < bands; ++b)
      record(r, b, t * bands + b, draw(r, b, t * bands + b, parameters + b * count));
    *row.position += bands;
    return row.sample;
  }

 private:
  float draw(int r, int b, std::int64_t at, const float* parameters) {
    Row& row = rows_[r];
    const float* noise = row.noise + 2 * at;
    if (config_.coded()) {
      const int code = pick(parameters, config_.parameters, 1.0f / config_.temperature, noise[0]);
      *row.code = row.forced_code ? row.forced_code[at] : code;
      return net_.decode[code];
    }
    const float gain = config_.order ? row.gain[b] : 1.0f;
    const float shift = shift_[r * config_.bands + b];
    return to_16_bit(shift + gain * excitation(parameters, noise), config_.limit());
  }

  void record(int r, int b, std::int64_t at, float sample) {
    Row& row = rows_[r];
    row.audio[at] = sample + config_.pre_emphasis * row.output[b];
    if (row.forced) sample = row.forced[at];
    row.output[b] = sample + config_.pre_emphasis * row.output[b];
    row.sample[b] = row.excitation[b] = sample;
    if (!config_.order) return;
    row.excitation[b] = (sample - shift_[r * config_.bands + b]) / row.gain[b];
    float* history = history_of(r, b);
    history[newest_[r]] = history[newest_[r] + config_.order] = sample;
  }

  float* history_of(int r, int b) const {
    return history_ + (r * config_.bands + b) * 2 * config_.order;
  }

  // Where a band's sample of `ago` + 1 steps ago is in the state's history.
  std::int64_t slot(std::int64_t step, int b, int ago) const {
    const std::int64_t order = config_.order;
    return b * order + ((step - 1 - ago) % order + order) % order;
  }

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
  float *inputs_, *history_, *shift_, *now_;
  int *codes_, *newest_;
};

}  // namespace vocoder::VOCODER_ISA
