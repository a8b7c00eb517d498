// What the device can do at most: bytes that a copy moves, products that mma.sync makes.
#include <algorithm>
#include <vector>

#include "../../native/cuda/portable.h"
#include "bench.h"

namespace cinefuse::bench {

namespace {

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess)
    throw Error(Code::kDevice, what, format("%s: %s", what, cudaGetErrorString(error)));
}

template <class Work>
double median_seconds(int repeats, Work work) {
  cudaEvent_t from, to;
  check(cudaEventCreate(&from), "event");
  check(cudaEventCreate(&to), "event");
  std::vector<float> times;
  for (int i = -2; i < repeats; ++i) {
    check(cudaEventRecord(from, nullptr), "record");
    work();
    check(cudaEventRecord(to, nullptr), "record");
    check(cudaEventSynchronize(to), "wait");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, from, to), "time");
    if (i >= 0) times.push_back(milliseconds);
  }
  cudaEventDestroy(from);
  cudaEventDestroy(to);
  std::sort(times.begin(), times.end());
  return std::max(1e-9, times[times.size() / 2] * 1e-3);
}

}  // namespace

// Eight independent products a warp and step, from registers alone.
template <bool Bf16>
__global__ void __launch_bounds__(256) matrix_rate_kernel(int steps, float* out) {
  float d[8][4] = {};
  uint32_t a[4], b[2];
  for (int i = 0; i < 4; ++i) a[i] = 0x3f803f80u + threadIdx.x * 8192u;
  for (int i = 0; i < 2; ++i) b[i] = 0x3f803f80u + threadIdx.x * 16384u;
  for (int s = 0; s < steps; ++s) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (Bf16) {
        gpu::mma_m16n8k16_bf16(d[i], a, b);
      } else {
        gpu::mma_m16n8k8_tf32(d[i], a, b);
      }
    }
  }
  float sum = 0.f;
  for (int i = 0; i < 8; ++i) sum += d[i][0] + d[i][1] + d[i][2] + d[i][3];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;  // or the compiler would leave all of it out
}

Ceilings measure_ceilings(int device, bool small) {
  check(cudaSetDevice(device), "device");
  Ceilings c;
  const size_t bytes = small ? size_t{1} << 20 : size_t{2} << 30;
  void *from = nullptr, *to = nullptr;
  check(cudaMalloc(&from, bytes), "memory");
  check(cudaMalloc(&to, bytes), "memory");
  check(cudaMemsetAsync(from, 1, bytes, nullptr), "memset");
  c.copy_bytes = 2. * static_cast<double>(bytes) / median_seconds(small ? 2 : 20, [&] {
                   check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, nullptr), "copy");
                 });
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, device), "properties");
  const int blocks = small ? 1 : 4 * p.multiProcessorCount, steps = small ? 2 : 4096,
            repeats = small ? 1 : 10;
  auto* out = static_cast<float*>(to);
  const double products = 8. * steps * blocks * (256 / 32);  // a product is 2 * 16 * 8 * k operations
  const double tf32 = median_seconds(repeats, [&] {
    CINEFUSE_START_KERNEL((matrix_rate_kernel<false>), blocks, 256, 0, static_cast<cudaStream_t>(nullptr),
                          steps, out);
    check(cudaGetLastError(), "launch");
  });
  const double bf16 = median_seconds(repeats, [&] {
    CINEFUSE_START_KERNEL((matrix_rate_kernel<true>), blocks, 256, 0, static_cast<cudaStream_t>(nullptr),
                          steps, out);
    check(cudaGetLastError(), "launch");
  });
  c.matrix_flops[1] = products * 2 * 16 * 8 * 8 / tf32;
  c.matrix_flops[2] = products * 2 * 16 * 8 * 16 / bf16;
  c.matrix_flops[0] = c.matrix_flops[1] / 3;
  cudaFree(from);
  cudaFree(to);
  return c;
}

}  // namespace cinefuse::bench
