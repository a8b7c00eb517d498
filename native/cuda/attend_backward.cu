#include "attend_backward.h"
#include "rows.cuh"

namespace cinefuse::gpu {

constexpr int kBackwardThreads = 128;
constexpr int kBackwardWarps = kBackwardThreads / 32;
constexpr int kCopyThreads = 256;

template <class T>
__device__ __forceinline__ T* vector_at(const AttendVectors<T>& v, int64_t batch, int64_t head, int64_t i) {
  return v.data + batch * v.batch + head * v.head + i * v.step;
}

// A block a head of an entry of the batch.
__global__ void __launch_bounds__(kBackwardThreads) attend_backward_kernel(AttendGradients p) {
  CINEFUSE_SHARED(float, partial, [kBackwardWarps]);
  const int64_t head = blockIdx.x % p.heads, batch = blockIdx.x / p.heads;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const float* const alpha = p.alpha + int64_t{blockIdx.x} * p.queries * p.steps;
  float* const e = p.e + int64_t{blockIdx.x} * p.queries * p.steps;
  // e <- dc . V_t, then the whole of it
  for (int64_t query = 0; query < p.queries; ++query) {
    const float* const dc = vector_at(p.dc, batch, head, query);
    const int64_t row = query * p.steps;
    float mean = 0.f;
    for (int64_t first = 0; first < p.steps; first += kBackwardWarps) {
      const int64_t t = first + warp;
      const float weight = t < p.steps ? alpha[row + t] : 0.f;
      float sum = 0.f;
      if (weight != 0.f) {
        const float* const value = vector_at(p.values, batch, head, t);
        for (int64_t j = lane; j < p.dv; j += 32) sum = fmaf(dc[j], value[j], sum);
      }
      sum = warp_sum(sum);
      if (t < p.steps && lane == 0) e[row + t] = weight == 0.f ? 0.f : sum;
    }
    __syncthreads();
    for (int64_t t = threadIdx.x; t < p.steps; t += kBackwardThreads) {
      if (alpha[row + t] != 0.f) mean = fmaf(alpha[row + t], e[row + t], mean);
    }
    mean = block_sum(mean, partial);
    for (int64_t t = threadIdx.x; t < p.steps; t += kBackwardThreads) {
      const float weight = alpha[row + t];
      e[row + t] = weight == 0.f ? 0.f : p.scale * weight * (e[row + t] - mean);
    }
    __syncthreads();
  }
  if (p.dq.data) {
    for (int64_t i = threadIdx.x; i < p.queries * p.d; i += kBackwardThreads) {
      const int64_t query = i / p.d, j = i - query * p.d;
      float sum = 0.f;
      for (int64_t t = 0; t < p.steps; ++t) {
        const float weight = e[query * p.steps + t];
        if (weight != 0.f) sum = fmaf(weight, vector_at(p.keys, batch, head, t)[j], sum);
      }
      vector_at(p.dq, batch, head, query)[j] = sum;
    }
  }
  if (p.dk.data) {
    for (int64_t i = threadIdx.x; i < p.steps * p.d; i += kBackwardThreads) {
      const int64_t t = i / p.d, j = i - t * p.d;
      float sum = 0.f;
      for (int64_t query = 0; query < p.queries; ++query) {
        const float weight = e[query * p.steps + t];
        if (weight != 0.f) sum = fmaf(weight, vector_at(p.q, batch, head, query)[j], sum);
      }
      vector_at(p.dk, batch, head, t)[j] = sum;
    }
  }
  if (p.dv_out.data) {
    for (int64_t i = threadIdx.x; i < p.steps * p.dv; i += kBackwardThreads) {
      const int64_t t = i / p.dv, j = i - t * p.dv;
      float sum = 0.f;
      for (int64_t query = 0; query < p.queries; ++query) {
        const float weight = alpha[query * p.steps + t];
        if (weight != 0.f) sum = fmaf(weight, vector_at(p.dc, batch, head, query)[j], sum);
      }
      vector_at(p.dv_out, batch, head, t)[j] = sum;
    }
  }
}

void attend_backward(Call& call, const AttendGradients& p) {
  if (p.batch * p.heads == 0) return;
  CINEFUSE_LAUNCH(call.stream(), attend_backward_kernel, static_cast<unsigned>(p.batch * p.heads),
                  kBackwardThreads, 0, p);
}

__global__ void __launch_bounds__(kCopyThreads) tanh_in_place_kernel(int64_t n, float* x) {
  const int64_t i = int64_t{blockIdx.x} * kCopyThreads + threadIdx.x;
  if (i < n) x[i] = tanhf(x[i]);
}

void tanh_in_place(Call& call, int64_t n, float* x) {
  if (n == 0) return;
  CINEFUSE_LAUNCH(call.stream(), tanh_in_place_kernel, static_cast<unsigned>(blocks_of(n, kCopyThreads)),
                  kCopyThreads, 0, n, x);
}

__global__ void __launch_bounds__(kCopyThreads)
    tanh_scores_backward_kernel(int64_t numbers, int64_t k, const float* e, const float* w, const float* y,
                                float* dz) {
  const int64_t i = int64_t{blockIdx.x} * kCopyThreads + threadIdx.x;
  if (i >= numbers) return;
  const float weight = e[i / k];
  dz[i] = weight == 0.f ? 0.f : weight * w[i % k] * (1.f - y[i] * y[i]);
}

void tanh_scores_backward(Call& call, int64_t vectors, int64_t k, const float* e, const float* w,
                          const float* y, float* dz) {
  if (vectors * k == 0) return;
  CINEFUSE_LAUNCH(call.stream(), tanh_scores_backward_kernel,
                  static_cast<unsigned>(blocks_of(vectors * k, kCopyThreads)), kCopyThreads, 0, vectors * k,
                  k, e, w, y, dz);
}

// Vectors that count: by `present`, or by `lengths` of `steps`; all, where both are null.
struct CountedVectors {
  int64_t numbers, d, steps;
  const uint8_t* present;
  const int32_t* lengths;
};
__device__ __forceinline__ bool counts(const CountedVectors& p, int64_t vector) {
  if (p.present) return p.present[vector] != 0;
  return !p.lengths || vector % p.steps < p.lengths[vector / p.steps];
}

__global__ void __launch_bounds__(kCopyThreads)
    copy_counted_kernel(CountedVectors p, const float* x, float* y) {
  const int64_t i = int64_t{blockIdx.x} * kCopyThreads + threadIdx.x;
  if (i < p.numbers) y[i] = counts(p, i / p.d) ? x[i] : 0.f;
}
__global__ void __launch_bounds__(kCopyThreads)
    add_counted_kernel(CountedVectors p, const float* x, float* y) {
  const int64_t i = int64_t{blockIdx.x} * kCopyThreads + threadIdx.x;
  if (i < p.numbers && counts(p, i / p.d)) y[i] += x[i];
}

static unsigned copy_blocks(const CountedVectors& p) {
  return static_cast<unsigned>(blocks_of(p.numbers, kCopyThreads));
}

void copy_present(Call& call, int64_t vectors, int64_t d, const uint8_t* present, const float* x, float* y) {
  const CountedVectors p{vectors * d, d, 1, present, nullptr};
  if (p.numbers == 0) return;
  CINEFUSE_LAUNCH(call.stream(), copy_counted_kernel, copy_blocks(p), kCopyThreads, 0, p, x, y);
}
void add_present(Call& call, int64_t vectors, int64_t d, const uint8_t* present, const float* x, float* y) {
  const CountedVectors p{vectors * d, d, 1, present, nullptr};
  if (p.numbers == 0) return;
  CINEFUSE_LAUNCH(call.stream(), add_counted_kernel, copy_blocks(p), kCopyThreads, 0, p, x, y);
}
void copy_steps(Call& call, int64_t batch, int64_t steps, int64_t d, const int32_t* lengths, const float* x,
                float* y) {
  const CountedVectors p{batch * steps * d, d, steps, nullptr, lengths};
  if (p.numbers == 0) return;
  CINEFUSE_LAUNCH(call.stream(), copy_counted_kernel, copy_blocks(p), kCopyThreads, 0, p, x, y);
}

}  // namespace cinefuse::gpu
