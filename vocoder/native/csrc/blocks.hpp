// Distributes rows over blocks, and blocks over threads.
#pragma once

#include <vector>

#include "network.hpp"

namespace vocoder {

// Advances every row by `steps` samples. Rows are split evenly into blocks of at most kMaxRows,
// which up to `threads` threads process in turn. Neither affects the result.
void advance_all(Advance advance, const Network& net, std::vector<Row>& rows, std::int64_t steps,
                 int threads);

}  // namespace vocoder
