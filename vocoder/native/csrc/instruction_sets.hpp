// What this binary has for each instruction set, and which of them this processor has.
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

// The best first.
const std::vector<InstructionSet>& instruction_sets();

}  // namespace vocoder
