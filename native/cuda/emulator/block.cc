#include "block.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "race.h"
#include "worker.h"

namespace cinefuse::emulator {

__thread Block* running_block = nullptr;

namespace {

void describe(Block& b, const char* pattern, va_list arguments) {
  const Launch& launch = *b.launch;
  const char* name = launch.kernel;
  size_t length = std::strlen(name);
  if (length > 1 && name[0] == '(' && name[length - 1] == ')') ++name, length -= 2;
  int used =
      std::snprintf(b.message, sizeof b.message, "emulator: %.*s, block (%u, %u, %u)",
                    static_cast<int>(std::min<size_t>(length, 200)), name, b.index.x, b.index.y, b.index.z);
  if (b.current) {
    const uint3 t = b.current->index;
    used += std::snprintf(b.message + used, sizeof b.message - used, ", thread (%u, %u, %u)", t.x, t.y, t.z);
  }
  used += std::snprintf(b.message + used, sizeof b.message - used, ": ");
  std::vsnprintf(b.message + used, sizeof b.message - used, pattern, arguments);
  b.failed = true;
}

// The next thread that may run, or null.
Thread* pick(Block& b) {
  if (!b.ready_warps) return nullptr;
  unsigned lane;
  if (b.order == Block::Order::kRandom) {
    const auto any_bit = [&b](unsigned mask) {
      b.random ^= b.random << 13, b.random ^= b.random >> 7, b.random ^= b.random << 17;
      unsigned skip = static_cast<unsigned>(b.random >> 32) % static_cast<unsigned>(__builtin_popcount(mask));
      while (skip--) mask &= mask - 1;
      return static_cast<unsigned>(__builtin_ctz(mask));
    };
    b.warp = any_bit(b.ready_warps);
    lane = any_bit(b.ready[b.warp]);
  } else {
    // Warp by warp, since the stacks of few threads stay in the cache.
    const bool forward = b.order == Block::Order::kForward;
    const auto next_bit = [forward](unsigned mask) {
      return static_cast<unsigned>(forward ? __builtin_ctz(mask) : 31 - __builtin_clz(mask));
    };
    if (!b.ready[b.warp]) b.warp = next_bit(b.ready_warps);
    lane = next_bit(b.ready[b.warp]);
  }
  b.ready[b.warp] &= ~(1u << lane);
  if (!b.ready[b.warp]) b.ready_warps &= ~(1u << b.warp);
  return b.threads + b.warp * 32 + lane;
}

void fiber_entry();

// From `self` to `next`; a null pointer stands for the loop of run_block. `last`: self never goes on.
void switch_threads(Worker& w, Thread* self, Thread* next, bool last = false) {
  Block& b = w.block;
  if (next && !next->started) {
    next->started = true;
    next->stack = w.free_stacks[--w.n_free];
    make_fiber(next->context, w.stacks, next->stack, fiber_entry);
  }
  b.current = next;
  if (!self) w.from_main = true;
#if CINEFUSE_EMULATED_ASAN
  void** const fake = self ? &self->asan_stack : &w.main_asan_stack;
  __sanitizer_start_switch_fiber(last ? nullptr : fake, next ? w.stacks.stack(next->stack) : w.main_stack,
                                 next ? Stacks::kEach : w.main_stack_bytes);
#endif
  (void)last;
  switch_context(self ? self->context : w.main, next ? next->context : w.main);
#if CINEFUSE_EMULATED_ASAN
  const void* bottom = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(*fake, &bottom, &bytes);
  if (self && w.from_main) w.main_stack = bottom, w.main_stack_bytes = bytes;
#endif
  w.from_main = false;
}

#if defined(__clang__)
__attribute__((no_sanitize("address")))
#else
[[gnu::no_sanitize_address]]
#endif
void fiber_entry() {
  Block& b = *running_block;
  Worker& w = *b.worker;
#if CINEFUSE_EMULATED_ASAN
  const void* bottom = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  if (w.from_main) w.main_stack = bottom, w.main_stack_bytes = bytes;
#endif
  w.from_main = false;
  for (;;) {
    Thread* const t = b.current;
    try {
      b.launch->run(b.launch->context);
    } catch (const std::exception& error) {
      fail("%s", error.what());
    }
    b.returned[t->warp] |= 1u << t->lane;
    ++b.done;
    Thread* const next = pick(b);
    if (next && !next->started) {
      next->started = true;  // on this very stack
      next->stack = t->stack;
      b.current = next;
      continue;
    }
    w.free_stacks[w.n_free++] = t->stack;
    switch_threads(w, t, next, true);
  }
}

void suspend(Block& b) { switch_threads(*b.worker, b.current, pick(b)); }

bool same(Site a, Site b) { return a.line == b.line && (a.file == b.file || !std::strcmp(a.file, b.file)); }

// Nobody can run, not all are done.
[[noreturn]] void fail_stuck(const Block& b) {
  for (unsigned i = 0; i < b.n; ++i) {
    const Thread& t = b.threads[i];
    if (!(b.waiting[t.warp] >> t.lane & 1)) continue;
    const unsigned back = b.returned[t.warp] & t.mask;
    if (back) {
      fail(
          "deadlock: the warp collective of thread %u at %s:%d waits for lane %d of its mask, which has "
          "returned",
          i, t.site.file, t.site.line, __builtin_ctz(back));
    }
    fail(
        "deadlock: the warp collective of thread %u at %s:%d never gets all lanes of its mask; %u threads "
        "wait in __syncthreads",
        i, t.site.file, t.site.line, b.at_barrier);
  }
  fail(
      "barrier divergence: %u threads wait in __syncthreads at %s:%d while %u of the block's threads have "
      "returned",
      b.at_barrier, b.barrier_site.file, b.barrier_site.line, b.done);
}

}  // namespace

void fail(const char* pattern, ...) {
  Block& b = *running_block;
  va_list arguments;
  va_start(arguments, pattern);
  describe(b, pattern, arguments);
  va_end(arguments);
  if (!b.current) throw std::runtime_error(b.message);
  switch_threads(*b.worker, b.current, nullptr, true);  // what lies on the stack is dropped with it
  std::abort();                                         // not reached
}

void barrier(Site site) {
  Block& b = block();
  if (b.done) {
    fail("barrier divergence: __syncthreads at %s:%d, while %u of the block's threads have returned",
         site.file, site.line, b.done);
  }
  if (b.at_barrier == 0) {
    b.barrier_site = site;
  } else if (!same(site, b.barrier_site)) {
    fail("barrier divergence: this thread comes to __syncthreads at %s:%d, others wait at %s:%d", site.file,
         site.line, b.barrier_site.file, b.barrier_site.line);
  }
  if (++b.at_barrier < b.n) return suspend(b);
  b.at_barrier = 0;
  race::barrier(b);
  for (unsigned w = 0; w * 32 < b.n; ++w) {
    b.ready[w] = b.lanes[w];
    b.ready_warps |= 1u << w;
  }
  const Thread& t = *b.current;  // goes on at once
  b.ready[t.warp] &= ~(1u << t.lane);
  if (!b.ready[t.warp]) b.ready_warps &= ~(1u << t.warp);
}

uint64_t collect(Collective op, unsigned mask, uint64_t value, int source, Site site, MatrixProduct product) {
  Block& b = block();
  Thread& t = *b.current;
  const unsigned w = t.warp, mine = 1u << t.lane, lanes = mask & b.lanes[w];
  Thread* const warp = b.threads + w * 32;
  if (!(mask & mine)) {
    fail("warp collective at %s:%d: the calling lane %u is not in its mask 0x%08x", site.file, site.line,
         t.lane, mask);
  }
  if (const unsigned back = b.returned[w] & lanes) {
    fail("warp collective at %s:%d: lane %d of its mask has returned", site.file, site.line,
         __builtin_ctz(back));
  }
  t.collective = op;
  t.mask = mask;
  t.value = value;
  t.source = source;
  t.site = site;
  const auto require_match = [&](const Thread& other) {
    if (other.collective == op && other.mask == mask && same(other.site, site)) return;
    fail(
        "warp divergence: this thread comes to a warp collective with mask 0x%08x at %s:%d, lane %u of it "
        "waits with mask 0x%08x at %s:%d",
        mask, site.file, site.line, other.lane, other.mask, other.site.file, other.site.line);
  };
  if (const unsigned others = b.waiting[w] & lanes) require_match(warp[__builtin_ctz(others)]);
  b.waiting[w] |= mine;
  if ((b.waiting[w] & lanes) != lanes) {
    suspend(b);
    return t.result;
  }
  unsigned ballot = 0;
  for (unsigned rest = lanes; rest; rest &= rest - 1) {
    const Thread& other = warp[__builtin_ctz(rest)];
    require_match(other);
    if (other.value) ballot |= 1u << other.lane;
  }
  switch (op) {
    case Collective::kMatrix: {
      if (lanes != 0xffffffffu) fail("a matrix product at %s:%d needs a whole warp", site.file, site.line);
      void* arguments[32];
      for (unsigned l = 0; l < 32; ++l) arguments[l] = reinterpret_cast<void*>(warp[l].value);
      product(arguments);
      break;
    }
    case Collective::kShuffle:
      for (unsigned rest = lanes; rest; rest &= rest - 1) {
        Thread& other = warp[__builtin_ctz(rest)];
        if (!(lanes >> other.source & 1)) {
          fail("shuffle at %s:%d: lane %u reads lane %d, which is not in the mask 0x%08x or not in the block",
               site.file, site.line, other.lane, other.source, mask);
        }
        other.result = warp[other.source].value;
      }
      break;
    default: {
      if (op == Collective::kSync) race::sync_warp(b, w, lanes);
      const uint64_t result = op == Collective::kAny   ? ballot != 0
                              : op == Collective::kAll ? ballot == lanes
                                                       : ballot;
      for (unsigned rest = lanes; rest; rest &= rest - 1) warp[__builtin_ctz(rest)].result = result;
    }
  }
  b.waiting[w] &= ~lanes;
  b.ready[w] |= lanes & ~mine;
  if (b.ready[w]) b.ready_warps |= 1u << w;
  return t.result;
}

void run_block(Worker& w) {
  Block& b = w.block;
  const unsigned warps = (b.n + 31) / 32;
  b.current = nullptr;
  b.failed = false;
  b.done = b.at_barrier = 0;
  b.ready_warps = warps == 32 ? 0xffffffffu : (1u << warps) - 1;
  b.warp = 0;
  for (unsigned i = 0; i < warps; ++i) {
    const unsigned lanes = std::min(32u, b.n - i * 32);
    b.lanes[i] = b.ready[i] = lanes == 32 ? 0xffffffffu : (1u << lanes) - 1;
    b.waiting[i] = b.returned[i] = 0;
  }
  w.n_free = b.n;
  for (unsigned i = 0; i < b.n; ++i) {
    Thread& t = b.threads[i];
    t.started = false;
    t.copies.clear();
    t.first_copy = t.group = 0;
    w.free_stacks[i] = b.n - 1 - i;
  }
  running_block = &b;
  struct Leave {
    ~Leave() { running_block = nullptr; }
  } leave;
  poison_shared(w);
  race::begin_block(b);
  while (b.done < b.n) {
    Thread* const next = pick(b);
    if (!next) fail_stuck(b);
    switch_threads(w, nullptr, next);
    if (b.failed) {
      race::explain(b);
      throw std::runtime_error(b.message);
    }
  }
  check_guards(w);
}

}  // namespace cinefuse::emulator
