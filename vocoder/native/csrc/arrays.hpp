// Arrays from Python, checked before they are read.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "instruction_sets.hpp"

namespace vocoder {

namespace nb = nanobind;

using Readable = nb::ndarray<nb::ro>;
using Writable = nb::ndarray<>;
using Shape = std::vector<std::int64_t>;

inline std::string text(const Shape& shape) {
  std::string out = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + ")";
}

template <class T>
const char* type_name() {
  return std::is_same_v<T, float> ? "float32" : std::is_same_v<T, double> ? "float64" : "int64";
}

// The array's memory, after checking that it is a C-contiguous array of T on the CPU with the given
// shape. With `row_stride`, the first axis may have any stride, which is stored there.
template <class T, class Array>
auto* checked(const Array& array, const std::string& name, const Shape& shape,
              std::int64_t* row_stride = nullptr) {
  const auto refuse = [&](const std::string& found) {
    throw std::invalid_argument(name + " must be " + type_name<T>() + " " + text(shape) +
                                " in C order on the CPU: " + found);
  };
  if (array.device_type() != nb::device::cpu::value) refuse("it is on another device");
  if (array.dtype() != nb::dtype<T>()) refuse("its elements have another type");
  Shape found;
  for (std::size_t i = 0; i < array.ndim(); ++i)
    found.push_back(static_cast<std::int64_t>(array.shape(i)));
  if (found != shape) refuse("its shape is " + text(found));
  std::int64_t stride = 1;
  if (row_stride) *row_stride = found[0] > 1 ? array.stride(0) : 0;
  if (array.size())
    for (std::size_t i = found.size(); i-- > (row_stride ? 1u : 0u); stride *= found[i])
      if (found[i] > 1 && array.stride(i) != stride) refuse("it is not contiguous");
  if (row_stride && array.size() && found[0] > 1 && *row_stride < stride)
    refuse("its rows overlap");
  if constexpr (std::is_same_v<Array, Readable>)
    return static_cast<const T*>(array.data());
  else
    return static_cast<T*>(array.data());
}

template <class Array>
int size(const Array& array, std::size_t axis) {
  if (array.ndim() <= axis || array.shape(axis) > 1u << 30)
    throw std::invalid_argument("an array has too few dimensions or is too large");
  return static_cast<int>(array.shape(axis));
}

// Throws std::invalid_argument for an unknown name.
Weights weights_of(const std::string& name);

// Throws std::invalid_argument if this processor does not support it.
const InstructionSet& instruction_set_of(const std::string& name);

// The module's functions and classes besides the sample loop.
void bind_signals(nb::module_& m);
void bind_stack(nb::module_& m);

}  // namespace vocoder
