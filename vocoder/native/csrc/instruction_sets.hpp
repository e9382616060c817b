// The instruction sets in this binary, and which of them this processor supports.
#pragma once

#include <vector>

#include "isa.hpp"

namespace vocoder {

struct InstructionSet {
  const char* name;
  bool (*available)();
  Advance (*advance)(const Network&);  // the fast path of its shape, or the general one
  Signals (*signals)();
};

// All of them, the best first.
const std::vector<InstructionSet>& instruction_sets();

}  // namespace vocoder
