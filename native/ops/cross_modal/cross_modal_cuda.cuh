// Cross-modal attention on device memory; formulas as in cross_modal.h. A warp for each query of each head: a
// lane holds the weight of one modality, so there are at most 32.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

constexpr int kMostCrossModalities = 32;

// Vectors (rows, modalities), of head h at column h * head_width. k and v: in rows ldkv numbers apart.
struct CrossModalHeads {
  int64_t rows;
  int modalities, heads, head_width;
  const uint8_t* present;  // (rows, modalities), or null: all are
  const float* q;
  const float* k;
  const float* v;
  int64_t ldq, ldkv;
};

// attended (rows, modalities, heads * head_width): of each modality present what it makes of the others
// present, zeros for the absent. alpha (rows, heads, modalities, modalities), or null.
void attend_others(Call& call, const CrossModalHeads& heads, float* attended, float* alpha);
// c (rows, d): the mean of x (rows, modalities, d) over the modalities present, zeros where none is.
void mean_of_present(Call& call, int64_t rows, int modalities, int64_t d, const uint8_t* present,
                     const float* x, float* c);

}  // namespace cinefuse::gpu
