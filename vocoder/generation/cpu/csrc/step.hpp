// The sample loop: what vocoder/generation/reference.py computes, for a block of rows in one format
// of weights and one instruction set. Nothing is allocated between the first sample and the last.
#pragma once

#include "draw.hpp"
#include "shapes.hpp"

namespace vocoder::VOCODER_ISA {

template <class Format, class Shape>
class Loop {
  using Element = typename Format::Element;
  static constexpr int kProjectedBlocks = 8;  // of gates that are projected ahead

 public:
  static void advance(const Network& net, Row* rows, int count, std::int64_t steps) {
    Loop sizes(net, rows, count, nullptr);
    const Memory memory(sizes.bytes_);
    Loop loop(net, rows, count, memory.data());
    typename Format::Session session(count);
    loop.begin();
    // All rows go on together for as long as the projected gates reach.
    for (std::int64_t t = 0; t < steps;) {
      const std::int64_t ready = loop.project(steps - t);
      for (const std::int64_t end = t + ready; t < end; ++t) loop.step(session, t, end - t);
    }
    loop.end();
  }

 private:
  using Session = typename Format::Session;

  struct Ring {
    float* base;
    int slot, length;
  };

  // How many samples' pasts are summed for a layer, and how many of them were used.
  struct Ahead {
    int samples, used;
  };

  Loop(const Network& net, Row* rows, int count, std::byte* memory)
      : net_(net),
        config_(net.config),
        shape_(net),
        rows_(rows),
        count_(count),
        ahead_(Format::kAhead / count > 1 ? Format::kAhead / count : 1) {
    Arena arena(memory);
    const int layers = config_.layers;
    x_ = arena.take<float>(count * net.residual);
    change_ = arena.take<float>(count * net.residual);
    present_ = arena.take<Element>(count * net.present_inputs);
    hidden_ = arena.take<float>(count * 2 * net.gated);
    taps_ = arena.take<Element>(kMaxRows * net.past_inputs);
    past_ = arena.take<float>(kMaxRows * 2 * net.gated * (ahead_ > 1 ? layers : 1));
    ahead_of_ = arena.take<Ahead>(layers);
    gated_ = arena.take<Element>(count * net.gated_inputs);
    z_stride_ = net.skip_inputs;
    z_ = arena.take<Element>(count * z_stride_);
    // The head's activations, padded for the widest format.
    wide_ = padded(net.skip > net.parameters ? net.skip : net.parameters, 64);
    sums_ = arena.take<float>(count * wide_);
    rectified_ = arena.take<Element>(count * wide_);
    // One for each width, as it is zero behind its own channels.
    plain_past_ = arena.take<float>(net.past_inputs);
    plain_present_ = arena.take<float>(net.present_inputs);
    plain_head_ = arena.take<float>(wide_);
    taps_scale_ = arena.take<float>(kMaxRows);
    scale_ = arena.take<float>(count);
    z_scale_ = arena.take<float>(count);
    rings_ = arena.take<Ring>(count * layers);
    inputs_ = arena.take<float>(count * (config_.kernel_size - 1) * config_.input_channels);
    codes_ = arena.take<int>(count * config_.kernel_size);
    history_ = arena.take<float>(count * 2 * config_.order);
    newest_ = arena.take<int>(count);
    shift_ = arena.take<float>(count);
    left_ = arena.take<std::int64_t>(count);
    blocks_ = arena.take<std::int64_t>(count);
    projected_ = arena.take<float>(row_gates() * count);
    local_ = arena.take<float>(kMaxRows * net.local_inputs);
    bytes_ = arena.used();
  }

  std::size_t gates_stride() const {
    return static_cast<std::size_t>(config_.layers) * 2 * net_.gated;
  }

  // A row's projected gates; a few lines more, so that rows don't meet in the same cache sets.
  std::size_t row_gates() const { return gates_stride() * kProjectedBlocks + 3 * kPanel; }

  // Takes the rows' state over from the caller's arrays, where it must lie in another form.
  void begin() {
    for (int r = 0; r < count_; ++r) {
      const Row& row = rows_[r];
      const std::int64_t position = *row.position;
      for (int l = 0; l < config_.layers; ++l) {
        const int length = (config_.kernel_size - 1) * config_.dilations[l];
        rings_[l * count_ + r] = {row.rings[l], static_cast<int>(position % length), length};
      }
      left_[r] = config_.hold - position % config_.hold;
      z_scale_[r] = 1.0f / 127.0f;
      // Past inputs, oldest first; a code as its index, -1 where nothing was said yet.
      const int taps = config_.kernel_size, channels = config_.input_channels;
      for (int j = 0; j + 1 < taps; ++j) {
        const float* input = row.inputs + (position + j) % (taps - 1) * channels;
        if (config_.mu_law) {
          codes_[r * taps + j] = -1;
          for (int c = 0; c < channels; ++c)
            if (input[c] != 0.0f) codes_[r * taps + j] = c;
        } else {
          for (int c = 0; c < channels; ++c)
            inputs_[(r * (taps - 1) + j) * channels + c] = input[c];
        }
      }
      // History newest first and twice over, so that the last `order` samples are one stretch.
      newest_[r] = 0;
      float* history = history_ + r * 2 * config_.order;
      for (int i = 0; i < config_.order; ++i) {
        const std::int64_t slot = ((position - 1 - i) % config_.order + config_.order);
        history[i] = history[i + config_.order] = row.history[slot % config_.order];
      }
    }
  }

  // Gives it back.
  void end() {
    for (int r = 0; r < count_; ++r) {
      const Row& row = rows_[r];
      const std::int64_t position = *row.position;
      const int taps = config_.kernel_size, channels = config_.input_channels;
      for (int j = 0; j + 1 < taps; ++j) {
        float* input = row.inputs + (position + j) % (taps - 1) * channels;
        for (int c = 0; c < channels; ++c)
          input[c] = config_.mu_law ? float(codes_[r * taps + j] == c)
                                    : inputs_[(r * (taps - 1) + j) * channels + c];
      }
      const float* history = history_ + r * 2 * config_.order + newest_[r];
      for (int i = 0; i < config_.order; ++i) {
        const std::int64_t slot = ((position - 1 - i) % config_.order + config_.order);
        row.history[slot % config_.order] = history[i];
      }
    }
  }

  // Projects the gates' conditioning of the blocks that come next; returns for how many of at most
  // `steps` samples they reach in every row.
  std::int64_t project(std::int64_t steps) {
    std::int64_t reach = steps;
    for (int r = 0; r < count_; ++r) {
      const std::int64_t ahead = left_[r] + (kProjectedBlocks - 1) * std::int64_t{config_.hold};
      reach = ahead < reach ? ahead : reach;
    }
    const int channels = config_.local_channels, width = static_cast<int>(gates_stride());
    for (int r = 0; r < count_; ++r) {
      const std::int64_t beyond = reach - left_[r];
      const int needed = beyond <= 0 ? 1 : 1 + int((beyond + config_.hold - 1) / config_.hold);
      float* gates = projected_ + r * row_gates();
      for (int first = 0; first < needed; first += kMaxRows) {
        const int blocks = needed - first < kMaxRows ? needed - first : kMaxRows;
        for (int b = 0; b < blocks; ++b)
          for (int c = 0; c < channels; ++c)
            local_[b * net_.local_inputs + c] = rows_[r].local[(first + b) * channels + c];
        float* to = gates + first * gates_stride();
        Fp32::product(net_.project, {local_, net_.local_inputs, nullptr}, blocks, to, width, width,
                      net_.local_inputs);
        for (int b = 0; b < blocks; ++b)
          for (int i = 0; i < width; i += kLanes)
            store(to + b * width + i, load(to + b * width + i) + load(rows_[r].gate + i));
      }
      blocks_[r] = 0;
    }
    return reach;
  }

  // What conditioning adds to a layer's gates, `later` samples after the next.
  const float* gates(int r, int layer, int later) const {
    std::int64_t block = blocks_[r];
    if (later >= left_[r]) block += 1 + (later - left_[r]) / config_.hold;
    return projected_ + r * row_gates() + block * gates_stride() +
           static_cast<std::size_t>(layer) * 2 * shape_.gated;
  }

  void step(Session& session, std::int64_t t, std::int64_t reach) {
    for (int r = 0; r < count_; ++r) enter(r);
    look_ahead(session, reach);
    for (int l = 0; l < config_.layers; ++l) layer(l);
    head();
    for (int r = 0; r < count_; ++r) leave(r, t);
  }

  // Prediction, and the input convolution, which gives x.
  void enter(int r) {
    Row& row = rows_[r];
    const int taps = shape_.taps, channels = config_.input_channels;
    float* x = x_ + r * shape_.residual;
    for (int i = 0; i < shape_.residual; i += kLanes) store(x + i, load(net_.input_bias + i));
    auto add = [&](const float* weight, float value) {
      for (int i = 0; i < shape_.residual; i += kLanes)
        store(x + i, load(x + i) + load(weight + i) * broadcast(value));
    };
    const int width = shape_.residual;
    if (config_.mu_law) {
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

  // The past of a dilated convolution is known for as many samples as its dilation. So where rows
  // are few, the past taps' products are made for several samples together, which reads those
  // weights once instead of every time: a quarter less to read from the second cache.
  void look_ahead(Session& session, std::int64_t reach) {
    if (ahead_ == 1) return;
    bool widened = false;
    for (int l = 0; l < config_.layers; ++l) {
      Ahead& ahead = ahead_of_[l];
      if (config_.dilations[l] == 1 || ++ahead.used < ahead.samples) continue;
      const int most = ahead_ < config_.dilations[l] ? ahead_ : config_.dilations[l];
      ahead = {reach < most ? static_cast<int>(reach) : most, 0};
      if (!widened) session.rows(kMaxRows);
      widened = true;
      sum_past(l, ahead.samples);
    }
    if (widened) session.rows(count_);
  }

  // Products of the past taps of the next `samples` samples of every row, with the conditioning.
  void sum_past(int l, int samples) {
    const auto gates_width = times(Fixed<2>{}, shape_.gated);
    for (int r = 0; r < count_; ++r)
      for (int s = 0; s < samples; ++s) gather_past(r, l, s, r * samples + s);
    float* past = past_of(l);
    Format::product(net_.layers[l].past, {taps_, net_.past_inputs, taps_scale_}, count_ * samples,
                    past, gates_width, gates_width, past_inputs());
    for (int r = 0; r < count_; ++r)
      for (int s = 0; s < samples; ++s, past += gates_width) {
        const float* gate = gates(r, l, s);
        for (int i = 0; i < gates_width; i += kLanes)
          store(past + i, load(past + i) + load(gate + i));
      }
  }

  float* past_of(int l) const {
    return past_ + (ahead_ > 1 ? std::size_t(l) * kMaxRows * 2 * shape_.gated : 0);
  }

  auto past_inputs() const {
    return padded_inputs<Format>(times(one_less(shape_.taps), shape_.residual));
  }

  // Past inputs from the ring, oldest first, as a sample will need them `later` samples from now.
  void gather_past(int r, int l, int later, int to_row) {
    const Ring& ring = rings_[l * count_ + r];
    const auto residual = shape_.residual;
    const int real = shape_.real;
    Element* to = taps_ + to_row * net_.past_inputs;
    for (int j = 0; j + 1 < shape_.taps; ++j) {
      int slot = ring.slot + later + j * config_.dilations[l];
      if (slot >= ring.length) slot -= ring.length;
      for (int i = 0; i < residual; i += kLanes)
        put(to, plain_past_, j * residual + i, load_first(ring.base + slot * real + i, real - i));
    }
    if constexpr (!Format::kByVector)
      taps_scale_[to_row] = Format::encode(plain_past_, past_inputs(), to);
  }

  VOCODER_INLINE void put(Element* to, float* plain, int i, Floats v) {
    if constexpr (Format::kByVector)
      Format::put(to + i, v);
    else
      store(plain + i, v);
  }

  // x -> dilated convolution -> gated unit -> residual 1x1, whose sum the next layer adds to x.
  void layer(int l) {
    const Layer& weights = net_.layers[l];
    const auto residual = shape_.residual;
    const auto gated = shape_.gated;
    const bool at_once = ahead_ == 1 || config_.dilations[l] == 1;
    if (at_once) sum_past(l, 1);
    for (int r = 0; r < count_; ++r) {
      update(r, l);
      push(r, l);
      Format::keep_awake(r);
    }
    Format::product(weights.present, {present_, net_.present_inputs, scale_}, count_, hidden_,
                    2 * gated, times(Fixed<2>{}, gated), padded_inputs<Format>(residual));
    const int samples = at_once ? 1 : ahead_of_[l].samples, used = at_once ? 0 : ahead_of_[l].used;
    const auto gated_inputs = padded_inputs<Format>(gated);
    for (int r = 0; r < count_; ++r) {
      const float* hidden = hidden_ + r * 2 * gated;
      const float* past = past_of(l) + (r * samples + used) * 2 * gated;
      for (int i = 0; i < gated; i += kLanes)
        Format::put_gated(gated_ + r * gated_inputs + i,
                          Format::gate(load(hidden + i) + load(past + i),
                                       load(hidden + gated + i) + load(past + gated + i)));
      Format::keep_awake(r);
    }
    if (weights.residual.lines)
      Format::product(weights.residual, {gated_, gated_inputs, z_scale_}, count_, change_, residual,
                      residual, gated_inputs);
    for (int r = 0; r < count_; ++r)
      __builtin_memcpy(z_ + r * z_stride_ + l * gated_inputs, gated_ + r * gated_inputs,
                       gated_inputs * sizeof(Element));
  }

  // Adds what the layer before made of x.
  void update(int r, int l) {
    if (!l) return;
    float *x = x_ + r * shape_.residual, *change = change_ + r * shape_.residual;
    const float* bias = net_.layers[l - 1].residual_bias;
    for (int i = 0; i < shape_.residual; i += kLanes)
      store(x + i, load(x + i) + load(change + i) + load(bias + i));
  }

  // Makes x the present, and the latest in the ring, where it takes the oldest one's place.
  void push(int r, int l) {
    Ring& ring = rings_[l * count_ + r];
    const auto residual = shape_.residual;
    const int real = shape_.real;
    const float* x = x_ + r * residual;
    Element* to = present_ + r * net_.present_inputs;
    for (int i = 0; i < residual; i += kLanes) {
      const Floats v = load(x + i);
      put(to, plain_present_, i, v);
      store_first(ring.base + ring.slot * real + i, v, real - i);
    }
    if constexpr (!Format::kByVector)
      scale_[r] = Format::encode(plain_present_, padded_inputs<Format>(residual), to);
    if (++ring.slot == ring.length) ring.slot = 0;
    if (l + 2 < config_.layers) {
      const Ring& soon = rings_[(l + 2) * count_ + r];
      for (int i = 0; i < residual; i += kPanel)
        __builtin_prefetch(soon.base + soon.slot * real + i);
    }
  }

  // Skips -> ReLU -> 1x1 -> ReLU -> 1x1.
  void head() {
    const auto skip = shape_.skip;
    const auto inputs = padded_inputs<Format>(skip);
    Format::product(net_.skips, {z_, z_stride_, z_scale_}, count_, sums_, wide_, skip,
                    net_.skip_inputs);
    rectify(net_.skips_bias);
    Format::product(net_.head, {rectified_, wide_, scale_}, count_, sums_, wide_, skip, inputs);
    rectify(net_.head_bias);
    Format::product(net_.output, {rectified_, wide_, scale_}, count_, sums_, wide_, net_.parameters,
                    inputs);
  }

  void rectify(const float* bias) {
    for (int r = 0; r < count_; ++r) {
      const float* sums = sums_ + r * wide_;
      Element* to = rectified_ + r * wide_;
      for (int i = 0; i < shape_.skip; i += kLanes) {
        const Floats v = at_least(load(sums + i) + load(bias + i), 0.0f);
        put(to, plain_head_, i, v);
      }
      if constexpr (!Format::kByVector)
        scale_[r] = Format::encode(plain_head_, padded_inputs<Format>(shape_.skip), to);
    }
  }

  // Draws the sample, makes it (or the one that was forced) the row's latest, and moves on.
  void leave(int r, std::int64_t t) {
    Row& row = rows_[r];
    float* parameters = sums_ + r * wide_;
    for (int i = 0; i < net_.parameters; i += kLanes)
      store(parameters + i, load(parameters + i) + load(net_.output_bias + i));
    if (row.trace) copy(parameters, row.trace + t * config_.parameters, config_.parameters);
    const float* noise = row.noise + 2 * t;
    float sample;
    if (config_.mu_law) {
      const int code = pick(parameters, config_.parameters, 1.0f / config_.temperature, noise[0]);
      *row.code = row.forced_code ? row.forced_code[t] : code;
      sample = net_.decode[code];
    } else {
      const float gain = config_.order ? *row.gain : 1.0f;
      const float excitation = draw_logistic(parameters, config_.parameters / 3,
                                             config_.log_scale_min, config_.temperature, noise);
      sample = to_16_bit(shift_[r] + gain * excitation);
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
    if (--left_[r]) return;
    left_[r] = config_.hold;
    ++blocks_[r];
    row.local += config_.local_channels;
    if (config_.order) {
      row.prediction += config_.order;
      ++row.gain;
      ++row.level;
    }
  }

  const Network& net_;
  const Config& config_;
  Shape shape_;
  Row* rows_;
  int count_;
  int ahead_;  // most samples whose pasts are summed together
  std::size_t bytes_;
  int z_stride_, wide_;
  float *x_, *change_, *hidden_, *past_, *sums_;
  float *plain_past_, *plain_present_, *plain_head_, *taps_scale_, *scale_, *z_scale_;
  Ahead* ahead_of_;
  Element *present_, *taps_, *gated_, *z_, *rectified_;
  Ring* rings_;
  float *inputs_, *history_, *shift_, *projected_, *local_;
  int *codes_, *newest_;
  std::int64_t *left_, *blocks_;
};

template <class Format>
Advance path(const Network& net) {
  using Narrow = PresetShape<16, 16, 16>;     // tiny
  using Small = PresetShape<64, 64, 64>;      // small
  using Standard = PresetShape<64, 64, 128>;  // standard
  using Large = PresetShape<128, 128, 256>;   // large
  if (Narrow::fits(net)) return Loop<Format, Narrow>::advance;
  if (Small::fits(net)) return Loop<Format, Small>::advance;
  if (Standard::fits(net)) return Loop<Format, Standard>::advance;
  if (Large::fits(net)) return Loop<Format, Large>::advance;
  return Loop<Format, AnyShape>::advance;
}

// The path of a network's format, for instruction sets without dot products.
VOCODER_INLINE Advance path_of_format(const Network& net) {
  switch (net.weights) {
    case Weights::fp32:
      return path<Fp32>(net);
    case Weights::bf16:
      return path<Bf16>(net);
    default:
      return path<Int8>(net);
  }
}

}  // namespace vocoder::VOCODER_ISA
