#include "attend.h"
#include "rows.cuh"

namespace cinefuse::gpu {

constexpr int kTileKeys = 32;
constexpr int kTileQueries = 16;  // of a warp
constexpr int kMostTileWarps = 4;
constexpr int64_t kMostTileWidth = 128;

// x as one number that matrix units can take, or as two whose sum it is, to 2^-22 of it.
template <bool EXACT, int N>
__device__ __forceinline__ void split_tf32(const float (&x)[N], uint32_t (&high)[N], uint32_t (&low)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) {
    high[i] = to_tf32(x[i]);
    if (EXACT) low[i] = to_tf32(x[i] - bits_to_float(high[i]));
  }
}

// d += a . b of one step, the small products first.
template <bool EXACT>
__device__ __forceinline__ void multiply_step(float (&d)[4], const uint32_t (&a_high)[4],
                                              const uint32_t (&a_low)[4], const float (&b)[2]) {
  uint32_t high[2], low[2];
  split_tf32<EXACT>(b, high, low);
  if (EXACT) {
    mma_m16n8k8_tf32(d, a_low, high);
    mma_m16n8k8_tf32(d, a_high, low);
  }
  mma_m16n8k8_tf32(d, a_high, high);
}

// Keys or values [first, first + kTileKeys) into shared memory, rows of LD; zeros for what does not count and
// beyond the vectors' width.
template <int WIDTH, int LD>
__device__ __forceinline__ void fetch_tile(const float* from, int64_t step, int d, bool vectors, int first,
                                           int n, const uint8_t* present, int64_t present_step, float* to) {
  if (vectors) {
    for (int i = threadIdx.x; i < kTileKeys * (WIDTH / 4); i += blockDim.x) {
      const int key = i / (WIDTH / 4), j = i % (WIDTH / 4) * 4, t = first + key;
      const bool counts = j < d && t < n && (!present || present[t * present_step] != 0);
      cp_async16(to + key * LD + j, counts ? from + t * step + j : from, counts);
    }
  } else {
    for (int i = threadIdx.x; i < kTileKeys * WIDTH; i += blockDim.x) {
      const int key = i / WIDTH, j = i % WIDTH, t = first + key;
      const bool counts = j < d && t < n && (!present || present[t * present_step] != 0);
      cp_async4(to + key * LD + j, counts ? from + t * step + j : from, counts);
    }
  }
}

// attend() for many queries, d = dv <= WIDTH: 16 queries a warp, whose scores over 32 keys at a time come
// from the matrix units and stay in registers, as does what they weigh; both carry the greatest score so far.
// Block: up to 16 * kMostTileWarps queries of one head. Lane = 4 g + t has queries g and g + 8 and, of each 8
// keys or columns, 2 t and 2 t + 1.
template <int WIDTH, bool EXACT>
__global__ void __launch_bounds__(32 * kMostTileWarps, WIDTH > 64 ? 3 : 4)
    attend_tiles_kernel(AttendRows p, int query_tiles, bool vectors) {
  constexpr int LD = WIDTH + 4, STEPS = WIDTH / 8, GROUPS = kTileKeys / 8;
  constexpr bool HELD = WIDTH < 32;  // queries in registers
  CINEFUSE_SHARED(int, counting, [2][kTileKeys]);
  // (2, keys and values, kTileKeys, LD), then, where registers are too few for them, the warps' queries
  CINEFUSE_DYNAMIC_SHARED(float, tiles);
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, d = static_cast<int>(p.d);
  const int64_t head_row = blockIdx.x / static_cast<unsigned>(query_tiles);
  const int64_t b = head_row / p.heads, h = head_row - b * p.heads;
  const int query = static_cast<int>((blockIdx.x % static_cast<unsigned>(query_tiles)) * (blockDim.x / 32) +
                                     threadIdx.x / 32) *
                    kTileQueries;
  const int queries = static_cast<int>(p.queries), keys = static_cast<int>(p.steps);
  const int n = p.lengths ? p.lengths[b] : keys;
  const float* const q = p.q.data + b * p.q.batch + h * p.q.head;
  const float* const key_rows = p.keys.data + b * p.keys.batch + h * p.keys.head;
  const float* const value_rows = p.values.data + b * p.values.batch + h * p.values.head;
  const uint8_t* const present = p.present ? p.present + b * p.present_batch : nullptr;

  const auto fetch = [&](int stage, int first) {
    float* const to = tiles + stage * 2 * kTileKeys * LD;
    fetch_tile<WIDTH, LD>(key_rows, p.keys.step, d, vectors, first, n, present, p.present_step, to);
    fetch_tile<WIDTH, LD>(value_rows, p.values.step, d, vectors, first, n, present, p.present_step,
                          to + kTileKeys * LD);
    for (int key = threadIdx.x; key < kTileKeys; key += blockDim.x) {
      const int at = first + key;
      counting[stage][key] = at < n && (!present || present[at * p.present_step] != 0);
    }
    cp_async_commit();
  };

  fetch(0, 0);
  float q_of[HELD ? STEPS : 1][4], c[STEPS][4], top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.f, 0.f};
  // A lane's own queries, so no barrier is needed.
  float* const q_at = tiles + 4 * kTileKeys * LD + (threadIdx.x / 32 * kTileQueries + g) * LD + t;
#pragma unroll
  for (int s = 0; s < STEPS; ++s) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = query + g + 8 * (i & 1), column = 8 * s + t + 4 * (i >> 1);
      const float x = row < queries && column < d ? p.scale * q[row * p.q.step + column] : 0.f;
      if constexpr (HELD) {
        q_of[s][i] = x;
      } else {
        q_at[8 * (i & 1) * LD + 8 * s + 4 * (i >> 1)] = x;
      }
      c[s][i] = 0.f;
    }
  }
  float* const alpha =
      p.alpha && query < queries ? p.alpha + (head_row * queries + query) * p.steps : nullptr;

  int stage = 0;
  for (int first = 0; first < n; first += kTileKeys, stage ^= 1) {
    if (first + kTileKeys < n) {
      fetch(stage ^ 1, first + kTileKeys);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    __syncthreads();
    const float* const key_tile = tiles + stage * 2 * kTileKeys * LD;
    const float* const value_tile = key_tile + kTileKeys * LD;
    if (query < queries) {
      float e[GROUPS][4];
#pragma unroll
      for (int k = 0; k < GROUPS; ++k) e[k][0] = e[k][1] = e[k][2] = e[k][3] = 0.f;
#pragma unroll HELD ? STEPS : 2
      for (int s = 0; s < STEPS; ++s) {
        uint32_t high[4], low[4];
        if constexpr (HELD) {
          split_tf32<EXACT>(q_of[s], high, low);
        } else {
          const float* const at = q_at + 8 * s;
          const float q_now[4] = {at[0], at[8 * LD], at[4], at[8 * LD + 4]};
          split_tf32<EXACT>(q_now, high, low);
        }
#pragma unroll
        for (int k = 0; k < GROUPS; ++k) {
          const float* const at = key_tile + (8 * k + g) * LD + 8 * s + t;
          multiply_step<EXACT>(e[k], high, low, {at[0], at[4]});
        }
      }
      float greatest[2] = {top[0], top[1]};
#pragma unroll
      for (int k = 0; k < GROUPS; ++k) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = 8 * k + 2 * t + (i & 1), row = g + 8 * (i >> 1);
          if (!counting[stage][key]) e[k][i] = -INFINITY;
          greatest[i >> 1] = fmaxf(greatest[i >> 1], e[k][i]);
          if (alpha && query + row < queries && first + key < keys)
            alpha[row * p.steps + first + key] = e[k][i];
        }
      }
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        greatest[r] = group_max<4>(greatest[r]);
        const float factor = top[r] == -INFINITY ? 1.f : expf(top[r] - greatest[r]);
        top[r] = greatest[r];
        sum[r] *= factor;
#pragma unroll
        for (int s = 0; s < STEPS; ++s) {
          c[s][2 * r] *= factor;
          c[s][2 * r + 1] *= factor;
        }
      }
#pragma unroll
      for (int k = 0; k < GROUPS; ++k) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          // Where all scores are -infinity or NaN, the latter must stay visible.
          e[k][i] = e[k][i] == -INFINITY ? 0.f : expf(e[k][i] - top[i >> 1]);
          sum[i >> 1] += e[k][i];
        }
        // The keys of a step may come in any order that weights and values share: a lane's two are taken as
        // columns t and t + 4.
        const float w[4] = {e[k][0], e[k][2], e[k][1], e[k][3]};
        uint32_t high[4], low[4];
        split_tf32<EXACT>(w, high, low);
        __syncwarp();  // loads of the next step, begun too early, would take all registers
#pragma unroll
        for (int s = 0; s < STEPS; ++s) {
          const float* const at = value_tile + (8 * k + 2 * t) * LD + 8 * s + g;
          multiply_step<EXACT>(c[s], high, low, {at[0], at[LD]});
        }
      }
    }
    __syncthreads();
  }
  if (query >= queries) return;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float total = group_sum<4>(sum[r]), scale = total == 0.f ? 0.f : 1.f / total;
    const int row = g + 8 * r;
    if (query + row < queries) {
      float* const to = p.c.data + b * p.c.batch + h * p.c.head + (query + row) * p.c.step;
#pragma unroll
      for (int s = 0; s < STEPS; ++s) {
        const int column = 8 * s + 2 * t;
        const float first = c[s][2 * r] * scale, second = c[s][2 * r + 1] * scale;
        if (vectors && column < d) {
          store2(to + column, make_float2(first, second));
        } else {
          if (column < d) to[column] = first;
          if (column + 1 < d) to[column + 1] = second;
        }
      }
      // Each lane made these scores itself.
      for (int at = 2 * t; alpha && at < keys; at += 8) {
#pragma unroll
        for (int i = at; i < at + 2; ++i) {
          if (i >= keys) continue;
          float* const w = alpha + row * p.steps + i;
          const bool counts = i < n && (!present || present[i * p.present_step] != 0);
          *w = counts ? (*w == -INFINITY ? 0.f : expf(*w - top[r])) * scale : 0.f;
        }
      }
    }
  }
}

template <int WIDTH>
static void launch_tiles(Call& call, const AttendRows& p) {
  const bool vectors =
      in_packs(p.q, p.d) && in_packs(p.keys, p.d) && in_packs(p.values, p.d) && in_packs(p.c, p.d);
  // Fewer queries a block while blocks are few.
  int warps = kMostTileWarps;
  const int64_t heads = p.batch * p.heads, multiprocessors = call.device().multiprocessors();
  while (warps > 1 && heads * blocks_of(p.queries, warps * kTileQueries) < 2 * multiprocessors) warps /= 2;
  const bool exact = call.precision() == CINEFUSE_FP32;
  const auto kernel = exact ? attend_tiles_kernel<WIDTH, true> : attend_tiles_kernel<WIDTH, false>;
  const auto bytes = [&] {
    const int rows = 4 * kTileKeys + (WIDTH < 32 ? 0 : warps * kTileQueries);
    return sizeof(float) * static_cast<size_t>(rows * (WIDTH + 4));
  };
  while (warps > 1 && bytes() + 1024 > call.device().shared_bytes()) warps /= 2;
  const int64_t tiles = blocks_of(p.queries, warps * kTileQueries);
  CINEFUSE_LAUNCH(call.stream(), kernel, static_cast<unsigned>(heads * tiles), 32 * warps, bytes(), p,
                  static_cast<int>(tiles), vectors);
}

bool attend_tiles(Call& call, const AttendRows& p) {
  if (p.d != p.dv || p.d > kMostTileWidth || p.queries < kTileQueries / 2) return false;
  if (p.d <= 16) {
    launch_tiles<16>(call, p);
  } else if (p.d <= 32) {
    launch_tiles<32>(call, p);
  } else if (p.d <= 64) {
    launch_tiles<64>(call, p);
  } else {
    launch_tiles<128>(call, p);
  }
  return true;
}

}  // namespace cinefuse::gpu
