// The portable path, for every processor of the architecture (SSE2, NEON).
#if defined(__aarch64__)
#define VOCODER_ISA neon
#else
#define VOCODER_ISA baseline
#endif
#include "isa.hpp"
#include "paths.hpp"
#include "signals.hpp"

namespace vocoder {

Advance advance_baseline(const Network& net) {
  using namespace VOCODER_ISA;
  return path_of_format(net);
}

Signals signals_baseline() { return VOCODER_ISA::signals(); }

}  // namespace vocoder
