// Packs dense weights in the layout of network.hpp.
#pragma once

#include <functional>

#include "network.hpp"

namespace vocoder {

// A parameter in C order, as in PyTorch; a bias has one column.
struct Dense {
  const float* data;
  int rows, columns;
};

// Position of an output or input of the dense matrix in the padded one; negative if it has none.
using Place = std::function<int(int)>;
constexpr int kNowhere = -1;

inline int same(int i) { return i; }

// Allocates from an arena, and fills the memory unless the arena only counts.
class Packer {
 public:
  Packer(Arena& arena, bool fill) : arena_(arena), fill_(fill) {}

  Matrix matrix(const Dense& from, Weights weights, int outputs, int inputs, Place output = same,
                Place input = same);
  // `count` values, zero where none is given.
  float* vector(const Dense& from, int count, const Place& place = same);

 private:
  Arena& arena_;
  bool fill_;
};

}  // namespace vocoder
