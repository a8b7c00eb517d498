// Shared memory: every array between guards, poisoned for every block; asynchronous copies.
#include <cstring>

#include "race.h"
#include "worker.h"

namespace cinefuse::emulator {

namespace {

constexpr unsigned char kGuardByte = 0xC5;

// Whether the block may have so many bytes more.
void check_shared_size(const Block& b, size_t more) {
  const Launch& launch = *b.launch;
  const size_t all = b.shared_bytes + more, dynamic = launch.dynamic_bytes, fixed = all - dynamic;
  if (fixed > kPlainShared) {
    fail("%zu bytes of static shared memory; more than 48 KiB must be dynamic", fixed);
  }
  if (all > kPlainShared && launch.dynamic_limit < dynamic) {
    fail(
        "%zu bytes of static and %zu of dynamic shared memory: more than 48 KiB, and cudaFuncSetAttribute "
        "did not ask for it",
        fixed, dynamic);
  }
  if (all > kMostShared) fail("%zu bytes of shared memory; a block has %zu at most", all, kMostShared);
}

unsigned char* place_array(Worker& w, const SharedKey& key) {
  Block& b = w.block;
  check_shared_size(b, key.bytes);
  if (b.n_arrays == kMostArrays) fail("more than %u shared arrays", kMostArrays);
  unsigned char* const memory = w.arena + w.arena_used;
  w.arena_used += (key.bytes + 15) / 16 * 16 + kGuard;
#if CINEFUSE_EMULATED_ASAN
  __asan_unpoison_memory_region(memory, key.bytes);
#else
  std::memset(memory + key.bytes, kGuardByte, w.arena + w.arena_used - (memory + key.bytes));
#endif
  std::memset(memory, 0xFF, key.bytes);
  b.arrays[b.n_arrays++] = {&key, memory};
  b.shared_bytes += key.bytes;
  race::add_array(b, key, memory);
  return memory;
}

}  // namespace

Worker::Worker() {
  block.threads = threads;
  block.worker = this;
}
Worker::~Worker() {
#if CINEFUSE_EMULATED_ASAN
  __asan_unpoison_memory_region(arena, kArena);
#endif
}

void begin_shared(Worker& w) {
  Block& b = w.block;
  w.arena_used = kGuard;
  b.n_arrays = 0;
  b.shared_bytes = 0;
  b.dynamic = nullptr;
#if CINEFUSE_EMULATED_ASAN
  __asan_poison_memory_region(w.arena, kArena);
#else
  std::memset(w.arena, kGuardByte, kGuard);
#endif
  if (!b.launch->dynamic_bytes) return;
  w.dynamic_key = {"(dynamic)", b.launch->dynamic_bytes};
  b.dynamic = place_array(w, w.dynamic_key);
}

void poison_shared(Worker& w) {
  const Block& b = w.block;
  for (unsigned i = 0; i < b.n_arrays; ++i) std::memset(b.arrays[i].memory, 0xFF, b.arrays[i].key->bytes);
}

void check_guards(const Worker& w) {
#if !CINEFUSE_EMULATED_ASAN
  const Block& b = w.block;
  const unsigned char* from = w.arena;
  const char* before = nullptr;
  for (unsigned i = 0; i <= b.n_arrays; ++i) {
    const bool end = i == b.n_arrays;
    const unsigned char* const to = end ? w.arena + w.arena_used : b.arrays[i].memory;
    for (const unsigned char* p = from; p < to; ++p) {
      if (*p == kGuardByte) continue;
      if (before && (end || p - from < to - p)) {
        fail("out of bounds: something was written %td bytes past the end of the shared array %s", p - from,
             before);
      }
      fail("out of bounds: something was written %td bytes before the shared array %s", to - p,
           b.arrays[i].key->name);
    }
    if (end) break;
    from = to + b.arrays[i].key->bytes;
    before = b.arrays[i].key->name;
  }
#else
  (void)w;
#endif
}

void* shared_array(const SharedKey& key) {
  Block& b = block();
  for (unsigned i = 0; i < b.n_arrays; ++i) {
    if (b.arrays[i].key == &key) return b.arrays[i].memory;
  }
  return place_array(*b.worker, key);
}

static void copy_now(const PendingCopy& copy) {
  if (!copy.from) {
    std::memset(copy.to, 0, copy.bytes);
  } else if (copy.bytes == 16) {
    std::memcpy(copy.to, copy.from, 16);
  } else {
    std::memcpy(copy.to, copy.from, 4);
  }
}

void start_copy(void* to, const void* from, unsigned bytes) {
  Block& b = block();
  Thread& t = *b.current;
  race::copy_started(to, bytes, __builtin_return_address(0));
  // As early or as late as a GPU may do it.
  const bool early =
      b.order == Block::Order::kReverse || (b.order == Block::Order::kRandom && (b.random >> 40 & 1));
  t.copies.push_back({to, from, bytes, t.group, early});
  if (early) copy_now(t.copies.back());
}

void finish_copies(unsigned pending) {
  Thread& t = thread();
  while (t.first_copy < t.copies.size() && t.copies[t.first_copy].group + pending < t.group) {
    const PendingCopy& copy = t.copies[t.first_copy++];
    race::copy_finished(copy.to, copy.bytes);
    if (!copy.copied) copy_now(copy);
  }
}

}  // namespace cinefuse::emulator
