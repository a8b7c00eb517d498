// Kernel matrices between films and landmarks: how alike two films are in each modality, and all in all.
//
// One modality m, x and z vectors of `dim`:
//   linear      k = x·z
//   rbf         k = exp(-gamma |x - z|²)
//   polynomial  k = (gamma x·z + constant)^degree
// Whole, p and q whether the row and the landmark have the modality:
//   sum         F = Σ_m weight_m p q k_m
//   product     F = Π_m (constant + weight_m p q k_m)
// Both are positive semidefinite for weights and constants >= 0 whatever is missing: an absent modality is a
// feature map of zeros.
//
// float32: x·z through gemm, |x - z|² = |x|² + |z|² - 2 x·z, never below 0; the error of an rbf kernel is
// some 4e-7 gamma (|x|² + |z|²). A row's result is the same in any batch on any number of threads. float64
// (for fits): the same formulas, all sums in float64. Memory: the landmarks packed, and a block of rows a
// thread. Source: Schölkopf and Smola 2002, chapters 2 and 13.
#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "../../core/gemm/gemm.h"
#include "kernel_matrix_device.h"

namespace cinefuse {

enum class KernelKind : int { kLinear = 0, kRbf, kPolynomial };
enum class KernelCombine : int { kSum = 0, kProduct };
constexpr int kKernelKindCount = 3;
constexpr int kMostKernelDegree = 16;

struct KernelShape {
  KernelKind kind = KernelKind::kRbf;
  int degree = 1;  // of the polynomial
  double gamma = 1.0, constant = 0.0, weight = 1.0;
};

// One modality of a call.
struct KernelTerm {
  KernelShape shape;
  int64_t dim;
  const float* x;            // (rows, dim)
  const float* z;            // (landmarks, dim)
  const uint8_t* x_present;  // of row r: x_present[r * x_stride]; null: all
  const uint8_t* z_present;  // likewise
  int64_t x_stride, z_stride;
};

struct KernelMatrixParams {
  int64_t rows, landmarks;
  KernelCombine combine;
  double constant;  // of the product
  std::vector<KernelTerm> terms;
};

// Throws ERR_INPUT_VALUE, ERR_SHAPE naming the field; `name` is what to call the modality.
void kernel_shape_check(const KernelShape& shape, const char* name);
void kernel_matrix_check(const KernelMatrixParams& params);
// out: (rows, landmarks)
void kernel_matrix(const KernelMatrixParams& params, float* out, const Exec& exec);
void kernel_matrix64(const KernelMatrixParams& params, double* out, const Exec& exec);

// Landmarks of one modality, made ready: what a fusion network keeps.
struct KernelLandmarks {
  KernelShape shape;
  PackedMatrix z;              // absent ones are zeros
  std::vector<float> squares;  // |z|²
  std::vector<float> present;  // 1 or 0
  int64_t count() const { return z.out(); }
};
KernelLandmarks kernel_prepare(const KernelShape& shape, int64_t count, int64_t dim, const float* z,
                               const float* present, const Exec& exec);
// Of a call: what is absent is not read.
KernelLandmarks kernel_landmarks(const KernelTerm& term, int64_t count, const Exec& exec);
// k (rows, count) <- weight q k(x, z)
void kernel_rows(const KernelLandmarks& landmarks, int64_t rows, const MatrixRows& x, float* k,
                 const Exec& exec);
// As the CUDA library is told; z is unpacked into one more of `matrices`. Valid while both live.
cinefuse_kernel_term kernel_describe(const KernelLandmarks& landmarks,
                                     std::deque<std::vector<float>>& matrices);
// A row of F, which begins as 0 or 1: F + k, or F (constant + k). k null: the row lacks the modality.
void kernel_combine(KernelCombine combine, float constant, int64_t n, const float* k, float* f, Isa isa);

}  // namespace cinefuse
