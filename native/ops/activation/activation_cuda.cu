#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "activation_cuda.cuh"
#include "activation_device.h"
#include "activation_math.cuh"
#include "softmax_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kActivationThreads = 256;
constexpr int kActivationItems = 4;  // accesses of 16 bytes that a thread has under way

constexpr int kActivationFloats = 4 * kActivationItems * kActivationThreads;  // of a block

// y[i] = f(x[i]); x and y are aligned to 16.
template <int KIND>
__global__ void __launch_bounds__(kActivationThreads)
    activation_kernel(float slope, int64_t n, const float* x, float* y) {
  for (int64_t base = int64_t{blockIdx.x} * kActivationFloats; base < n;
       base += int64_t{gridDim.x} * kActivationFloats) {
    if (n - base < kActivationFloats) {
      for (int64_t i = base + threadIdx.x; i < n; i += kActivationThreads) y[i] = activate(KIND, slope, x[i]);
      return;
    }
    float v[kActivationItems][4];
#pragma unroll
    for (int i = 0; i < kActivationItems; ++i) {
      stream_pack<4>(x + base + 4 * (i * kActivationThreads + threadIdx.x), v[i]);
    }
#pragma unroll
    for (int i = 0; i < kActivationItems; ++i) {
#pragma unroll
      for (int k = 0; k < 4; ++k) v[i][k] = activate(KIND, slope, v[i][k]);
      store_pack<4>(y + base + 4 * (i * kActivationThreads + threadIdx.x), v[i]);
    }
  }
}

template <int KIND>
static void launch_activation(cudaStream_t stream, float slope, int64_t n, const float* x, float* y) {
  CINEFUSE_LAUNCH(stream, (activation_kernel<KIND>), grid_of(blocks_of(n, kActivationFloats)),
                  kActivationThreads, 0, slope, n, x, y);
}

using LaunchActivation = void (*)(cudaStream_t, float, int64_t, const float*, float*);
// In the order of enum class Activation.
static constexpr LaunchActivation kLaunches[] = {
    launch_activation<0>, launch_activation<1>, launch_activation<2>,
    launch_activation<3>, launch_activation<4>, launch_activation<5>,
    launch_activation<6>, launch_activation<7>, launch_activation<8>};

void activation_rows(cudaStream_t stream, int kind, float slope, int64_t n, const float* x, float* y) {
  kLaunches[kind](stream, slope, n, x, y);
}

static void activation_cuda(Call& call, const cinefuse_activation_params& p) {
  const int64_t n = p.rows * p.cols;
  const In<float> x = call.in(p.x, n);
  const Out<float> y = call.out(p.y, n);
  if (n == 0) return;
  constexpr int kSoftmax = sizeof kLaunches / sizeof *kLaunches;
  call.send();
  call.compute([&] {
    if (p.kind >= kSoftmax) {
      softmax_rows(call.stream(), p.kind > kSoftmax, p.rows, p.cols, x.get(), y.get());
    } else {
      activation_rows(call.stream(), p.kind, p.slope, n, x.get(), y.get());
    }
  });
  call.receive();
}

const Operator kActivationOperator = plain_operator<cinefuse_activation_params, activation_cuda>();

}  // namespace cinefuse::gpu
