#define VOCODER_ISA avx2
#include "isa.hpp"
#include "paths.hpp"
#include "signals.hpp"

namespace vocoder {

Advance advance_avx2(const Network& net) {
  using namespace avx2;
  return path_of_format(net);
}

Signals signals_avx2() { return avx2::signals(); }

}  // namespace vocoder
