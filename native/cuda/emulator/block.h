// A block of CUDA threads: their states, the barrier, shared memory, and the loop that lets them take turns.
#pragma once
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "fiber.h"
#include "keywords.h"

// Where a device function was called, for messages.
#define CINEFUSE_SITE const char *site_file = __builtin_FILE(), int site_line = __builtin_LINE()
#define CINEFUSE_HERE (::cinefuse::emulator::Site{site_file, site_line})

#if defined(CINEFUSE_RACE_CHECK)
#define CINEFUSE_UNCHECKED [[gnu::no_sanitize("thread")]]
#else
#define CINEFUSE_UNCHECKED
#endif

namespace cinefuse::emulator {

struct Site {
  const char* file;
  int line;
};
inline std::string at(Site s) { return std::string(s.file) + ":" + std::to_string(s.line); }
[[noreturn]] inline void fail(const std::string& message) {
  throw std::runtime_error("emulator: " + message);
}

enum class State : uint8_t { kReady, kBarrier, kWarp, kDone };
enum class Collective : uint8_t { kNone, kBallot, kShuffle, kSync, kAny, kAll, kMatrix };

struct PendingCopy {
  void* to;
  const void* from;  // null: zeros
  unsigned bytes;    // 4 or 16
};

struct Thread {
  Context context;
  void* asan_stack = nullptr;
  uint3 index{};
  unsigned linear = 0, lane = 0, warp = 0;
  State state = State::kReady;
  Collective collective = Collective::kNone;
  unsigned mask = 0;
  int source = 0;
  uint64_t value = 0, result = 0;
  Site site{};
  std::vector<std::vector<PendingCopy>> copies;  // cp.async groups, the last one still open
};

struct SharedArray {
  std::unique_ptr<unsigned char[]> memory;
  size_t bytes;
};

constexpr size_t kMostShared = 227 * 1024;  // of a block on sm_90; sm_80 has 163 KiB

struct Block {
  dim3 grid, block;
  uint3 index{};
  unsigned n = 0;
  std::vector<Thread> threads;
  Thread* current = nullptr;
  Context main;
  void* main_asan_stack = nullptr;
  const void* main_stack = nullptr;
  size_t main_stack_bytes = 0;
  std::vector<unsigned> ready;
  unsigned at_barrier = 0, done = 0;
  const std::function<void()>* body = nullptr;
  std::map<const void*, SharedArray> arrays;
  std::unique_ptr<unsigned char[]> dynamic;
  size_t dynamic_bytes = 0;
  std::exception_ptr error;
  std::mt19937 random;
  enum class Order { kForward, kReverse, kRandom } order = Order::kForward;
};

// __thread, not thread_local: no initialising wrapper, which the race build's hooks could not call.
__attribute__((weak)) __thread Block* running_block = nullptr;
inline Block& block() { return *running_block; }
inline Thread& thread() { return *running_block->current; }

// From a fiber to the block's loop; `last`: the fiber ends here.
inline void yield(bool last = false) {
  Block& b = block();
  Thread* t = b.current;
#if CINEFUSE_EMULATED_ASAN
  __sanitizer_start_switch_fiber(last ? nullptr : &t->asan_stack, b.main_stack, b.main_stack_bytes);
#endif
  switch_context(t->context, b.main);
#if CINEFUSE_EMULATED_ASAN
  __sanitizer_finish_switch_fiber(t->asan_stack, nullptr, nullptr);
#endif
  (void)last;
}

[[gnu::no_sanitize_address]] inline void fiber_entry() {
  Block* b = running_block;
#if CINEFUSE_EMULATED_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &b->main_stack, &b->main_stack_bytes);
#endif
  try {
    (*b->body)();
  } catch (...) {
    if (!b->error) b->error = std::current_exception();
  }
  b->current->state = State::kDone;
  ++b->done;
  yield(true);
  std::abort();  // not reached: nobody switches to a finished fiber
}

inline void resume(Block& b, Thread& t) {
  b.current = &t;
#if CINEFUSE_EMULATED_ASAN
  __sanitizer_start_switch_fiber(&b.main_asan_stack, stacks().stack(t.linear), Stacks::kEach);
#endif
  switch_context(b.main, t.context);
#if CINEFUSE_EMULATED_ASAN
  __sanitizer_finish_switch_fiber(b.main_asan_stack, nullptr, nullptr);
#endif
}

CINEFUSE_UNCHECKED inline void release_barrier(Block& b) {
  const Thread* first = nullptr;
  for (Thread& t : b.threads) {
    if (t.state != State::kBarrier) continue;
    if (!first) first = &t;
    if (t.site.line != first->site.line || std::strcmp(t.site.file, first->site.file)) {
      fail("barrier divergence: thread " + std::to_string(first->linear) + " waits in __syncthreads at " +
           at(first->site) + ", thread " + std::to_string(t.linear) + " at " + at(t.site));
    }
    t.state = State::kReady;
    b.ready.push_back(t.linear);
  }
  b.at_barrier = 0;
}

inline void barrier(Site site) {
  Block& b = block();
  Thread& t = thread();
  t.state = State::kBarrier;
  t.site = site;
  ++b.at_barrier;
  yield();
  if (b.error) std::rethrow_exception(b.error);
}

[[noreturn]] inline void fail_stuck(const Block& b) {
  for (const Thread& t : b.threads) {
    if (t.state == State::kBarrier && b.at_barrier + b.done == b.n) {
      fail("barrier divergence: thread " + std::to_string(t.linear) + " waits in __syncthreads at " +
           at(t.site) + " while " + std::to_string(b.done) + " of the block's threads have returned");
    }
  }
  for (const Thread& t : b.threads) {
    if (t.state == State::kWarp) {
      fail("deadlock: the warp collective of thread " + std::to_string(t.linear) + " at " + at(t.site) +
           " never gets all lanes of its mask; " + std::to_string(b.at_barrier) +
           " threads wait in __syncthreads");
    }
  }
  fail("deadlock");
}

// Runs every thread of one block to its end.
CINEFUSE_UNCHECKED inline void run_block(Block& b, const std::function<void()>& body) {
  running_block = &b;
  b.body = &body;
  b.n = b.block.x * b.block.y * b.block.z;
  stacks().ensure(b.n);
  b.done = b.at_barrier = 0;
  b.error = nullptr;
  b.ready.clear();
  for (auto& array : b.arrays) std::memset(array.second.memory.get(), 0xFF, array.second.bytes);
  b.dynamic.reset(b.dynamic_bytes ? new unsigned char[b.dynamic_bytes] : nullptr);
  if (b.dynamic) std::memset(b.dynamic.get(), 0xFF, b.dynamic_bytes);
  b.threads.clear();
  b.threads.resize(b.n);
  for (unsigned i = 0; i < b.n; ++i) {
    Thread& t = b.threads[i];
    t.linear = i;
    t.lane = i & 31;
    t.warp = i >> 5;
    t.index = {i % b.block.x, i / b.block.x % b.block.y, i / (b.block.x * b.block.y)};
    make_fiber(t.context, i, fiber_entry);
    b.ready.push_back(i);
  }
  std::vector<unsigned> turn;
  try {
    while (b.done < b.n) {
      if (b.ready.empty()) {
        if (b.error) std::rethrow_exception(b.error);
        if (!b.at_barrier || b.done || b.at_barrier != b.n) fail_stuck(b);
        release_barrier(b);
        continue;
      }
      turn.swap(b.ready);
      b.ready.clear();
      if (b.order == Block::Order::kReverse) std::reverse(turn.begin(), turn.end());
      if (b.order == Block::Order::kRandom) std::shuffle(turn.begin(), turn.end(), b.random);
      for (unsigned i : turn) resume(b, b.threads[i]);
    }
    if (b.error) std::rethrow_exception(b.error);
  } catch (...) {
    running_block = nullptr;
    throw;  // suspended fibers are dropped with what lies on their stacks
  }
  running_block = nullptr;
}

template <class T>
CINEFUSE_UNCHECKED inline T& shared_array(const void* key) {
  Block& b = block();
  auto found = b.arrays.find(key);
  if (found == b.arrays.end()) {
    SharedArray array{std::unique_ptr<unsigned char[]>(new unsigned char[sizeof(T)]), sizeof(T)};
    std::memset(array.memory.get(), 0xFF, sizeof(T));
    found = b.arrays.emplace(key, std::move(array)).first;
    size_t total = b.dynamic_bytes;
    for (const auto& other : b.arrays) total += other.second.bytes;
    if (total > kMostShared) fail("the block takes " + std::to_string(total) + " bytes of shared memory");
  }
  return *reinterpret_cast<T*>(found->second.memory.get());
}

}  // namespace cinefuse::emulator

#define CINEFUSE_SHARED(T, name, dims)     \
  using name##_shared_type = T dims;       \
  static const char name##_shared_key = 0; \
  name##_shared_type& name = ::cinefuse::emulator::shared_array<name##_shared_type>(&name##_shared_key)
#define CINEFUSE_DYNAMIC_SHARED(T, name) \
  T* name = reinterpret_cast<T*>(::cinefuse::emulator::block().dynamic.get())

#define threadIdx (::cinefuse::emulator::thread().index)
#define blockIdx (::cinefuse::emulator::block().index)
#define blockDim (::cinefuse::emulator::block().block)
#define gridDim (::cinefuse::emulator::block().grid)
#define warpSize 32

inline void __syncthreads(CINEFUSE_SITE) { cinefuse::emulator::barrier(CINEFUSE_HERE); }
