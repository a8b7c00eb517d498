// Vector accesses, whose alignment is checked, and asynchronous copies, which happen only when they are
// waited for.
#pragma once
#include "block.h"

namespace cinefuse::emulator {

__forceinline__ void require_aligned(const void* p, size_t bytes, Site site) {
  if (reinterpret_cast<uintptr_t>(p) % bytes == 0) return;
  fail("misaligned access: %zu bytes at %s:%d", bytes, site.file, site.line);
}

}  // namespace cinefuse::emulator

namespace cinefuse::gpu {

template <class V, class T>
__forceinline__ V aligned_load(const T* p, emulator::Site site) {
  emulator::require_aligned(p, sizeof(V), site);
  return *reinterpret_cast<const V*>(p);
}
template <class V, class T>
__forceinline__ void aligned_store(T* p, V v, emulator::Site site) {
  emulator::require_aligned(p, sizeof(V), site);
  *reinterpret_cast<V*>(p) = v;
}
__forceinline__ float4 load4(const float* p, CINEFUSE_SITE) { return aligned_load<float4>(p, CINEFUSE_HERE); }
__forceinline__ uint4 load4(const uint32_t* p, CINEFUSE_SITE) {
  return aligned_load<uint4>(p, CINEFUSE_HERE);
}
__forceinline__ float2 load2(const float* p, CINEFUSE_SITE) { return aligned_load<float2>(p, CINEFUSE_HERE); }
__forceinline__ uint2 load2(const uint32_t* p, CINEFUSE_SITE) {
  return aligned_load<uint2>(p, CINEFUSE_HERE);
}
__forceinline__ float4 stream4(const float* p, CINEFUSE_SITE) {
  return aligned_load<float4>(p, CINEFUSE_HERE);
}
__forceinline__ uint4 stream4(const uint32_t* p, CINEFUSE_SITE) {
  return aligned_load<uint4>(p, CINEFUSE_HERE);
}
__forceinline__ uint2 stream2(const uint32_t* p, CINEFUSE_SITE) {
  return aligned_load<uint2>(p, CINEFUSE_HERE);
}
__forceinline__ void store4(float* p, float4 v, CINEFUSE_SITE) { aligned_store(p, v, CINEFUSE_HERE); }
__forceinline__ void store4(uint32_t* p, uint4 v, CINEFUSE_SITE) { aligned_store(p, v, CINEFUSE_HERE); }
__forceinline__ void store2(float* p, float2 v, CINEFUSE_SITE) { aligned_store(p, v, CINEFUSE_HERE); }
__forceinline__ void store2(uint32_t* p, uint2 v, CINEFUSE_SITE) { aligned_store(p, v, CINEFUSE_HERE); }

__forceinline__ void cp_async(void* shared, const void* global, bool valid, unsigned bytes,
                              emulator::Site site) {
  emulator::require_aligned(shared, bytes, site);
  if (valid) emulator::require_aligned(global, bytes, site);
  emulator::start_copy(shared, valid ? global : nullptr, bytes);
}
__forceinline__ void cp_async16(void* shared, const void* global, bool valid, CINEFUSE_SITE) {
  cp_async(shared, global, valid, 16, CINEFUSE_HERE);
}
__forceinline__ void cp_async4(void* shared, const void* global, bool valid, CINEFUSE_SITE) {
  cp_async(shared, global, valid, 4, CINEFUSE_HERE);
}
__forceinline__ void cp_async_commit() { ++emulator::thread().group; }
template <int N>
__forceinline__ void cp_async_wait() {
  emulator::finish_copies(N);
}

}  // namespace cinefuse::gpu
