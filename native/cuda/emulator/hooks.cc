// What -fsanitize=thread makes the compiler call for every access of a kernel. Hidden symbols of this
// library: they clash with nothing in the process. Itself compiled without that flag.
#if defined(CINEFUSE_RACE_CHECK)
#include <cstring>

#include "race.h"
#include "worker.h"

using cinefuse::emulator::race::Kind;

static inline __attribute__((always_inline)) void note(const volatile void* at, size_t bytes, Kind kind) {
  using namespace cinefuse::emulator;
  const Block* const b = running_block;
  if (!b || !b->current) return;
  const void* const p = const_cast<const void*>(at);
  if (p == &running_block) return;
  const Worker& w = *b->worker;
  const auto offset = static_cast<size_t>(static_cast<const char*>(p) - reinterpret_cast<const char*>(&w));
  if (offset < sizeof(Worker)) {
    const size_t arena =
        static_cast<size_t>(reinterpret_cast<const char*>(w.arena) - reinterpret_cast<const char*>(&w));
    if (offset >= arena && offset < arena + kArena) {
      race::access_shared(p, bytes, kind, __builtin_return_address(0));
    }
    return;
  }
  if (p >= w.stacks.begin() && p < w.stacks.end()) return;
  race::access_global(p, bytes, kind, __builtin_return_address(0));
}
// Of a type that is aligned, which a GPU insists on.
static inline __attribute__((always_inline)) void note_aligned(const void* p, size_t bytes, Kind kind) {
  using namespace cinefuse::emulator;
  if (reinterpret_cast<uintptr_t>(p) % (bytes < 8 ? bytes : 8) && running_block && running_block->current) {
    race::fail_misaligned(bytes, kind, __builtin_return_address(0));
  }
  note(p, bytes, kind);
}

#define HOOK extern "C" __attribute__((visibility("hidden")))

#define ACCESSES(n)                                                          \
  HOOK void __tsan_read##n(void* p) { note_aligned(p, n, Kind::kRead); }     \
  HOOK void __tsan_write##n(void* p) { note_aligned(p, n, Kind::kWrite); }   \
  HOOK void __tsan_unaligned_read##n(void* p) { note(p, n, Kind::kRead); }   \
  HOOK void __tsan_unaligned_write##n(void* p) { note(p, n, Kind::kWrite); } \
  HOOK void __tsan_read_write##n(void* p) {                                  \
    note_aligned(p, n, Kind::kRead);                                         \
    note(p, n, Kind::kWrite);                                                \
  }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
HOOK void __tsan_read_range(void* p, size_t n) { note(p, n, Kind::kRead); }
HOOK void __tsan_write_range(void* p, size_t n) { note(p, n, Kind::kWrite); }
HOOK void* __tsan_memcpy(void* to, const void* from, size_t n) {
  note(from, n, Kind::kRead);
  note(to, n, Kind::kWrite);
  return std::memcpy(to, from, n);
}
HOOK void* __tsan_memmove(void* to, const void* from, size_t n) {
  note(from, n, Kind::kRead);
  note(to, n, Kind::kWrite);
  return std::memmove(to, from, n);
}
HOOK void* __tsan_memset(void* to, int value, size_t n) {
  note(to, n, Kind::kWrite);
  return std::memset(to, value, n);
}

#define CHANGE(bits, name, change)                                                                      \
  HOOK uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t* p, uint##bits##_t v, int) { \
    note(p, bits / 8, Kind::kAtomic);                                                                   \
    return change(p, v, __ATOMIC_SEQ_CST);                                                              \
  }
#define COMPARE(bits, name, weak)                                                                         \
  HOOK int __tsan_atomic##bits##_compare_exchange_##name(volatile uint##bits##_t* p, uint##bits##_t* was, \
                                                         uint##bits##_t v, int, int) {                    \
    note(p, bits / 8, Kind::kAtomic);                                                                     \
    return __atomic_compare_exchange_n(p, was, v, weak, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
  }
#define ATOMICS(bits)                                                                        \
  HOOK uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t* p, int) {    \
    note(p, bits / 8, Kind::kAtomic);                                                        \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                             \
  }                                                                                          \
  HOOK void __tsan_atomic##bits##_store(volatile uint##bits##_t* p, uint##bits##_t v, int) { \
    note(p, bits / 8, Kind::kAtomic);                                                        \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                \
  }                                                                                          \
  CHANGE(bits, exchange, __atomic_exchange_n)                                                \
  CHANGE(bits, fetch_add, __atomic_fetch_add)                                                \
  CHANGE(bits, fetch_sub, __atomic_fetch_sub)                                                \
  CHANGE(bits, fetch_and, __atomic_fetch_and)                                                \
  CHANGE(bits, fetch_or, __atomic_fetch_or)                                                  \
  CHANGE(bits, fetch_xor, __atomic_fetch_xor)                                                \
  COMPARE(bits, strong, false)                                                               \
  COMPARE(bits, weak, true)                                                                  \
  HOOK uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                            \
      volatile uint##bits##_t* p, uint##bits##_t was, uint##bits##_t v, int, int) {          \
    note(p, bits / 8, Kind::kAtomic);                                                        \
    __atomic_compare_exchange_n(p, &was, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);      \
    return was;                                                                              \
  }
ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)
HOOK void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
HOOK void __tsan_atomic_signal_fence(int) {}

HOOK void __tsan_init() {}
HOOK void __tsan_func_entry(void*) {}
HOOK void __tsan_func_exit(void*) {}
HOOK void __tsan_ignore_thread_begin() {}
HOOK void __tsan_ignore_thread_end() {}
HOOK void __tsan_vptr_update(void**, void*) {}
HOOK void __tsan_vptr_read(void**) {}
#endif
