#include "packing.hpp"

#include <cmath>
#include <cstring>

namespace vocoder {
namespace {

std::uint16_t to_bf16(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // to nearest even
}

// Index of a panel's line; see the layout in network.hpp.
std::size_t line_of(int panels, int lines, int panel, int line) {
  const int before = panel / kTogether * kTogether;
  const int beside = panels - before < kTogether ? panels - before : kTogether;
  const std::size_t tile = std::size_t(before) * (lines / kTileLines) +
                           std::size_t(line / kTileLines) * beside + (panel - before);
  return tile * kTileLines + line % kTileLines;
}

}  // namespace

Matrix Packer::matrix(const Dense& from, Weights weights, int outputs, int inputs, Place output,
                      Place input) {
  const int group = inputs_of_line(weights), element = 4 / group;
  auto* lines = arena_.take<std::byte>(std::size_t(outputs) * inputs * element);
  auto* scale = arena_.take<float>(weights == Weights::int8 ? outputs : 0);
  auto* offset = arena_.take<std::int32_t>(weights == Weights::int8 ? outputs : 0);
  if (fill_)
    for (int o = 0; o < from.rows; ++o) {
      const float* row = from.data + std::size_t(o) * from.columns;
      const int n = output(o);
      float largest = 0.0f;
      for (int i = 0; i < from.columns; ++i)
        if (input(i) >= 0) largest = std::fmax(largest, std::fabs(row[i]));
      const float factor = largest > 0 ? 127.0f / largest : 0.0f;
      std::int32_t sum = 0;
      for (int i = 0; i < from.columns; ++i) {
        const int k = input(i);
        if (k < 0) continue;
        const std::size_t line = line_of(outputs / kPanel, inputs / group, n / kPanel, k / group);
        std::byte* to = lines + line * kLineBytes + (n % kPanel * group + k % group) * element;
        if (weights == Weights::fp32) {
          std::memcpy(to, &row[i], element);
        } else if (weights == Weights::bf16) {
          const std::uint16_t value = to_bf16(row[i]);
          std::memcpy(to, &value, element);
        } else {
          const auto value = static_cast<std::int8_t>(std::nearbyint(row[i] * factor));
          std::memcpy(to, &value, element);
          sum += value;
        }
      }
      if (weights == Weights::int8) {
        scale[n] = largest / 127.0f;
        offset[n] = 128 * sum;
      }
    }
  return {outputs, inputs, lines, scale, offset};
}

float* Packer::vector(const Dense& from, int count, const Place& place) {
  float* to = arena_.take<float>(count);
  if (fill_ && from.data)
    for (int i = 0; i < from.rows * from.columns; ++i) to[place(i)] = from.data[i];
  return to;
}

}  // namespace vocoder
