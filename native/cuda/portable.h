// The only header that a kernel needs from its surroundings. nvcc compiles against CUDA; with
// CINEFUSE_EMULATED the host compiler compiles the same source against the emulator, which runs every CUDA
// thread as a fiber. Plain __shared__ and
// <<<>>> do not exist there, which keeps every kernel to these forms:
//
//   CINEFUSE_SHARED(float, tile, [32][33]);           a static shared array, 16-byte aligned
//   CINEFUSE_DYNAMIC_SHARED(float, buffer);           the dynamic one, 16-byte aligned
//   CINEFUSE_LAUNCH(stream, (kernel<256>), grid, block, dynamic_shared_bytes, args...);   throws gpu::Failure
//   load4(p), store4(p, v)                            16-byte accesses; the emulator checks their alignment
//
// Kernels are free functions with external linkage in namespace cinefuse::gpu (no anonymous namespace, no
// extern "C"), parameters trivially copyable and passed by value: the tests replay their launches by mangled
// name.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#if defined(CINEFUSE_EMULATED)
#include "emulator/emulator.h"
#else
#include <cuda_runtime.h>

// Aligned for 16-byte accesses, which nvcc alone would not promise of an array of floats.
#define CINEFUSE_SHARED(T, name, dims) __shared__ __align__(16) T name dims
#define CINEFUSE_DYNAMIC_SHARED(T, name)                                    \
  extern __shared__ __align__(16) unsigned char cinefuse_dynamic_shared_[]; \
  T* name = reinterpret_cast<T*>(cinefuse_dynamic_shared_)
#define CINEFUSE_START_KERNEL(kernel, grid, block, bytes, stream, ...) \
  (kernel)<<<(grid), (block), (bytes), (stream)>>>(__VA_ARGS__)

namespace cinefuse::gpu {

// 16- and 8-byte accesses; p must be aligned to them.
__device__ __forceinline__ float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ __forceinline__ uint4 load4(const uint32_t* p) { return *reinterpret_cast<const uint4*>(p); }
__device__ __forceinline__ float2 load2(const float* p) { return *reinterpret_cast<const float2*>(p); }
__device__ __forceinline__ uint2 load2(const uint32_t* p) { return *reinterpret_cast<const uint2*>(p); }
// The same of global memory that no thread writes while the kernel runs, and that is read once: past L1.
__device__ __forceinline__ float4 stream4(const float* p) {
  return __ldcs(reinterpret_cast<const float4*>(p));
}
__device__ __forceinline__ uint4 stream4(const uint32_t* p) {
  return __ldcs(reinterpret_cast<const uint4*>(p));
}
__device__ __forceinline__ uint2 stream2(const uint32_t* p) {
  return __ldcs(reinterpret_cast<const uint2*>(p));
}
__device__ __forceinline__ void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }
__device__ __forceinline__ void store4(uint32_t* p, uint4 v) { *reinterpret_cast<uint4*>(p) = v; }
__device__ __forceinline__ void store2(float* p, float2 v) { *reinterpret_cast<float2*>(p) = v; }
__device__ __forceinline__ void store2(uint32_t* p, uint2 v) { *reinterpret_cast<uint2*>(p) = v; }

// 16 bytes from global to shared memory past the registers, both aligned to 16; zeros when !valid (global is
// not read then). Visible to the thread after its cp_async_wait, to others after a barrier that follows.
__device__ __forceinline__ void cp_async16(void* shared, const void* global, bool valid) {
  const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
}
// The same of 4 bytes, aligned to 4: for rows that begin anywhere.
__device__ __forceinline__ void cp_async4(void* shared, const void* global, bool valid) {
  const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? 4 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most N of the groups committed last are under way.
template <int N>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Rounded to nearest, ties away, as the matrix units want it.
__device__ __forceinline__ uint32_t to_tf32(float x) {
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}
// Two bfloat16 in a word, `low` in the lower half; to nearest even.
__device__ __forceinline__ uint32_t to_bf16x2(float low, float high) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
// IEEE half-precision bits, to nearest even.
__device__ __forceinline__ uint16_t to_half(float x) {
  uint16_t r;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x));
  return r;
}

// The four numbers clamped to 0..255, as bytes of a word, `a` the lowest.
__device__ __forceinline__ uint32_t pack_levels(int32_t a, int32_t b, int32_t c, int32_t d) {
  uint32_t high, all;
  asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;" : "=r"(high) : "r"(d), "r"(c), "r"(0));
  asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;" : "=r"(all) : "r"(b), "r"(a), "r"(high));
  return all;
}

// D = A · B + D by one whole warp; g = lane / 4, t = lane % 4. Fragments as PTX documents mma.sync:
//   a[i]: row g + 8 (i & 1), column t + 4 (i >> 1)     b[i]: row t + 4 i, column g     d[i]: row g + 8 (i >>
//   1), column 2 t + (i & 1)
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4],
                                                 const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// The same with k = 16 and two bfloat16 a word, the lower k in the lower half:
//   a[i]: row g + 8 (i & 1), columns 2 t + 8 (i >> 1) and the next     b[i]: rows 2 t + 8 i and the next,
//   column g
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4],
                                                  const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same with k = 32, A of signed and B of unsigned bytes, the lowest k in the lowest byte; exact, modulo
// 2^32:
//   a[i]: row g + 8 (i & 1), columns 4 t + 16 (i >> 1) and three more     b[i]: rows 4 t + 16 i and three
//   more, column g
__device__ __forceinline__ void mma_m16n8k32_s8u8(int32_t (&d)[4], const uint32_t (&a)[4],
                                                  const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace cinefuse::gpu
#endif

namespace cinefuse::gpu {

constexpr uint32_t kWholeWarp = 0xffffffffu;

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) x += __shfl_xor_sync(kWholeWarp, x, o);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) x = fmaxf(x, __shfl_xor_sync(kWholeWarp, x, o));
  return x;
}
__device__ __forceinline__ float bits_to_float(uint32_t bits) { return __uint_as_float(bits); }
__device__ __forceinline__ uint32_t float_to_bits(float x) { return __float_as_uint(x); }

// Zeros for `words` words of shared memory, a multiple of 4, by all threads of a block; a barrier must
// follow.
__device__ __forceinline__ void clear_shared(uint32_t* p, int words) {
  for (int i = 4 * static_cast<int>(threadIdx.x); i < words; i += 4 * static_cast<int>(blockDim.x)) {
    store4(p + i, make_uint4(0, 0, 0, 0));
  }
}

}  // namespace cinefuse::gpu
