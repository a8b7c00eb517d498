#include "../../cuda/operators.h"
#include "../activation/activation_math.cuh"
#include "layer_norm_cuda.cuh"
#include "layer_norm_device.h"

namespace cinefuse::gpu {

constexpr int kLayerNormThreads = 128;

// One block a row: the mean first, counted from the row's first number, then the spread about it, so that a
// mean far from zero costs no accuracy.
__global__ void layer_norm_kernel(int64_t cols, float eps, const float* x, const float* gain,
                                  const float* bias, int activation, float slope, float* y) {
  CINEFUSE_SHARED(float, partial, [2][kLayerNormThreads / 32]);
  const float* const row = x + blockIdx.x * cols;
  float* const out = y + blockIdx.x * cols;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const float first = row[0];
  float sum = 0.f;
  for (int64_t j = threadIdx.x; j < cols; j += kLayerNormThreads) sum += row[j] - first;
  sum = warp_sum(sum);
  if (lane == 0) partial[0][warp] = sum;
  __syncthreads();
  const float mean = warp_sum(lane < kLayerNormThreads / 32 ? partial[0][lane] : 0.f) /
                     static_cast<float>(cols);  // less `first`
  float spread = 0.f;
  for (int64_t j = threadIdx.x; j < cols; j += kLayerNormThreads) {
    const float d = row[j] - first - mean;
    spread += d * d;
  }
  spread = warp_sum(spread);
  if (lane == 0) partial[1][warp] = spread;
  __syncthreads();
  spread = warp_sum(lane < kLayerNormThreads / 32 ? partial[1][lane] : 0.f) / static_cast<float>(cols);
  const float scale = 1.f / sqrtf(spread + eps);
  for (int64_t j = threadIdx.x; j < cols; j += kLayerNormThreads) {
    float v = (row[j] - first - mean) * scale;
    if (gain) v *= gain[j];
    if (bias) v += bias[j];
    out[j] = activate(activation, slope, v);
  }
}

void layer_norm_rows(cudaStream_t stream, int64_t rows, int64_t cols, float eps, const float* x,
                     const float* gain, const float* bias, int activation, float slope, float* y) {
  if (rows == 0) return;
  CINEFUSE_LAUNCH(stream, layer_norm_kernel, static_cast<unsigned>(rows), kLayerNormThreads, 0, cols, eps, x,
                  gain, bias, activation, slope, y);
}

static void layer_norm_cuda(Call& call, const cinefuse_layer_norm_params& p) {
  const In<float> x = call.in(p.x, p.rows * p.cols), gain = call.in(p.gain, p.cols),
                  bias = call.in(p.bias, p.cols);
  const Out<float> y = call.out(p.y, p.rows * p.cols);
  if (p.rows == 0) return;
  call.send();
  call.compute([&] {
    layer_norm_rows(call.stream(), p.rows, p.cols, p.eps, x.get(), gain.get(), bias.get(), 0, 0.f, y.get());
  });
  call.receive();
}

const Operator kLayerNormOperator = plain_operator<cinefuse_layer_norm_params, layer_norm_cuda>();

}  // namespace cinefuse::gpu
