#include <algorithm>

#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "../../cuda/sums.cuh"
#include "optimizer_cuda.cuh"
#include "optimizer_device.h"

namespace cinefuse::gpu {

constexpr int kStepThreads = 256;

// What a step reads and where it writes: the same memory, but for a call that is timed again and again.
struct OptimizerArrays {
  int64_t n;
  const float *p, *g, *m, *v;
  float *new_p, *new_m, *new_v;
  const float* clip;
};

// g scale + l2 p + l1 sign(p)
__device__ __forceinline__ float step_gradient(const OptimizerStep& s, float g, float p) {
  g *= s.scale;
  if (s.l2 != 0.f) g += s.l2 * p;
  if (s.l1 != 0.f) g += p > 0.f ? s.l1 : p < 0.f ? -s.l1 : 0.f;
  return g;
}

// Whether the step is taken.
__device__ __forceinline__ bool take_clip(OptimizerStep& s, const float* clip) {
  if (!clip) return true;
  s.scale *= *clip;
  return s.scale == s.scale;
}

__global__ void __launch_bounds__(kStepThreads) sgd_kernel(OptimizerStep s, OptimizerArrays a) {
  if (!take_clip(s, a.clip)) return;
  for (int64_t i = int64_t{blockIdx.x} * kStepThreads + threadIdx.x; i < a.n;
       i += int64_t{gridDim.x} * kStepThreads) {
    const float p = a.p[i];
    float step = step_gradient(s, a.g[i], p);
    if (a.m) {
      const float velocity = s.first ? step : s.momentum * a.m[i] + step;
      a.new_m[i] = velocity;
      step = s.nesterov ? step + s.momentum * velocity : velocity;
    }
    a.new_p[i] = p - s.rate * step;
  }
}

__global__ void __launch_bounds__(kStepThreads) adam_kernel(OptimizerStep s, OptimizerArrays a) {
  if (!take_clip(s, a.clip)) return;
  for (int64_t i = int64_t{blockIdx.x} * kStepThreads + threadIdx.x; i < a.n;
       i += int64_t{gridDim.x} * kStepThreads) {
    float p = a.p[i];
    const float g = step_gradient(s, a.g[i], p);
    if (s.decay != 1.f) p *= s.decay;
    const float m = s.beta1 * a.m[i] + (1.f - s.beta1) * g;
    const float v = s.beta2 * a.v[i] + (1.f - s.beta2) * (g * g);
    a.new_m[i] = m;
    a.new_v[i] = v;
    a.new_p[i] = p - s.rate * m / (sqrtf(v) * s.root + s.eps);
  }
}

// parts[block] = sum of g^2 over the block's stretch.
__global__ void __launch_bounds__(kSumsThreads)
    squared_norm_kernel(int64_t n, const float* g, double* parts) {
  CINEFUSE_SHARED(double, shared, [kSumsThreads]);
  double sum = 0.;
  for (int64_t base = int64_t{blockIdx.x} * kSumsStretch, i = base + threadIdx.x;
       i < n && i < base + kSumsStretch; i += kSumsThreads) {
    const double x = static_cast<double>(g[i]);
    sum += x * x;
  }
  sum = block_sum64(sum, shared);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// *sum = the parts added up; one block.
__global__ void __launch_bounds__(kSumsThreads)
    sum_parts_kernel(int64_t parts, const double* from, double* to) {
  CINEFUSE_SHARED(double, shared, [kSumsThreads]);
  double sum = 0.;
  for (int64_t i = threadIdx.x; i < parts; i += kSumsThreads) sum += from[i];
  sum = block_sum64(sum, shared);
  if (threadIdx.x == 0) *to = sum;
}

static void launch_step(bool adam, const OptimizerStep& step, const OptimizerArrays& arrays, Call& call) {
  if (arrays.n == 0) return;
  const auto kernel = adam ? adam_kernel : sgd_kernel;
  CINEFUSE_LAUNCH(call.stream(), kernel, grid_of(blocks_of(arrays.n, kStepThreads)), kStepThreads, 0, step,
                  arrays);
}

void optimizer_step(bool adam, const OptimizerStep& step, int64_t n, float* p, const float* g, float* m,
                    float* v, Call& call, const float* clip) {
  launch_step(adam, step, {n, p, g, m, v, p, m, v, clip}, call);
}

void squared_norm(int64_t n, const float* g, double* sum, Call& call) {
  const int64_t blocks = std::max<int64_t>(1, blocks_of(n, kSumsStretch));
  double* const parts = call.scratch<double>(blocks);
  CINEFUSE_LAUNCH(call.stream(), squared_norm_kernel, static_cast<unsigned>(blocks), kSumsThreads, 0, n, g,
                  parts);
  CINEFUSE_LAUNCH(call.stream(), sum_parts_kernel, 1, kSumsThreads, 0, blocks, parts, sum);
}

static void optimizer_cuda(Call& call, const cinefuse_optimizer_params& a) {
  const In<float> p = call.in<float>(a.p, a.n), g = call.in(a.g, a.n), m = call.in<float>(a.m, a.n),
                  v = call.in<float>(a.v, a.n);
  const Out<float> new_p = call.out(a.p, a.n), new_m = call.out(a.m, a.n), new_v = call.out(a.v, a.n);
  if (a.n == 0) return;
  call.send();
  call.compute([&] {
    launch_step(a.adam != 0, a.step,
                {a.n, p.get(), g.get(), m.get(), v.get(), new_p.get(), new_m.get(), new_v.get(), nullptr},
                call);
  });
  call.receive();
}

static void squared_norm_cuda(Call& call, const cinefuse_squared_norm_params& p) {
  const In<float> g = call.in(p.g, p.n);
  const Out<double> sum = call.out(p.sum, 1);
  call.send();
  call.compute([&] { squared_norm(p.n, g.get(), sum.get(), call); });
  call.receive();
}

const Operator kOptimizerOperator = plain_operator<cinefuse_optimizer_params, optimizer_cuda>();
const Operator kSquaredNormOperator = plain_operator<cinefuse_squared_norm_params, squared_norm_cuda>();

}  // namespace cinefuse::gpu
