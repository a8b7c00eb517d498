// The race build: the compiler reports every load and store of a kernel (-fsanitize=thread), but to hooks.cc
// instead of ThreadSanitizer's library. Shadow cells remember who last wrote and read each word of shared
// memory, so that an access is a failure when it conflicts with one that no barrier or __syncwarp puts before
// it, when nothing of its block has written what it reads, when it lies outside the array, or when a cp_async
// may still be writing there. global.cc does the like for device memory. Compiled without instrumentation.
#if defined(CINEFUSE_RACE_CHECK)
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <vector>

#include "shadow.h"

namespace cinefuse::emulator::race {

__thread Clocks* clocks = nullptr;

Clocks::Clocks() {
  for (unsigned t = 0; t < kMostThreads; ++t) {
    std::fill_n(seen[t], 32, 0u);
    seen[t][t & 31] = 1;
  }
}

namespace {

struct SharedCell : Cell {
  uint32_t bytes_at;  // 1 + index of the cells of the bytes; 0: none
};

struct Shadow {
  SharedCell cells[kArena / 4]{};
  uint8_t owner[kArena / 16]{};  // 1 + index of the array; 0: a guard
  struct Bytes {
    Cell of[4];
  };
  std::vector<Bytes> bytes;
  Clocks clocks;
};
__thread Shadow* shadow CINEFUSE_FAST_TLS = nullptr;

// Where an access lies, for messages.
struct Place {
  const SharedKey& key;
  size_t offset, bytes;
};

[[noreturn]] void fail_race(Kind kind, const Place& at, const Access& other, const char* what,
                            const void* code) {
  const uint3 o = block().threads[other.thread].index;
  fail_at(
      code, &other,
      "race: %s of %zu bytes at byte %zu of the shared array %s (%zu bytes), with no barrier since the %s by "
      "thread (%u, %u, %u)",
      name_of(kind), at.bytes, at.offset, at.key.name, at.key.bytes, what, o.x, o.y, o.z);
}

void check_cell(Cell& c, Kind kind, const Place& at, const Thread& t, const void* code) {
  if (c.marked >= clocks->first_of_block) {
    fail_at(
        code, &c.write,
        "race: %s of %zu bytes at byte %zu of the shared array %s (%zu bytes), where a cp_async of thread %u "
        "that was not waited for may still be writing",
        name_of(kind), at.bytes, at.offset, at.key.name, at.key.bytes, c.write.thread);
  }
  const bool writes = kind != Kind::kRead, atomic = kind == Kind::kAtomic;
  if ((!writes || atomic) && c.write.epoch < clocks->first_of_block) {
    fail_at(
        code, nullptr,
        "uninitialised: %s of %zu bytes at byte %zu of the shared array %s (%zu bytes), which no thread of "
        "the block has written before",
        name_of(kind), at.bytes, at.offset, at.key.name, at.key.bytes);
  }
  if (!(atomic && c.write.atomic) && !ordered(c.write, t)) {
    fail_race(kind, at, c.write, c.write.atomic ? "atomic access" : "write", code);
  }
  const Access mine = access_now(t, kind, code);
  if (!writes) return note_read(c, mine, t);
  if (const Access* read = conflicting_read(c, t)) fail_race(kind, at, *read, "read", code);
  if (c.reads[1].epoch == clocks->epoch && (c.warps & ~(1u << t.warp))) {
    fail_at(
        code, nullptr,
        "race: %s of %zu bytes at byte %zu of the shared array %s (%zu bytes), with no barrier since a read "
        "by another warp",
        name_of(kind), at.bytes, at.offset, at.key.name, at.key.bytes);
  }
  c.reads[1].epoch = 0;
  c.write = mine;
  c.marked = kind == Kind::kCopy ? clocks->epoch : 0;
}

// Calls body(cell) for every cell of an access; a word's bytes get cells of their own on first need.
template <class Body>
void each_cell(uintptr_t offset, size_t bytes, Body&& body) {
  Shadow& s = *shadow;
  for (uintptr_t end = offset + bytes; offset < end;) {
    SharedCell& word = s.cells[offset / 4];
    const bool whole = offset % 4 == 0 && end - offset >= 4;
    if (whole && !word.bytes_at) {
      body(word);
      offset += 4;
      continue;
    }
    if (!word.bytes_at) {
      s.bytes.push_back({{word, word, word, word}});
      word.bytes_at = static_cast<uint32_t>(s.bytes.size());
    }
    const uintptr_t stop = std::min(end, (offset / 4 + 1) * 4);
    for (; offset < stop; ++offset) body(s.bytes[word.bytes_at - 1].of[offset % 4]);
  }
}

[[noreturn]] void fail_bounds(const Block& b, Kind kind, const unsigned char* at, size_t bytes,
                              const void* code) {
  // The nearest array that begins before it, else the first.
  const SharedArray* nearest = &b.arrays[0];
  for (unsigned i = 0; i < b.n_arrays; ++i) {
    if (b.arrays[i].memory <= at) nearest = &b.arrays[i];
  }
  fail_at(code, nullptr, "out of bounds: %s of %zu bytes at byte %td of the shared array %s (%zu bytes)",
          name_of(kind), bytes, at - nearest->memory, nearest->key->name, nearest->key->bytes);
}

}  // namespace

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kRead:
      return "read";
    case Kind::kWrite:
      return "write";
    case Kind::kAtomic:
      return "atomic access";
    default:
      return "cp_async";
  }
}

void fail_at(const void* code, const Access* other, const char* pattern, ...) {
  Block& b = block();
  b.fault_code[0] = code;
  if (other) b.fault_code[1] = kAnchor + other->code;
  char text[1024];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text, sizeof text, pattern, arguments);
  va_end(arguments);
  fail("%s", text);
}

void fail_misaligned(size_t bytes, Kind kind, const void* code) {
  fail_at(code, nullptr, "misaligned access: %s of %zu bytes", name_of(kind), bytes);
}

void access_shared(const void* p, size_t bytes, Kind kind, const void* code) {
  const Block& b = block();
  const auto* const at = static_cast<const unsigned char*>(p);
  const size_t offset = static_cast<size_t>(at - b.worker->arena);
  const unsigned owner = shadow->owner[offset / 16];
  if (owner == 0) fail_bounds(b, kind, at, bytes, code);
  const SharedArray& array = b.arrays[owner - 1];
  const size_t from = static_cast<size_t>(at - array.memory);
  if (from + bytes > array.key->bytes) fail_bounds(b, kind, at, bytes, code);
  const Place place{*array.key, from, bytes};
  each_cell(offset, bytes, [&](Cell& cell) { check_cell(cell, kind, place, *b.current, code); });
}

void begin_launch(Block& b) {
  static thread_local std::unique_ptr<Shadow> mine;
  if (!mine) mine.reset(new Shadow);
  shadow = mine.get();
  clocks = &shadow->clocks;
  clocks->first_of_launch = ++clocks->epoch;
  std::fill_n(shadow->owner, kArena / 16, uint8_t{0});
  shadow->bytes.clear();
  begin_global(b);
}

void begin_block(Block& b) {
  clocks->first_of_block = ++clocks->epoch;
  b.fault_code[0] = b.fault_code[1] = nullptr;
}

void add_array(Block& b, const SharedKey& key, unsigned char* memory) {
  const size_t offset = static_cast<size_t>(memory - b.worker->arena);
  std::fill_n(shadow->cells + offset / 4, (key.bytes + 3) / 4, SharedCell{});
  std::fill_n(shadow->owner + offset / 16, (key.bytes + 15) / 16, static_cast<uint8_t>(b.n_arrays));
}

void barrier(Block&) { ++clocks->epoch; }

void sync_warp(Block&, unsigned warp, unsigned mask) {
  uint32_t joined[32] = {};
  auto* const rows = clocks->seen + warp * 32;
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    const uint32_t* const row = rows[__builtin_ctz(rest)];
    for (unsigned l = 0; l < 32; ++l) joined[l] = std::max(joined[l], row[l]);
  }
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    const unsigned lane = static_cast<unsigned>(__builtin_ctz(rest));
    std::copy_n(joined, 32, rows[lane]);
    ++rows[lane][lane];
  }
}

void fence() {
  if (running_block) clocks->fences[thread().linear] = clocks->epoch;
}

void copy_started(void* to, size_t bytes, const void* code) {
  const auto* const at = static_cast<const unsigned char*>(to);
  const Worker& w = *block().worker;
  if (at < w.arena || at >= w.arena + kArena) {
    fail_at(code, nullptr, "out of bounds: a cp_async of %zu bytes to what is not shared memory", bytes);
  }
  access_shared(to, bytes, Kind::kCopy, code);
}

void copy_finished(void* to, size_t bytes) {
  const Thread& t = thread();
  const auto* const at = static_cast<const unsigned char*>(to);
  each_cell(static_cast<size_t>(at - block().worker->arena), bytes, [&](Cell& cell) {
    cell.marked = 0;
    cell.write.epoch = clocks->epoch;
    cell.write.clock = clocks->seen[t.linear][t.lane];
  });
}

}  // namespace cinefuse::emulator::race
#endif
