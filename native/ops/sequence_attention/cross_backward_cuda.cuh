// Multi-head attention and its block in training, in device memory; as in sequence_attention_backward.h.
// Launches and scratch only.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

constexpr int kCrossArrays = 16, kCrossArraysWithoutBlock = 8;

struct CrossWeights {
  int64_t width, context_width, heads, ff;
  const float *Wq, *bq, *Wk, *bk, *Wv, *bv, *Wo, *bo;
  const float *gain1, *shift1, *W1, *b1, *W2, *b2, *gain2, *shift2;

  CrossWeights(int64_t e, int64_t context, int64_t n, int64_t inner, const float* const* arrays)
      : width(e), context_width(context), heads(n), ff(inner) {
    const float** const to[kCrossArrays] = {&Wq,    &bq,     &Wk, &bk, &Wv, &bv, &Wo,    &bo,
                                            &gain1, &shift1, &W1, &b1, &W2, &b2, &gain2, &shift2};
    for (int i = 0; i < kCrossArrays; ++i) *to[i] = i < arrays_of(inner) ? arrays[i] : nullptr;
  }
  static int arrays_of(int64_t ff) { return ff ? kCrossArrays : kCrossArraysWithoutBlock; }
  // Numbers of array i.
  static int64_t size_of(int64_t e, int64_t context, int64_t ff, int i) {
    const int64_t sizes[kCrossArrays] = {e * e, e, e * context, e,  e * context, e, e * e, e,
                                         e,     e, ff * e,      ff, e * ff,      e, e,     e};
    return sizes[i];
  }
};
struct CrossParams {
  int64_t batch, queries, keys;
  const float *x, *ctx;    // of absent keys, finite numbers: zeros, say
  const uint8_t* present;  // (batch, keys), or null
  float* y;
  bool others = false;  // each query sees all keys but the one of its own place; queries = keys <= 32
};
struct CrossGradients {
  const float* dy;
  float *dx, *dctx;
  float *Wq, *bq, *Wk, *bk, *Wv, *bv, *Wo, *bo;
  float *gain1, *shift1, *W1, *b1, *W2, *b2, *gain2, *shift2;

  // arrays: in the order of CrossWeights, null where not wanted
  CrossGradients(const float* gradient, float* of_x, float* of_ctx, int count, float* const* arrays)
      : dy(gradient), dx(of_x), dctx(of_ctx) {
    float** const to[kCrossArrays] = {&Wq,    &bq,     &Wk, &bk, &Wv, &bv, &Wo,    &bo,
                                      &gain1, &shift1, &W1, &b1, &W2, &b2, &gain2, &shift2};
    for (int i = 0; i < kCrossArrays; ++i) *to[i] = i < count ? arrays[i] : nullptr;
  }
};
size_t cross_saved(const CrossWeights& weights, const CrossParams& params);
void cross_forward(const CrossWeights& weights, const CrossParams& params, float* saved, Call& call);
void cross_backward(const CrossWeights& weights, const CrossParams& params, const float* saved,
                    const CrossGradients& gradients, Call& call);

}  // namespace cinefuse::gpu
