// The race build: the compiler reports every load and store of a kernel (-fsanitize=thread), but to the
// hooks below instead of ThreadSanitizer's library. Shadow cells remember who last wrote and read each word
// of shared memory, so that an access is a failure when it conflicts with one that no barrier or __syncwarp
// puts before it, when nothing of its block has written what it reads, when it lies outside the array, or
// when a cp_async may still be writing there. Itself compiled without instrumentation.
#if defined(CINEFUSE_RACE_CHECK)
#include "race.h"

#include <algorithm>
#include <array>
#include <memory>

#include "worker.h"

namespace cinefuse::emulator::race {

__thread uintptr_t shared_begin = 0;

namespace {

struct Access {
  uint32_t epoch;  // how many barriers came before, of all blocks of this OS thread; 0: never
  uint32_t clock;  // how many __syncwarp of its thread
  uint16_t thread;
  bool atomic;
  const void* code;
};

// Of a word, or of one byte of a word whose bytes were ever accessed apart.
struct Cell {
  Access write;
  Access reads[2];    // of this epoch, two that no barrier orders if there are
  uint32_t warps;     // that have read in this epoch
  uint32_t copying;   // the epoch in which a copy to here was started; 0: none under way
  uint32_t bytes_at;  // 1 + index of the cells of the bytes; 0: none
};

struct Shadow {
  std::array<Cell, kArena / 4> cells{};
  std::array<uint8_t, kArena / 16> owner{};  // 1 + index of the array; 0: a guard
  std::vector<std::array<Cell, 4>> bytes;
  // seen[t][l]: the clock of lane l of t's warp as t knows it.
  std::array<std::array<uint32_t, 32>, kMostThreads> seen;
  uint32_t epoch = 1, first_epoch = 1;  // now; when the block began

  Shadow() {
    for (unsigned t = 0; t < kMostThreads; ++t) {
      seen[t].fill(0);
      seen[t][t & 31] = 1;
    }
  }
};

__thread Shadow* shadow CINEFUSE_FAST_TLS = nullptr;

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

// Where an access lies, for messages.
struct Place {
  const SharedKey& key;
  size_t offset, bytes;
};

bool ordered(const Shadow& s, const Access& a, const Thread& t) {
  if (a.epoch != s.epoch || a.thread == t.linear) return true;
  return a.thread / 32 == t.warp && s.seen[t.linear][a.thread & 31] >= a.clock;
}

[[noreturn]] void fail_race(Kind kind, const Place& at, const Access& other, const char* what,
                            const void* code) {
  Block& b = block();
  b.fault_code[0] = code;
  b.fault_code[1] = other.code;
  const uint3 o = b.threads[other.thread].index;
  fail(
      "race: %s of %zu bytes at byte %zu of the shared array %s (%zu bytes), with no barrier since the %s by "
      "thread (%u, %u, %u)",
      name_of(kind), at.bytes, at.offset, at.key.name, at.key.bytes, what, o.x, o.y, o.z);
}

void check_cell(Shadow& s, Cell& c, Kind kind, const Place& at, const Thread& t, const void* code) {
  Block& b = block();
  if (c.copying >= s.first_epoch) {
    b.fault_code[0] = code;
    b.fault_code[1] = c.write.code;
    fail(
        "race: %s of %zu bytes at byte %zu of the shared array %s (%zu bytes) before the wait for the "
        "cp_async "
        "of thread %u to there",
        name_of(kind), at.bytes, at.offset, at.key.name, at.key.bytes, c.write.thread);
  }
  const bool writes = kind != Kind::kRead, atomic = kind == Kind::kAtomic;
  if ((!writes || atomic) && c.write.epoch < s.first_epoch) {
    b.fault_code[0] = code;
    fail(
        "uninitialised: %s of %zu bytes at byte %zu of the shared array %s (%zu bytes), which no thread of "
        "the "
        "block has written",
        name_of(kind), at.bytes, at.offset, at.key.name, at.key.bytes);
  }
  if (!(atomic && c.write.atomic) && !ordered(s, c.write, t)) {
    fail_race(kind, at, c.write, c.write.atomic ? "atomic access" : "write", code);
  }
  const Access mine{s.epoch, s.seen[t.linear][t.lane], static_cast<uint16_t>(t.linear), atomic, code};
  Access& first = c.reads[0];
  Access& last = c.reads[1];
  const bool was_read = last.epoch == s.epoch;
  if (!writes) {
    if (!was_read) {
      first = last = mine;
      c.warps = 1u << t.warp;
      return;
    }
    c.warps |= 1u << t.warp;
    (ordered(s, last, t) || !ordered(s, first, t) ? last : first) = mine;
    return;
  }
  if (was_read) {
    if (!ordered(s, first, t)) fail_race(kind, at, first, "read", code);
    if (!ordered(s, last, t)) fail_race(kind, at, last, "read", code);
    if (const uint32_t others = c.warps & ~(1u << t.warp)) {
      b.fault_code[0] = code;
      fail(
          "race: %s of %zu bytes at byte %zu of the shared array %s (%zu bytes), with no barrier since the "
          "read "
          "by warp %d",
          name_of(kind), at.bytes, at.offset, at.key.name, at.key.bytes, __builtin_ctz(others));
    }
    last.epoch = 0;
  }
  c.write = mine;
  c.copying = kind == Kind::kCopy ? s.epoch : 0;
}

// Calls body(cell) for every cell of an access; a word's bytes get cells of their own on first need.
template <class Body>
void each_cell(Shadow& s, uintptr_t offset, size_t bytes, Body&& body) {
  for (uintptr_t end = offset + bytes; offset < end;) {
    Cell& word = s.cells[offset / 4];
    const bool whole = offset % 4 == 0 && end - offset >= 4;
    if (whole && !word.bytes_at) {
      body(word);
      offset += 4;
      continue;
    }
    if (!word.bytes_at) {
      s.bytes.push_back({word, word, word, word});
      word.bytes_at = static_cast<uint32_t>(s.bytes.size());
    }
    const uintptr_t stop = std::min(end, (offset / 4 + 1) * 4);
    for (; offset < stop; ++offset) body(s.bytes[word.bytes_at - 1][offset % 4]);
  }
}

[[noreturn]] void fail_bounds(const Block& b, Kind kind, uintptr_t at, size_t bytes, const void* code) {
  block().fault_code[0] = code;
  // The nearest array that begins before it, else the first.
  const SharedArray* nearest = &b.arrays[0];
  for (unsigned i = 0; i < b.n_arrays; ++i) {
    if (reinterpret_cast<uintptr_t>(b.arrays[i].memory) <= at) nearest = &b.arrays[i];
  }
  fail("out of bounds: %s of %zu bytes at byte %td of the shared array %s (%zu bytes)", name_of(kind), bytes,
       static_cast<ptrdiff_t>(at - reinterpret_cast<uintptr_t>(nearest->memory)), nearest->key->name,
       nearest->key->bytes);
}

}  // namespace

void begin_launch(Block& b) {
  static thread_local std::unique_ptr<Shadow> mine;
  if (!mine) mine.reset(new Shadow);
  shadow = mine.get();
  shared_begin = reinterpret_cast<uintptr_t>(b.worker->arena);
  shadow->owner.fill(0);
  shadow->bytes.clear();
}

void begin_block(Block& b) {
  shadow->first_epoch = ++shadow->epoch;
  b.fault_code[0] = b.fault_code[1] = nullptr;
}

void add_array(Block& b, const SharedKey& key, unsigned char* memory) {
  const size_t offset = static_cast<size_t>(memory - b.worker->arena);
  std::fill_n(shadow->cells.begin() + offset / 4, (key.bytes + 3) / 4, Cell{});
  std::fill_n(shadow->owner.begin() + offset / 16, (key.bytes + 15) / 16, static_cast<uint8_t>(b.n_arrays));
}

void barrier(Block&) { ++shadow->epoch; }

void sync_warp(Block&, unsigned warp, unsigned mask) {
  std::array<uint32_t, 32> joined{};
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    const auto& row = shadow->seen[warp * 32 + __builtin_ctz(rest)];
    for (unsigned l = 0; l < 32; ++l) joined[l] = std::max(joined[l], row[l]);
  }
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    const unsigned lane = __builtin_ctz(rest);
    auto& row = shadow->seen[warp * 32 + lane];
    row = joined;
    ++row[lane];
  }
}

void access_shared(const void* p, size_t bytes, Kind kind, const void* code) {
  Shadow& s = *shadow;
  const Block* const b = running_block;
  if (!b || !b->current) return;
  const uintptr_t at = reinterpret_cast<uintptr_t>(p), offset = at - shared_begin;
  const unsigned owner = s.owner[offset / 16];
  if (owner == 0) fail_bounds(*b, kind, at, bytes, code);
  const SharedArray& array = b->arrays[owner - 1];
  const size_t from = at - reinterpret_cast<uintptr_t>(array.memory);
  if (from + bytes > array.key->bytes) fail_bounds(*b, kind, at, bytes, code);
  const Place place{*array.key, from, bytes};
  each_cell(s, offset, bytes, [&](Cell& cell) { check_cell(s, cell, kind, place, *b->current, code); });
}

void copy_started(void* to, size_t bytes, const void* code) {
  // Elsewhere than in shared memory it would not work on a GPU.
  if (reinterpret_cast<uintptr_t>(to) - shared_begin >= kArena) {
    block().fault_code[0] = code;
    fail("out of bounds: a cp_async of %zu bytes to what is not shared memory", bytes);
  }
  access_shared(to, bytes, Kind::kCopy, code);
}

void copy_finished(void* to, size_t bytes) {
  Shadow& s = *shadow;
  const Thread& t = thread();
  each_cell(s, reinterpret_cast<uintptr_t>(to) - shared_begin, bytes, [&](Cell& cell) {
    cell.copying = 0;
    cell.write.epoch = s.epoch;
    cell.write.clock = s.seen[t.linear][t.lane];
  });
}

}  // namespace cinefuse::emulator::race
#endif
