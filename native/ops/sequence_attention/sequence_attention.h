// Attention over sequences: four ways to weigh the vectors of a sequence, by a query or by themselves.
//
//   temporal   alpha = softmax_t(scale * q . K_t),  c = sum_t alpha_t V_t
//   additive   alpha = softmax_t(w . tanh(W x_t + b)),  c = sum_t alpha_t x_t
//   spatial    alpha = softmax_n(scale * q . x_n + bias) over the positions n of a feature map,  c = sum_n
//   alpha_n x_n cross      multi-head: softmax_k(Q_h K_h^T / sqrt(E / heads)) V_h for each head h of Q = x
//   Wq^T + bq,
//              K = ctx Wk^T + bk, V = ctx Wv^T + bv; y = [heads] Wo^T + bo. As a block, post-norm:
//              u = LN(x + y),  y = LN(u + W2 relu(W1 u + b1) + b2), eps 1e-5
//
// All float32, row-major. Only the first lengths[b] steps of row b count (all of them when lengths is null; 0
// gives zeros); in `cross` those with present[b][k] != 0 (with none, y is bo). What does not count has weight
// exactly 0 and cannot influence the result, whatever it holds.
// Source: Bahdanau et al. 2015 (additive); Vaswani et al. 2017 (scaled dot product, multi-head, block).
#pragma once
#include <cstdint>
#include <vector>

#include "../../core/device.h"
#include "../../core/exec.h"
#include "../../core/gemm/gemm.h"

namespace cinefuse {

// q (batch, d), keys (batch, steps, d), values (batch, steps, dv) -> c (batch, dv), alpha (batch, steps)
struct TemporalParams {
  int64_t batch, steps, d, dv;
  float scale;
  const float *q, *keys, *values;
  const int32_t* lengths;
  float *c, *alpha;
};
void temporal_check(const TemporalParams& p, size_t q, size_t keys, size_t values, size_t lengths);
void temporal(const TemporalParams& params, const Exec& exec);

// The weights of `additive`: W (k, d), b (k), w (k).
struct AdditiveWeights {
  int64_t d, k;
  const float *W, *b, *w;
};

// Made ready once. Immutable: any number of calls may run on it at a time.
struct AdditiveAttention {
  int64_t d = 0, k = 0;
  PackedMatrix W;
  std::vector<float> b, w;
  DeviceTwins twins;
};

// x (batch, steps, d) -> c (batch, d), alpha (batch, steps)
struct AdditiveParams {
  int64_t batch, steps;
  const float* x;
  const int32_t* lengths;
  float *c, *alpha;
};
void additive_check(const AdditiveWeights& weights, size_t W, size_t b, size_t w);
AdditiveAttention additive_prepare(const AdditiveWeights& weights, const Exec& exec);
void additive_check_rows(const AdditiveAttention& layer, const AdditiveParams& p, size_t x, size_t lengths);
void additive(const AdditiveAttention& layer, const AdditiveParams& params, const Exec& exec);

// Scores of n vectors, x (n, d), on the calling thread: for operators that contain this one.
// e[t] = w . tanh(W x_t + b)
constexpr int64_t kAdditiveBlock = 64;
inline size_t additive_scratch(const AdditiveAttention& layer) {
  return static_cast<size_t>(kAdditiveBlock * layer.k);
}
void additive_scores(const AdditiveAttention& layer, int64_t n, const float* x, float* e, float* scratch,
                     const Exec& exec);

// x (batch, channels, positions), query (batch, channels) or (channels) -> c (batch, channels),
// alpha (batch, positions)
struct SpatialParams {
  int64_t batch, channels, positions;
  bool query_per_row;
  float scale, bias;
  const float *x, *query;
  float *c, *alpha;
};
void spatial_check(const SpatialParams& p, size_t x, size_t query);
void spatial(const SpatialParams& params, const Exec& exec);

// The weights of `cross`. Wq, Wo (width, width); Wk, Wv (width, context_width); with a block, ff > 0: W1 (ff,
// width), W2 (width, ff), the norms' gains and shifts (width). Biases of the rows' number.
struct CrossWeights {
  int64_t width, context_width, heads, ff;
  const float *Wq, *bq, *Wk, *bk, *Wv, *bv, *Wo, *bo;
  const float *gain1, *shift1, *W1, *b1, *W2, *b2, *gain2, *shift2;
};

// The same as a list: name, shape and place of each array, those of the block only where ff > 0.
struct CrossArray {
  const char* name;
  int64_t rows, cols;
  const float** to;
};
std::vector<CrossArray> cross_arrays(CrossWeights& weights);

// Made ready once. Immutable: any number of calls may run on it at a time.
struct CrossAttention {
  int64_t width = 0, context_width = 0, heads = 0, ff = 0;
  PackedMatrix Wq, Wkv, Wo, W1, W2;  // Wkv: the columns of K, then those of V
  std::vector<float> bq, bkv, bo, b1, b2, gain1, shift1, gain2, shift2;
  DeviceTwins twins;
  size_t bytes() const { return Wq.bytes() + Wkv.bytes() + Wo.bytes() + W1.bytes() + W2.bytes(); }
};

// x (batch, queries, width), ctx (batch, keys, context_width), present (batch, keys) bytes or null
// -> y (batch, queries, width), alpha (batch, heads, queries, keys) or null
struct CrossParams {
  int64_t batch, queries, keys;
  const float *x, *ctx;
  const uint8_t* present;
  float *y, *alpha;
};

// Throws for sizes that cannot be; the arrays' own lengths are checked by name in sequence_attention_node.cc.
void cross_check(const CrossWeights& weights);
CrossAttention cross_prepare(const CrossWeights& weights, const Exec& exec);
void cross_check_rows(const CrossAttention& layer, const CrossParams& p, size_t x, size_t ctx,
                      size_t present);
void cross(const CrossAttention& layer, const CrossParams& params, const Exec& exec);

}  // namespace cinefuse
