// What one OS thread keeps for the blocks that it runs: the CUDA threads' states and stacks, shared memory.
// The emulator's own; kernels do not see it.
#pragma once
#include "block.h"

namespace cinefuse::emulator {

// Around every shared array, so that a step beyond one lands in no other.
constexpr size_t kGuard = 512;
constexpr size_t kArena = kMostShared + (kMostArrays + 2) * (kGuard + 16);

struct Worker {
  Worker();
  Worker(const Worker&) = delete;
  ~Worker();

  Block block{};
  Thread threads[kMostThreads]{};
  Stacks stacks;
  unsigned free_stacks[kMostThreads], n_free = 0;
  Context main;  // of run_block's loop
  void* main_asan_stack = nullptr;
  const void* main_stack = nullptr;
  size_t main_stack_bytes = 0;
  bool from_main = false;
  size_t arena_used = 0;
  SharedKey dynamic_key{};
  alignas(64) unsigned char arena[kArena];  // shared memory: guards and arrays by turns
};

// The calling OS thread's.
Worker& worker();

void begin_launch(Worker& w, const Launch& launch);
// Every thread of the block that w.block.index names. Throws std::runtime_error.
void run_block(Worker& w);

// Shared memory: of a launch that begins (dynamic array included), of a block that begins, of one that ends.
void begin_shared(Worker& w);
void poison_shared(Worker& w);
void check_guards(const Worker& w);

}  // namespace cinefuse::emulator
