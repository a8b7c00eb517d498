#include "../../cuda/attend_backward.h"
#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "../linear/linear_backward_cuda.cuh"
#include "sequence_attention_backward_cuda.cuh"
#include "sequence_attention_backward_device.h"

namespace cinefuse::gpu {

constexpr int kSpaceThreads = 128;

void temporal_forward(const TemporalParams& p, Call& call) {
  if (p.batch == 0) return;
  AttendRows rows{};
  rows.scale = p.scale;
  rows.batch = p.batch;
  rows.heads = rows.queries = 1;
  rows.steps = p.steps;
  rows.d = p.d;
  rows.dv = p.dv;
  rows.q = {p.q, p.d, 0, 0};
  rows.keys = {p.keys, p.steps * p.d, 0, p.d};
  rows.values = {p.values, p.steps * p.dv, 0, p.dv};
  rows.lengths = p.lengths;
  rows.c = {p.c, p.dv, 0, 0};
  rows.alpha = p.alpha;
  attend(call, rows);
}

void temporal_backward(const TemporalParams& p, const TemporalGradients& g, Call& call) {
  AttendGradients rows{};
  rows.scale = p.scale;
  rows.batch = p.batch;
  rows.heads = rows.queries = 1;
  rows.steps = p.steps;
  rows.d = p.d;
  rows.dv = p.dv;
  rows.dc = {g.dc, p.dv, 0, 0};
  rows.q = {p.q, p.d, 0, 0};
  rows.keys = {p.keys, p.steps * p.d, 0, p.d};
  rows.values = {p.values, p.steps * p.dv, 0, p.dv};
  rows.alpha = p.alpha;
  rows.e = call.scratch<float>(p.batch * p.steps);
  rows.dq = {g.dq, p.d, 0, 0};
  rows.dk = {g.dkeys, p.steps * p.d, 0, p.d};
  rows.dv_out = {g.dvalues, p.steps * p.dv, 0, p.dv};
  attend_backward(call, rows);
}

// saved: alpha (batch, steps), then tanh(W x + b) of every step.
size_t additive_saved(const AdditiveWeights& w, int64_t batch, int64_t steps) {
  return static_cast<size_t>(batch * steps * (1 + w.k));
}

// x with zeros behind the lengths, for products that go over every step.
static const float* without_rest(Call& call, const AdditiveWeights& w, const AdditiveParams& p) {
  if (!p.lengths) return p.x;
  float* const x = call.scratch<float>(p.batch * p.steps * w.d);
  copy_steps(call, p.batch, p.steps, w.d, p.lengths, p.x, x);
  return x;
}

void additive_forward(const AdditiveWeights& w, const AdditiveParams& p, float* saved, Call& call) {
  const int64_t vectors = p.batch * p.steps, d = w.d, k = w.k;
  if (vectors == 0) return;
  float* const hidden = saved + vectors;
  const float* const x = without_rest(call, w, p);
  linear_forward({vectors, d, k}, x, w.W, w.b, hidden, call);
  tanh_in_place(call, vectors * k, hidden);
  AttendRows rows{};
  rows.scale = 1.f;
  rows.batch = p.batch;
  rows.heads = rows.queries = 1;
  rows.steps = p.steps;
  rows.d = k;
  rows.dv = d;
  rows.q = {w.w, 0, 0, 0};
  rows.keys = {hidden, p.steps * k, 0, k};
  rows.values = {x, p.steps * d, 0, d};
  rows.lengths = p.lengths;
  rows.c = {p.c, d, 0, 0};
  rows.alpha = saved;
  attend(call, rows);
  if (p.alpha) copy_present(call, vectors, 1, nullptr, saved, p.alpha);
}

void additive_backward(const AdditiveWeights& w, const AdditiveParams& p, const float* saved,
                       const AdditiveGradients& g, Call& call) {
  const int64_t vectors = p.batch * p.steps, d = w.d, k = w.k;
  const float* const hidden = saved + vectors;
  const float* const x = without_rest(call, w, p);
  float* const e = call.scratch<float>(vectors);
  float* const dz = call.scratch<float>(vectors * k);
  float* const through = g.dx ? call.scratch<float>(vectors * d) : nullptr;
  AttendGradients rows{};
  rows.scale = 1.f;
  rows.batch = p.batch;
  rows.heads = rows.queries = 1;
  rows.steps = p.steps;
  rows.dv = d;
  rows.dc = {g.dc, d, 0, 0};
  rows.values = {x, p.steps * d, 0, d};
  rows.alpha = saved;
  rows.e = e;
  rows.dv_out = {g.dx, p.steps * d, 0, d};
  attend_backward(call, rows);
  tanh_scores_backward(call, vectors, k, e, w.w, hidden, dz);
  linear_backward({vectors, d, k}, {x, w.W, dz, through, g.dW, g.db}, call);
  // dw = Σ e_t tanh(z_t): the product of a layer of one output
  if (g.dw) linear_backward({vectors, k, 1}, {hidden, w.w, e, nullptr, g.dw, nullptr}, call);
  if (g.dx) add_present(call, vectors, d, nullptr, through, g.dx);
}

struct SpatialRows {
  int64_t channels, positions, query_step;
  float scale;
  const float *x, *query, *dc;
  float *alpha, *e, *dx, *dquery;
};

// alpha of one row a block. The bias shifts all positions alike.
__global__ void __launch_bounds__(kSpaceThreads) spatial_weights_kernel(SpatialRows p) {
  CINEFUSE_SHARED(float, partial, [kSpaceThreads / 32]);
  const float* const x = p.x + int64_t{blockIdx.x} * p.channels * p.positions;
  const float* const query = p.query + blockIdx.x * p.query_step;
  float* const alpha = p.alpha + int64_t{blockIdx.x} * p.positions;
  float top = -INFINITY, total = 0.f;
  for (int64_t n = threadIdx.x; n < p.positions; n += kSpaceThreads) {
    float sum = 0.f;
    for (int64_t i = 0; i < p.channels; ++i) sum = fmaf(query[i], x[i * p.positions + n], sum);
    alpha[n] = p.scale * sum;
    top = fmaxf(top, alpha[n]);
  }
  top = block_max(top, partial);
  __syncthreads();
  for (int64_t n = threadIdx.x; n < p.positions; n += kSpaceThreads) {
    alpha[n] = expf(alpha[n] - top);
    total += alpha[n];
  }
  total = block_sum(total, partial);
  for (int64_t n = threadIdx.x; n < p.positions; n += kSpaceThreads) alpha[n] /= total;
}

// One row a block: e_n = alpha_n (dc . x_n - sum alpha dc . x), dx_n = alpha_n dc + scale e_n q,
// dquery = scale sum_n e_n x_n.
__global__ void __launch_bounds__(kSpaceThreads) spatial_backward_kernel(SpatialRows p) {
  CINEFUSE_SHARED(float, partial, [kSpaceThreads / 32]);
  const int64_t row = blockIdx.x;
  const float* const x = p.x + row * p.channels * p.positions;
  const float* const query = p.query + row * p.query_step;
  const float* const alpha = p.alpha + row * p.positions;
  const float* const dc = p.dc + row * p.channels;
  float* const e = p.e + row * p.positions;
  float mean = 0.f;
  for (int64_t n = threadIdx.x; n < p.positions; n += kSpaceThreads) {
    float sum = 0.f;
    for (int64_t i = 0; i < p.channels; ++i) sum = fmaf(dc[i], x[i * p.positions + n], sum);
    e[n] = sum;
    mean = fmaf(alpha[n], sum, mean);
  }
  mean = block_sum(mean, partial);
  for (int64_t n = threadIdx.x; n < p.positions; n += kSpaceThreads) e[n] = alpha[n] * (e[n] - mean);
  __syncthreads();
  if (p.dx) {
    float* const dx = p.dx + row * p.channels * p.positions;
    for (int64_t i = threadIdx.x; i < p.channels * p.positions; i += kSpaceThreads) {
      const int64_t channel = i / p.positions, n = i - channel * p.positions;
      dx[i] = fmaf(alpha[n], dc[channel], p.scale * query[channel] * e[n]);
    }
  }
  if (!p.dquery) return;
  for (int64_t channel = threadIdx.x >> 5; channel < p.channels; channel += kSpaceThreads / 32) {
    float sum = 0.f;
    for (int64_t n = threadIdx.x & 31; n < p.positions; n += 32) {
      sum = fmaf(e[n], x[channel * p.positions + n], sum);
    }
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) p.dquery[row * p.channels + channel] = p.scale * sum;
  }
}

static SpatialRows rows_of(const SpatialParams& p) {
  SpatialRows rows{};
  rows.channels = p.channels;
  rows.positions = p.positions;
  rows.query_step = p.query_per_row ? p.channels : 0;
  rows.scale = p.scale;
  rows.x = p.x;
  rows.query = p.query;
  rows.alpha = p.alpha;
  return rows;
}

void spatial_weights(const SpatialParams& p, Call& call) {
  if (p.batch == 0) return;
  CINEFUSE_LAUNCH(call.stream(), spatial_weights_kernel, static_cast<unsigned>(p.batch), kSpaceThreads, 0,
                  rows_of(p));
}

void spatial_backward(const SpatialParams& p, const SpatialGradients& g, Call& call) {
  const bool shared = g.dquery && !p.query_per_row;
  SpatialRows rows = rows_of(p);
  rows.dc = g.dc;
  rows.e = call.scratch<float>(p.batch * p.positions);
  rows.dx = g.dx;
  rows.dquery = shared ? call.scratch<float>(p.batch * p.channels) : g.dquery;
  if (p.batch) {
    CINEFUSE_LAUNCH(call.stream(), spatial_backward_kernel, static_cast<unsigned>(p.batch), kSpaceThreads, 0,
                    rows);
  }
  if (shared) {
    linear_backward({p.batch, 1, p.channels}, {nullptr, nullptr, rows.dquery, nullptr, nullptr, g.dquery},
                    call);
  }
  if (g.dbias) CINEFUSE_CUDA(cudaMemsetAsync(g.dbias, 0, sizeof(float), call.stream()));
}

static void temporal_backward_cuda(Call& call, const cinefuse_temporal_backward_params& p) {
  const int64_t vectors = p.batch * p.steps;
  const In<float> q = call.in(p.q, p.batch * p.d), keys = call.in(p.keys, vectors * p.d),
                  values = call.in(p.values, vectors * p.dv), dc = call.in(p.dc, p.batch * p.dv);
  const In<int32_t> lengths = call.in(p.lengths, p.batch);
  const Out<float> dq = call.out(p.dq, p.batch * p.d), dkeys = call.out(p.dkeys, vectors * p.d),
                   dvalues = call.out(p.dvalues, vectors * p.dv);
  if (p.batch == 0) return;
  call.send();
  call.compute([&] {
    const TemporalParams params{p.batch,
                                p.steps,
                                p.d,
                                p.dv,
                                p.scale,
                                q.get(),
                                keys.get(),
                                values.get(),
                                lengths.get(),
                                call.scratch<float>(p.batch * p.dv),
                                call.scratch<float>(vectors)};
    temporal_forward(params, call);
    temporal_backward(params, {dc.get(), dq.get(), dkeys.get(), dvalues.get()}, call);
  });
  call.receive();
}

static void additive_backward_cuda(Call& call, const cinefuse_additive_backward_params& p) {
  const int64_t vectors = p.batch * p.steps;
  const In<float> W = call.in(p.W, p.k * p.d), b = call.in(p.b, p.k), w = call.in(p.w, p.k),
                  x = call.in(p.x, vectors * p.d), dc = call.in(p.dc, p.batch * p.d);
  const In<int32_t> lengths = call.in(p.lengths, p.batch);
  const Out<float> dx = call.out(p.dx, vectors * p.d), dW = call.out(p.dW, p.k * p.d),
                   db = call.out(p.db, p.k), dw = call.out(p.dw, p.k);
  call.send();
  call.compute([&] {
    const AdditiveWeights weights{p.d, p.k, W.get(), b.get(), w.get()};
    const AdditiveParams params{p.batch, p.steps, x.get(), lengths.get(), call.scratch<float>(p.batch * p.d),
                                nullptr};
    float* const saved = call.scratch<float>(static_cast<int64_t>(additive_saved(weights, p.batch, p.steps)));
    additive_forward(weights, params, saved, call);
    additive_backward(weights, params, saved, {dc.get(), dx.get(), dW.get(), db.get(), dw.get()}, call);
  });
  call.receive();
}

static void spatial_backward_cuda(Call& call, const cinefuse_spatial_backward_params& p) {
  const int64_t numbers = p.batch * p.channels * p.positions;
  const int64_t of_query = p.query_per_row ? p.batch * p.channels : p.channels;
  const In<float> x = call.in(p.x, numbers), query = call.in(p.query, of_query),
                  dc = call.in(p.dc, p.batch * p.channels);
  const Out<float> dx = call.out(p.dx, numbers), dquery = call.out(p.dquery, of_query),
                   dbias = call.out(p.dbias, 1);
  call.send();
  call.compute([&] {
    const SpatialParams params{p.batch,
                               p.channels,
                               p.positions,
                               p.query_per_row != 0,
                               p.scale,
                               p.bias,
                               x.get(),
                               query.get(),
                               call.scratch<float>(p.batch * p.positions)};
    spatial_weights(params, call);
    spatial_backward(params, {dc.get(), dx.get(), dquery.get(), dbias.get()}, call);
  });
  call.receive();
}

const Operator kTemporalAttentionBackwardOperator =
    plain_operator<cinefuse_temporal_backward_params, temporal_backward_cuda>();
const Operator kAdditiveAttentionBackwardOperator =
    plain_operator<cinefuse_additive_backward_params, additive_backward_cuda>();
const Operator kSpatialAttentionBackwardOperator =
    plain_operator<cinefuse_spatial_backward_params, spatial_backward_cuda>();

}  // namespace cinefuse::gpu
