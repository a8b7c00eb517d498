#include "../../cuda/device.h"
#include "../../cuda/operators.h"
#include "activation_device.h"
#include "activation_math.cuh"

namespace cinefuse::gpu {

constexpr int kActivationThreads = 256;
constexpr int kSoftmaxThreads = 256;

// y[i] = f(x[i]), four at a time; x and y are whole device buffers, aligned to 256.
__global__ void activation_kernel(int kind, float slope, int64_t n, const float* x, float* y) {
  const int64_t stride = int64_t{4} * gridDim.x * blockDim.x;
  for (int64_t i = 4 * (int64_t{blockIdx.x} * blockDim.x + threadIdx.x); i < n; i += stride) {
    if (i + 4 <= n) {
      float4 v = load4(x + i);
      v.x = activate(kind, slope, v.x);
      v.y = activate(kind, slope, v.y);
      v.z = activate(kind, slope, v.z);
      v.w = activate(kind, slope, v.w);
      store4(y + i, v);
    } else {
      for (int64_t j = i; j < n; ++j) y[j] = activate(kind, slope, x[j]);
    }
  }
}

// One block a row. y[j] = e^(x_j - max) / sum, or its logarithm; a row with NaN, or all -infinity, gives NaN.
__global__ void softmax_kernel(bool logarithm, int64_t cols, const float* x, float* y) {
  CINEFUSE_SHARED(float, partial, [2][kSoftmaxThreads / 32]);
  const float* const row = x + blockIdx.x * cols;
  float* const out = y + blockIdx.x * cols;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  float top = -INFINITY;
  bool nan = false;
  for (int64_t j = threadIdx.x; j < cols; j += kSoftmaxThreads) {
    top = fmaxf(top, row[j]);
    nan |= row[j] != row[j];
  }
  if (nan) top = INFINITY;  // e^(x - inf) * 0 is NaN for all
  top = warp_max(top);
  if (lane == 0) partial[0][warp] = top;
  __syncthreads();
  top = warp_max(lane < kSoftmaxThreads / 32 ? partial[0][lane] : -INFINITY);
  float sum = 0.f;
  for (int64_t j = threadIdx.x; j < cols; j += kSoftmaxThreads) sum += expf(row[j] - top);
  sum = warp_sum(sum);
  if (lane == 0) partial[1][warp] = sum;
  __syncthreads();
  sum = warp_sum(lane < kSoftmaxThreads / 32 ? partial[1][lane] : 0.f);
  const float scale = 1.f / sum, shift = logf(sum);
  for (int64_t j = threadIdx.x; j < cols; j += kSoftmaxThreads) {
    const float d = row[j] - top;
    out[j] = logarithm ? d - shift : expf(d) * scale;
  }
}

static void activation_cuda(Call& call, const cinefuse_activation_params& p) {
  const int64_t n = p.rows * p.cols;
  const In<float> x = call.in(p.x, n);
  const Out<float> y = call.out(p.y, n);
  if (n == 0) return;
  call.send();
  call.compute([&] {
    if (p.kind >= 9) {
      CINEFUSE_LAUNCH(call.stream(), softmax_kernel, static_cast<unsigned>(p.rows), kSoftmaxThreads, 0,
                      p.kind == 10, p.cols, x.get(), y.get());
      return;
    }
    const int64_t blocks = std::min<int64_t>(blocks_of(n, 4 * kActivationThreads),
                                             int64_t{16} * call.device().multiprocessors());
    CINEFUSE_LAUNCH(call.stream(), activation_kernel, static_cast<unsigned>(blocks), kActivationThreads, 0,
                    p.kind, p.slope, n, x.get(), y.get());
  });
  call.receive();
}

const Operator kActivationOperator = plain_operator<cinefuse_activation_params, activation_cuda>();

}  // namespace cinefuse::gpu
