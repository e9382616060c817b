// The sample loop: vocoder/generation/reference.py for a block of rows, in one weight format and
// one instruction set. Nothing is allocated between the first and the last sample.
#pragma once

#include "gates.hpp"
#include "samples.hpp"

namespace vocoder::VOCODER_ISA {

template <class Format, class Shape>
class Loop {
  using Element = typename Format::Element;

 public:
  static void advance(const Network& net, Row* rows, int count, std::int64_t steps) {
    Loop sizes(net, rows, count, nullptr);
    const Memory memory(sizes.bytes_);
    Loop loop(net, rows, count, memory.data());
    Session session(count);
    loop.begin(session);
    // All rows advance together as long as their gates are ready.
    for (std::int64_t t = 0; t < steps;) {
      const std::int64_t ready = loop.gates_.ready(session, steps - t);
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

  // Samples whose past taps are summed for a layer, and how many of them are used up.
  struct Ahead {
    int samples, used;
  };

  Loop(const Network& net, Row* rows, int count, std::byte* memory)
      : net_(net),
        config_(net.config),
        shape_(net),
        rows_(rows),
        count_(count),
        ahead_(Format::kAhead / count > 1 ? Format::kAhead / count : 1),
        arena_(memory),
        samples_(net, rows, count, arena_),
        gates_(net, rows, count, arena_) {
    const int layers = config_.layers;
    x_ = arena_.take<float>(count * net.residual);
    change_ = arena_.take<float>(count * net.residual);
    present_ = arena_.take<Element>(count * net.present_inputs);
    hidden_ = arena_.take<float>(count * 2 * net.gated);
    taps_ = arena_.take<Element>(kMaxRows * net.past_inputs);
    past_ = arena_.take<float>(kMaxRows * 2 * net.gated * (ahead_ > 1 ? layers : 1));
    ahead_of_ = arena_.take<Ahead>(layers);
    gated_ = arena_.take<Element>(count * net.gated_inputs);
    z_stride_ = net.skip_inputs;
    z_ = arena_.take<Element>(count * z_stride_);
    // The head's activations, padded for the widest format.
    const int widest = net.skip > net.head ? net.skip : net.head;
    wide_ = padded(widest > net.parameters ? widest : net.parameters, 64);
    sums_ = arena_.take<float>(count * wide_);
    rectified_ = arena_.take<Element>(count * wide_);
    // One for each width, because it must be zero behind its channels.
    plain_past_ = arena_.take<float>(net.past_inputs);
    plain_present_ = arena_.take<float>(net.present_inputs);
    plain_skips_ = arena_.take<float>(wide_);
    plain_head_ = arena_.take<float>(wide_);
    taps_scale_ = arena_.take<float>(kMaxRows);
    scale_ = arena_.take<float>(count);
    z_scale_ = arena_.take<float>(count);
    rings_ = arena_.take<Ring>(count * layers);
    bytes_ = arena_.used();
  }

  // Loads the part of the rows' state that has a different layout here.
  void begin(Session& session) {
    for (int r = 0; r < count_; ++r) {
      for (int l = 0; l < config_.layers; ++l) {
        const int length = (config_.kernel_size - 1) * config_.dilations[l];
        const int slot = static_cast<int>(*rows_[r].position / config_.bands % length);
        rings_[l * count_ + r] = {rows_[r].rings[l], slot, length};
      }
      z_scale_[r] = 1.0f / 127.0f;
      samples_.begin(r);
    }
    gates_.begin(session);
  }

  // Stores it back.
  void end() {
    for (int r = 0; r < count_; ++r) samples_.end(r);
  }

  void step(Session& session, std::int64_t t, std::int64_t reach) {
    for (int r = 0; r < count_; ++r) samples_.enter(r, x_ + r * shape_.residual);
    look_ahead(session, reach);
    for (int l = 0; l < config_.layers; ++l) layer(l);
    head();
    for (int r = 0; r < count_; ++r) leave(r, t);
  }

  // The past inputs of a dilated convolution are known for as many samples as its dilation. With
  // few rows, the products of the past taps are computed for several samples together, which reads
  // these weights once instead of for each sample: a quarter less to read from the L2 cache.
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

  // Products of the past taps for the next `samples` samples of every row, plus the conditioning.
  void sum_past(int l, int samples) {
    const auto gates_width = times(Fixed<2>{}, shape_.gated);
    for (int r = 0; r < count_; ++r)
      for (int s = 0; s < samples; ++s) gather_past(r, l, s, r * samples + s);
    float* past = past_of(l);
    Format::product(net_.layers[l].past, {taps_, net_.past_inputs, taps_scale_}, count_ * samples,
                    past, gates_width, gates_width, past_inputs());
    for (int r = 0; r < count_; ++r)
      for (int s = 0; s < samples; ++s, past += gates_width) {
        const float* gate = gates_.at(r, std::size_t(l) * gates_width, s);
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

  // Past inputs from the ring, oldest first, for the sample `later` samples from now.
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

  // Adds the previous layer's residual to x.
  void update(int r, int l) {
    if (!l) return;
    float *x = x_ + r * shape_.residual, *change = change_ + r * shape_.residual;
    const float* bias = net_.layers[l - 1].residual_bias;
    for (int i = 0; i < shape_.residual; i += kLanes)
      store(x + i, load(x + i) + load(change + i) + load(bias + i));
  }

  // Makes x the present input, and stores it in the ring in place of the oldest.
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
    const auto head = shape_.head;
    Format::product(net_.skips, {z_, z_stride_, z_scale_}, count_, sums_, wide_, skip,
                    net_.skip_inputs);
    rectify(net_.skips_bias, skip, plain_skips_);
    Format::product(net_.to_head, {rectified_, wide_, scale_}, count_, sums_, wide_, head,
                    padded_inputs<Format>(skip));
    rectify(net_.head_bias, head, plain_head_);
    Format::product(net_.output, {rectified_, wide_, scale_}, count_, sums_, wide_, net_.parameters,
                    padded_inputs<Format>(head));
  }

  // `plain` is zero behind the width.
  template <class Width>
  void rectify(const float* bias, Width width, float* plain) {
    for (int r = 0; r < count_; ++r) {
      const float* sums = sums_ + r * wide_;
      Element* to = rectified_ + r * wide_;
      for (int i = 0; i < width; i += kLanes) {
        const Floats v = at_least(load(sums + i) + load(bias + i), 0.0f);
        put(to, plain, i, v);
      }
      if constexpr (!Format::kByVector)
        scale_[r] = Format::encode(plain, padded_inputs<Format>(width), to);
    }
  }

  // Draws the step's samples and advances the row.
  void leave(int r, std::int64_t t) {
    float* parameters = sums_ + r * wide_;
    for (int i = 0; i < net_.parameters; i += kLanes)
      store(parameters + i, load(parameters + i) + load(net_.output_bias + i));
    gates_.advance(r, samples_.leave(r, t, parameters));
  }

  const Network& net_;
  const Config& config_;
  Shape shape_;
  Row* rows_;
  int count_;
  int ahead_;  // most samples whose past taps are summed together
  Arena arena_;
  Samples<Shape> samples_;
  Gates<typename Format::ContextFormat> gates_;
  std::size_t bytes_;
  int z_stride_, wide_;
  float *x_, *change_, *hidden_, *past_, *sums_;
  float *plain_past_, *plain_present_, *plain_skips_, *plain_head_, *taps_scale_, *scale_,
      *z_scale_;
  Ahead* ahead_of_;
  Element *present_, *taps_, *gated_, *z_, *rectified_;
  Ring* rings_;
};

}  // namespace vocoder::VOCODER_ISA
