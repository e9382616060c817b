#include "instruction_sets.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace vocoder {
namespace {

bool always() { return true; }

#if defined(__x86_64__)

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512_dot() {
  return has_avx512() && __builtin_cpu_supports("avx512bf16") &&
         __builtin_cpu_supports("avx512vnni");
}

// AMX tiles also need permission from the kernel.
bool find_amx() {
#if defined(__linux__)
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  unsigned a, b, c, d;
  if (!has_avx512_dot() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  if ((d & (kBf16 | kTile | kInt8)) != (kBf16 | kTile | kInt8)) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// Determined once: on a virtual machine CPUID can take microseconds.
bool has_amx() {
  static const bool found = find_amx();
  return found;
}

#endif

}  // namespace

const std::vector<InstructionSet>& instruction_sets() {
  static const std::vector<InstructionSet> sets = {
#if defined(__x86_64__)
      {"amx", has_amx, advance_amx, signals_amx},
      {"avx512_dot", has_avx512_dot, advance_avx512_dot, signals_avx512},
      {"avx512", has_avx512, advance_avx512, signals_avx512},
      {"avx2", has_avx2, advance_avx2, signals_avx2},
      {"baseline", always, advance_baseline, signals_baseline},
#elif defined(__aarch64__)
      {"neon", always, advance_baseline, signals_baseline},
#else
      {"baseline", always, advance_baseline, signals_baseline},
#endif
  };
  return sets;
}

}  // namespace vocoder
