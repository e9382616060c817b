// The channels of a network: compile-time constants for the presets, variables for other shapes.
#pragma once

#include "products.hpp"

namespace vocoder::VOCODER_ISA {

// The channels of a shape: variable, or those of a preset.
struct AnyShape {
  int residual, gated, skip, head, taps, real;  // real: residual channels without the padding
  explicit AnyShape(const Network& net)
      : residual(net.residual),
        gated(net.gated),
        skip(net.skip),
        head(net.head),
        taps(net.config.kernel_size),
        real(net.config.residual) {}
};

template <int Residual, int Gated, int Skip, int Head = Skip>
struct PresetShape {
  Fixed<Residual> residual, real;
  Fixed<Gated> gated;
  Fixed<Skip> skip;
  Fixed<Head> head;
  Fixed<2> taps;
  explicit PresetShape(const Network&) {}
  static bool fits(const Network& net) {
    return net.config.residual == Residual && net.config.gated == Gated &&
           net.config.skip == Skip && net.config.head == Head && net.config.kernel_size == 2;
  }
};

// Inputs of a product, padded for the format; a compile-time constant stays one.
template <class Format, int N>
constexpr auto padded_inputs(Fixed<N>) {
  constexpr int multiple = 16 * inputs_of_line(Format::kWeights);
  return Fixed<(N + multiple - 1) / multiple * multiple>{};
}
template <class Format>
constexpr int padded_inputs(int n) {
  return padded(n, 16 * inputs_of_line(Format::kWeights));
}
template <int A, int B>
constexpr auto times(Fixed<A>, Fixed<B>) {
  return Fixed<A * B>{};
}
constexpr int times(int a, int b) { return a * b; }
template <int A>
constexpr auto one_less(Fixed<A>) {
  return Fixed<A - 1>{};
}
constexpr int one_less(int a) { return a - 1; }

}  // namespace vocoder::VOCODER_ISA
