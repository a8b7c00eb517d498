#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "activation_backward_cuda.cuh"
#include "activation_backward_device.h"

namespace cinefuse::gpu {

constexpr int kSlopeThreads = 256;

// dy f'(x); y = f(x). Formulas as in activation_backward_simd.cc.
template <int KIND>
__device__ __forceinline__ float activation_slope(float slope, float x, float y, float dy) {
  if constexpr (KIND == 0) return dy;
  if constexpr (KIND == 1) return x <= 0.f ? 0.f : dy;
  if constexpr (KIND == 2) return x <= 0.f ? dy * slope : dy;
  if constexpr (KIND == 3) return dy * ((1.f - y) * (1.f + y));
  if constexpr (KIND == 4) return dy * (y * (1.f - y));
  if constexpr (KIND == 8) return dy / (1.f + expf(-x));
  if constexpr (KIND >= 5 && KIND <= 7) {
    // Beyond this the slopes are constant to the last bit, and products with x stay finite.
    if (x != x) return x;
    const float most = KIND == 7 ? 120.f : 15.f, a = fminf(fmaxf(x, -most), most);
    if constexpr (KIND == 5) {
      const float e = expf(-0.5f * a * a);
      return dy * (0.5f * (1.f + erff(a * 0.70710678118654752440f)) + a * 0.39894228040143267794f * e);
    } else if constexpr (KIND == 6) {
      const float square = a * a;
      const float t = tanhf(0.79788456080286535588f * a * (1.f + 0.044715f * square));
      const float inner = 0.79788456080286535588f * (1.f + 0.134145f * square);
      return dy * (0.5f * (1.f + t) + 0.5f * a * (1.f - t) * (1.f + t) * inner);
    } else {
      const float s = 1.f / (1.f + expf(-a));
      return dy * (s * (1.f + a * (1.f - s)));
    }
  }
  return dy;
}

template <int KIND>
__global__ void __launch_bounds__(kSlopeThreads)
    activation_backward_kernel(float slope, int64_t n, const float* x, const float* y, const float* dy,
                               float* dx) {
  for (int64_t i = int64_t{blockIdx.x} * kSlopeThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kSlopeThreads) {
    dx[i] = activation_slope<KIND>(slope, x[i], y[i], dy[i]);
  }
}

// dx = y (dy - sum of dy y), or dy - e^y sum of dy, of rows; a warp a row, or a block where BLOCK.
template <bool LOG, bool BLOCK>
__global__ void __launch_bounds__(kSlopeThreads)
    softmax_backward_kernel(int64_t rows, int64_t cols, const float* y, const float* dy, float* dx) {
  CINEFUSE_SHARED(float, partial, [2][32]);
  constexpr int kLanes = BLOCK ? kSlopeThreads : 32, kRows = kSlopeThreads / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes, group = static_cast<int>(threadIdx.x) / kLanes;
  int turn = 0;
  // Whole warps stay in the loop: their sums need all lanes.
  for (int64_t base = int64_t{blockIdx.x} * kRows; base < rows; base += int64_t{gridDim.x} * kRows) {
    const int64_t row = base + group, at = row * cols;
    float sum = 0.f;
    if (row < rows) {
      for (int64_t j = lane; j < cols; j += kLanes) sum += LOG ? dy[at + j] : dy[at + j] * y[at + j];
    }
    const float total = BLOCK ? block_sum(sum, partial[turn]) : warp_sum(sum);
    turn ^= 1;
    if (row >= rows) continue;
    for (int64_t j = lane; j < cols; j += kLanes) {
      const float d = dy[at + j], v = y[at + j];
      dx[at + j] = LOG ? d - expf(v) * total : v * (d - total);
    }
  }
}

template <int KIND>
static void launch_slopes(cudaStream_t stream, const ActivationGradients& p) {
  const int64_t n = p.rows * p.cols;
  CINEFUSE_LAUNCH(stream, (activation_backward_kernel<KIND>), grid_of(blocks_of(n, kSlopeThreads)),
                  kSlopeThreads, 0, p.slope, n, p.x, p.y, p.dy, p.dx);
}

void activation_backward(const ActivationGradients& p, Call& call) {
  if (p.rows * p.cols == 0) return;
  using Launch = void (*)(cudaStream_t, const ActivationGradients&);
  // In the order of enum class Activation.
  static constexpr Launch kLaunches[] = {launch_slopes<0>, launch_slopes<1>, launch_slopes<2>,
                                         launch_slopes<3>, launch_slopes<4>, launch_slopes<5>,
                                         launch_slopes<6>, launch_slopes<7>, launch_slopes<8>};
  constexpr int kSoftmax = sizeof kLaunches / sizeof *kLaunches;
  const int kind = static_cast<int>(p.kind);
  if (kind < kSoftmax) return kLaunches[kind](call.stream(), p);
  const bool block = p.cols > 1024, log = kind > kSoftmax;
  const auto kernel =
      log ? (block ? softmax_backward_kernel<true, true> : softmax_backward_kernel<true, false>)
          : (block ? softmax_backward_kernel<false, true> : softmax_backward_kernel<false, false>);
  CINEFUSE_LAUNCH(call.stream(), kernel, grid_of(blocks_of(p.rows, block ? 1 : kSlopeThreads / 32)),
                  kSlopeThreads, 0, p.rows, p.cols, p.y, p.dy, p.dx);
}

static void activation_backward_cuda(Call& call, const cinefuse_activation_backward_params& p) {
  const int64_t n = p.rows * p.cols;
  const In<float> x = call.in(p.x, n), y = call.in(p.y, n), dy = call.in(p.dy, n);
  const Out<float> dx = call.out(p.dx, n);
  if (n == 0) return;
  call.send();
  call.compute([&] {
    activation_backward(
        {static_cast<Activation>(p.kind), p.slope, p.rows, p.cols, x.get(), y.get(), dy.get(), dx.get()},
        call);
  });
  call.receive();
}

const Operator kActivationBackwardOperator =
    plain_operator<cinefuse_activation_backward_params, activation_backward_cuda>();

}  // namespace cinefuse::gpu
