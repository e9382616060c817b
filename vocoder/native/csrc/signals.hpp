// Everything except the sample loop, for the including file's instruction set.
#pragma once

#include "convolutions.hpp"
#include "isa.hpp"
#include "philox.hpp"
#include "prediction.hpp"

namespace vocoder::VOCODER_ISA {

VOCODER_INLINE Signals signals() {
  return {uniforms,   correct_frame,        predict_frames,
          solve_rows, StackPass<Fp32>::run, StackPass<Bf16>::run};
}

}  // namespace vocoder::VOCODER_ISA
