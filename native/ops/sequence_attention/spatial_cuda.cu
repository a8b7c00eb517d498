#include <algorithm>

#include "../../cuda/attend.h"
#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "sequence_attention_device.h"
#include "spatial_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kSpatialFloats = 32;  // of x that a thread holds
// From one thread's to the next: padded, so that neighbours meet no bank twice.
template <int VEC>
constexpr int kSpatialSlot = kSpatialFloats + VEC;
constexpr int64_t kLeastTiles = 4;  // that are worth a block of their own

// What a unit of work is: positions [from, to) of a map.
struct SpatialUnit {
  int map, from, to;
};
__device__ __forceinline__ SpatialUnit spatial_unit(const SpatialArguments& p, int unit) {
  SpatialUnit u;
  u.map = unit / p.parts.splits;
  u.from = (unit - u.map * p.parts.splits) * p.parts.chunk;
  u.to = min(u.from + p.parts.chunk, p.positions);
  return u;
}

// Until the copies of `part` are there, of PARTS groups under way in order.
template <int PARTS>
__device__ __forceinline__ void wait_for_part(int part) {
  if (part == PARTS - 1) {
    cp_async_wait<0>();
  } else if (part == PARTS - 2) {
    cp_async_wait<1>();
  } else if (part == PARTS - 3) {
    cp_async_wait<2>();
  } else {
    cp_async_wait<3>();
  }
}

// y[0 .. N) of LANES neighbouring lanes summed. Half of the items at a time goes to the lanes' other half:
// lane l is left with y[0 .. max(N / LANES, 1)) = the sums from l * N / LANES on.
template <int LANES, int N>
__device__ __forceinline__ void sum_over_lanes(float (&y)[N]) {
  const int lane = threadIdx.x % LANES;
  int n = N / 2;
#pragma unroll
  for (int o = LANES / 2; o > 0; o >>= 1, n >>= 1) {
    if (n == 0) {
      y[0] += __shfl_xor_sync(kWholeWarp, y[0], o);
      continue;
    }
    const bool upper = (lane & o) != 0;
#pragma unroll
    for (int i = 0; i < N / 2; ++i) {
      if (i >= n) continue;
      const float give = upper ? y[i] : y[i + n];
      y[i] = (upper ? y[i + n] : y[i]) + __shfl_xor_sync(kWholeWarp, give, o);
    }
  }
}

// alpha_n = softmax_n(scale * sum_i q_i x_in + bias), c_i = sum_n alpha_n x_in, with x read once: a tile of
// VEC * LANES positions and all channels comes into shared memory, is scored, and is added to sums that carry
// the greatest score so far. Every thread reads only what it has fetched: LANES neighbouring lanes have the
// positions of a tile, every such group ITEMS channels; so it fetches the next tile into each half of its
// slots as soon as it has added that half. Blocks stay and take one unit after another.
template <int VEC, int LANES, int THREADS, int BLOCKS>
__global__ void __launch_bounds__(THREADS, BLOCKS) spatial_kernel(SpatialArguments p, int units) {
  constexpr int ITEMS = kSpatialFloats / VEC, TILE = VEC * LANES, OUT = ITEMS / LANES;
  constexpr int PARTS = VEC == 4 ? 2 : 4, EACH = ITEMS / PARTS;  // items of a part
  // Sums of a part over the lanes end up spread over them: SAME lanes have KEPT items each.
  constexpr int SAME = LANES > EACH ? LANES / EACH : 1, KEPT = EACH > LANES ? EACH / LANES : 1;
  CINEFUSE_SHARED(float, weights, [32]);
  CINEFUSE_SHARED(float, totals, [32]);  // of the first warp, each lane's own
  CINEFUSE_SHARED(float,
                  state, [3]);  // what the sums so far are worth now; in the end 1 / sum, and the maximum
  CINEFUSE_DYNAMIC_SHARED(float, staged);  // kSpatialSlot a thread
  const int threads = blockDim.x, warps = threads / 32, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float* const partial = staged + kSpatialSlot<VEC> * threads;  // (warps, TILE)
  float* const query = partial + warps * TILE;                  // scaled, zeros beyond the channels
  const int at = lane % LANES * VEC;                            // in a tile
  const int first = threadIdx.x / LANES * ITEMS;                // channel
  float* const slot = staged + threadIdx.x * kSpatialSlot<VEC>;

  const auto fetch_part = [&](const SpatialUnit& u, int from, int part) {
    const int n = from + at, items = n < u.to ? p.channels - first : 0;
    const float* x = p.x + (int64_t{u.map} * p.channels + first + part * EACH) * p.positions + n;
#pragma unroll
    for (int i = part * EACH; i < (part + 1) * EACH; ++i, x += p.positions) {
      if constexpr (VEC == 4) {
        cp_async16(slot + i * VEC, x, i < items);
      } else {
        cp_async4(slot + i * VEC, x, i < items);
      }
    }
    cp_async_commit();
  };

  int unit = blockIdx.x;
  if (unit >= units) return;
  SpatialUnit next = spatial_unit(p, unit);
#pragma unroll
  for (int part = 0; part < PARTS; ++part) fetch_part(next, next.from, part);
  for (; unit < units; unit += gridDim.x) {
    const SpatialUnit u = next;
    for (int i = threadIdx.x; i < threads / LANES * ITEMS; i += threads) {
      query[i] = i < p.channels ? p.scale * p.query[u.map * p.query_step + i] : 0.f;
    }
    __syncthreads();
    if (warp == 0) totals[lane] = 0.f;
    float top = -INFINITY;  // known to the first warp
    float c[OUT];
#pragma unroll
    for (int o = 0; o < OUT; ++o) c[o] = 0.f;
    for (int from = u.from; from < u.to; from += TILE) {
      const bool ends = from + TILE >= u.to;
      float score[VEC];
#pragma unroll
      for (int k = 0; k < VEC; ++k) score[k] = 0.f;
#pragma unroll
      for (int part = 0; part < PARTS; ++part) {
        wait_for_part<PARTS>(part);
#pragma unroll
        for (int i = part * EACH; i < (part + 1) * EACH; i += 4) {
          float q[4];
          load_pack<4>(query + first + i, q);
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            float x[VEC];
            load_pack<VEC>(slot + (i + j) * VEC, x);
#pragma unroll
            for (int k = 0; k < VEC; ++k) score[k] += q[j] * x[k];
          }
        }
      }
#pragma unroll
      for (int o = LANES; o < 32; o <<= 1) {
#pragma unroll
        for (int k = 0; k < VEC; ++k) score[k] += __shfl_xor_sync(kWholeWarp, score[k], o);
      }
      if (lane < LANES) store_pack<VEC>(partial + warp * TILE + at, score);
      __syncthreads();
      if (warp == 0) {
        float e = -INFINITY;
        if (lane < TILE && from + lane < u.to) {
          e = p.bias;
          for (int w = 0; w < warps; ++w) e += partial[w * TILE + lane];
          p.alpha[int64_t{u.map} * p.positions + from + lane] = e;
        }
        const float greatest = fmaxf(top, warp_max(e));
        const float factor = top == -INFINITY ? 1.f : expf(top - greatest);
        // Where all scores are -infinity or NaN, the latter must stay visible.
        const float w = e == -INFINITY ? 0.f : expf(e - greatest);
        const float total = totals[lane] * factor + w;
        totals[lane] = total;
        weights[lane] = w;
        top = greatest;
        const float sum = warp_sum(total);
        if (lane == 0) {
          state[0] = factor;
          state[1] = p.parts.splits > 1 ? 1.f : sum == 0.f ? 0.f : 1.f / sum;
          state[2] = top;
          if (ends && p.parts.splits > 1) {
            p.parts.tops[unit] = top;
            p.parts.sums[unit] = sum;
          }
        }
      }
      __syncthreads();
      const bool more = !ends || unit + static_cast<int>(gridDim.x) < units;
      if (ends && more) next = spatial_unit(p, unit + gridDim.x);
      const int next_from = ends ? next.from : from + TILE;
      const float factor = state[0];
      float w[VEC];
      load_pack<VEC>(weights + at, w);
#pragma unroll
      for (int part = 0; part < PARTS; ++part) {
        float y[EACH];
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
          float x[VEC];
          load_pack<VEC>(slot + (part * EACH + i) * VEC, x);
          y[i] = 0.f;
#pragma unroll
          for (int k = 0; k < VEC; ++k) y[i] += w[k] * x[k];
        }
        if (more) fetch_part(next, next_from, part);
        sum_over_lanes<LANES>(y);
        if (lane % SAME != part % SAME) continue;
#pragma unroll
        for (int k = 0; k < KEPT; ++k) c[part / SAME * KEPT + k] = c[part / SAME * KEPT + k] * factor + y[k];
      }
    }
    // The barrier of the last tile came after all scores, 1 / sum and the maximum had been written.
    const float scale = state[1], greatest = state[2];
    float* const to =
        p.parts.splits > 1 ? p.parts.parts + int64_t{unit} * p.channels : p.c + int64_t{u.map} * p.channels;
#pragma unroll
    for (int o = 0; o < OUT; ++o) {
      const int part = o / KEPT * SAME + lane % SAME;
      const int channel = first + part * EACH + lane % LANES / SAME * KEPT + o % KEPT;
      if (channel < p.channels) to[channel] = c[o] * scale;
    }
    float* const alpha = p.alpha + int64_t{u.map} * p.positions;
    for (int n = u.from + static_cast<int>(threadIdx.x); n < u.to; n += threads) {
      const float e = alpha[n];
      alpha[n] = (e == -INFINITY ? 0.f : expf(e - greatest)) * scale;
    }
  }
}

// Maps with more channels than a block can hold are read twice: scores, their softmax, the weighted sums.
constexpr int kWideThreads = 256;

// alpha[map][n] <- scale * sum_i q_i x[map][i][n] + bias, 32 positions a block, its warps share the channels.
__global__ void __launch_bounds__(kWideThreads) spatial_scores_kernel(SpatialArguments p, int stretches) {
  constexpr int kWarps = kWideThreads / 32, kUnroll = 8;
  CINEFUSE_SHARED(float, partial, [kWarps][32]);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t map = blockIdx.x / static_cast<unsigned>(stretches);
  const int n = static_cast<int>(blockIdx.x % static_cast<unsigned>(stretches)) * 32 + lane;
  const float* const x = p.x + map * p.channels * p.positions + n;
  const float* const query = p.query + map * p.query_step;
  float e = 0.f;
  for (int i = warp; i < p.channels; i += kWarps * kUnroll) {
    float v[kUnroll];
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const int channel = i + k * kWarps;
      v[k] = n < p.positions && channel < p.channels ? x[int64_t{channel} * p.positions] : 0.f;
    }
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const int channel = i + k * kWarps;
      if (channel < p.channels) e += p.scale * query[channel] * v[k];
    }
  }
  partial[warp][lane] = e;
  __syncthreads();
  if (warp > 0 || n >= p.positions) return;
  e = p.bias;
  for (int w = 0; w < kWarps; ++w) e += partial[w][lane];
  p.alpha[map * p.positions + n] = e;
}

// alpha[map] <- its softmax, one block a map; -infinity and nothing else gives zeros, as on the CPU.
__global__ void __launch_bounds__(kWideThreads) spatial_weights_kernel(SpatialArguments p) {
  CINEFUSE_SHARED(float, partial, [2][kWideThreads / 32]);
  float* const alpha = p.alpha + int64_t{blockIdx.x} * p.positions;
  float top = -INFINITY, sum = 0.f;
  for (int n = threadIdx.x; n < p.positions; n += kWideThreads) top = fmaxf(top, alpha[n]);
  top = block_max(top, partial[0]);
  for (int n = threadIdx.x; n < p.positions; n += kWideThreads) {
    const float w = alpha[n] == -INFINITY ? 0.f : expf(alpha[n] - top);
    alpha[n] = w;
    sum += w;
  }
  sum = block_sum(sum, partial[1]);
  const float scale = sum == 0.f ? 0.f : 1.f / sum;
  for (int n = threadIdx.x; n < p.positions; n += kWideThreads) alpha[n] *= scale;
}

// c[map][i] = sum_n alpha[map][n] x[map][i][n], a warp a channel.
__global__ void __launch_bounds__(kWideThreads) spatial_sums_kernel(SpatialArguments p, int64_t rows) {
  const int lane = threadIdx.x % 32;
  const int64_t step = int64_t{gridDim.x} * (kWideThreads / 32);
  for (int64_t row = int64_t{blockIdx.x} * (kWideThreads / 32) + threadIdx.x / 32; row < rows; row += step) {
    const float* const x = p.x + row * p.positions;
    const float* const alpha = p.alpha + row / p.channels * p.positions;
    float sum = 0.f;
#pragma unroll 4
    for (int n = lane; n < p.positions; n += 32) sum += alpha[n] * x[n];
    sum = warp_sum(sum);
    if (lane == 0) p.c[row] = sum;
  }
}

// A shape of spatial_kernel for `channels`, with as few threads as hold them.
struct SpatialShape {
  void (*kernel)(SpatialArguments, int);
  int tile, threads;
  size_t bytes;
};
template <int VEC, int LANES, int THREADS, int BLOCKS>
static SpatialShape spatial_shape(int64_t channels) {
  constexpr int64_t kChannelsAWarp = 32 / LANES * (kSpatialFloats / VEC);
  const int64_t warps = blocks_of(channels, kChannelsAWarp);
  if (32 * warps > THREADS) return {};
  const int64_t floats = warps * (32 * kSpatialSlot<VEC> + VEC * LANES + kChannelsAWarp);
  return {spatial_kernel<VEC, LANES, THREADS, BLOCKS>, VEC * LANES, static_cast<int>(32 * warps),
          sizeof(float) * static_cast<size_t>(floats)};
}

// The widest tile, so that stretches of memory are long, of which several blocks fit; or, for many channels,
// one. threads is 0 where none fits.
static SpatialShape choose_spatial_shape(const Device& device, int64_t channels, int64_t positions) {
  using Make = SpatialShape (*)(int64_t);
  static constexpr Make kVectors[] = {spatial_shape<4, 8, 512, 2>, spatial_shape<4, 4, 512, 2>,
                                      spatial_shape<4, 4, 1024, 1>, spatial_shape<4, 2, 1024, 1>};
  static constexpr Make kScalars[] = {spatial_shape<1, 32, 512, 2>, spatial_shape<1, 16, 512, 2>,
                                      spatial_shape<1, 16, 1024, 1>, spatial_shape<1, 8, 1024, 1>};
  for (const Make make : positions % 4 == 0 ? kVectors : kScalars) {
    const SpatialShape shape = make(channels);
    if (shape.threads && shape.bytes <= device.shared_bytes()) return shape;
  }
  return {};
}

static void spatial_attend(Call& call, SpatialArguments p) {
  if (spatial_held(call, p)) return;
  const Device& device = call.device();
  const SpatialShape shape = choose_spatial_shape(device, p.channels, p.positions);
  if (!shape.threads) {
    const int stretches = static_cast<int>(blocks_of(p.positions, 32));
    CINEFUSE_LAUNCH(call.stream(), spatial_scores_kernel, static_cast<unsigned>(p.batch * stretches),
                    kWideThreads, 0, p, stretches);
    CINEFUSE_LAUNCH(call.stream(), spatial_weights_kernel, static_cast<unsigned>(p.batch), kWideThreads, 0,
                    p);
    const int64_t rows = p.batch * p.channels;
    CINEFUSE_LAUNCH(call.stream(), spatial_sums_kernel, grid_of(blocks_of(rows, kWideThreads / 32)),
                    kWideThreads, 0, p, rows);
    return;
  }
  // Blocks that a multiprocessor has at a time, by threads (their registers allow 1024) and shared memory.
  const int64_t by_memory = static_cast<int64_t>(device.shared_bytes() / (shape.bytes + 1024));
  const int64_t resident = std::max<int64_t>(std::min<int64_t>({1024 / shape.threads, by_memory, 24}), 1);
  const int64_t blocks = resident * device.multiprocessors();
  // Few maps are split until there is work for all of those.
  const int64_t tiles = blocks_of(p.positions, shape.tile);
  const int64_t splits = std::max<int64_t>(std::min(blocks / p.batch, tiles / kLeastTiles), 1);
  AttendRows rows{};
  rows.batch = p.batch;
  rows.heads = rows.queries = 1;
  rows.steps = p.positions;
  rows.dv = p.channels;
  rows.c = {p.c, p.channels, 0, 0};
  rows.alpha = p.alpha;
  p.parts = attend_parts(call, p.batch, p.positions, p.channels, splits, shape.tile);
  const int64_t units = p.batch * p.parts.splits;
  CINEFUSE_LAUNCH(call.stream(), shape.kernel, static_cast<unsigned>(std::min(units, blocks)), shape.threads,
                  shape.bytes, p, static_cast<int>(units));
  if (p.parts.splits > 1) attend_join(call, rows, p.parts);
}

static void spatial_cuda(Call& call, const cinefuse_spatial_params& p) {
  const In<float> x = call.in(p.x, p.batch * p.channels * p.positions),
                  query = call.in(p.query, p.channels * (p.query_per_row ? p.batch : 1));
  const Out<float> c = call.out(p.c, p.batch * p.channels), alpha = call.out(p.alpha, p.batch * p.positions);
  if (p.batch == 0) return;
  call.send();
  call.compute([&] {
    SpatialArguments a{};
    a.batch = p.batch;
    a.channels = static_cast<int>(p.channels);
    a.positions = static_cast<int>(p.positions);
    a.query_step = p.query_per_row ? p.channels : 0;
    a.scale = p.scale;
    a.bias = p.bias;
    a.x = x.get();
    a.query = query.get();
    a.c = c.get();
    a.alpha = alpha.get();
    spatial_attend(call, a);
  });
  call.receive();
}

const Operator kSpatialAttentionOperator = plain_operator<cinefuse_spatial_params, spatial_cuda>();

}  // namespace cinefuse::gpu
