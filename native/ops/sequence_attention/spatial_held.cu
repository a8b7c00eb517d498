#include <algorithm>

#include "../../cuda/rows.cuh"
#include "spatial_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kHeldThreads = 512;
constexpr int kHeldWarps = kHeldThreads / 32;

// alpha_n = softmax_n(scale * sum_i q_i x_in + bias), c_i = sum_n alpha_n x_in of maps that shared memory
// holds whole: a map is one stretch of memory, however its rows begin. It comes in one or two chunks of
// channels, and the next map's follows as soon as a chunk is used up. Scores: lanes take positions, up to 32
// * SPANS of them, warps channels; sums: a thread a channel. Rows of an odd number of positions meet no bank
// twice.
template <int SPANS>
__global__ void __launch_bounds__(kHeldThreads, 2) spatial_held_kernel(SpatialArguments p, int chunk) {
  CINEFUSE_SHARED(float, partial, [kHeldWarps][32 * SPANS]);
  CINEFUSE_SHARED(float, weights, [32 * SPANS]);
  CINEFUSE_DYNAMIC_SHARED(float, held);  // (channels, positions), then the scaled query
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, channels = p.channels, positions = p.positions;
  float* const query = held + channels * positions;

  const auto fetch = [&](int64_t map, int first) {
    const int to = min(first + chunk, channels) * positions;
    const float* const x = p.x + map * channels * positions;
    for (int i = first * positions + 4 * static_cast<int>(threadIdx.x); i < to; i += 4 * kHeldThreads) {
      cp_async16(held + i, x + i, true);
    }
    cp_async_commit();
  };

  for (int first = 0; first < channels; first += chunk) fetch(blockIdx.x, first);
  for (int64_t map = blockIdx.x; map < p.batch; map += gridDim.x) {
    if (map == blockIdx.x || p.query_step) {
      for (int i = threadIdx.x; i < channels; i += kHeldThreads) {
        query[i] = p.scale * p.query[map * p.query_step + i];
      }
    }
    float e[SPANS];
#pragma unroll
    for (int s = 0; s < SPANS; ++s) e[s] = 0.f;
    for (int first = 0; first < channels; first += chunk) {
      if (first + chunk < channels) {
        cp_async_wait<1>();
      } else {
        cp_async_wait<0>();
      }
      __syncthreads();
      const int to = min(first + chunk, channels);
      for (int i = first + 4 * warp; i < to; i += 4 * kHeldWarps) {
        float q[4];
        load_pack<4>(query + i, q);
        const float* const x = held + i * positions + lane;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
#pragma unroll
          for (int s = 0; s < SPANS; ++s) {
            if (lane + 32 * s < positions) e[s] += q[j] * x[j * positions + 32 * s];
          }
        }
      }
    }
#pragma unroll
    for (int s = 0; s < SPANS; ++s) partial[warp][lane + 32 * s] = e[s];
    __syncthreads();
    if (warp == 0) {
      float top = -INFINITY, total = 0.f;
#pragma unroll
      for (int s = 0; s < SPANS; ++s) {
        e[s] = lane + 32 * s < positions ? p.bias : -INFINITY;
        for (int w = 0; w < kHeldWarps; ++w) e[s] += partial[w][lane + 32 * s];
        top = fmaxf(top, e[s]);
      }
      top = warp_max(top);
#pragma unroll
      for (int s = 0; s < SPANS; ++s) {
        // Where all scores are -infinity or NaN, the latter must stay visible.
        e[s] = e[s] == -INFINITY ? 0.f : expf(e[s] - top);
        total += e[s];
      }
      total = warp_sum(total);
      const float scale = total == 0.f ? 0.f : 1.f / total;
#pragma unroll
      for (int s = 0; s < SPANS; ++s) {
        const int n = lane + 32 * s;
        weights[n] = e[s] * scale;
        if (n < positions) p.alpha[map * positions + n] = e[s] * scale;
      }
    }
    __syncthreads();
    for (int first = 0; first < channels; first += chunk) {
      const int to = min(first + chunk, channels);
      for (int i = first + static_cast<int>(threadIdx.x); i < to; i += kHeldThreads) {
        const float* const x = held + i * positions;
        float sum[4] = {0.f, 0.f, 0.f, 0.f};
        int n = 0;
        for (; n + 4 <= positions; n += 4) {
          float w[4];
          load_pack<4>(weights + n, w);
#pragma unroll
          for (int k = 0; k < 4; ++k) sum[k] += w[k] * x[n + k];
        }
        for (; n < positions; ++n) sum[0] += weights[n] * x[n];
        p.c[map * channels + i] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
      }
      __syncthreads();
      if (map + gridDim.x < p.batch) fetch(map + gridDim.x, first);
    }
  }
}

bool spatial_held(Call& call, const SpatialArguments& p) {
  const Device& device = call.device();
  const int spans = static_cast<int>(blocks_of(p.positions, 32));
  const int64_t bytes = sizeof(float) * (int64_t{p.channels} * p.positions + p.channels);
  const int64_t most = static_cast<int64_t>(device.shared_bytes()) -
                       static_cast<int64_t>(sizeof(float)) * 32 * spans * 2 * (kHeldWarps + 1) - 1024;
  if (p.positions % 4 == 0 || p.channels % 4 != 0 || spans > 8 || bytes > most) return false;
  const int chunk = p.channels <= kHeldThreads ? p.channels : static_cast<int>(blocks_of(p.channels, 8)) * 4;
  const auto kernel = spans <= 1   ? spatial_held_kernel<1>
                      : spans <= 2 ? spatial_held_kernel<2>
                      : spans <= 4 ? spatial_held_kernel<4>
                                   : spatial_held_kernel<8>;
  const int64_t resident = std::min<int64_t>(std::max<int64_t>(most / (bytes + 1024), 1), 2);
  CINEFUSE_LAUNCH(call.stream(), kernel,
                  static_cast<unsigned>(std::min(p.batch, resident * device.multiprocessors())), kHeldThreads,
                  static_cast<size_t>(bytes), p, chunk);
  return true;
}

}  // namespace cinefuse::gpu
