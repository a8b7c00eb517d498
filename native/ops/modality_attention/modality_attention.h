// Attention over modalities: one vector out of M, with weights learned from the vectors themselves.
//
//   feature  e_i = W h_i + b        alpha_i = softmax over i, for each feature apart; alpha (batch, M, d)
//   tanh     e_i = w . tanh(W h_i + b)   alpha_i = softmax over i, one weight a modality; alpha (batch, M)
//   c = sum_i alpha_i * h_i
//
// h (batch, M, d); mask (batch, M) bytes, 0 = absent, or null = all present; W (k, d), with k = d for
// `feature`; b (k); w (k) for `tanh`; c (batch, d). All float32, row-major. An absent modality has weight
// exactly 0 and its vector is not read; a row with nothing present gives zeros. In `feature` b shifts all
// modalities alike and so cancels: e_i - e_0 = W (h_i - h_0) is what is computed, one product fewer. Source:
// Bahdanau et al. 2015 (tanh); the per-feature gate is its form without the reduction.
#pragma once
#include <cstdint>

#include "../../core/exec.h"
#include "../../core/gemm/gemm.h"

namespace cinefuse {

enum class AttentionForm : int { kFeature = 0, kTanh = 1 };
constexpr int kMaxAttendedModalities = 64;

struct ModalityAttentionParams {
  AttentionForm form;
  int64_t batch, modalities, d, k;
  const float* h;
  const uint8_t* mask;
  const float *W, *b, *w;
  float* c;
  float* alpha;
};

// Lengths of the arrays as they came, for the check.
struct ModalityAttentionSizes {
  size_t h, mask, W, b, w;
};

void modality_attention_check(const ModalityAttentionParams& params, const ModalityAttentionSizes& sizes);
void modality_attention(const ModalityAttentionParams& params, const Exec& exec);

// The same for some rows on the calling thread, with W packed beforehand: for operators that contain this
// one.
struct ModalityAttentionRows {
  AttentionForm form;
  int64_t modalities, d, k;
  const PackedMatrix* W;
  const float *b, *w;
};
size_t modality_attention_scratch(const ModalityAttentionRows& p, int64_t rows);  // floats
void modality_attention_rows(const ModalityAttentionRows& p, int64_t rows, const float* h,
                             const uint8_t* mask, float* c, float* alpha, float* scratch, const Exec& exec);

}  // namespace cinefuse
