#include "attend.h"
#include "rows.cuh"

namespace cinefuse::gpu {

constexpr int kAttendThreads = 256;
constexpr int kAttendUnroll = 4;         // steps that a thread has under way
constexpr int64_t kMostChunk = 2048;     // steps whose weights a block keeps
constexpr int64_t kSplitFloats = 16384;  // of K and V, that are worth a block of their own

struct AttendRow {
  int64_t b, h, i;
  int length;  // steps below the length
};
__device__ __forceinline__ AttendRow attend_row(const AttendRows& p, int64_t row) {
  AttendRow r;
  r.i = row % p.queries;
  r.h = row / p.queries % p.heads;
  r.b = row / (p.queries * p.heads);
  r.length = p.lengths ? p.lengths[r.b] : static_cast<int>(p.steps);
  return r;
}
__device__ __forceinline__ bool step_counts(const AttendRows& p, const AttendRow& r, int64_t t) {
  return !p.present || p.present[r.b * p.present_batch + t * p.present_step] != 0;
}
template <class T>
__device__ __forceinline__ T* vectors_of(const AttendVectors<T>& v, const AttendRow& r) {
  return v.data + r.b * v.batch + r.h * v.head;
}

// Scores of steps [first, first + n) into `weights`; -infinity for those that do not count. Returns their
// maximum as this thread has seen it. A group of lanes takes a step, kAttendUnroll of them at a time.
template <int VEC>
__device__ __forceinline__ float attend_scores(const AttendRows& p, const AttendRow& r, int first, int n,
                                               float* weights) {
  const float* const q = vectors_of(p.q, r) + r.i * p.q.step;
  const float* const keys = vectors_of(p.keys, r) + first * p.keys.step;
  const uint8_t* const present =
      p.present ? p.present + r.b * p.present_batch + first * p.present_step : nullptr;
  const int d = static_cast<int>(p.d);
  int lanes = 32;
  while (lanes > 1 && (lanes / 2) * VEC >= d) lanes /= 2;
  const int lane = threadIdx.x % lanes, group = threadIdx.x / lanes, groups = blockDim.x / lanes;
  float top = -INFINITY;
  for (int base = 0; base < n; base += kAttendUnroll * groups) {
    const float* key[kAttendUnroll];
    bool counts[kAttendUnroll];
    float e[kAttendUnroll];
#pragma unroll
    for (int u = 0; u < kAttendUnroll; ++u) {
      const int t = base + u * groups + group;
      counts[u] = t < n && (!present || present[t * p.present_step] != 0);
      key[u] = keys + (counts[u] ? t : 0) * p.keys.step;
      e[u] = 0.f;
    }
    for (int j = lane * VEC; j < d; j += lanes * VEC) {
      float qs[VEC], ks[kAttendUnroll][VEC];
#pragma unroll
      for (int u = 0; u < kAttendUnroll; ++u) {
#pragma unroll
        for (int k = 0; k < VEC; ++k) ks[u][k] = 0.f;
        if (counts[u]) stream_pack<VEC>(key[u] + j, ks[u]);
      }
      load_pack<VEC>(q + j, qs);
#pragma unroll
      for (int u = 0; u < kAttendUnroll; ++u) {
#pragma unroll
        for (int k = 0; k < VEC; ++k) e[u] += qs[k] * ks[u][k];
      }
    }
    for (int o = lanes / 2; o > 0; o >>= 1) {
#pragma unroll
      for (int u = 0; u < kAttendUnroll; ++u) e[u] += __shfl_xor_sync(kWholeWarp, e[u], o);
    }
#pragma unroll
    for (int u = 0; u < kAttendUnroll; ++u) {
      const int t = base + u * groups + group;
      const float score = counts[u] ? p.scale * e[u] : -INFINITY;
      top = fmaxf(top, score);
      if (lane == 0 && t < n) weights[t] = score;
    }
  }
  return top;
}

// c[j] = scale * sum_t weights[t] * V[t][j], t < n, j < dv. Columns lie across the threads; where those are
// more than the columns, groups of them take the steps by turns. Rows of weight 0 are not read. sums: shared,
// VEC numbers a thread.
template <int VEC>
__device__ __forceinline__ void attend_sum(const AttendRows& p, const float* values, int n,
                                           const float* weights, float scale, float* sums, float* c) {
  const int packs = static_cast<int>(p.dv / VEC), threads = blockDim.x;
  const int columns = packs < threads ? packs : threads, groups = threads / columns;
  const int group = threadIdx.x / columns, column = threadIdx.x % columns;
  for (int base = 0; base < packs; base += columns) {
    const int j = (base + column) * VEC;
    float sum[VEC];
#pragma unroll
    for (int k = 0; k < VEC; ++k) sum[k] = 0.f;
    if (group < groups && j < p.dv) {
      for (int t = group; t < n; t += kAttendUnroll * groups) {
        float w[kAttendUnroll], v[kAttendUnroll][VEC];
#pragma unroll
        for (int u = 0; u < kAttendUnroll; ++u) {
          const int at = t + u * groups;
          w[u] = at < n ? weights[at] : 0.f;
#pragma unroll
          for (int k = 0; k < VEC; ++k) v[u][k] = 0.f;
          if (w[u] != 0.f) stream_pack<VEC>(values + at * p.values.step + j, v[u]);
        }
#pragma unroll
        for (int u = 0; u < kAttendUnroll; ++u) {
#pragma unroll
          for (int k = 0; k < VEC; ++k) sum[k] += w[u] * v[u][k];
        }
      }
    }
    if (groups > 1) {  // then one round covers all columns
      float* const mine = sums + threadIdx.x * VEC;
      store_pack<VEC>(mine, sum);
      __syncthreads();
      int half = 1;
      while (2 * half < groups) half *= 2;
      for (; half > 0; half /= 2) {
        if (group < half && group + half < groups) {
          float other[VEC];
          load_pack<VEC>(mine + half * columns * VEC, other);
#pragma unroll
          for (int k = 0; k < VEC; ++k) sum[k] += other[k];
          store_pack<VEC>(mine, sum);
        }
        __syncthreads();
      }
    }
    if (group > 0 || j >= p.dv) continue;
#pragma unroll
    for (int k = 0; k < VEC; ++k) sum[k] *= scale;
    store_pack<VEC>(c + j, sum);
  }
}

// One block a row, or a chunk of its steps: scores, their softmax, the weighted sum. Shapes as in attend.h.
template <int KEY_VEC, int VALUE_VEC>
__global__ void __launch_bounds__(kAttendThreads) attend_kernel(AttendRows p, AttendParts a) {
  CINEFUSE_SHARED(float, partial, [2][kAttendThreads / 32]);
  CINEFUSE_DYNAMIC_SHARED(float, sums);  // VALUE_VEC a thread, then the weights of the chunk
  float* const weights = sums + VALUE_VEC * blockDim.x;
  const int64_t row = blockIdx.x / static_cast<unsigned>(a.splits);
  const int split = blockIdx.x % static_cast<unsigned>(a.splits), first = split * a.chunk;
  const AttendRow r = attend_row(p, row);
  const int n = r.length - first < a.chunk ? r.length - first : a.chunk;
  if (n <= 0 && a.splits > 1) return;
  const float mine = attend_scores<KEY_VEC>(p, r, first, n, weights);
  const float top = block_max(mine, partial[0]);
  float sum = 0.f;
  for (int t = threadIdx.x; t < n; t += blockDim.x) {
    const float e = weights[t];
    // Where all scores are -infinity or NaN, the latter must stay visible.
    const float w = e == -INFINITY ? 0.f : expf(e - top);
    weights[t] = w;
    sum += w;
  }
  sum = block_sum(sum, partial[1]);
  const bool whole = a.splits == 1;
  const float scale = !whole ? 1.f : sum == 0.f ? 0.f : 1.f / sum;
  if (p.alpha) {
    float* const alpha = p.alpha + row * p.steps + first;
    const int64_t end = whole ? p.steps : n;
    for (int64_t t = threadIdx.x; t < end; t += blockDim.x) {
      alpha[t] =
          t < n && step_counts(p, r, first + t) ? weights[t] * scale : 0.f;  // also when a NaN has spread
    }
  }
  float* c = vectors_of(p.c, r) + r.i * p.c.step;
  if (!whole) {
    const int64_t part = row * a.splits + split;
    c = a.parts + part * p.dv;
    if (threadIdx.x == 0) {
      a.tops[part] = top;
      a.sums[part] = sum;
    }
  }
  attend_sum<VALUE_VEC>(p, vectors_of(p.values, r) + first * p.values.step, n, weights, scale, sums, c);
}

// What makes the weights of a chunk those of its row; a chunk without a finite score is 0 or NaN as it is.
__device__ __forceinline__ float chunk_factor(float top_of_chunk, float top) {
  return top_of_chunk == -INFINITY ? 1.f : expf(top_of_chunk - top);
}

// Rows whose steps were split: c = sum over the chunks of their parts, and the weights made to sum to 1. One
// block a stretch of kAttendThreads columns and steps of a row.
__global__ void __launch_bounds__(kAttendThreads)
    attend_join_kernel(AttendRows p, AttendParts a, int stretches) {
  CINEFUSE_SHARED(float, partial, [2][kAttendThreads / 32]);
  const int64_t row = blockIdx.x / static_cast<unsigned>(stretches);
  const int64_t at = int64_t{blockIdx.x % static_cast<unsigned>(stretches)} * kAttendThreads + threadIdx.x;
  const AttendRow r = attend_row(p, row);
  const int chunks = (r.length + a.chunk - 1) / a.chunk;
  const float* const tops = a.tops + row * a.splits;
  const float* const sums = a.sums + row * a.splits;
  float top = -INFINITY, sum = 0.f;
  for (int s = threadIdx.x; s < chunks; s += kAttendThreads) top = fmaxf(top, tops[s]);
  top = block_max(top, partial[0]);
  for (int s = threadIdx.x; s < chunks; s += kAttendThreads) sum += sums[s] * chunk_factor(tops[s], top);
  sum = block_sum(sum, partial[1]);
  const float scale = sum == 0.f ? 0.f : 1.f / sum;
  if (at < p.dv) {
    float c = 0.f;
    for (int s = 0; s < chunks; ++s) {
      const float factor = chunk_factor(tops[s], top);
      if (factor != 0.f) c += factor * a.parts[(row * a.splits + s) * p.dv + at];
    }
    vectors_of(p.c, r)[r.i * p.c.step + at] = c * scale;
  }
  if (p.alpha && at < p.steps) {
    float* const alpha = p.alpha + row * p.steps + at;
    const bool counts = at < r.length && step_counts(p, r, at);
    *alpha = counts ? *alpha * chunk_factor(tops[at / a.chunk], top) * scale : 0.f;
  }
}

void attend(Call& call, const AttendRows& p) {
  const int64_t rows = p.batch * p.heads * p.queries;
  if (rows == 0 || attend_tiles(call, p)) return;
  // Few rows are split until there are blocks for all multiprocessors.
  const int64_t floats = p.d + p.dv;
  const int64_t wanted = blocks_of(int64_t{4} * call.device().multiprocessors(), rows);
  const int64_t most = std::max<int64_t>(p.steps * floats / kSplitFloats, 1);
  const int64_t splits = std::max(std::min(wanted, most), blocks_of(p.steps, kMostChunk));
  const AttendParts a = attend_parts(call, rows, p.steps, p.dv, splits, 1);
  // Small rows get small blocks: some packs of 4 a thread.
  int threads = 32;
  while (threads < kAttendThreads && threads * 64 < a.chunk * floats) threads *= 2;
  const bool keys = in_packs(p.q, p.d) && in_packs(p.keys, p.d);
  const bool values = in_packs(p.values, p.dv) && in_packs(p.c, p.dv);
  const auto kernel = keys     ? values ? attend_kernel<4, 4> : attend_kernel<4, 1>
                          : values ? attend_kernel<1, 4>
                               : attend_kernel<1, 1>;
  const size_t bytes = sizeof(float) * static_cast<size_t>(threads * (values ? 4 : 1) + a.chunk);
  CINEFUSE_LAUNCH(call.stream(), kernel, static_cast<unsigned>(rows * a.splits), threads, bytes, p, a);
  if (a.splits > 1) attend_join(call, p, a);
}

AttendParts attend_parts(Call& call, int64_t rows, int64_t steps, int64_t dv, int64_t splits, int unit) {
  AttendParts a{};
  a.chunk = static_cast<int>(blocks_of(blocks_of(steps, splits), unit)) * unit;
  a.splits = static_cast<int>(blocks_of(steps, a.chunk));
  if (a.splits == 1) return a;
  a.tops = call.scratch<float>(rows * a.splits);
  a.sums = call.scratch<float>(rows * a.splits);
  a.parts = call.scratch<float>(rows * a.splits * dv);
  return a;
}

void attend_join(Call& call, const AttendRows& p, const AttendParts& a) {
  const int64_t rows = p.batch * p.heads * p.queries;
  const int64_t stretches = blocks_of(std::max(p.dv, p.alpha ? p.steps : 1), kAttendThreads);
  CINEFUSE_LAUNCH(call.stream(), attend_join_kernel, static_cast<unsigned>(rows * stretches), kAttendThreads,
                  0, p, a, static_cast<int>(stretches));
}

}  // namespace cinefuse::gpu
