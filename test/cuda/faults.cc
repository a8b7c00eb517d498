// One kernel for every fault that the emulator finds, each in two forms: with the fault and without.
//
//   faults list              the names
//   faults NAME              runs the faulty form: prints what became of it, "passed" if nothing was noticed
//   faults NAME right        the same kernel without the fault
//
// The line of a fault bears its name in a comment, "FAULT: NAME", for emulator.test.ts to compare.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "../../native/cuda/portable.h"

namespace cinefuse::gpu {

// ---- barriers and warp collectives

template <bool kFault>
__global__ void barrier_at_two_lines(float* y) {
  CINEFUSE_SHARED(float, s, [64]);
  s[threadIdx.x] = 1.f;
  if (kFault && threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();  // FAULT: barrier_at_two_lines
  }
  y[threadIdx.x] = s[63 - threadIdx.x];
}

template <bool kFault>
__global__ void barrier_after_return(float* y) {
  y[threadIdx.x] = 1.f;
  if (kFault && threadIdx.x >= 60) return;
  __syncthreads();  // FAULT: barrier_after_return
}

template <bool kFault>
__global__ void shuffle_without_some_lanes(float* y) {
  y[threadIdx.x] = 1.f;
  if (kFault && threadIdx.x % 32 >= 8) return;
  y[threadIdx.x] = __shfl_xor_sync(kWholeWarp, 1.f, 1);  // FAULT: shuffle_without_some_lanes
}

template <bool kFault>
__global__ void shuffle_waits_for_a_barrier(float* y) {
  y[threadIdx.x] = 1.f;
  if (!kFault || threadIdx.x != 5) {
    y[threadIdx.x] = __shfl_xor_sync(kWholeWarp, 1.f, 1);  // FAULT: shuffle_waits_for_a_barrier
  }
  __syncthreads();
}

template <bool kFault>
__global__ void shuffle_from_outside_the_mask(float* y) {
  const unsigned mask = threadIdx.x % 32 < 16 ? 0x0000ffffu : 0xffff0000u;
  y[threadIdx.x] = __shfl_xor_sync(mask, 1.f, kFault ? 16 : 8);  // FAULT: shuffle_from_outside_the_mask
}

template <bool kFault>
__global__ void lane_not_in_its_mask(float* y) {
  const unsigned mask = kFault ? 0x0000ffffu : kWholeWarp;
  y[threadIdx.x] = __shfl_sync(mask, 1.f, 0);  // FAULT: lane_not_in_its_mask
}

template <bool kFault>
__global__ void collectives_mixed(float* y) {
  if (kFault && threadIdx.x % 32 < 16) {
    y[threadIdx.x] = __any_sync(kWholeWarp, 1) ? 1.f : 0.f;
  } else {
    y[threadIdx.x] = __shfl_sync(kWholeWarp, 1.f, 3);  // FAULT: collectives_mixed
  }
}

// ---- bounds and alignment

template <bool kFault>
__global__ void static_shared_out_of_bounds(float* y) {
  CINEFUSE_SHARED(float, s, [64]);
  s[threadIdx.x] = 1.f;
  const unsigned to = kFault && threadIdx.x == 9 ? 64 : threadIdx.x;
  s[to] = 1.f;  // FAULT: static_shared_out_of_bounds
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}

template <bool kFault>
__global__ void static_shared_read_out_of_bounds(float* y) {
  CINEFUSE_SHARED(float, s, [8][8]);
  s[threadIdx.x / 8][threadIdx.x % 8] = 1.f;
  __syncthreads();
  const float* p = &s[0][0];
  y[threadIdx.x] = p[threadIdx.x + (kFault ? 1 : 0)];  // FAULT: static_shared_read_out_of_bounds
}

template <bool kFault>
__global__ void dynamic_shared_out_of_bounds(float* y) {
  CINEFUSE_DYNAMIC_SHARED(float, s);
  s[threadIdx.x] = 1.f;
  if (threadIdx.x == 9) s[kFault ? 66 : 9] = 1.f;  // FAULT: dynamic_shared_out_of_bounds
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}

template <bool kFault>
__global__ void global_out_of_bounds(float* y) {
  y[threadIdx.x] = 1.f;
  if (threadIdx.x == 5) y[kFault ? 64 : 5] = 1.f;  // FAULT: global_out_of_bounds
}

template <bool kFault>
__global__ void global_read_out_of_bounds(float* y) {
  y[threadIdx.x] = 1.f;
  if (threadIdx.x == 5 && y[kFault ? 66 : 5] == 7.f) y[5] = 2.f;  // FAULT: global_read_out_of_bounds
}

template <bool kFault>
__global__ void local_out_of_bounds(float* y) {
  float local[4] = {1.f, 1.f, 1.f, 1.f};
  float* volatile p = local;
  y[threadIdx.x] = p[threadIdx.x % 4 + (kFault && threadIdx.x == 7 ? 1 : 0)];  // FAULT: local_out_of_bounds
}

template <bool kFault>
__global__ void misaligned_load4(float* y) {
  CINEFUSE_SHARED(float, s, [72]);
  s[threadIdx.x] = 1.f;
  if (threadIdx.x < 8) s[threadIdx.x + 64] = 1.f;
  __syncthreads();
  const float4 v = load4(s + 4 * (threadIdx.x / 4) + (kFault ? 1 : 0));  // FAULT: misaligned_load4
  y[threadIdx.x] = v.w;
}

template <bool kFault>
__global__ void misaligned_store4(float* y) {
  y[threadIdx.x] = 1.f;
  __syncthreads();
  if (threadIdx.x == 1) store4(y + (kFault ? 2 : 4), float4{1.f, 1.f, 1.f, 1.f});  // FAULT: misaligned_store4
}

template <bool kFault>
__global__ void misaligned_plain_load(float* y) {
  y[threadIdx.x] = 1.f;
  __syncthreads();
  if (threadIdx.x != 1) return;
  const float2* const two = reinterpret_cast<const float2*>(y + (kFault ? 1 : 0));
  y[1] = two->x;  // FAULT: misaligned_plain_load
}

// ---- what nobody wrote

template <bool kFault>
__global__ void uninitialised_float(float* y) {
  CINEFUSE_SHARED(float, s, [64]);
  if (!kFault || threadIdx.x < 48) s[threadIdx.x] = 1.f;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];  // FAULT: uninitialised_float
}

template <bool kFault>
__global__ void uninitialised_int(float* y) {
  CINEFUSE_SHARED(int, s, [64]);
  if (!kFault || threadIdx.x < 48) s[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x] ? 1.f : 0.f;  // FAULT: uninitialised_int
}

// What an earlier block left in shared memory does not count.
template <bool kFault>
__global__ void uninitialised_in_the_second_block(float* y) {
  CINEFUSE_SHARED(int, s, [64]);
  if (!kFault || blockIdx.x == 0) s[threadIdx.x] = 1;
  __syncthreads();
  const float v = s[threadIdx.x] ? 1.f : 0.f;  // FAULT: uninitialised_in_the_second_block
  if (blockIdx.x == 1) y[threadIdx.x] = v;
}

// ---- races

// The arrays are written once before, so that no order of the threads makes it an uninitialised read.
__device__ __forceinline__ void fill(float (&s)[64]) {
  s[threadIdx.x] = 3.f;
  __syncthreads();
}

template <bool kFault>
__global__ void missing_barrier(float* y) {
  CINEFUSE_SHARED(float, s, [64]);
  fill(s);
  s[threadIdx.x] = 1.f;
  if (!kFault) __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];  // FAULT: missing_barrier
}

template <bool kFault>
__global__ void write_after_read(float* y) {
  CINEFUSE_SHARED(float, s, [64]);
  s[threadIdx.x] = 1.f;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x ^ 32];
  if (!kFault) __syncthreads();
  s[threadIdx.x] = 2.f;  // FAULT: write_after_read
}

template <bool kFault>
__global__ void shuffle_taken_for_a_barrier(float* y) {
  CINEFUSE_SHARED(float, s, [64]);
  fill(s);
  s[threadIdx.x] = 1.f;
  const float one = __shfl_xor_sync(kWholeWarp, 1.f, 1);
  if (!kFault) __syncwarp();
  y[threadIdx.x] = one * s[threadIdx.x ^ 1];  // FAULT: shuffle_taken_for_a_barrier
}

// __syncwarp of half a warp orders nothing for the other half.
template <bool kFault>
__global__ void syncwarp_of_too_few(float* y) {
  CINEFUSE_SHARED(float, s, [64]);
  fill(s);
  s[threadIdx.x] = 1.f;
  __syncwarp(!kFault ? kWholeWarp : threadIdx.x % 32 < 16 ? 0x0000ffffu : 0xffff0000u);
  y[threadIdx.x] = s[threadIdx.x ^ 16];  // FAULT: syncwarp_of_too_few
}

template <bool kFault>
__global__ void syncwarp_between_warps(float* y) {
  CINEFUSE_SHARED(float, s, [64]);
  fill(s);
  s[threadIdx.x] = 1.f;
  if (kFault) {
    __syncwarp();
  } else {
    __syncthreads();
  }
  y[threadIdx.x] = s[threadIdx.x ^ 32];  // FAULT: syncwarp_between_warps
}

template <bool kFault>
__global__ void read_beside_atomics(float* y) {
  CINEFUSE_SHARED(int, count, [1]);
  if (threadIdx.x == 0) count[0] = 0;
  __syncthreads();
  atomicAdd(&count[0], 1);
  if (!kFault) __syncthreads();
  y[threadIdx.x] = count[0] > 0 ? 1.f : 0.f;  // FAULT: read_beside_atomics
}

// Neighbouring bytes are nobody else's; the same byte is.
template <bool kFault>
__global__ void bytes_of_one_word(float* y) {
  CINEFUSE_SHARED(uint8_t, s, [64]);
  s[threadIdx.x] = 1;
  if (kFault && threadIdx.x == 10) s[11] = 1;  // FAULT: bytes_of_one_word
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}

// ---- asynchronous copies

template <bool kFault>
__global__ void copy_read_before_wait(float* y) {
  CINEFUSE_SHARED(float, s, [256]);
  cp_async16(s + 4 * threadIdx.x, y, false);
  cp_async_commit();
  if (!kFault) cp_async_wait<0>();
  y[threadIdx.x] = s[4 * threadIdx.x] + 1.f;  // FAULT: copy_read_before_wait
  cp_async_wait<0>();
}

// Only the group before the last is waited for.
template <bool kFault>
__global__ void copy_of_a_later_group(float* y) {
  CINEFUSE_SHARED(float, s, [2][256]);
  for (int group = 0; group < 2; ++group) {
    cp_async16(&s[group][4 * threadIdx.x], y, false);
    cp_async_commit();
  }
  cp_async_wait<1>();
  __syncthreads();
  y[threadIdx.x] = s[kFault ? 1 : 0][4 * threadIdx.x] + 1.f;  // FAULT: copy_of_a_later_group
}

template <bool kFault>
__global__ void copy_without_barrier(float* y) {
  CINEFUSE_SHARED(float, s, [256]);
  store4(s + 4 * threadIdx.x, float4{3.f, 3.f, 3.f, 3.f});
  __syncthreads();
  cp_async16(s + 4 * threadIdx.x, y, false);
  cp_async_commit();
  cp_async_wait<0>();
  if (!kFault) __syncthreads();
  y[threadIdx.x] = s[4 * (threadIdx.x ^ 32)] + 1.f;  // FAULT: copy_without_barrier
}

// The copy may land before the barrier that comes after its start.
template <bool kFault>
__global__ void copy_over_what_is_read(float* y) {
  CINEFUSE_SHARED(float, s, [256]);
  store4(s + 4 * threadIdx.x, float4{1.f, 1.f, 1.f, 1.f});
  __syncthreads();
  y[threadIdx.x] = s[4 * (threadIdx.x ^ 32)];
  if (!kFault) __syncthreads();
  cp_async16(s + 4 * threadIdx.x, y, false);  // FAULT: copy_over_what_is_read
  cp_async_commit();
  __syncthreads();
  cp_async_wait<0>();
}

template <bool kFault>
__global__ void copy_without_zeros(float* y) {
  CINEFUSE_SHARED(float, s, [256]);
  const bool valid = threadIdx.x < 48;
  if (!kFault || valid) cp_async16(s + 4 * threadIdx.x, y, false);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  y[threadIdx.x] = s[4 * (63 - threadIdx.x)] + 1.f;  // FAULT: copy_without_zeros
}

// ---- device memory

__global__ void host_memory(const float* y, float* out) {
  out[threadIdx.x] = 1.f + 0.f * y[threadIdx.x];  // FAULT: host_memory
}

template <bool kFault>
__global__ void global_without_barrier(float* y) {
  y[threadIdx.x] = 2.f;
  if (!kFault) __syncthreads();
  const float v = y[threadIdx.x ^ 32];  // FAULT: global_without_barrier
  __syncthreads();
  y[threadIdx.x] = v - 1.f;
}

template <bool kFault>
__global__ void two_blocks_write_one_place(float* y) {
  if (blockIdx.x == 0 || kFault) y[threadIdx.x] = 1.f;  // FAULT: two_blocks_write_one_place
}

template <bool kFault>
__global__ void block_reads_what_another_writes(float* y) {
  const unsigned mine = blockIdx.x * 32 + threadIdx.x;
  if (kFault) {
    y[mine] = y[(mine + 32) % 64] == 9.f ? 2.f : 1.f;  // FAULT: block_reads_what_another_writes
  } else {
    y[mine] = 1.f;
  }
}

// The last block to come adds up what all have written: right with a fence before the count.
template <bool kFault>
__global__ void sum_without_fence(float* parts, unsigned* count, float* y) {
  parts[blockIdx.x * 64 + threadIdx.x] = 0.25f;
  __syncthreads();
  CINEFUSE_SHARED(bool, last, [1]);
  if (threadIdx.x == 0) {
    if (!kFault) __threadfence();
    last[0] = atomicAdd(count, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last[0]) return;
  float sum = 0.f;
  for (unsigned i = 0; i < gridDim.x; ++i) sum += parts[i * 64 + threadIdx.x];  // FAULT: sum_without_fence
  y[threadIdx.x] = sum;
}

// ---- launches

__global__ void ones(float* y) {
  if (threadIdx.x < 64) y[threadIdx.x] = 1.f;
}
__global__ void ones_with_shared(float* y) {
  CINEFUSE_SHARED(float, s, [5000]);
  s[threadIdx.x] = 1.f;
  y[threadIdx.x] = s[threadIdx.x];
}
template <bool kFault>
__global__ void much_static_shared(float* y) {
  CINEFUSE_SHARED(float, s, [kFault ? 12 * 1024 + 1 : 12 * 1024]);
  s[threadIdx.x] = 1.f;
  y[threadIdx.x] = s[threadIdx.x];
}

}  // namespace cinefuse::gpu

namespace {

using namespace cinefuse::gpu;

struct Fault {
  const char* name;
  void (*run)(bool faulty, float* y);
};

#define KERNEL_OF(name, blocks, threads, bytes)                                  \
  {                                                                              \
#name, [](bool faulty, float* y) {                                             \
      if (faulty) {                                                                \
        CINEFUSE_START_KERNEL(name<true>, blocks, threads, bytes, nullptr, y);     \
      } else {                                                                     \
        CINEFUSE_START_KERNEL(name<false>, blocks, threads, bytes, nullptr, y);    \
      }                                                                            \
    } \
  }
#define KERNEL(name) KERNEL_OF(name, 1, 64, 0)
#define LAUNCH(name, kernel, grid, block, bytes)                                                              \
  {                                                                                                           \
#name, [](bool faulty, float* y) {                                                                          \
      CINEFUSE_START_KERNEL(kernel, faulty ? grid : dim3(1), faulty ? block : dim3(64), bytes, nullptr, y);     \
    } \
  }

template <bool kFault>
void run_sum(float* y) {
  void *parts = nullptr, *count = nullptr;
  cudaMalloc(&parts, 4 * 64 * sizeof(float));
  cudaMalloc(&count, sizeof(unsigned));
  cudaMemsetAsync(count, 0, sizeof(unsigned), nullptr);
  CINEFUSE_START_KERNEL(sum_without_fence<kFault>, 4, 64, 0, nullptr, static_cast<float*>(parts),
                        static_cast<unsigned*>(count), y);
  cudaFree(parts);
  cudaFree(count);
}

const Fault kFaults[] = {
    KERNEL(barrier_at_two_lines),
    KERNEL(barrier_after_return),
    KERNEL(shuffle_without_some_lanes),
    KERNEL(shuffle_waits_for_a_barrier),
    KERNEL(shuffle_from_outside_the_mask),
    KERNEL(lane_not_in_its_mask),
    KERNEL(collectives_mixed),
    KERNEL(static_shared_out_of_bounds),
    KERNEL(static_shared_read_out_of_bounds),
    KERNEL_OF(dynamic_shared_out_of_bounds, 1, 64, 64 * sizeof(float)),
    KERNEL(global_out_of_bounds),
    KERNEL(global_read_out_of_bounds),
    KERNEL(local_out_of_bounds),
    KERNEL(misaligned_load4),
    KERNEL(misaligned_store4),
    KERNEL(misaligned_plain_load),
    KERNEL(uninitialised_float),
    KERNEL(uninitialised_int),
    KERNEL_OF(uninitialised_in_the_second_block, 2, 64, 0),
    KERNEL(missing_barrier),
    KERNEL(write_after_read),
    KERNEL(shuffle_taken_for_a_barrier),
    KERNEL(syncwarp_of_too_few),
    KERNEL(syncwarp_between_warps),
    KERNEL(read_beside_atomics),
    KERNEL(bytes_of_one_word),
    KERNEL(copy_read_before_wait),
    KERNEL(copy_of_a_later_group),
    KERNEL(copy_without_barrier),
    KERNEL(copy_over_what_is_read),
    KERNEL(copy_without_zeros),
    {"host_memory",
     [](bool faulty, float* y) {
       static std::vector<float> host(64, 1.f);
       cudaMemsetAsync(y, 0, 64 * sizeof(float), nullptr);
       CINEFUSE_START_KERNEL(host_memory, 1, 64, 0, nullptr, faulty ? host.data() : y, y);
     }},
    KERNEL(global_without_barrier),
    KERNEL_OF(two_blocks_write_one_place, 2, 64, 0),
    KERNEL_OF(block_reads_what_another_writes, 2, 32, 0),
    {"sum_without_fence", [](bool faulty, float* y) { faulty ? run_sum<true>(y) : run_sum<false>(y); }},
    LAUNCH(block_too_large, ones, dim3(1), dim3(1025), 0),
    LAUNCH(block_too_deep, ones, dim3(1), dim3(1, 1, 65), 0),
    LAUNCH(grid_too_tall, ones, dim3(1, 65536), dim3(64), 0),
    LAUNCH(grid_empty, ones, dim3(0), dim3(64), 0),
    LAUNCH(shared_not_asked_for, ones, dim3(1), dim3(64), faulty ? 48 * 1024 + 16 : 48 * 1024),
    // 20,000 static bytes beside the dynamic ones
    LAUNCH(shared_not_asked_for_in_sum, ones_with_shared, dim3(1), dim3(64), faulty ? 40000 : 29000),
    {"shared_asked_for_too_much",
     [](bool faulty, float* y) {
       const int bytes = (faulty ? 228 : 227) * 1024;
       if (cudaFuncSetAttribute(reinterpret_cast<const void*>(ones),
                                cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) == cudaSuccess) {
         CINEFUSE_START_KERNEL(ones, 1, 64, bytes, nullptr, y);
       }
     }},
    KERNEL(much_static_shared),
};

// Runs one kernel on 64 floats of device memory, which it should make 64 ones.
std::string outcome(const Fault& fault, bool faulty) {
  void* y = nullptr;
  float host[64];
  if (cudaMalloc(&y, sizeof host) != cudaSuccess) return "no memory";
  fault.run(faulty, static_cast<float*>(y));
  cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) error = cudaMemcpyAsync(host, y, sizeof host, cudaMemcpyDeviceToHost, nullptr);
  if (error != cudaSuccess) return std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error);
  cudaFree(y);
  for (float v : host) {
    if (v != 1.f) return "wrong result: " + std::to_string(v);
  }
  return "passed";
}

}  // namespace

int main(int count, char** arguments) {
  const std::string name = count > 1 ? arguments[1] : "list";
  const bool right = count > 2 && !std::strcmp(arguments[2], "right");
  for (const Fault& fault : kFaults) {
    if (name == "list" || (name == "all" && right)) {
      std::printf("%s%s%s\n", fault.name, right ? ": " : "", right ? outcome(fault, false).c_str() : "");
    } else if (name == fault.name) {
      std::printf("%s\n", outcome(fault, !right).c_str());
      return 0;
    }
  }
  return name == "list" || name == "all" ? 0 : 2;
}
