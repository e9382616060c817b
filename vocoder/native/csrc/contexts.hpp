// Context stacks: ContextStack (vocoder/wavenet/modules.py), one step at the first sample of each
// window, and the contribution of their outputs to the network's gates.
//
// Invariants.
//  - A step reads only what was pushed before it: the window, which is full by then, and the rings,
//    whose slot is the step's number modulo their length.
//  - Rows whose windows end at the same sample advance in one product; a row's result does not
//    depend on the other rows.
//  - A stack's contribution to the gates is stored for the length of its window. If that is one
//    block, it is added where it is computed and takes no memory.
//  - Stacks of different widths share scratch memory: code that writes a row of elements also
//  writes
//    the zeros behind it.
#pragma once

#include "draw.hpp"
#include "products.hpp"

namespace vocoder::VOCODER_ISA {

// Gates of consecutive blocks, to which a row's contexts are added.
struct GatesOfRow {
  int row, blocks;
  float* gates;
};

template <class Format>
class ContextSteps {
  using Element = typename Format::Element;
  using Session = typename Format::Session;
  static constexpr int kPart = 4 * kTogether * kPanel;  // gates computed at a time

 public:
  // `gates`: number of gates in all layers of the network.
  ContextSteps(const Network& net, Row* rows, int count, int gates, Arena& arena)
      : net_(net), rows_(rows), count_(count), gates_(gates) {
    int widest = 0, inputs = 0, layers = 0;
    const auto grow = [](int& size, int to) { size = size < to ? to : size; };
    for (int s = 0; s < net.context_count; ++s) {
      const Context& context = net.contexts[s];
      grow(widest, context.residual);
      grow(widest, 2 * context.gated);
      grow(widest, context.skip);
      grow(widest, context.output.outputs);
      grow(inputs, context.input.inputs);
      grow(inputs, context.layers[0].dilated.inputs);
      grow(inputs, context.output.inputs);
      grow(inputs, context.project.inputs);
      grow(layers, context.skips.inputs);
    }
    x_ = arena.take<float>(count * widest);
    sums_ = arena.take<float>(count * widest);
    elements_ = arena.take<Element>(count * inputs);
    gated_ = arena.take<Element>(count * layers);
    due_ = arena.take<int>(count);
    phase_ = arena.take<int>(count * net.context_count);
    part_ = arena.take<float>(count * kPart);
    kept_ = arena.take<float*>(net.context_count);
    for (int s = 0; s < net.context_count; ++s) {
      float* kept = arena.take<float>(lasts_a_block(s) ? 0 : kept_stride() * count);
      if (kept_) kept_[s] = kept;
    }
  }

  // Loads the caller's state: within an unfinished window, the stack's output remains valid.
  void begin(Session& session) {
    for (int s = 0; s < net_.context_count; ++s) {
      int holding = 0;
      for (int r = 0; r < count_; ++r) {
        phase(s, r) = static_cast<int>(*rows_[r].position % net_.contexts[s].pool);
        if (phase(s, r)) due_[holding++] = r;
      }
      if (!lasts_a_block(s)) keep(session, s, holding);
    }
    session.rows(count_);
  }

  // Advances every row and stack whose window begins.
  void take_due(Session& session) {
    int first_ring = 0;
    bool any = false;
    for (int s = 0; s < net_.context_count; ++s) {
      int due = 0;
      for (int r = 0; r < count_; ++r)
        if (!phase(s, r)) due_[due++] = r;
      if (due) {
        session.rows(due);
        step(s, first_ring, due);
        if (!lasts_a_block(s)) keep(session, s, due);
      }
      any |= due > 0;
      first_ring += net_.contexts[s].layer_count;
    }
    if (any) session.rows(count_);
  }

  // Number of the network's steps until a row's next step of a stack.
  std::int64_t until_due(int r) const {
    std::int64_t steps = std::int64_t{1} << 62;
    for (int s = 0; s < net_.context_count; ++s) {
      const int left = (net_.contexts[s].pool - phase(s, r)) / net_.config.bands;
      steps = left < steps ? left : steps;
    }
    return steps;
  }

  // Adds the stacks' outputs to the gates of `n` rows.
  void add(Session& session, const GatesOfRow* to, int n) {
    for (int s = 0; s < net_.context_count; ++s) {
      const auto add_part = [&](int i, const float* part, int first, int count) {
        for (int b = 0; b < to[i].blocks; ++b)
          add_to(to[i].gates + std::size_t(b) * gates_ + first, part, count);
      };
      if (lasts_a_block(s)) {
        project(session, s, n, [&](int i) { return to[i].row; }, add_part);
      } else {
        for (int i = 0; i < n; ++i) add_part(i, kept(s, to[i].row), 0, gates_);
      }
    }
    session.rows(count_);
  }

  // Appends a step's samples (bands) to a row's windows.
  void push(int r, const float* samples) {
    if (!net_.context_count) return;
    for (int b = 0; b < net_.config.bands; ++b) {
      const float companded = mu_law_compand(samples[b]);
      for (int s = 0; s < net_.context_count; ++s) {
        int& at = phase(s, r);
        rows_[r].windows[s][at] = companded;
        if (++at == net_.contexts[s].pool) at = 0;
      }
    }
  }

 private:
  // Window -> projection -> layers -> skips -> ReLU -> 1x1, for the first `n` of due_.
  void step(int s, int first_ring, int n) {
    const Context& context = net_.contexts[s];
    const int residual = context.residual, inputs = context.input.inputs;
    for (int i = 0; i < n; ++i) prefetch_rings(context, rows_[due_[i]], first_ring);
    for (int i = 0; i < n; ++i)
      fill(elements_ + i * inputs, rows_[due_[i]].windows[s], context.pool, inputs);
    product(context.input, elements_, inputs, n, x_, inputs);
    for (int i = 0; i < n; ++i) add_to(x_ + i * residual, context.input_bias, residual);
    for (int l = 0; l < context.layer_count; ++l) layer(context, l, first_ring + l, n);

    const int skip = context.skip, outputs = context.output.outputs;
    product(context.skips, gated_, context.skips.inputs, n, sums_, context.skips.inputs);
    for (int i = 0; i < n; ++i) {
      float* sums = sums_ + i * skip;
      add_to(sums, context.skips_bias, skip);
      for (int c = 0; c < skip; c += kLanes) store(sums + c, at_least(load(sums + c), 0.0f));
      fill(elements_ + i * context.output.inputs, sums, skip, context.output.inputs);
    }
    product(context.output, elements_, context.output.inputs, n, sums_, context.output.inputs);
    for (int i = 0; i < n; ++i) {
      add_to(sums_ + i * outputs, context.output_bias, outputs);
      copy(sums_ + i * outputs, rows_[due_[i]].contexts[s], context.channels);
    }
  }

  void layer(const Context& context, int l, int ring, int n) {
    const ContextLayer& layer = context.layers[l];
    const int residual = context.residual, gated = context.gated;
    const int inputs = layer.dilated.inputs, stride = context.skips.inputs;
    for (int i = 0; i < n; ++i) {
      const Row& row = rows_[due_[i]];
      gather(context, layer, row.context_rings[ring], *row.position / context.pool,
             x_ + i * residual, elements_ + i * inputs);
    }
    product(layer.dilated, elements_, inputs, n, sums_, inputs);
    const int gated_inputs = stride / context.layer_count;
    Element* units = gated_ + l * gated_inputs;
    for (int i = 0; i < n; ++i) {
      float* hidden = sums_ + i * 2 * gated;
      add_to(hidden, layer.bias, 2 * gated);
      for (int c = 0; c < gated; c += kLanes)
        Format::put_gated(units + i * stride + c,
                          Format::gate(load(hidden + c), load(hidden + gated + c)));
      for (int c = gated; c < gated_inputs; c += kLanes)
        Format::put_gated(units + i * stride + c, Floats{});
    }
    if (!layer.residual.lines) return;
    product(layer.residual, units, stride, n, sums_, gated_inputs);
    for (int i = 0; i < n; ++i) {
      add_to(sums_ + i * residual, layer.residual_bias, residual);
      add_to(x_ + i * residual, sums_ + i * residual, residual);
    }
  }

  // Reads the taps of a dilated convolution, oldest first; then x replaces the oldest.
  void gather(const Context& context, const ContextLayer& layer, float* ring, std::int64_t step,
              const float* x, Element* to) {
    const int past = context.kernel_size - 1, real = context.real, residual = context.residual;
    const std::int64_t length = std::int64_t{past} * layer.dilation;
    for (int j = 0; j < past; ++j) {
      const std::int64_t slot = (step + j * std::int64_t{layer.dilation}) % length;
      fill(to + j * residual, ring + slot * real, real, residual);
    }
    fill(to + past * residual, x, residual, layer.dilated.inputs - past * residual);
    copy(x, ring + step % length * real, real);
  }

  // Contribution of the first `n` of due_ to the gates, until their next step.
  void keep(Session& session, int s, int n) {
    project(
        session, s, n, [&](int i) { return due_[i]; },
        [&](int i, const float* part, int first, int count) {
          copy(part, kept(s, due_[i]) + first, count);
        });
  }

  // Contribution of `n` rows' outputs to the gates, passed in parts to `use(i, part, first,
  // count)`.
  template <class RowOf, class Use>
  void project(Session& session, int s, int n, RowOf row_of, Use use) {
    if (!n) return;
    session.rows(n);
    const Context& context = net_.contexts[s];
    const int inputs = context.project.inputs;
    for (int i = 0; i < n; ++i)
      fill(elements_ + i * inputs, rows_[row_of(i)].contexts[s], context.channels, inputs);
    for (int first = 0; first < gates_; first += kPart) {
      const int count = gates_ - first < kPart ? gates_ - first : kPart;
      Matrix part = context.project;
      part.lines += std::size_t(first) * inputs * 4 / inputs_of_line(Format::kWeights);
      part.outputs = count;
      Format::product(part, {elements_, inputs, nullptr}, n, part_, kPart, count, inputs);
      for (int i = 0; i < n; ++i) use(i, part_ + i * kPart, first, count);
    }
  }

  // Rings are no longer in the cache: many rows' steps lie between two steps of a row.
  static void prefetch_rings(const Context& context, const Row& row, int first_ring) {
    const int past = context.kernel_size - 1;
    const std::int64_t step = *row.position / context.pool;
    for (int l = 0; l < context.layer_count; ++l) {
      const std::int64_t dilation = context.layers[l].dilation, length = past * dilation;
      for (int j = 0; j < past; ++j) {
        const float* slot =
            row.context_rings[first_ring + l] + (step + j * dilation) % length * context.real;
        for (int i = 0; i < context.real; i += kPanel) __builtin_prefetch(slot + i);
      }
    }
  }

  // Writes `count` floats as elements, and zeros up to `whole`, a multiple of 16.
  static void fill(Element* to, const float* from, int count, int whole) {
    for (int i = 0; i < whole; i += kLanes)
      Format::put(to + i, i < count ? load_first(from + i, count - i) : Floats{});
  }

  static void add_to(float* to, const float* from, int count) {
    for (int i = 0; i < count; i += kLanes) store(to + i, load(to + i) + load(from + i));
  }

  static void product(const Matrix& w, const Element* in, int stride, int rows, float* out,
                      int inputs) {
    Format::product(w, {in, stride, nullptr}, rows, out, w.outputs, w.outputs, inputs);
  }

  bool lasts_a_block(int s) const {
    return net_.contexts[s].pool == net_.config.hold * net_.config.bands;
  }
  int& phase(int s, int r) const { return phase_[s * count_ + r]; }
  float* kept(int s, int r) const { return kept_[s] + r * kept_stride(); }
  // A few cache lines more than the gates, so that rows do not map to the same cache sets.
  std::size_t kept_stride() const { return std::size_t(gates_) + 3 * kPanel; }

  const Network& net_;
  Row* rows_;
  int count_, gates_;
  float *x_, *sums_, *part_;
  float** kept_;  // each stack's contribution to each row's gates
  Element *elements_, *gated_;
  int *due_, *phase_;  // phase: samples since a stack's last step
};

}  // namespace vocoder::VOCODER_ISA
