#define VOCODER_ISA avx512
#include "isa.hpp"
#include "paths.hpp"
#include "signals.hpp"

namespace vocoder {

Advance advance_avx512(const Network& net) {
  using namespace avx512;
  return path_of_format(net);
}

Signals signals_avx512() { return avx512::signals(); }

}  // namespace vocoder
