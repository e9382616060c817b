#define VOCODER_ISA avx512
#include "isa.hpp"
#include "step.hpp"

namespace vocoder {

Advance advance_avx512(const Network& net) {
  using namespace avx512;
  return path_of_format(net);
}

}  // namespace vocoder
