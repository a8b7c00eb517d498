#include <algorithm>

#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "../../cuda/sums.cuh"
#include "loss_cuda.cuh"
#include "loss_device.h"

namespace cinefuse::gpu {

constexpr int64_t kLossStretch = 1024;                                     // elements of a block
constexpr int kLossWarps = kSumsThreads / 32, kLossRows = 4 * kLossWarps;  // of a block

// x: (rows, cols), target: (rows, cols) or (rows). each: where single losses go, or null. parts: (blocks, 2),
// each block's sums of losses and of weights.
struct LossArgs {
  int64_t rows, cols;
  float delta, smoothing;
  const float *x, *target, *class_weights, *row_weights;
  float *each, *dx;
  double* parts;
};

// Loss and slope of one element.
template <int KIND>
__device__ __forceinline__ void element_loss(float delta, float x, float target, float& loss, float& slope) {
  const float e = x - target;
  if constexpr (KIND == 0) {
    loss = e * e;
    slope = 2.f * e;
  } else if constexpr (KIND == 1) {
    loss = fabsf(e);
    slope = e > 0.f ? 1.f : e < 0.f ? -1.f : e;
  } else if constexpr (KIND == 2) {
    const bool straight = fabsf(e) > delta;
    loss = straight ? delta * (fabsf(e) - 0.5f * delta) : 0.5f * e * e;
    slope = straight ? (e > 0.f ? delta : -delta) : e;
  } else {
    // max(x, 0) - target x + ln(1 + e^-|x|), without infinity less infinity
    const float small = expf(-fabsf(x));
    const float line = x > 0.f         ? (target == 1.f ? 0.f : (1.f - target) * x)
                       : target == 0.f ? 0.f
                                       : -target * x;
    loss = (x != x ? x : line) + log1pf(small);
    slope = (x < 0.f ? small : 1.f) / (1.f + small) - target;
  }
}

__device__ __forceinline__ void store_part(const LossArgs& p, double loss, double weight, double* shared) {
  loss = block_sum64(loss, shared);
  __syncthreads();
  weight = block_sum64(weight, shared);
  if (threadIdx.x == 0) {
    p.parts[2 * blockIdx.x] = loss;
    p.parts[2 * blockIdx.x + 1] = weight;
  }
}

// A stretch of elements a block; NaN targets and rows of weight 0 do not count.
template <int KIND>
__global__ void __launch_bounds__(kSumsThreads) element_loss_kernel(LossArgs p) {
  CINEFUSE_SHARED(double, shared, [kSumsThreads]);
  const int64_t n = p.rows * p.cols, base = int64_t{blockIdx.x} * kLossStretch;
  double sum = 0., weights = 0.;
  for (int64_t i = base + threadIdx.x; i < n && i < base + kLossStretch; i += kSumsThreads) {
    const float w = p.row_weights ? p.row_weights[i / p.cols] : 1.f, target = p.target[i];
    float loss = 0.f, slope = 0.f;
    if (w != 0.f && target == target) {
      element_loss<KIND>(p.delta, p.x[i], target, loss, slope);
      loss *= w;
      slope *= w;
      sum += static_cast<double>(loss);
      weights += static_cast<double>(w);
    }
    if (p.dx) p.dx[i] = slope;
    if (p.each) p.each[i] = loss;
  }
  store_part(p, sum, weights, shared);
}

// A warp a row: loss = sum_c t_c w_c (ln sum_k e^x_k - x_c).
__global__ void __launch_bounds__(kSumsThreads) class_loss_kernel(LossArgs p) {
  CINEFUSE_SHARED(double, shared, [kSumsThreads]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const float each = p.smoothing / static_cast<float>(p.cols);
  float spread = 0.f;  // the weight of what is spread over all classes
  for (int64_t c = lane; c < p.cols; c += 32) spread += each * (p.class_weights ? p.class_weights[c] : 1.f);
  spread = warp_sum(spread);
  double sum = 0., weights = 0.;
  const int64_t first = int64_t{blockIdx.x} * kLossRows + warp;
  for (int64_t r = first; r < p.rows && r < first + kLossRows; r += kLossWarps) {
    const float* const x = p.x + r * p.cols;
    const float w = p.row_weights ? p.row_weights[r] : 1.f, class_number = p.target[r];
    float loss = 0.f;
    if (w != 0.f && class_number == class_number) {
      const int64_t target = static_cast<int64_t>(class_number);
      const float of_target = p.class_weights ? p.class_weights[target] : 1.f;
      const float hard = (1.f - p.smoothing) * of_target;
      float top = -INFINITY, total = 0.f, rest = 0.f;
      for (int64_t c = lane; c < p.cols; c += 32) top = fmaxf(top, x[c]);
      top = warp_max(top);
      for (int64_t c = lane; c < p.cols; c += 32) total += expf(x[c] - top);
      const float log_total = logf(warp_sum(total));
      if (p.smoothing > 0.f) {
        for (int64_t c = lane; c < p.cols; c += 32) {
          rest += each * (p.class_weights ? p.class_weights[c] : 1.f) * (log_total - (x[c] - top));
        }
      }
      loss = w * (hard * (log_total - (x[target] - top)) + warp_sum(rest));
      if (p.dx) {
        for (int64_t c = lane; c < p.cols; c += 32) {
          const float soft = p.smoothing > 0.f ? each * (p.class_weights ? p.class_weights[c] : 1.f) : 0.f;
          const float wanted = (c == target ? hard : 0.f) + soft;
          p.dx[r * p.cols + c] = w * (expf(x[c] - top - log_total) * (hard + spread) - wanted);
        }
      }
      sum += static_cast<double>(loss);
      weights += static_cast<double>(w) * static_cast<double>(of_target);
    } else if (p.dx) {
      for (int64_t c = lane; c < p.cols; c += 32) p.dx[r * p.cols + c] = 0.f;
    }
    if (p.each && lane == 0) p.each[r] = loss;
  }
  store_part(p, lane == 0 ? sum : 0., lane == 0 ? weights : 0., shared);
}

// *loss = the sum of losses, over that of weights where a mean is wanted; *scale = 1 over it. One block.
__global__ void __launch_bounds__(kSumsThreads)
    reduce_loss_kernel(int64_t parts, const double* from, int mean, float* loss, double* scale) {
  CINEFUSE_SHARED(double, shared, [kSumsThreads]);
  double sum = 0., weights = 0.;
  for (int64_t i = threadIdx.x; i < parts; i += kSumsThreads) {
    sum += from[2 * i];
    weights += from[2 * i + 1];
  }
  sum = block_sum64(sum, shared);
  __syncthreads();
  weights = block_sum64(weights, shared);
  if (threadIdx.x != 0) return;
  const double factor = mean ? (weights > 0. ? 1. / weights : 0.) : 1.;
  *loss = static_cast<float>(factor == 0. ? 0. : sum * factor);
  *scale = factor;
}

__global__ void __launch_bounds__(kSumsThreads)
    scale_slopes_kernel(int64_t n, const double* scale, float* dx) {
  const double factor = *scale;
  for (int64_t i = int64_t{blockIdx.x} * kSumsThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kSumsThreads) {
    dx[i] = static_cast<float>(static_cast<double>(dx[i]) * factor);
  }
}

void loss(const LossParams& l, Call& call) {
  const bool none = l.reduction == Reduction::kNone, classes = l.kind == LossKind::kCrossEntropy;
  const int64_t n = l.rows * l.cols;
  if (none && n == 0) return;
  const int64_t blocks =
      std::max<int64_t>(1, classes ? blocks_of(l.rows, kLossRows) : blocks_of(n, kLossStretch));
  double* const parts = call.scratch<double>(2 * blocks);
  const LossArgs p{l.rows,
                   l.cols,
                   l.delta,
                   l.smoothing,
                   l.x,
                   l.target,
                   l.class_weights,
                   l.row_weights,
                   none ? l.loss : nullptr,
                   l.dx,
                   parts};
  const unsigned grid = static_cast<unsigned>(blocks);
  const auto kernel = l.kind == LossKind::kMse     ? element_loss_kernel<0>
                      : l.kind == LossKind::kMae   ? element_loss_kernel<1>
                      : l.kind == LossKind::kHuber ? element_loss_kernel<2>
                      : l.kind == LossKind::kBce   ? element_loss_kernel<3>
                                                   : class_loss_kernel;
  CINEFUSE_LAUNCH(call.stream(), kernel, grid, kSumsThreads, 0, p);
  if (none) return;
  double* const scale = call.scratch<double>(1);
  const int mean = l.reduction == Reduction::kMean;
  CINEFUSE_LAUNCH(call.stream(), reduce_loss_kernel, 1, kSumsThreads, 0, blocks, parts, mean, l.loss, scale);
  if (mean && l.dx && n > 0) {
    CINEFUSE_LAUNCH(call.stream(), scale_slopes_kernel, grid_of(blocks_of(n, kSumsThreads)), kSumsThreads, 0,
                    n, scale, l.dx);
  }
}

static void loss_cuda(Call& call, const cinefuse_loss_params& p) {
  const LossKind kind = static_cast<LossKind>(p.kind);
  const Reduction reduction = static_cast<Reduction>(p.reduction);
  const int64_t n = p.rows * p.cols, targets = kind == LossKind::kCrossEntropy ? p.rows : n;
  const In<float> x = call.in(p.x, n), target = call.in(p.target, targets),
                  class_weights = call.in(p.class_weights, p.cols),
                  row_weights = call.in(p.row_weights, p.rows);
  const Out<float> value = call.out(p.loss, reduction == Reduction::kNone ? targets : 1),
                   dx = call.out(p.dx, n);
  if (reduction == Reduction::kNone && n == 0) return;
  call.send();
  call.compute([&] {
    loss({kind, reduction, p.rows, p.cols, p.delta, p.smoothing, x.get(), target.get(), class_weights.get(),
          row_weights.get(), value.get(), dx.get()},
         call);
  });
  call.receive();
}

const Operator kLossOperator = plain_operator<cinefuse_loss_params, loss_cuda>();

}  // namespace cinefuse::gpu
