#define VOCODER_ISA amx
#include "amx.hpp"
#include "convolutions.hpp"
#include "isa.hpp"
#include "paths.hpp"

namespace vocoder {

Advance advance_amx(const Network& net) {
  using namespace amx;
  if (net.weights == Weights::fp32) return advance_avx512(net);
  return net.weights == Weights::bf16 ? path<Bf16Tile>(net) : path<Int8Tile>(net);
}

Signals signals_amx() {
  Signals signals = signals_avx512();
  signals.run_bf16 = amx::StackPass<amx::Bf16Tile>::run;
  return signals;
}

}  // namespace vocoder
