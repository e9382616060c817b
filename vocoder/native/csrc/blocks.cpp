#include "blocks.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace vocoder {
namespace {

// Flush denormals (below 1e-38) to zero: a fading signal must not slow the processor down.
class FlushDenormals {
#if defined(__x86_64__)
 public:
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#endif
};

}  // namespace

void advance_all(Advance advance, const Network& net, std::vector<Row>& rows, std::int64_t steps,
                 int threads) {
  const int count = static_cast<int>(rows.size());
  if (!count || !steps) return;
  threads = std::clamp(threads, 1, count);
  const int fewest = (count + kMaxRows - 1) / kMaxRows;
  const int blocks = std::min(count, (fewest + threads - 1) / threads * threads);
  std::atomic<int> next{0};
  std::mutex guard;
  std::exception_ptr failure;
  const auto work = [&] {
    const FlushDenormals flush;
    for (int b; (b = next++) < blocks;) try {
        const int first = static_cast<int>(std::int64_t{count} * b / blocks);
        const int end = static_cast<int>(std::int64_t{count} * (b + 1) / blocks);
        advance(net, rows.data() + first, end - first, steps);
      } catch (...) {
        const std::lock_guard lock(guard);
        failure = std::current_exception();
      }
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < std::min(threads, blocks); ++i) helpers.emplace_back(work);
  work();
  helpers.clear();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace vocoder
