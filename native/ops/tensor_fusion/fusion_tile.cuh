// Tensor fusion of nine rows and more, on the matrix units.
//
// A block of eight warps takes 16 kRowTiles * warps_down rows, a column tile of up to 128 outputs and a range
// of stages. Warps that have the same rows and columns share out the steps of every stage and add their sums
// up at the end. The outer product exists in registers alone: h_r · h_f for a run of steps, times h_s, is a
// fragment of A. Weights come in the order of the fragments, through a ring of stages in shared memory.
#pragma once
#include "fusion_kernels.cuh"

namespace cinefuse::gpu {

constexpr int kFusionUnits = kMostFusionUnits / 2;  // that a warp has sums of

template <FusionMath MATH, int ROW_TILES, bool FULL>
struct FusionTile {
  static constexpr FusionMath kMath = MATH;
  static constexpr bool kFull = FULL;          // every warp has kFusionUnits
  static constexpr int kRowTiles = ROW_TILES;  // of 16 rows, that a warp has sums of
  static constexpr int kDepth = MATH == FusionMath::kBf16 ? 16 : 8;
  // Steps whose products join the sums together. For float32 accuracy the sums are on the plain cores: the
  // matrix units cut off where they should round, which over thousands of steps would show.
  static constexpr int kSteps = MATH == FusionMath::k3xTf32 && ROW_TILES > 1 ? 2 : 1;
  static constexpr int kPairs = kDepth / 8;         // of values of f, that a lane has in a row tile
  static constexpr int kSlot = 16 * ROW_TILES + 4;  // floats of one value of s, padded against conflicts
};

// Floats of shared memory for the window's values of s and of f, of one row of warps.
__host__ __device__ inline int fusion_s_floats(const FusionSegment& g, int row_tiles) {
  return (16 * row_tiles + 4) * g.s_tile;
}
__host__ __device__ inline int fusion_f_floats(const FusionSegment& g, int row_tiles) {
  return 16 * row_tiles * g.f_tile;
}

// Copies values [first, first + count) of a mode to shared memory, of all rows of the block; zeros for rows
// that are none, and up to `width`. place(row, i) -> where.
template <class Place>
__device__ __forceinline__ void fusion_load(const FusionRole& role, int64_t row0, int64_t rows_left, int rows,
                                            int first, int count, int width, Place&& place) {
  constexpr int kBatch = 16;  // loads under way at a time
  const int down = kFusionThreads / width, across = kFusionThreads % width;
  int row = static_cast<int>(threadIdx.x) / width, i = static_cast<int>(threadIdx.x) % width;
  while (row < rows) {
    float v[kBatch];
    float* to[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      to[b] = row < rows ? place(row, i) : nullptr;
      v[b] = row < rows && row < rows_left && i < count ? fusion_value(role, row0 + row, first + i) : 0.f;
      row += down;
      i += across;
      if (i >= width) {
        i -= width;
        ++row;
      }
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      if (to[b]) *to[b] = v[b];
    }
  }
}

// The matrix units cut off the bits that TF32 has no room for. 2^-11 of a number is half a unit of the last
// bit they keep or up to twice that: with 0.72 of it added, cutting off rounds, without a bias and to within
// 0.64 units, and what TF32 can hold stays as it is. Done to h_r, it costs the inner loop nothing.
constexpr float kFusionRoundUp = 1.f + 0.72f / 2048.f;

// x = upper + lower. The upper part is rounded to nearest; the lower one is exact but for what the matrix
// units cut off. Of what is not finite the lower part is NaN.
__device__ __forceinline__ void split_tf32(float x, uint32_t& upper, uint32_t& lower) {
  upper = (float_to_bits(x) + 0x1000u) & 0xffffe000u;
  lower = float_to_bits(x - bits_to_float(upper));
}

// One step's fragments of A. lower: for float32 accuracy alone.
template <class T>
struct FusionFragments {
  uint32_t upper[T::kRowTiles][4], lower[T::kRowTiles][4];

  // q: h_r · h_f; s: h_s of this lane's rows
  __device__ __forceinline__ void form(const float (&q)[T::kRowTiles][T::kPairs][4],
                                       const float (&s)[T::kRowTiles][2]) {
#pragma unroll
    for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int half = i & 1;
        if constexpr (T::kMath == FusionMath::kBf16) {
          const float* const pair = q[m][i >> 1];
          upper[m][i] = to_bf16x2(pair[half] * s[m][half], pair[2 + half] * s[m][half]);
        } else if constexpr (T::kMath == FusionMath::kTf32) {
          upper[m][i] = float_to_bits(q[m][0][i] * s[m][half]);
        } else {
          split_tf32(q[m][0][i] * s[m][half], upper[m][i], lower[m][i]);
        }
      }
    }
  }
};

// A warp's way through a window: every so many steps one of its own. In the inner loop it counts steps of
// the run it is in; all else happens when that ends.
template <class T>
struct FusionRun {
  const FusionArgs& p;
  const FusionWindow& win;
  const float *s_lane, *f_lane;  // this lane's values in the tiles
  int64_t row;                   // this lane's first
  int parts, chunk, r, left;     // left: steps of the run from here on
  int stride;                    // floats from h_s of one step to the next
  const float* s_at;
  float lead[T::kRowTiles][2], q[T::kRowTiles][T::kPairs][4], s[T::kRowTiles][2];

  __device__ __forceinline__ FusionRun(const FusionArgs& args, const FusionWindow& window,
                                       const float* s_tile, const float* f_tile, int64_t first_row, int step,
                                       int step_parts)
      : p(args), win(window), s_lane(s_tile), f_lane(f_tile), row(first_row), parts(step_parts) {
    const int at = step % win.s_count;
    chunk = step / win.s_count % win.chunks;
    r = step / win.s_count / win.chunks;
    left = win.s_count - at;
    stride = parts * T::kSlot;
    s_at = s_lane + at * T::kSlot;
    leads();
  }
  // Once the tiles are there.
  __device__ __forceinline__ void start() {
    form_q();
    load_s();
  }
  // To the warp's next step.
  __device__ __forceinline__ void advance() {
    left -= parts;
    s_at += stride;
    if (left <= 0) next();
    load_s();
  }

 private:
  __device__ __forceinline__ void next() {
    const int before = r;
    do {
      left += win.s_count;
      if (++chunk == win.chunks) {
        chunk = 0;
        ++r;
      }
    } while (left <= 0);
    if (r != before) leads();
    s_at = s_lane + (win.s_count - left) * T::kSlot;
    form_q();
    if (r >= r_count()) {  // past the window's end there are zeros to multiply
      left = 0x7fffffff;
      stride = 0;
    }
  }
  __device__ __forceinline__ int r_count() const {
    const FusionSegment& g = win.segment ? p.order.segment[1] : p.order.segment[0];
    return g.count[2] * g.count[3];
  }
  // Products of the values of the r modes, of this lane's rows.
  __device__ __forceinline__ void leads() {
    const bool there = r < r_count();
    const FusionRole a = win.segment ? p.role[1][2] : p.role[0][2],
                     b = win.segment ? p.role[1][3] : p.role[0][3];
    const int b_count = win.segment ? p.order.segment[1].count[3] : p.order.segment[0].count[3];
    const int i = r / b_count, j = r % b_count;
#pragma unroll
    for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t at = row + m * 16 + half * 8;
        lead[m][half] = there && at < p.rows ? fusion_value(a, at, i) * fusion_value(b, at, j) : 0.f;
        if (T::kMath == FusionMath::kTf32) lead[m][half] *= kFusionRoundUp;
      }
    }
  }
  __device__ __forceinline__ void form_q() {
#pragma unroll
    for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
      for (int k = 0; k < T::kPairs; ++k) {
        const float4 f = load4(f_lane + ((chunk * T::kRowTiles + m) * T::kPairs + k) * 128);
        q[m][k][0] = lead[m][0] * f.x;
        q[m][k][1] = lead[m][1] * f.y;
        q[m][k][2] = lead[m][0] * f.z;
        q[m][k][3] = lead[m][1] * f.w;
      }
    }
  }
  __device__ __forceinline__ void load_s() {
    if constexpr (T::kRowTiles == 1) {
      const float2 x = load2(s_at);
      s[0][0] = x.x;
      s[0][1] = x.y;
    } else {
#pragma unroll
      for (int m = 0; m < T::kRowTiles; m += 2) {
        const float4 x = load4(s_at + 2 * m);
        s[m][0] = x.x;
        s[m][1] = x.y;
        s[m + 1][0] = x.z;
        s[m + 1][1] = x.w;
      }
    }
  }
};

template <class T>
using FusionSums = float[T::kRowTiles][2 * kFusionUnits][4];

// Adds the products of kSteps steps to the sums. w: this lane's weights of the warp's first unit, `stride`
// words from one step to the next; b: what lies there.
template <class T>
__device__ __forceinline__ void fusion_multiply(const FusionFragments<T> (&a)[T::kSteps], const uint32_t* w,
                                                int stride, int units, uint4 (&b)[T::kSteps],
                                                FusionSums<T>& sum) {
#pragma unroll
  for (int u = 0; u < kFusionUnits; ++u) {
    const bool more = u + 1 < kFusionUnits && (T::kFull || u + 1 < units);
    uint4 next[T::kSteps];
    if (more) {
#pragma unroll
      for (int j = 0; j < T::kSteps; ++j) next[j] = load4(w + j * stride + (u + 1) * 128);
    }
    if constexpr (T::kMath == FusionMath::k3xTf32) {
      float part[T::kRowTiles][2][4] = {};
#pragma unroll
      for (int j = 0; j < T::kSteps; ++j) {
        uint32_t upper[2][2], lower[2][2];
        split_tf32(bits_to_float(b[j].x), upper[0][0], lower[0][0]);
        split_tf32(bits_to_float(b[j].y), upper[0][1], lower[0][1]);
        split_tf32(bits_to_float(b[j].z), upper[1][0], lower[1][0]);
        split_tf32(bits_to_float(b[j].w), upper[1][1], lower[1][1]);
#pragma unroll
        for (int i = 0; i < 2 * T::kRowTiles; ++i) {
          mma_m16n8k8_tf32(part[i >> 1][i & 1], a[j].lower[i >> 1], upper[i & 1]);
        }
#pragma unroll
        for (int i = 0; i < 2 * T::kRowTiles; ++i) {
          mma_m16n8k8_tf32(part[i >> 1][i & 1], a[j].upper[i >> 1], lower[i & 1]);
        }
#pragma unroll
        for (int i = 0; i < 2 * T::kRowTiles; ++i) {
          mma_m16n8k8_tf32(part[i >> 1][i & 1], a[j].upper[i >> 1], upper[i & 1]);
        }
      }
#pragma unroll
      for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
        for (int i = 0; i < 8; ++i) sum[m][2 * u + (i >> 2)][i & 3] += part[m][i >> 2][i & 3];
      }
    } else {
      uint32_t pair[2][2] = {{b[0].x, b[0].y}, {b[0].z, b[0].w}};
      if constexpr (T::kMath == FusionMath::kTf32) {
        // To nearest; the packed weights' NaN survives it.
#pragma unroll
        for (int i = 0; i < 4; ++i) pair[i >> 1][i & 1] += 0x1000u;
      }
#pragma unroll
      for (int i = 0; i < 2 * T::kRowTiles; ++i) {
        if constexpr (T::kMath == FusionMath::kBf16) {
          mma_m16n8k16_bf16(sum[i >> 1][2 * u + (i & 1)], a[0].upper[i >> 1], pair[i & 1]);
        } else {
          mma_m16n8k8_tf32(sum[i >> 1][2 * u + (i & 1)], a[0].upper[i >> 1], pair[i & 1]);
        }
      }
    }
    if (!more) break;
#pragma unroll
    for (int j = 0; j < T::kSteps; ++j) b[j] = next[j];
  }
}

// Sums of W · z over a range of stages. Grid: (row tiles * column tiles, splits). w: [column tile][stage]
// [step][unit][lane][4 words], sums: (splits, rows, columns).
template <class T>
__global__ void __launch_bounds__(kFusionThreads, T::kRowTiles == 1 ? 2 : 1)
    tensor_fusion_tile_kernel(FusionArgs p) {
  CINEFUSE_DYNAMIC_SHARED(float, shared);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  const int across = warp % p.warps_across, down = warp / p.warps_across % p.warps_down;
  const int part = warp / (p.warps_across * p.warps_down),
            parts = kFusionWarps / (p.warps_across * p.warps_down);
  const int tile = static_cast<int>(blockIdx.x) % p.row_tiles,
            column_tile = static_cast<int>(blockIdx.x) / p.row_tiles;
  const int block_rows = p.warps_down * 16 * T::kRowTiles;
  const int64_t row0 = int64_t{tile} * block_rows;
  const int all = p.order.all_stages();
  const int begin = static_cast<int>(int64_t{all} * blockIdx.y / gridDim.y),
            end = static_cast<int>(int64_t{all} * (blockIdx.y + 1) / gridDim.y);
  const int step_words = p.units * 128, stage_words = p.order.stage_steps * step_words;
  const uint32_t* const w = p.w + (int64_t{column_tile} * all + begin) * stage_words;
  uint32_t* const ring = reinterpret_cast<uint32_t*>(shared);
  int free_slot = 0;
  const auto fetch = [&](int stage) {
    if (stage < end) {
      uint32_t* const to = ring + free_slot * stage_words;
      const uint32_t* const from = w + int64_t{stage - begin} * stage_words;
#pragma unroll 4
      for (int i = 4 * static_cast<int>(threadIdx.x); i < stage_words; i += 4 * kFusionThreads) {
        cp_async16(to + i, from + i, true);
      }
    }
    cp_async_commit();
    free_slot = free_slot + 1 == p.ring ? 0 : free_slot + 1;
  };
  for (int i = 0; i < p.ring - 1; ++i) fetch(begin + i);

  const int my_unit = across * p.units_a_warp;
  const int stride = parts * step_words, trips = p.order.stage_steps / (parts * T::kSteps);
  const uint32_t* const w_lane = ring + part * step_words + my_unit * 128 + lane * 4;
  int slot = 0;
  float* const tiles = shared + p.ring * stage_words;
  FusionSums<T> sum = {};
  for (int stage = begin; stage < end;) {
    const FusionWindow win = fusion_window(p.order, stage);
    const FusionSegment& segment = win.segment ? p.order.segment[1] : p.order.segment[0];
    const int s_floats = fusion_s_floats(segment, T::kRowTiles),
              f_floats = fusion_f_floats(segment, T::kRowTiles);
    float* const f_tiles = tiles + p.warps_down * s_floats;
    __syncthreads();  // all are done with the window before
    fusion_load(win.segment ? p.role[1][1] : p.role[0][1], row0, p.rows - row0, block_rows, win.s0,
                win.s_count, win.s_count, [&](int row, int i) {
                  const int in_warp = row % (16 * T::kRowTiles);  // [s][g][row tile][half]
                  return tiles + row / (16 * T::kRowTiles) * s_floats + i * T::kSlot +
                         (in_warp & 7) * 2 * T::kRowTiles + (in_warp >> 3);
                });
    fusion_load(win.segment ? p.role[1][0] : p.role[0][0], row0, p.rows - row0, block_rows, win.f0,
                win.f_count, win.chunks * T::kDepth, [&](int row, int i) {
                  const int in_warp = row % (16 * T::kRowTiles), m = in_warp >> 4, half = in_warp >> 3 & 1;
                  const int chunk = i / T::kDepth, k = i % T::kDepth;
                  const int of_lane = k / (2 * T::kPairs), e = k % (2 * T::kPairs);
                  // [chunk][row tile][pair][lane][value of the pair][half]
                  return f_tiles + row / (16 * T::kRowTiles) * f_floats +
                         ((chunk * T::kRowTiles + m) * T::kPairs + e / 2) * 128 +
                         ((in_warp & 7) * 4 + of_lane) * 4 + (e & 1) * 2 + half;
                });
    FusionRun<T> run(p, win, tiles + down * s_floats + g * 2 * T::kRowTiles,
                     f_tiles + down * f_floats + lane * 4, row0 + down * 16 * T::kRowTiles + g,
                     (stage - win.first_stage) * p.order.stage_steps + part, parts);
    __syncthreads();
    run.start();
    const int window_end = min(end, win.first_stage + win.stages);
    FusionFragments<T> a[T::kSteps];
    const auto form = [&] {
#pragma unroll
      for (int j = 0; j < T::kSteps; ++j) {
        a[j].form(run.q, run.s);
        run.advance();
      }
    };
    form();
    for (; stage < window_end; ++stage) {
      if (p.ring == 3) {
        cp_async_wait<1>();
      } else {
        cp_async_wait<0>();
      }
      __syncthreads();
      const uint32_t* w_step = w_lane + slot * stage_words;
      slot = slot + 1 == p.ring ? 0 : slot + 1;
      for (int i = 0; i < trips; ++i) {
        uint4 b[T::kSteps];
#pragma unroll
        for (int j = 0; j < T::kSteps; ++j) b[j] = load4(w_step + j * stride);
        fusion_multiply<T>(a, w_step, stride, p.units_a_warp, b, sum);
        if (i == 0) fetch(stage + p.ring - 1);  // while the matrix units are busy
        form();
        w_step += T::kSteps * stride;
      }
    }
  }

  // The sums of the warps that shared the steps, in order.
  cp_async_wait<0>();
  constexpr int kEach = T::kRowTiles * 2 * kFusionUnits * 4;
  float* const mine = shared + (down * p.warps_across + across) * kEach * 32 + lane;
  for (int i = 1; i < parts; ++i) {
    __syncthreads();
    if (part == i) {
#pragma unroll
      for (int e = 0; e < kEach; ++e)
        mine[e * 32] = sum[e / (8 * kFusionUnits)][e / 4 % (2 * kFusionUnits)][e % 4];
    }
    __syncthreads();
    if (part == 0) {
#pragma unroll
      for (int e = 0; e < kEach; ++e)
        sum[e / (8 * kFusionUnits)][e / 4 % (2 * kFusionUnits)][e % 4] += mine[e * 32];
    }
  }
  if (part != 0) return;
  float* const sums = p.sums + blockIdx.y * p.slice + (column_tile * p.units + my_unit) * 16 + 2 * t;
#pragma unroll
  for (int m = 0; m < T::kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t row = row0 + (down * T::kRowTiles + m) * 16 + half * 8 + g;
      if (row >= p.rows) continue;
#pragma unroll
      for (int n = 0; n < 2 * kFusionUnits; ++n) {
        if (n < 2 * p.units_a_warp) {
          store2(sums + row * p.columns + n * 8, make_float2(sum[m][n][2 * half], sum[m][n][2 * half + 1]));
        }
      }
    }
  }
}

}  // namespace cinefuse::gpu
