#include "pages.h"

#include <algorithm>
#include <cstdint>

#include "pool.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; older ones refuse it, and the pages come by faults
#endif
#endif

namespace cinefuse {

#if defined(__linux__)
namespace {

constexpr uintptr_t kHuge = uintptr_t{2} << 20;
constexpr size_t kLeast = size_t{256} << 10;  // below it the system calls cost what they save

bool is_there(uintptr_t page_at, size_t page) {
  unsigned char resident = 1;
  return mincore(reinterpret_cast<void*>(page_at / page * page), page, &resident) != 0 || (resident & 1);
}

}  // namespace

void fetch_pages(void* memory, size_t bytes, const Exec& exec) {
  if (bytes < kLeast) return;
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  // Whole pages only: what lies beside the memory is somebody else's.
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
  // An allocator hands out used memory too, whole or in part, and going over that would cost as much again.
  const uintptr_t quarter = (end - begin) / 4;
  if (is_there(begin + quarter, page) && is_there(begin + 2 * quarter, page) &&
      is_there(begin + 3 * quarter, page)) {
    return;
  }
  const uintptr_t huge_begin = (begin + kHuge - 1) / kHuge * kHuge, huge_end = end / kHuge * kHuge;
  if (huge_begin < huge_end) {
    madvise(reinterpret_cast<void*>(huge_begin), huge_end - huge_begin, MADV_HUGEPAGE);
  }
  const uintptr_t first = begin / kHuge, blocks = (end - 1) / kHuge - first + 1;
  parallel_for(exec, static_cast<int>(blocks), [&](int i) {
    const uintptr_t from = std::max(begin, (first + i) * kHuge);
    const uintptr_t to = std::min(end, (first + i + 1) * kHuge);
    madvise(reinterpret_cast<void*>(from), to - from, MADV_POPULATE_WRITE);
  });
}
#else
void fetch_pages(void*, size_t, const Exec&) {}
#endif

}  // namespace cinefuse
