// The entry points of each instruction set. Each is compiled in its own file with its own flags.
#pragma once

#include "network.hpp"
#include "stack.hpp"
#include "tables.hpp"

namespace vocoder {

Advance advance_baseline(const Network&);
Advance advance_avx2(const Network&);
Advance advance_avx512(const Network&);
Advance advance_avx512_dot(const Network&);
Advance advance_amx(const Network&);

// An instruction set's functions besides the sample loop.
struct Signals {
  Draw draw;
  Correct correct;
  Predict predict;
  Solve solve;
  RunStack run_fp32, run_bf16;
};

Signals signals_baseline();
Signals signals_avx2();
Signals signals_avx512();
Signals signals_amx();

}  // namespace vocoder
