// Dense weights packed as network.hpp lays them out.
#pragma once

#include <functional>

#include "network.hpp"

namespace vocoder {

// A parameter in C order, as PyTorch holds it; a bias has one column.
struct Dense {
  const float* data;
  int rows, columns;
};

// Where an output or input of the dense matrix stands in the padded one; negative: it does not.
using Place = std::function<int(int)>;
constexpr int kNowhere = -1;

inline int same(int i) { return i; }

// Takes memory from an arena, and fills it unless the arena only counts.
class Packer {
 public:
  Packer(Arena& arena, bool fill) : arena_(arena), fill_(fill) {}

  Matrix matrix(const Dense& from, Weights weights, int outputs, int inputs, Place output = same,
                Place input = same);
  // `count` numbers, zeros where none of those given stands.
  float* vector(const Dense& from, int count, const Place& place = same);

 private:
  Arena& arena_;
  bool fill_;
};

}  // namespace vocoder
