#include <algorithm>

#include "../../cuda/operators.h"
#include "../../cuda/portable.h"
#include "../../cuda/rows.cuh"
#include "low_rank_fusion_backward_cuda.cuh"
#include "low_rank_fusion_backward_device.h"

namespace cinefuse::gpu {

constexpr int kRankThreads = 256;

// P_m of all modes: (modes, rows, rank * out).
struct LowRankTraining {
  int64_t rows, rank, out;
  int modes;
  const float *saved, *rank_weights, *bias, *dy;
  float *y, *dsaved, *drank_weights;
};

// y[b][o] = bias[o] + sum_r w_r prod_m P_m[b][r][o]
__global__ void __launch_bounds__(kRankThreads) low_rank_training_combine_kernel(LowRankTraining p) {
  const int64_t n = p.rows * p.out, columns = p.rank * p.out, all = p.rows * columns;
  const int64_t step = int64_t{kRankThreads} * gridDim.x;
  for (int64_t at = int64_t{blockIdx.x} * kRankThreads + threadIdx.x; at < n; at += step) {
    const int64_t o = at % p.out;
    float sum = p.bias ? p.bias[o] : 0.f;
    for (int64_t r = 0; r < p.rank; ++r) {
      const float* from = p.saved + at / p.out * columns + r * p.out + o;
      float product = *from;
      for (int m = 1; m < p.modes; ++m) product *= from[m * all];
      sum += (p.rank_weights ? p.rank_weights[r] : 1.f) * product;
    }
    p.y[at] = sum;
  }
}

// dP_m = dy w_r prod_{n != m} P_n, by products from both sides.
__global__ void __launch_bounds__(kRankThreads) low_rank_training_gradient_kernel(LowRankTraining p) {
  const int64_t columns = p.rank * p.out, all = p.rows * columns;
  const int64_t step = int64_t{kRankThreads} * gridDim.x;
  for (int64_t at = int64_t{blockIdx.x} * kRankThreads + threadIdx.x; at < all; at += step) {
    const int64_t column = at % columns;
    float product = p.dy[at / columns * p.out + column % p.out];
    for (int m = 0; m < p.modes; ++m) {
      p.dsaved[m * all + at] = product;
      product *= p.saved[m * all + at];
    }
    float after = p.rank_weights ? p.rank_weights[column / p.out] : 1.f;
    for (int m = p.modes - 1; m >= 0; --m) {
      p.dsaved[m * all + at] *= after;
      after *= p.saved[m * all + at];
    }
  }
}

// dw_r = sum over rows and outputs of dy prod_m P_m[r]; a block a rank.
__global__ void __launch_bounds__(kRankThreads) low_rank_training_ranks_kernel(LowRankTraining p) {
  CINEFUSE_SHARED(float, partial, [kRankThreads / 32]);
  const int64_t r = blockIdx.x, columns = p.rank * p.out, all = p.rows * columns;
  float sum = 0.f;
  for (int64_t at = threadIdx.x; at < p.rows * p.out; at += kRankThreads) {
    const float* from = p.saved + at / p.out * columns + r * p.out + at % p.out;
    float product = p.dy[at];
    for (int m = 0; m < p.modes; ++m) product *= from[m * all];
    sum += product;
  }
  sum = block_sum(sum, partial);
  if (threadIdx.x == 0) p.drank_weights[r] = sum;
}

static LowRankTraining training_of(const LowRankShape& s, int64_t rows, const LowRankWeights& w,
                                   const float* saved) {
  return {rows,   s.rank,  s.out,   s.dims.modes, saved,  w.rank_weights,
          w.bias, nullptr, nullptr, nullptr,      nullptr};
}

static unsigned grid_for(int64_t n) { return grid_of(std::min<int64_t>(blocks_of(n, kRankThreads), 8192)); }

void low_rank_fusion_forward(const LowRankShape& s, const FusionInputs& in, const LowRankWeights& w, float* y,
                             float* saved, Call& call) {
  if (in.rows == 0) return;
  const int64_t columns = s.rank * s.out;
  for (int m = 0; m < s.dims.modes; ++m) {
    const int64_t values = s.dims.d[m] + 1;
    float* v = call.scratch<float>(in.rows * values);
    fusion_values(call, s.dims, in, m, v);
    FusionProduct p{};
    p.rows = in.rows;
    p.cols = s.out;
    p.depth = values;
    p.a = v;
    p.a_row = values;
    p.a_k = 1;
    p.b = w.factors[m];
    p.b_col = 1;
    p.b_k = s.out;
    p.b_batch = values * s.out;
    p.c = saved + m * in.rows * columns;
    p.c_row = columns;
    p.c_batch = s.out;
    p.batches = s.rank;
    fusion_product(call, p);
  }
  LowRankTraining p = training_of(s, in.rows, w, saved);
  p.y = y;
  CINEFUSE_LAUNCH(call.stream(), low_rank_training_combine_kernel, grid_for(in.rows * s.out), kRankThreads, 0,
                  p);
}

void low_rank_fusion_backward(const LowRankShape& s, const FusionInputs& in, const LowRankWeights& w,
                              const float* saved, const LowRankGradients& g, Call& call) {
  const int64_t columns = s.rank * s.out, rows = in.rows;
  LowRankTraining p = training_of(s, rows, w, saved);
  p.dy = g.dy;
  p.drank_weights = g.drank_weights;
  if (g.dbias) fusion_sum_rows(call, rows, s.out, g.dy, g.dbias);
  if (g.drank_weights) {
    CINEFUSE_LAUNCH(call.stream(), low_rank_training_ranks_kernel, static_cast<unsigned>(s.rank),
                    kRankThreads, 0, p);
  }
  float* dsaved = call.scratch<float>(low_rank_fusion_saved(s, rows));
  p.dsaved = dsaved;
  if (rows > 0) {
    CINEFUSE_LAUNCH(call.stream(), low_rank_training_gradient_kernel, grid_for(rows * columns), kRankThreads,
                    0, p);
  }
  for (int m = 0; m < s.dims.modes; ++m) {
    const int64_t d = s.dims.d[m], values = d + 1;
    const float* dp = dsaved + m * rows * columns;
    FusionProduct q{};
    q.batches = s.rank;
    if (g.dfactors[m]) {
      float* v = call.scratch<float>(rows * values);
      fusion_values(call, s.dims, in, m, v);
      q.rows = values;
      q.cols = s.out;
      q.depth = rows;
      q.a = v;
      q.a_row = 1;
      q.a_k = values;
      q.b = dp;
      q.b_col = 1;
      q.b_k = columns;
      q.b_batch = s.out;
      q.c = g.dfactors[m];
      q.c_row = s.out;
      q.c_batch = values * s.out;
      fusion_product(call, q);
    }
    if (!g.dh[m]) continue;
    // A part for each rank, added in their order.
    float* parts = call.scratch<float>(s.rank * rows * d);
    q.rows = rows;
    q.cols = d;
    q.depth = s.out;
    q.a = dp;
    q.a_row = columns;
    q.a_k = 1;
    q.a_batch = s.out;
    q.b = w.factors[m];
    q.b_col = s.out;
    q.b_k = 1;
    q.b_batch = values * s.out;
    q.c = parts;
    q.c_row = d;
    q.c_batch = rows * d;
    fusion_product(call, q);
    fusion_add_parts(call, {rows, d, s.rank, parts, nullptr, false, in.present ? in.present + m : nullptr,
                            s.dims.modes, g.dh[m]});
  }
}

static void run_training(Call& call, const cinefuse_low_rank_fusion_training& p) {
  LowRankShape s{{static_cast<int>(p.modes), {}}, p.rank, p.out};
  In<float> h[kMostFusionModes], factors[kMostFusionModes];
  Out<float> dh[kMostFusionModes], dfactors[kMostFusionModes];
  for (int m = 0; m < s.dims.modes; ++m) {
    s.dims.d[m] = static_cast<int>(p.d[m]);
    h[m] = call.in(p.h[m], p.rows * p.d[m]);
    factors[m] = call.in(p.factors[m], p.rank * (p.d[m] + 1) * p.out);
    dh[m] = call.out(p.dh[m], p.rows * p.d[m]);
    dfactors[m] = call.out(p.dfactors[m], p.rank * (p.d[m] + 1) * p.out);
  }
  const In<uint8_t> present = call.in(p.present, p.rows * p.modes);
  const In<float> ranks = call.in(p.rank_weights, p.rank), bias = call.in(p.bias, p.out);
  const In<float> dy = call.in(p.dy, p.rows * p.out);
  const Out<float> y = call.out(p.y, p.rows * p.out), dranks = call.out(p.drank_weights, p.rank);
  const Out<float> dbias = call.out(p.dbias, p.out);
  call.send();
  call.compute([&] {
    FusionInputs in{p.rows, {}, present.get()};
    LowRankWeights w{{}, ranks.get(), bias.get()};
    LowRankGradients g{dy.get(), {}, {}, dranks.get(), dbias.get()};
    for (int m = 0; m < s.dims.modes; ++m) {
      in.h[m] = h[m].get();
      w.factors[m] = factors[m].get();
      g.dh[m] = dh[m].get();
      g.dfactors[m] = dfactors[m].get();
    }
    float* saved = call.scratch<float>(low_rank_fusion_saved(s, p.rows));
    float* result = p.y ? y.get() : call.scratch<float>(p.rows * p.out);
    low_rank_fusion_forward(s, in, w, result, saved, call);
    if (p.dy) low_rank_fusion_backward(s, in, w, saved, g, call);
  });
  call.receive();
}

const Operator kLowRankFusionTrainingOperator =
    plain_operator<cinefuse_low_rank_fusion_training, run_training>();

}  // namespace cinefuse::gpu
