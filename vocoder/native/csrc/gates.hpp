// The conditioning's contribution to the gates, projected ahead of the steps: once per block
// (`hold` steps) instead of once per step. Local conditioning, speaker and biases are known for
// the whole call, the context stacks' outputs only until their next step.
#pragma once

#include "contexts.hpp"

namespace vocoder::VOCODER_ISA {

// `Format` is the format of the context stacks.
template <class Format>
class Gates {
  using Session = typename Format::Session;
  static constexpr int kProjectedBlocks = 8;

 public:
  Gates(const Network& net, Row* rows, int count, Arena& arena)
      : net_(net),
        rows_(rows),
        count_(count),
        width_(net.config.layers * 2 * net.gated),
        contexts_(net, rows, count, width_, arena) {
    left_ = arena.take<std::int64_t>(count);
    final_ = arena.take<std::int64_t>(count);
    block_ = arena.take<int>(count);
    blocks_ = arena.take<int>(count);
    projected_ = arena.take<float>(row_gates() * count);
    local_ = arena.take<float>(kProjectedBlocks * net.local_inputs);
    completed_ = arena.take<GatesOfRow>(count);
  }

  void begin(Session& session) {
    for (int r = 0; r < count_; ++r) {
      const std::int64_t step = *rows_[r].position / net_.config.bands;
      left_[r] = net_.config.hold - step % net_.config.hold;
      final_[r] = block_[r] = blocks_[r] = 0;
    }
    contexts_.begin(session);
  }

  // Prepares the gates' conditioning; returns the number of steps, at most `steps`, for which it
  // is then ready in every row. The next call follows after that many steps.
  std::int64_t ready(Session& session, std::int64_t steps) {
    contexts_.take_due(session);
    std::int64_t reach = steps;
    int completed = 0;
    for (int r = 0; r < count_; ++r) {
      if (!final_[r]) completed_[completed++] = complete(r, steps);
      reach = final_[r] < reach ? final_[r] : reach;
    }
    if (net_.context_count) contexts_.add(session, completed_, completed);
    for (int r = 0; r < count_; ++r) final_[r] -= reach;
    return reach;
  }

  // Contribution to a row's gates from `first` on, `later` steps after the next one.
  const float* at(int r, std::size_t first, int later) const {
    std::int64_t block = block_[r];
    if (later >= left_[r]) block += 1 + (later - left_[r]) / net_.config.hold;
    return of_block(r, block) + first;
  }

  // Advances a row past the latest `samples` (bands).
  void advance(int r, const float* samples) {
    contexts_.push(r, samples);
    if (--left_[r]) return;
    const Config& config = net_.config;
    Row& row = rows_[r];
    left_[r] = config.hold;
    ++block_[r];
    row.local += config.local_channels;
    if (config.order) {
      row.prediction += config.bands * config.order;
      row.gain += config.bands;
      row.level += config.bands;
    }
  }

 private:
  // Prepares a row's next gates without its contexts; returns these gates.
  GatesOfRow complete(int r, std::int64_t steps) {
    if (block_[r] == blocks_[r]) project(r, steps);
    // Windows end at block boundaries.
    const std::int64_t until = contexts_.until_due(r);
    const std::int64_t reach =
        left_[r] + std::int64_t{blocks_[r] - block_[r] - 1} * net_.config.hold;
    final_[r] = until < reach ? until : reach;
    return {r, static_cast<int>(blocks_within(r, final_[r])), of_block(r, block_[r])};
  }

  // Projects local conditioning, speaker and biases of the next blocks.
  void project(int r, std::int64_t steps) {
    const std::int64_t needed = blocks_within(r, steps);
    const int blocks = needed < kProjectedBlocks ? static_cast<int>(needed) : kProjectedBlocks;
    const int channels = net_.config.local_channels;
    for (int b = 0; b < blocks; ++b)
      for (int c = 0; c < channels; ++c)
        local_[b * net_.local_inputs + c] = rows_[r].local[b * channels + c];
    float* to = of_block(r, 0);
    Fp32::product(net_.project, {local_, net_.local_inputs, nullptr}, blocks, to, width_, width_,
                  net_.local_inputs);
    for (int b = 0; b < blocks; ++b)
      for (int i = 0; i < width_; i += kLanes)
        store(to + b * width_ + i, load(to + b * width_ + i) + load(rows_[r].gate + i));
    block_[r] = 0;
    blocks_[r] = blocks;
  }

  // Number of blocks that a row's next steps touch.
  std::int64_t blocks_within(int r, std::int64_t steps) const {
    const std::int64_t beyond = steps - left_[r];
    return beyond <= 0 ? 1 : 1 + (beyond + net_.config.hold - 1) / net_.config.hold;
  }

  float* of_block(int r, std::int64_t block) const {
    return projected_ + r * row_gates() + block * width_;
  }

  // A row's projected gates, plus a few cache lines so that rows do not map to the same cache sets.
  std::size_t row_gates() const { return std::size_t(width_) * kProjectedBlocks + 3 * kPanel; }

  const Network& net_;
  Row* rows_;
  int count_, width_;
  ContextSteps<Format> contexts_;
  float *projected_, *local_;
  GatesOfRow* completed_;
  int *block_, *blocks_;         // among the projected ones: the current block, and their number
  std::int64_t *left_, *final_;  // steps left in that block, and with prepared gates
};

}  // namespace vocoder::VOCODER_ISA
