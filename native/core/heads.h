// Multi-head attention of one row in training: for each head h and query t
//
//   alpha_ht = softmax_k(Q_ht . K_hk / sqrt(head_width)),  attended_ht = sum_k alpha_htk V_hk
//
// with the heads beside each other in Q (queries, heads * head_width) and in K and V (keys, ...). With
// `others`, query t does not see key t. On the calling thread; with nothing to see the weights and the result
// are 0.
#pragma once
#include <cstdint>

#include "exec.h"

namespace cinefuse {

struct Heads {
  int64_t queries, keys, heads, head_width;
  bool others;
  const float *q, *k, *v;
};

// alpha (heads, queries, keys), attended as q
void heads_forward(const Heads& heads, float* alpha, float* attended, Isa isa);
// Overwrites dq, dk, dv. scratch: keys floats
void heads_backward(const Heads& heads, const float* alpha, const float* dattended, float* dq, float* dk,
                    float* dv, float* scratch, Isa isa);

}  // namespace cinefuse
