// The entry of each instruction set; each is compiled in a file of its own, with its own flags.
#pragma once

#include "network.hpp"

namespace vocoder {

Advance advance_baseline(const Network&);
Advance advance_avx2(const Network&);
Advance advance_avx512(const Network&);
Advance advance_avx512_dot(const Network&);
Advance advance_amx(const Network&);

}  // namespace vocoder
