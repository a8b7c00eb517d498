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
#include <vector>

#include "../../core/device.h"
#include "../../core/exec.h"
#include "../../core/gemm/gemm.h"

namespace cinefuse {

enum class AttentionForm : int { kFeature = 0, kTanh = 1 };
constexpr int kMaxAttendedModalities = 64;

struct ModalityAttentionWeights {
  AttentionForm form;
  int64_t d, k;
  const float *W, *b, *w;  // w: null for `feature`
};

// Made ready once. Immutable: any number of calls may run on it at a time.
struct ModalityAttention {
  AttentionForm form = AttentionForm::kTanh;
  int64_t d = 0, k = 0;
  PackedMatrix W;
  std::vector<float> b, w;
  DeviceTwins twins;
};

struct ModalityAttentionParams {
  int64_t batch, modalities;
  const float* h;
  const uint8_t* mask;
  float* c;
  float* alpha;
};

void modality_attention_check(const ModalityAttentionWeights& weights, size_t W, size_t b, size_t w);
ModalityAttention modality_attention_prepare(const ModalityAttentionWeights& weights, const Exec& exec);
void modality_attention_check_rows(const ModalityAttention& layer, const ModalityAttentionParams& params,
                                   size_t h, size_t mask);
void modality_attention(const ModalityAttention& layer, const ModalityAttentionParams& params,
                        const Exec& exec);

// Some rows on the calling thread (the product shares itself out when exec has threads), with scratch memory
// from outside: for operators that contain this one. alpha may be null.
size_t modality_attention_scratch(const ModalityAttention& layer, int64_t rows,
                                  int64_t modalities);  // floats
void modality_attention_rows(const ModalityAttention& layer, int64_t rows, int64_t modalities, const float* h,
                             const uint8_t* mask, float* c, float* alpha, float* scratch, const Exec& exec);

}  // namespace cinefuse
