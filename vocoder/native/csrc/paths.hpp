// Selects a network's compiled sample loop: for its format, and for a preset's channels or any.
#pragma once

#include "step.hpp"

namespace vocoder::VOCODER_ISA {

template <class Format>
Advance path(const Network& net) {
  using Narrow = PresetShape<16, 16, 16>;       // tiny
  using Small = PresetShape<64, 64, 64>;        // small
  using Banded = PresetShape<64, 64, 64, 128>;  // small, with a wider head
  using Standard = PresetShape<64, 64, 128>;    // standard
  using Large = PresetShape<128, 128, 256>;     // large
  if (Narrow::fits(net)) return Loop<Format, Narrow>::advance;
  if (Small::fits(net)) return Loop<Format, Small>::advance;
  if (Banded::fits(net)) return Loop<Format, Banded>::advance;
  if (Standard::fits(net)) return Loop<Format, Standard>::advance;
  if (Large::fits(net)) return Loop<Format, Large>::advance;
  return Loop<Format, AnyShape>::advance;
}

// The path for a network's format, for instruction sets without dot products.
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
