#define VOCODER_ISA amx
#include "amx.hpp"
#include "isa.hpp"
#include "step.hpp"

namespace vocoder {

Advance advance_amx(const Network& net) {
  using namespace amx;
  switch (net.weights) {
    case Weights::fp32:
      return advance_avx512(net);
    case Weights::bf16:
      return path<Bf16Tile>(net);
    default:
      return path<Int8Tile>(net);
  }
}

}  // namespace vocoder
