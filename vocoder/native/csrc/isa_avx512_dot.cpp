// AVX-512 with BF16 and VNNI.
#define VOCODER_ISA avx512_dot
#include "dot.hpp"
#include "isa.hpp"
#include "paths.hpp"

namespace vocoder {

Advance advance_avx512_dot(const Network& net) {
  using namespace avx512_dot;
  if (net.weights == Weights::fp32) return advance_avx512(net);
  return net.weights == Weights::bf16 ? path<Bf16Dot>(net) : path<Int8Dot>(net);
}

}  // namespace vocoder
