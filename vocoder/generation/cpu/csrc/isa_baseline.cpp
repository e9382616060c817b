// The portable path: whatever every processor of this kind has (SSE2, NEON).
#if defined(__aarch64__)
#define VOCODER_ISA neon
#else
#define VOCODER_ISA baseline
#endif
#include "isa.hpp"
#include "step.hpp"

namespace vocoder {

Advance advance_baseline(const Network& net) {
  using namespace VOCODER_ISA;
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
