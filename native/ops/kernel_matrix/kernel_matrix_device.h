// What the CUDA library is told of kernels and their landmarks; fields as in kernel_matrix.h.
#pragma once
#include <stdint.h>

struct cinefuse_kernel_term {
  int64_t dim;
  int32_t kind;  // enum class KernelKind
  int32_t degree;
  float gamma, constant, weight;
  const float* z;        // (landmarks, dim), zeros where absent
  const float* squares;  // (landmarks): |z|²
  const float* present;  // (landmarks): 1 or 0
};

struct cinefuse_kernel_matrix_description {
  int64_t landmarks;
  int32_t terms;
  int32_t combine;  // enum class KernelCombine
  float constant;
  const cinefuse_kernel_term* term;
};

struct cinefuse_kernel_matrix_params {
  int64_t rows;
  const float* const* x;   // one a term: (rows, dim)
  const uint8_t* present;  // (rows, terms), or null: all
  float* out;              // (rows, landmarks)
};
