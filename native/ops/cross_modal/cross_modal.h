// Cross-modal attention between the modalities of a film: blocks in which every modality present attends to
// the others present, one vector out.
//
//   X = the vectors present; for each block, post-norm, one set of weights for all modalities:
//   Y_i = [heads] Wo' + bo,  head h: softmax_j(Q_i K_j / sqrt(d / heads)) V_j over the j != i present
//   U = LN(X + Y),  X = LN(U + W2 relu(W1 U + b1) + b2), eps 1e-5
//   c = mean of X over the modalities present
//
// h (batch, M, d); mask (batch, M) bytes, 0 = absent, or null = all present; c (batch, d). An absent modality
// is not read; one alone attends to nothing (Y = bo); a row with nothing present gives zeros. Which modality
// a vector is of, only its own projection tells. Source: Vaswani et al. 2017 (block); Tsai et al. 2019
// (between modalities, there in pairs).
#pragma once
#include "../modality_attention/modality_attention.h"
#include "../sequence_attention/sequence_attention_backward.h"

namespace cinefuse {

constexpr int64_t kMaxCrossBlocks = 16, kMaxCrossModalities = 32;

// Made ready once. Immutable: any number of calls may run on it at a time.
struct CrossModal {
  int64_t d = 0;
  std::vector<CrossAttention> blocks;
};

// Some rows on the calling thread (the products share themselves out when exec has threads), with scratch
// memory from outside.
size_t cross_modal_scratch(const CrossModal& layer, int64_t rows, int64_t modalities);  // floats
void cross_modal_rows(const CrossModal& layer, int64_t rows, int64_t modalities, const float* h,
                      const uint8_t* mask, float* c, float* scratch, const Exec& exec);

// In training. `block`: so many weights of width d, context width d and ff > 0.
struct CrossModalWeights {
  int64_t d, blocks;
  const CrossWeights* block;
};
struct CrossModalGradients {
  const float* dc;              // (batch, d)
  float* dh;                    // (batch, M, d), or null
  const CrossGradients* block;  // one a block; their dy, dx and dctx are not used
};
size_t cross_modal_saved(const CrossModalWeights& weights, int64_t batch, int64_t modalities);  // floats
void cross_modal_forward(const CrossModalWeights& weights, int64_t batch, int64_t modalities, const float* h,
                         const uint8_t* mask, float* c, float* saved, const Exec& exec);
// Results are overwritten; null gradients are not computed; absent modalities get exactly 0.
void cross_modal_backward(const CrossModalWeights& weights, int64_t batch, int64_t modalities, const float* h,
                          const uint8_t* mask, const float* saved, const CrossModalGradients& gradients,
                          const Exec& exec);
// Both in one call, for callers that keep nothing of a forward pass.
void cross_modal_gradients(const CrossModalWeights& weights, const ModalityAttentionParams& params,
                           const CrossModalGradients& gradients, const Exec& exec);

}  // namespace cinefuse
