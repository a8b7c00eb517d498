#include "../../cuda/rows.cuh"
#include "cross_modal_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kHeadThreads = 128;
constexpr int kMeanThreads = 128;

// One query of one head a warp; unit: (row, head, query).
__global__ void __launch_bounds__(kHeadThreads)
    cross_modal_attend_kernel(CrossModalHeads p, float* attended, float* alpha) {
  const int lane = threadIdx.x & 31, m = p.modalities;
  const int64_t unit = (int64_t{blockIdx.x} * kHeadThreads + threadIdx.x) / 32;
  if (unit >= p.rows * p.heads * m) return;
  const int query = static_cast<int>(unit % m), head = static_cast<int>(unit / m % p.heads);
  const int64_t row = unit / m / p.heads, first = row * m;
  const int column = head * p.head_width;
  const bool there = lane < m && (!p.present || p.present[first + lane] != 0);
  const unsigned all = __ballot_sync(kWholeWarp, there);
  const bool seen = there && lane != query && (all >> query & 1u) != 0;
  float e = -INFINITY;
  if (seen) {
    const float* const q = p.q + (first + query) * p.ldq + column;
    const float* const k = p.k + (first + lane) * p.ldkv + column;
    float sum = 0.f;
    for (int j = 0; j < p.head_width; ++j) sum = fmaf(q[j], k[j], sum);
    e = sum / sqrtf(static_cast<float>(p.head_width));
  }
  const float top = warp_max(e);
  const float share = seen ? expf(e - top) : 0.f;
  const float total = warp_sum(share);
  const float a = seen ? share / total : 0.f;
  if (alpha && lane < m) alpha[unit * m + lane] = a;
  const unsigned keys = __ballot_sync(kWholeWarp, seen);
  for (int begin = 0; begin < p.head_width; begin += 32) {
    const int j = begin + lane;
    float c = 0.f;
    for (int key = 0; key < m; ++key) {
      if ((keys >> key & 1u) == 0) continue;
      const float weight = __shfl_sync(kWholeWarp, a, key);
      if (j < p.head_width) c = fmaf(weight, p.v[(first + key) * p.ldkv + column + j], c);
    }
    if (j < p.head_width) attended[(first + query) * p.heads * p.head_width + column + j] = c;
  }
}

void attend_others(Call& call, const CrossModalHeads& heads, float* attended, float* alpha) {
  const int64_t threads = heads.rows * heads.heads * heads.modalities * 32;
  if (threads == 0) return;
  CINEFUSE_LAUNCH(call.stream(), cross_modal_attend_kernel,
                  static_cast<unsigned>(blocks_of(threads, kHeadThreads)), kHeadThreads, 0, heads, attended,
                  alpha);
}

__global__ void __launch_bounds__(kMeanThreads)
    cross_modal_mean_kernel(int64_t numbers, int modalities, int64_t d, const uint8_t* present,
                            const float* x, float* c) {
  const int64_t at = int64_t{blockIdx.x} * kMeanThreads + threadIdx.x;
  if (at >= numbers) return;
  const int64_t row = at / d, j = at - row * d;
  float sum = 0.f;
  int count = 0;
  for (int i = 0; i < modalities; ++i) {
    if (present && !present[row * modalities + i]) continue;
    sum += x[(row * modalities + i) * d + j];
    ++count;
  }
  c[at] = count ? sum / static_cast<float>(count) : 0.f;
}

void mean_of_present(Call& call, int64_t rows, int modalities, int64_t d, const uint8_t* present,
                     const float* x, float* c) {
  if (rows == 0) return;
  CINEFUSE_LAUNCH(call.stream(), cross_modal_mean_kernel,
                  static_cast<unsigned>(blocks_of(rows * d, kMeanThreads)), kMeanThreads, 0, rows * d,
                  modalities, d, present, x, c);
}

}  // namespace cinefuse::gpu
