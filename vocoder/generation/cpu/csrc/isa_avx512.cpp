#define VOCODER_ISA avx512
#include "isa.hpp"
#include "step.hpp"

namespace vocoder {

Advance advance_avx512(const Network& net) {
  using namespace avx512;
  switch (net.weights) {
    case Weights::fp32:
      return path<Fp32>(net);
    case Weights::bf16:
      return path<Bf16>(net);
    default:
      return path<Int8>(net);
  }
}

}  // namespace vocoder
