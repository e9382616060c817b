// AVX-512 with BF16 and VNNI.
#define VOCODER_ISA avx512_dot
#include "dot.hpp"
#include "isa.hpp"
#include "step.hpp"

namespace vocoder {

Advance advance_avx512_dot(const Network& net) {
  using namespace avx512_dot;
  switch (net.weights) {
    case Weights::fp32:
      return advance_avx512(net);
    case Weights::bf16:
      return path<Bf16Dot>(net);
    default:
      return path<Int8Dot>(net);
  }
}

}  // namespace vocoder
