// What the race build remembers of accesses, and the order in which they came. Its own; see race.h.
#pragma once
#include <cstdint>

#include "race.h"
#include "worker.h"

namespace cinefuse::emulator::race {

// Time is counted in epochs, which every barrier and every block of this OS thread begins anew, and within
// one by each CUDA thread's clock, which its __syncwarps advance.
struct Access {
  uint32_t epoch;  // 0: never
  uint32_t clock;
  int32_t code;  // where in the program, as code_at() has it
  uint16_t thread;
  bool atomic;
};

// Of a word, or of one byte of a word whose bytes were ever accessed apart.
struct Cell {
  Access write;
  Access reads[2];  // of this epoch, two that nothing orders if there are such
  uint32_t warps;   // that have read in this epoch
  // Shared memory: the epoch in which a copy to here was started, 0 if none is under way. Device memory: the
  // epoch of a read by an earlier block of the launch, 0 if there was none.
  uint32_t marked;
};

struct Clocks {
  Clocks();
  uint32_t epoch = 1, first_of_block = 1, first_of_launch = 1;
  uint32_t seen[kMostThreads][32];     // the clock of lane l of t's warp as t knows it
  uint32_t fences[kMostThreads] = {};  // the epoch of each thread's last __threadfence
};
extern __thread Clocks* clocks CINEFUSE_FAST_TLS;

inline const char* const kAnchor = "";
inline int32_t code_at(const void* code) {
  return static_cast<int32_t>(static_cast<const char*>(code) - kAnchor);
}

inline Access access_now(const Thread& t, Kind kind, const void* code) {
  return {clocks->epoch, clocks->seen[t.linear][t.lane], code_at(code), static_cast<uint16_t>(t.linear),
          kind == Kind::kAtomic};
}

// Of an access in the same block: whether it comes before what `t` does now.
inline bool ordered(const Access& a, const Thread& t) {
  if (a.epoch != clocks->epoch || a.thread == t.linear) return true;
  return a.thread / 32 == t.warp && clocks->seen[t.linear][a.thread & 31] >= a.clock;
}

// Notes a read that conflicts with nothing.
inline void note_read(Cell& c, const Access& mine, const Thread& t) {
  Access &first = c.reads[0], &last = c.reads[1];
  if (last.epoch != mine.epoch) {
    first = last = mine;
    c.warps = 1u << t.warp;
    return;
  }
  c.warps |= 1u << t.warp;
  (ordered(last, t) || !ordered(first, t) ? last : first) = mine;
}

// A read of this epoch, and block, that a write of `t` now would conflict with; null if there is none.
inline const Access* conflicting_read(const Cell& c, const Thread& t) {
  if (c.reads[1].epoch != clocks->epoch) return nullptr;
  for (const Access& read : c.reads) {
    if (!ordered(read, t)) return &read;
  }
  return nullptr;
}

const char* name_of(Kind kind);

// Fails with the lines of the access and, if there is one, of the access before it.
[[noreturn]] void fail_at(const void* code, const Access* other, const char* pattern, ...)
    __attribute__((format(printf, 3, 4)));

// A launch begins: what earlier ones did is in the past, and there is device memory at these places.
void begin_global(const Block& b);

}  // namespace cinefuse::emulator::race
