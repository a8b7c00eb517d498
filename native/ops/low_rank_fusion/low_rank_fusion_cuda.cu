#include <algorithm>

#include "../../cuda/gemm_rows.cuh"
#include "../../cuda/operators.h"
#include "low_rank_fusion_cuda.cuh"
#include "low_rank_tile.cuh"

namespace cinefuse::gpu {

constexpr int kLowRankThreads = 256;
constexpr int kLowRankTogether = 4;  // rows of factors that a warp reads side by side

// y[b][o] = f(bias[o] + sum_r w[r] prod_m (ones_m[r][o] + sum_k h_m[b][k] F_m[r][o][k])), R rows b and
// `columns` outputs o a block. A warp takes four rows (r, o) of a modality's factors, or one of `parts` parts
// of their k's; what all have found meets in shared memory. Grid: (out / columns, rows / R).
template <int R, bool HALF>
__global__ void __launch_bounds__(kLowRankThreads, 2) low_rank_few_kernel(LowRankArgs p) {
  CINEFUSE_DYNAMIC_SHARED(float, dots);  // (modes, parts, rank * columns, R)
  constexpr int kWarps = kLowRankThreads / 32, kStep = HALF ? 256 : 128, N = kLowRankTogether;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  const int column0 = static_cast<int>(blockIdx.x) * p.columns, row0 = static_cast<int>(blockIdx.y) * R;
  const int width = p.rank * p.columns, groups = (width + N - 1) / N;
  for (int task = warp; task < p.modes * groups * p.parts; task += kWarps) {
    const int part = task % p.parts, group = task / p.parts % groups, m = task / (p.parts * groups);
    const float* a[R];
    uint32_t there = 0;
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const int row = min(row0 + r, p.rows - 1);
      a[r] = p.h[m] + row * p.ldh[m];
      if (!p.present || p.present[int64_t{row} * p.modes + m]) there |= 1u << r;
    }
    const uint32_t* w[N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const int at = min(group * N + j, width - 1);
      const int64_t column = min(column0 + at % p.columns, p.out - 1);
      w[j] = p.factors[m] + (int64_t{at / p.columns} * p.out + column) * p.factor_words[m];
    }
    float dot[R * N] = {};
    dot_rows<R, N, HALF>(dot, a, there, (p.vectors >> m & 1) != 0, w, p.dims[m], p.factor_ends[m],
                         part * kStep + lane * (HALF ? 8 : 4), p.parts * kStep, p.dims[m]);
    warp_sums<R * N>(dot, lane);
    constexpr int kLanesAValue = 32 / (R * N);
    const int value = lane / kLanesAValue, at = group * N + value % N;
    if (lane % kLanesAValue == 0 && at < width) {
      dots[((m * p.parts + part) * width + at) * R + value / N] = dot[0];
    }
  }
  __syncthreads();
  // A warp an output, a lane a rank.
  for (int i = warp; i < R * p.columns; i += kWarps) {
    const int r = i / p.columns, column = i % p.columns;
    if (row0 + r >= p.rows || column0 + column >= p.out) continue;  // the whole warp
    float sum = 0.f;
    for (int rank = lane; rank < p.rank; rank += 32) {
      float product = p.rank_weights[rank];
      for (int m = 0; m < p.modes; ++m) {
        float factor = p.ones[m][int64_t{rank} * p.out + column0 + column];
        for (int part = 0; part < p.parts; ++part) {
          factor += dots[((m * p.parts + part) * width + rank * p.columns + column) * R + r];
        }
        product *= factor;
      }
      sum += product;
    }
    sum = warp_sum(sum);
    if (lane == 0) {
      p.y[int64_t{row0 + r} * p.out + column0 + column] =
          activate(p.activation, p.slope, sum + p.bias[column0 + column]);
    }
  }
}

// y[b][o] = f(bias[o] + sum_r w[r] prod_m g[m][b][r][o]), a thread an output. g: (modes, rows, rank, out).
__global__ void low_rank_combine_kernel(int64_t rows, int modes, int rank, int out, const float* g,
                                        const float* rank_weights, const float* bias, int activation,
                                        float slope, float* y) {
  const int64_t i = int64_t{blockIdx.x} * kLowRankThreads + threadIdx.x;
  if (i >= rows * out) return;
  const int64_t row = i / out, stride = rows * rank * out;
  const int o = static_cast<int>(i % out);
  float sum = bias[o];
  for (int r = 0; r < rank; ++r) {
    const float* const at = g + (row * rank + r) * out + o;
    float product = at[0];
#pragma unroll
    for (int m = 1; m < kLowRankModes; ++m) {
      if (m < modes) product *= at[m * stride];
    }
    sum += product * rank_weights[r];
  }
  y[i] = activate(activation, slope, sum);
}

LowRankFusionWeights::LowRankFusionWeights(Call& call, const cinefuse_low_rank_fusion_description& d)
    : modes(d.modes),
      activation(d.activation),
      slope(d.slope),
      rank(d.rank),
      out(d.out),
      rank_weights(call, d.rank_weights, d.rank),
      bias(call, d.bias, d.out) {
  for (int m = 0; m < modes; ++m) {
    factors[m] = GemmWeights(call, d.factors[m], d.ones[m], rank * out, d.dims[m]);
  }
}

namespace {

LowRankArgs make_args(const LowRankFusionWeights& weights, int64_t rows, const float* const* h,
                      const int64_t* ldh, const uint8_t* present, bool half, float* y) {
  LowRankArgs p{};
  for (int m = 0; m < weights.modes; ++m) {
    const GemmWeights& f = weights.factors[m];
    p.h[m] = h[m];
    p.ldh[m] = ldh[m];
    p.factors[m] = half ? f.halves() : reinterpret_cast<const uint32_t*>(f.data());
    p.factor_words[m] = half ? f.half_stride() / 2 : f.stride();
    p.factor_ends[m] = static_cast<int32_t>(half ? f.half_stride() : f.stride());
    p.dims[m] = static_cast<int32_t>(f.in());
    p.ones[m] = f.bias();
    const bool aligned = ldh[m] % 4 == 0 && reinterpret_cast<uintptr_t>(h[m]) % 16 == 0;
    if (f.in() % 4 == 0 && aligned) p.vectors |= 1 << m;
  }
  p.present = present;
  p.rank_weights = weights.rank_weights.get();
  p.bias = weights.bias.get();
  p.y = y;
  p.rows = static_cast<int32_t>(rows);
  p.modes = weights.modes;
  p.rank = static_cast<int32_t>(weights.rank);
  p.out = static_cast<int32_t>(weights.out);
  p.activation = weights.activation;
  p.slope = weights.slope;
  return p;
}

// Few rows, on the plain cores. False: there is too much of it.
bool few_rows(Call& call, const LowRankFusionWeights& weights, int64_t rows, const float* const* h,
              const int64_t* ldh, const uint8_t* present, float* y) {
  int64_t numbers = 0, longest = 0;
  for (int m = 0; m < weights.modes; ++m) {
    numbers += weights.factors[m].in() * weights.factors[m].out();
    longest = std::max(longest, weights.factors[m].in());
  }
  const bool half = call.precision() == CINEFUSE_BF16 && numbers >= kGemmLeastHalfWeights;
  const int rows_a_block = rows >= 5 ? 8 : rows >= 2 ? 4 : 1;
  const int64_t row_blocks = blocks_of(rows, rows_a_block);
  if (rows > 64 || (rows > 8 && row_blocks * numbers * (half ? 2 : 4) > (int64_t{16} << 20))) return false;
  // At least four rows of factors; more outputs a block while that leaves blocks for all multiprocessors.
  int64_t columns = std::min(blocks_of(kLowRankTogether, weights.rank), weights.out);
  while (columns < 32 &&
         blocks_of(weights.out, 2 * columns) * row_blocks >= 2 * call.device().multiprocessors()) {
    columns *= 2;
  }
  const int64_t tasks = weights.modes * blocks_of(weights.rank * columns, kLowRankTogether);
  int parts = 1;
  while (tasks * parts * 2 <= kLowRankThreads / 32 && longest > parts * (half ? 256 : 128)) parts *= 2;
  const int64_t bytes = 4 * weights.modes * parts * weights.rank * columns * rows_a_block;
  if (bytes > 48 * 1024) return false;
  LowRankArgs p = make_args(weights, rows, h, ldh, present, half, y);
  p.columns = static_cast<int32_t>(columns);
  p.parts = parts;
  const dim3 grid(static_cast<unsigned>(blocks_of(weights.out, columns)), static_cast<unsigned>(row_blocks));
  const auto launch = [&](auto kernel) {
    CINEFUSE_LAUNCH(call.stream(), kernel, grid, kLowRankThreads, static_cast<unsigned>(bytes), p);
  };
  if (half) {
    rows_a_block == 1   ? launch(low_rank_few_kernel<1, true>)
    : rows_a_block == 4 ? launch(low_rank_few_kernel<4, true>)
                        : launch(low_rank_few_kernel<8, true>);
  } else {
    rows_a_block == 1   ? launch(low_rank_few_kernel<1, false>)
    : rows_a_block == 4 ? launch(low_rank_few_kernel<4, false>)
                        : launch(low_rank_few_kernel<8, false>);
  }
  return true;
}

template <GemmMath MATH>
void launch_tiles(Call& call, const LowRankArgs& p, bool four_ranks, dim3 grid) {
  using T = LowRankTile<MATH>;
  if (four_ranks) {
    CINEFUSE_LAUNCH(call.stream(), (low_rank_tile_kernel<T, 4>), grid, T::kThreads, T::kSharedBytes, p);
  } else {
    CINEFUSE_LAUNCH(call.stream(), (low_rank_tile_kernel<T, 1>), grid, T::kThreads, T::kSharedBytes, p);
  }
}

// All in one kernel, by tiles. False: they are too few, each with too much to do, to keep the device busy.
bool by_tiles(Call& call, const LowRankFusionWeights& weights, int64_t rows, const float* const* h,
              const int64_t* ldh, const uint8_t* present, float* y) {
  constexpr int64_t kFewSteps = 48;
  const bool four_ranks = weights.rank >= 3;
  const int64_t row_tiles = blocks_of(rows, 64), output_tiles = blocks_of(weights.out, four_ranks ? 16 : 64);
  int64_t steps = 0;
  for (int m = 0; m < weights.modes; ++m) steps += blocks_of(weights.factors[m].in(), 32);
  steps *= blocks_of(weights.rank, four_ranks ? 4 : 1);
  const bool busy = 2 * row_tiles * output_tiles >= call.device().multiprocessors() || steps <= kFewSteps;
  if (!busy || output_tiles > 65535) return false;
  const bool half = call.precision() == CINEFUSE_BF16;
  const LowRankArgs p = make_args(weights, rows, h, ldh, present, half, y);
  const dim3 grid(static_cast<unsigned>(row_tiles), static_cast<unsigned>(output_tiles));
  if (half) {
    launch_tiles<GemmMath::kBf16>(call, p, four_ranks, grid);
  } else if (call.precision() == CINEFUSE_TF32) {
    launch_tiles<GemmMath::kTf32>(call, p, four_ranks, grid);
  } else {
    launch_tiles<GemmMath::k3xTf32>(call, p, four_ranks, grid);
  }
  return true;
}

}  // namespace

void low_rank_fusion_rows(Call& call, const LowRankFusionWeights& weights, int64_t rows,
                          const float* const* h, const int64_t* ldh, const uint8_t* present, float* y) {
  if (rows == 0 || few_rows(call, weights, rows, h, ldh, present, y)) return;
  if (by_tiles(call, weights, rows, h, ldh, present, y)) return;
  // Every modality's projections of all ranks side by side, of so many rows that they stay in the L2 cache.
  const int64_t width = weights.rank * weights.out;
  const int64_t row_bytes = 4 * weights.modes * width;
  const int64_t share = std::min(rows, std::max<int64_t>(128, (int64_t{24} << 20) / row_bytes / 128 * 128));
  float* const projected = call.scratch<float>(weights.modes * share * width);
  for (int64_t first = 0; first < rows; first += share) {
    const int64_t count = std::min(share, rows - first);
    for (int m = 0; m < weights.modes; ++m) {
      const GemmRows a{h[m] + first * ldh[m], ldh[m], present ? present + first * weights.modes + m : nullptr,
                       weights.modes};
      gemm(call, count, a, weights.factors[m], 0, 0.f, projected + m * count * width, width);
    }
    CINEFUSE_LAUNCH(call.stream(), low_rank_combine_kernel,
                    static_cast<unsigned>(blocks_of(count * weights.out, kLowRankThreads)), kLowRankThreads,
                    0, count, weights.modes, static_cast<int>(weights.rank), static_cast<int>(weights.out),
                    static_cast<const float*>(projected), weights.rank_weights.get(), weights.bias.get(),
                    weights.activation, weights.slope, y + first * weights.out);
  }
}

struct LowRankFusionObject final : Object {
  LowRankFusionWeights weights;
};

static std::unique_ptr<LowRankFusionObject> low_rank_fusion_create(
    Call& call, const cinefuse_low_rank_fusion_description& d) {
  auto object = std::make_unique<LowRankFusionObject>();
  object->weights = LowRankFusionWeights(call, d);
  return object;
}

static void low_rank_fusion_cuda(Call& call, const LowRankFusionObject& layer,
                                 const cinefuse_low_rank_fusion_params& p) {
  const LowRankFusionWeights& weights = layer.weights;
  In<float> h[kLowRankModes];
  int64_t ldh[kLowRankModes] = {};
  for (int m = 0; m < weights.modes; ++m) {
    ldh[m] = weights.factors[m].in();
    h[m] = call.in(p.h[m], p.rows * ldh[m]);
  }
  const In<uint8_t> present = call.in(p.present, p.rows * weights.modes);
  const Out<float> y = call.out(p.y, p.rows * weights.out);
  if (p.rows == 0) return;
  call.send();
  call.compute([&] {
    const float* from[kLowRankModes] = {};
    for (int m = 0; m < weights.modes; ++m) from[m] = h[m].get();
    low_rank_fusion_rows(call, weights, p.rows, from, ldh, present.get(), y.get());
  });
  call.receive();
}

const Operator kLowRankFusionOperator =
    prepared_operator<LowRankFusionObject, cinefuse_low_rank_fusion_description,
                      cinefuse_low_rank_fusion_params, low_rank_fusion_create, low_rank_fusion_cuda>();

}  // namespace cinefuse::gpu
