// Tensor fusion of up to eight rows, on the plain cores: its time is that of reading the weights once.
//
// A warp takes every eighth step of its block's range. Each lane copies its own 16 bytes of weights ahead
// into its own part of shared memory, so that the stream never waits for another lane; a lane's products are
// h_r · h_f, formed once for a run of steps, times h_s.
#include <algorithm>

#include "fusion_kernels.cuh"

namespace cinefuse::gpu {

constexpr int kThinAhead = 3;  // steps of weights in shared memory

// Where a warp stands in a window: its step, and that step's indices of s, f's chunk and r.
struct ThinWalk {
  int left;  // steps from here to the window's end
  int s, chunk, r;
  bool new_chunk, new_r;

  __device__ __forceinline__ ThinWalk(const FusionWindow& w, int step)
      : left(w.steps - step), new_chunk(true), new_r(true) {
    s = step % w.s_count;
    chunk = step / w.s_count % w.chunks;
    r = step / w.s_count / w.chunks;
  }
  __device__ __forceinline__ void advance(const FusionWindow& w, int steps) {
    left -= steps;
    s += steps;
    while (s >= w.s_count) {
      s -= w.s_count;
      new_chunk = true;
      if (++chunk == w.chunks) {
        chunk = 0;
        ++r;
        new_r = true;
      }
    }
  }
};

// What the registers allow.
constexpr int thin_blocks_an_sm(int rows, bool half) { return rows * (half ? 2 : 1) > 4 ? 1 : 2; }

template <int ROWS>
__device__ __forceinline__ void load_rows(const float* from, float (&v)[ROWS]) {
  if constexpr (ROWS == 1) {
    v[0] = *from;
  } else if constexpr (ROWS == 2) {
    const float2 x = load2(from);
    v[0] = x.x;
    v[1] = x.y;
  } else {
#pragma unroll
    for (int r = 0; r < ROWS; r += 4) {
      const float4 x = load4(from + r);
      v[r] = x.x;
      v[r + 1] = x.y;
      v[r + 2] = x.z;
      v[r + 3] = x.w;
    }
  }
}

// Copies values [first, first + count) of a mode to [value][ROWS], zeros for rows that are none and up to
// `width`.
template <int ROWS>
__device__ __forceinline__ void thin_load(const FusionRole& role, int rows, int first, int count, int width,
                                          float* to) {
  for (int i = static_cast<int>(threadIdx.x); i < width * ROWS; i += kFusionThreads) {
    const int row = i / width, at = i % width;
    to[at * ROWS + row] = row < rows && at < count ? fusion_value(role, row, first + at) : 0.f;
  }
}

// Sums of W · z over a range of stages. Grid: (column tiles, splits). w: [column tile][stage][step][unit]
// [lane][4 words], sums: (splits, rows, columns).
template <int ROWS, bool HALF>
__global__ void __launch_bounds__(kFusionThreads, thin_blocks_an_sm(ROWS, HALF))
    tensor_fusion_thin_kernel(FusionArgs p) {
  CINEFUSE_DYNAMIC_SHARED(float, shared);
  constexpr int kEach = HALF ? 4 : 2;  // products of a lane in a step
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, t = lane & 3;
  const int all = p.order.all_stages();
  const int begin = static_cast<int>(int64_t{all} * blockIdx.y / gridDim.y),
            end = static_cast<int>(int64_t{all} * (blockIdx.y + 1) / gridDim.y);
  const int step_words = p.units * 128, per_stage = p.order.stage_steps / kFusionWarps;
  const int steps = (end - begin) * per_stage;  // of this warp
  const uint32_t* const w =
      p.w + ((int64_t{blockIdx.x} * all + begin) * p.order.stage_steps + warp) * step_words + lane * 4;
  uint32_t* const ring = reinterpret_cast<uint32_t*>(shared) + warp * kThinAhead * step_words + lane * 4;
  const auto fetch = [&](int step) {
    if (step < steps) {
      const uint32_t* const from = w + int64_t{step} * kFusionWarps * step_words;
      uint32_t* const to = ring + step % kThinAhead * step_words;
#pragma unroll
      for (int u = 0; u < kMostFusionUnits; ++u) {
        if (u < p.units) cp_async16(to + u * 128, from + u * 128, true);
      }
    }
    cp_async_commit();
  };
#pragma unroll
  for (int i = 0; i < kThinAhead - 1; ++i) fetch(i);

  float* const s_tile = shared + kFusionWarps * kThinAhead * step_words;
  constexpr int kValues = kMostFusionUnits * 2 * ROWS;
  float sum[kValues] = {};  // [unit][column half][row]
  for (int step = 0; step < steps;) {
    const FusionWindow win = fusion_window(p.order, begin + step / per_stage);
    float* const f_tile =
        s_tile + (win.segment ? p.order.segment[1].s_tile : p.order.segment[0].s_tile) * ROWS;
    __syncthreads();  // all are done with the window before
    thin_load<ROWS>(win.segment ? p.role[1][1] : p.role[0][1], p.rows, win.s0, win.s_count, win.s_count,
                    s_tile);
    thin_load<ROWS>(win.segment ? p.role[1][0] : p.role[0][0], p.rows, win.f0, win.f_count,
                    win.chunks * p.order.depth, f_tile);
    const FusionRole r0 = win.segment ? p.role[1][2] : p.role[0][2],
                     r1 = win.segment ? p.role[1][3] : p.role[0][3];
    const int r0_count = win.segment ? p.order.segment[1].count[2] : p.order.segment[0].count[2];
    const int r1_count = win.segment ? p.order.segment[1].count[3] : p.order.segment[0].count[3];
    ThinWalk walk(win, (begin - win.first_stage) * p.order.stage_steps + step * kFusionWarps + warp);
    float lead[ROWS], q[ROWS][kEach] = {};
    const auto read_leads = [&] {
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        lead[r] = r < p.rows && walk.r < r0_count * r1_count
                      ? fusion_value(r0, r, walk.r / r1_count) * fusion_value(r1, r, walk.r % r1_count)
                      : 0.f;
      }
      walk.new_r = false;
    };
    read_leads();
    __syncthreads();
    const int window_end = min(end, win.first_stage + win.stages) - begin;
    for (; step < window_end * per_stage; ++step) {
      fetch(step + kThinAhead - 1);
      cp_async_wait<kThinAhead - 1>();
      if (walk.left <= 0) continue;
      if (walk.new_r) read_leads();
      if (walk.new_chunk) {
#pragma unroll
        for (int e = 0; e < kEach; ++e) {
          float f[ROWS];
          load_rows<ROWS>(f_tile + ((walk.chunk * 4 + t) * kEach + e) * ROWS, f);
#pragma unroll
          for (int r = 0; r < ROWS; ++r) q[r][e] = lead[r] * f[r];
        }
        walk.new_chunk = false;
      }
      float s[ROWS], z[ROWS][kEach];
      load_rows<ROWS>(s_tile + walk.s * ROWS, s);
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
#pragma unroll
        for (int e = 0; e < kEach; ++e) z[r][e] = q[r][e] * s[r];
      }
      walk.advance(win, kFusionWarps);
      const uint32_t* const from = ring + step % kThinAhead * step_words;
#pragma unroll
      for (int u = 0; u < kMostFusionUnits; ++u) {
        if (u == p.units) break;
        const uint4 b = load4(from + u * 128);
        const uint32_t words[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
        for (int n = 0; n < 2; ++n) {
#pragma unroll
          for (int e = 0; e < kEach; ++e) {
            const uint32_t word = HALF ? words[2 * n + e / 2] : words[2 * n + e];
            const float x = bits_to_float(!HALF ? word : e % 2 ? word & 0xffff0000u : word << 16);
#pragma unroll
            for (int r = 0; r < ROWS; ++r) sum[(u * 2 + n) * ROWS + r] += z[r][e] * x;
          }
        }
      }
    }
  }

  // The four lanes that share their columns add up a quarter of the sums each.
  constexpr int kQuarter = kValues / 4;
#pragma unroll
  for (int i = 0; i < kValues / 2; ++i) {
    const float sent = t & 2 ? sum[i] : sum[i + kValues / 2];
    sum[i] = (t & 2 ? sum[i + kValues / 2] : sum[i]) + __shfl_xor_sync(kWholeWarp, sent, 2);
  }
#pragma unroll
  for (int i = 0; i < kQuarter; ++i) {
    const float sent = t & 1 ? sum[i] : sum[i + kQuarter];
    sum[i] = (t & 1 ? sum[i + kQuarter] : sum[i]) + __shfl_xor_sync(kWholeWarp, sent, 1);
  }
  cp_async_wait<0>();
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kQuarter; ++i)  // [warp][value][g]
    shared[(warp * kValues + t * kQuarter + i) * 8 + (lane >> 2)] = sum[i];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < p.units * 2 * ROWS * 8; i += kFusionThreads) {
    const int g = i % 8, n = i / 8 % (2 * p.units), row = i / 16 / p.units;
    float v = 0.f;
#pragma unroll
    for (int k = 0; k < kFusionWarps; ++k) v += shared[(k * kValues + n * ROWS + row) * 8 + g];
    if (row < p.rows) {
      p.sums[blockIdx.y * p.slice + row * p.columns + static_cast<int>(blockIdx.x) * p.units * 16 + n * 8 +
             g] = v;
    }
  }
}

namespace {

template <int ROWS, bool HALF>
void launch(Call& call, const FusionArgs& p, const FusionPlan& plan) {
  const dim3 grid(static_cast<unsigned>(plan.blocks), static_cast<unsigned>(p.splits));
  CINEFUSE_LAUNCH(call.stream(), (tensor_fusion_thin_kernel<ROWS, HALF>), grid, kFusionThreads,
                  plan.shared_bytes, p);
}

template <bool HALF>
void launch(Call& call, const FusionArgs& p, const FusionPlan& plan) {
  if (p.rows == 1) return launch<1, HALF>(call, p, plan);
  if (p.rows == 2) return launch<2, HALF>(call, p, plan);
  if (p.rows <= 4) return launch<4, HALF>(call, p, plan);
  if constexpr (!HALF) launch<8, HALF>(call, p, plan);
}

}  // namespace

FusionPlan fusion_thin_plan(FusionArgs& p, const Device& device) {
  const int rows = p.rows <= 2 ? p.rows : p.rows <= 4 ? 4 : 8;
  int values = 0;
  for (const FusionSegment& g : p.order.segment) values = std::max(values, g.s_tile + g.f_tile);
  const int words = std::max(kFusionWarps * kThinAhead * p.units * 128 + values * rows,
                             kFusionWarps * kMostFusionUnits * 2 * rows * 8);
  FusionPlan plan{};
  plan.blocks = p.columns / (p.units * 16);
  plan.shared_bytes = sizeof(float) * static_cast<size_t>(words);
  p.row_tiles = 1;
  p.splits = fusion_splits(p, plan.blocks, thin_blocks_an_sm(rows, p.order.depth == 16), 0., device);
  return plan;
}

void fusion_thin_launch(Call& call, const FusionArgs& p, bool half, const FusionPlan& plan) {
  half ? launch<true>(call, p, plan) : launch<false>(call, p, plan);
}

}  // namespace cinefuse::gpu
