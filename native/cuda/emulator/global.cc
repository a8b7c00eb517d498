// Device memory in the race build: an access is a failure when it lies in no block of device memory (the
// host's memory, or beyond the end), when it conflicts with another of its block that nothing puts before it,
// and when it conflicts with another block's. Blocks of a launch are in no order, but for what one wrote
// before a barrier, a __threadfence and an atomic, and the other reads after an atomic on the same address.
#if defined(CINEFUSE_RACE_CHECK)
#include <link.h>

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime.h"
#include "shadow.h"

namespace cinefuse::emulator::race {

namespace {

constexpr size_t kPage = 4096;

struct Page {
  Cell words[kPage / 4]{};
  bool split[kPage / 4]{};  // whose bytes have cells of their own
  std::unique_ptr<Cell[]> bytes;
};

struct Range {
  uintptr_t begin, end;
};

// An atomic after a fence: what came before the fence is published with it.
struct Release {
  const void* at;
  uint32_t first_of_block, epoch, thread;
};
// An atomic that sees the releases at its address among the first `count`.
struct Acquire {
  const void* at;
  size_t count;
  uint32_t epoch, thread;
};

struct Memory {
  std::vector<Range> live;  // by address
  Range last{};
  std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages;
  struct {
    uintptr_t number = 0;
    Page* page = nullptr;
  } recent[64];
  struct Begun {
    uint32_t epoch;
    uint3 index;
  };
  std::vector<Begun> blocks;  // of this launch, by their first epoch
  std::vector<Release> releases;
  std::vector<Acquire> acquires;  // of this block

  Page& page(uintptr_t number) {
    auto& slot = recent[number % 64];
    if (slot.page && slot.number == number) return *slot.page;
    std::unique_ptr<Page>& found = pages[number];
    if (!found) found.reset(new Page);
    slot = {number, found.get()};
    return *found;
  }
  bool holds(uintptr_t at, size_t bytes) {
    if (at >= last.begin && at + bytes <= last.end) return true;
    auto next = std::upper_bound(live.begin(), live.end(), at,
                                 [](uintptr_t value, const Range& range) { return value < range.begin; });
    if (next == live.begin()) return false;
    last = *--next;
    return at + bytes <= last.end;
  }
};
__thread Memory* memory CINEFUSE_FAST_TLS = nullptr;

// The program's own image: tables that kernels share with it.
Range image() {
  static const Range range = [] {
    Range found{};
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* out) {
          Range whole{~uintptr_t{0}, 0};
          for (int i = 0; i < info->dlpi_phnum; ++i) {
            if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
            const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            whole = {std::min(whole.begin, begin), std::max(whole.end, begin + info->dlpi_phdr[i].p_memsz)};
          }
          const auto here = reinterpret_cast<uintptr_t>(kAnchor);
          if (here < whole.begin || here >= whole.end) return 0;
          *static_cast<Range*>(out) = whole;
          return 1;
        },
        &found);
    return found;
  }();
  return range;
}

// Of an access of an earlier block: whether fences and atomics put it before what `t` does now.
bool published(uint32_t epoch, unsigned thread, const Thread& t) {
  const Memory& m = *memory;
  for (const Acquire& a : m.acquires) {
    if (a.epoch == clocks->epoch && a.thread != t.linear) continue;
    for (size_t i = 0; i < a.count; ++i) {
      const Release& r = m.releases[i];
      if (r.at != a.at || epoch < r.first_of_block || epoch > r.epoch) continue;
      if (epoch < r.epoch || thread == r.thread) return true;
    }
  }
  return false;
}

uint3 block_of(uint32_t epoch) {
  const auto& blocks = memory->blocks;
  const auto next = std::upper_bound(blocks.begin(), blocks.end(), epoch,
                                     [](uint32_t value, const Memory::Begun& b) { return value < b.epoch; });
  return next == blocks.begin() ? uint3{} : (next - 1)->index;
}

struct Place {
  uintptr_t at;
  size_t bytes;
};

[[noreturn]] void fail_in_block(Kind kind, const Place& at, const Access& other, const char* what,
                                const void* code) {
  const Range r = memory->last;
  const uint3 o = block().threads[other.thread].index;
  fail_at(code, &other,
          "race: %s of %zu bytes at byte %zu of a block of device memory (%zu bytes), with no barrier since "
          "the %s "
          "by thread (%u, %u, %u)",
          name_of(kind), at.bytes, at.at - r.begin, r.end - r.begin, what, o.x, o.y, o.z);
}
[[noreturn]] void fail_across(Kind kind, const Place& at, uint32_t epoch, const Access* other,
                              const char* what, const void* code) {
  const Range r = memory->last;
  const uint3 o = block_of(epoch);
  fail_at(code, other,
          "race: %s of %zu bytes at byte %zu of a block of device memory (%zu bytes), and a %s by block "
          "(%u, %u, %u), which is in no order with this one",
          name_of(kind), at.bytes, at.at - r.begin, r.end - r.begin, what, o.x, o.y, o.z);
}

void check_cell(Cell& c, Kind kind, const Place& at, const Thread& t, const void* code) {
  const bool writes = kind != Kind::kRead, atomic = kind == Kind::kAtomic;
  const uint32_t first = clocks->first_of_block;
  const auto earlier_block = [&](uint32_t epoch) {
    return epoch >= clocks->first_of_launch && epoch < first;
  };
  if (!(atomic && c.write.atomic)) {
    const char* const what = c.write.atomic ? "atomic access" : "write";
    if (!ordered(c.write, t)) fail_in_block(kind, at, c.write, what, code);
    if (earlier_block(c.write.epoch) && !published(c.write.epoch, c.write.thread, t)) {
      fail_across(kind, at, c.write.epoch, &c.write, what, code);
    }
  }
  const Access mine = access_now(t, kind, code);
  Access& last = c.reads[1];
  if (!writes) {
    if (earlier_block(last.epoch) && c.marked < clocks->first_of_launch) c.marked = last.epoch;
    return note_read(c, mine, t);
  }
  if (const Access* read = conflicting_read(c, t)) fail_in_block(kind, at, *read, "read", code);
  if (last.epoch == clocks->epoch && (c.warps & ~(1u << t.warp))) {
    fail_in_block(kind, at, last, "read", code);
  }
  if (earlier_block(last.epoch) && !published(last.epoch, last.thread, t)) {
    fail_across(kind, at, last.epoch, &last, "read", code);
  }
  if (earlier_block(c.marked) && !published(c.marked, kMostThreads, t)) {
    fail_across(kind, at, c.marked, nullptr, "read", code);
  }
  last.epoch = 0;
  c.marked = 0;
  c.write = mine;
}

// An atomic may order blocks after each other.
void note_atomic(const void* p) {
  Memory& m = *memory;
  const Thread& t = thread();
  m.acquires.push_back({p, m.releases.size(), clocks->epoch, t.linear});
  const uint32_t fence = clocks->fences[t.linear];
  if (fence >= clocks->first_of_block) m.releases.push_back({p, clocks->first_of_block, fence, t.linear});
}

}  // namespace

void begin_global(const Block&) {
  static thread_local std::unique_ptr<Memory> mine;
  if (!mine) mine.reset(new Memory);
  memory = mine.get();
  Memory& m = *memory;
  m.live.clear();
  m.last = {};
  m.blocks.clear();
  m.releases.clear();
  m.acquires.clear();
  constexpr size_t kMostPages = 2048;
  if (m.pages.size() > kMostPages) {
    m.pages.clear();
    for (auto& slot : m.recent) slot = {};
  }
  Machine& device = machine();
  const std::lock_guard<std::mutex> lock(device.mutex);
  for (const auto& block : device.allocations) {
    const auto begin = reinterpret_cast<uintptr_t>(block.first);
    m.live.push_back({begin, begin + block.second});
  }
  std::sort(m.live.begin(), m.live.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
}

void access_global(const void* p, size_t bytes, Kind kind, const void* code) {
  const Block& b = block();
  Memory& m = *memory;
  const auto at = reinterpret_cast<uintptr_t>(p);
  if (m.blocks.empty() || m.blocks.back().epoch != clocks->first_of_block) {
    m.blocks.push_back({clocks->first_of_block, b.index});
    m.acquires.clear();
  }
  if (!m.holds(at, bytes)) {
    const Range own = image();
    if (kind == Kind::kRead && at >= own.begin && at < own.end) return;
    if (m.last.begin && at >= m.last.begin && at < m.last.end + 256) {
      fail_at(code, nullptr,
              "out of bounds: %s of %zu bytes at byte %zu of a block of device memory (%zu bytes)",
              name_of(kind), bytes, at - m.last.begin, m.last.end - m.last.begin);
    }
    fail_at(code, nullptr, "out of bounds: %s of %zu bytes at %p, which is no device memory", name_of(kind),
            bytes, p);
  }
  const Place place{at, bytes};
  if (kind == Kind::kAtomic) note_atomic(p);
  for (uintptr_t byte = at, end = at + bytes; byte < end;) {
    Page& page = m.page(byte / kPage);
    const size_t word = byte % kPage / 4;
    if (byte % 4 == 0 && end - byte >= 4 && !page.split[word]) {
      check_cell(page.words[word], kind, place, *b.current, code);
      byte += 4;
      continue;
    }
    if (!page.bytes) page.bytes.reset(new Cell[kPage]());
    if (!page.split[word]) {
      std::fill_n(&page.bytes[word * 4], 4, page.words[word]);
      page.split[word] = true;
    }
    check_cell(page.bytes[byte % kPage], kind, place, *b.current, code);
    ++byte;
  }
}

}  // namespace cinefuse::emulator::race
#endif
