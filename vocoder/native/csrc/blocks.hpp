// Rows in blocks, blocks over threads.
#pragma once

#include <vector>

#include "network.hpp"

namespace vocoder {

// Advances every row by `steps` samples. Rows are dealt evenly into blocks of at most kMaxRows, and
// up to `threads` threads take the blocks in turn; neither shows in the result.
void advance_all(Advance advance, const Network& net, std::vector<Row>& rows, std::int64_t steps,
                 int threads);

}  // namespace vocoder
