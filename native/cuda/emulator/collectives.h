// What the lanes of a warp do together, shuffles and votes, and atomics.
#pragma once
#include <cstring>
#include <type_traits>

#include "block.h"
#include "race.h"

namespace cinefuse::emulator {

template <class T>
inline T shuffle(unsigned mask, T value, int source, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  uint64_t raw = 0;
  std::memcpy(&raw, &value, sizeof value);
  raw = collect(Collective::kShuffle, mask, raw, source, site);
  std::memcpy(&value, &raw, sizeof value);
  return value;
}
inline int my_lane() { return static_cast<int>(thread().lane); }
// Where the calling lane's group of `width` begins.
inline int group_start(int width, Site site) {
  if (width < 1 || width > 32 || (width & (width - 1))) {
    fail("shuffle at %s:%d: a width of %d, which is no power of two up to 32", site.file, site.line, width);
  }
  return my_lane() & ~(width - 1);
}

template <class T, class Change>
__forceinline__ T atomic_change(T* p, Change change) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  if (reinterpret_cast<uintptr_t>(p) % sizeof(T))
    fail("misaligned access: an atomic one of %zu bytes", sizeof(T));
  auto* bits = reinterpret_cast<Bits*>(p);
  Bits was = __atomic_load_n(bits, __ATOMIC_RELAXED), becomes;
  T old;
  do {
    std::memcpy(&old, &was, sizeof old);
    const T next = change(old);
    std::memcpy(&becomes, &next, sizeof becomes);
  } while (!__atomic_compare_exchange_n(bits, &was, becomes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}

}  // namespace cinefuse::emulator

inline void __syncwarp(unsigned mask = 0xffffffffu, CINEFUSE_SITE) {
  cinefuse::emulator::collect(cinefuse::emulator::Collective::kSync, mask, 0, 0, CINEFUSE_HERE);
}
inline unsigned __ballot_sync(unsigned mask, int p, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  return static_cast<unsigned>(collect(Collective::kBallot, mask, p != 0, 0, CINEFUSE_HERE));
}
inline int __any_sync(unsigned mask, int p, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  return static_cast<int>(collect(Collective::kAny, mask, p != 0, 0, CINEFUSE_HERE));
}
inline int __all_sync(unsigned mask, int p, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  return static_cast<int>(collect(Collective::kAll, mask, p != 0, 0, CINEFUSE_HERE));
}
template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  const int start = group_start(width, CINEFUSE_HERE);
  return shuffle(mask, value, start | (source & (width - 1)), CINEFUSE_HERE);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  // A group may read the groups before it, not those after.
  const int source = my_lane() ^ (bits & 31), end = group_start(width, CINEFUSE_HERE) + width;
  return shuffle(mask, value, source < end ? source : my_lane(), CINEFUSE_HERE);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  const int source = my_lane() + static_cast<int>(by & 31);
  const bool inside = source < group_start(width, CINEFUSE_HERE) + width;
  return shuffle(mask, value, inside ? source : my_lane(), CINEFUSE_HERE);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  const int source = my_lane() - static_cast<int>(by & 31);
  const bool inside = source >= group_start(width, CINEFUSE_HERE);
  return shuffle(mask, value, inside ? source : my_lane(), CINEFUSE_HERE);
}

template <class T>
__forceinline__ T atomicAdd(T* p, T value) {
  return cinefuse::emulator::atomic_change(p, [value](T old) { return static_cast<T>(old + value); });
}
template <class T>
__forceinline__ T atomicMax(T* p, T value) {
  static_assert(std::is_integral_v<T>);
  return cinefuse::emulator::atomic_change(p, [value](T old) { return old < value ? value : old; });
}
template <class T>
__forceinline__ T atomicMin(T* p, T value) {
  static_assert(std::is_integral_v<T>);
  return cinefuse::emulator::atomic_change(p, [value](T old) { return value < old ? value : old; });
}
template <class T>
__forceinline__ T atomicExch(T* p, T value) {
  return cinefuse::emulator::atomic_change(p, [value](T) { return value; });
}
__forceinline__ unsigned atomicOr(unsigned* p, unsigned value) {
  return cinefuse::emulator::atomic_change(p, [value](unsigned old) { return old | value; });
}
__forceinline__ unsigned atomicAnd(unsigned* p, unsigned value) {
  return cinefuse::emulator::atomic_change(p, [value](unsigned old) { return old & value; });
}
// Counts up to `limit`, then from 0 again.
__forceinline__ unsigned atomicInc(unsigned* p, unsigned limit) {
  return cinefuse::emulator::atomic_change(p, [limit](unsigned old) { return old >= limit ? 0u : old + 1; });
}
__forceinline__ unsigned atomicCAS(unsigned* p, unsigned expected, unsigned value) {
  return cinefuse::emulator::atomic_change(p, [=](unsigned old) { return old == expected ? value : old; });
}
inline void __threadfence() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  cinefuse::emulator::race::fence();
}
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
