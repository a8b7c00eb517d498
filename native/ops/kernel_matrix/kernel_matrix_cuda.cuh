// Kernels on the device, from dot products that gemm has made.
#pragma once
#include <algorithm>
#include <vector>

#include "../../cuda/device.h"
#include "kernel_matrix_device.h"

namespace cinefuse::gpu {

constexpr int kMostKernelTerms = 32;
// Dot products of all terms that a call keeps at a time: 16 MiB, or what 256 rows take.
constexpr int64_t kMostKernelDots = int64_t{1} << 22;

// One modality of some rows.
struct KernelTerm {
  const float* dots;  // x·z: (rows, landmarks), rows ldd apart
  int64_t ldd;
  const float* x;  // (rows, dim), rows ldx apart
  int64_t ldx;
  const float *squares, *q;  // of the landmarks: |z|², and whether they have it
  const uint8_t* present;    // of row r: present[r * present_stride]; null: all. Of others nothing is read.
  int64_t present_stride;
  float* x_squares;  // scratch (rows), set by combine_kernels
  int dim, kind, degree;
  float gamma, constant, weight;
};

// A kernel's numbers and landmarks on a device, but for z, which is a matrix of gemm.
struct DeviceKernel {
  Array<float> squares, present;
  int dim = 0, kind = 0, degree = 1;
  float gamma = 1.f, constant = 0.f, weight = 1.f;

  DeviceKernel() = default;
  DeviceKernel(Call& call, const cinefuse_kernel_term& term, int64_t landmarks);
  KernelTerm term() const;  // what does not depend on the rows
};

// How many rows at a time go through.
inline int64_t kernel_rows_at_a_time(int64_t terms, int64_t landmarks) {
  return std::max<int64_t>(256, kMostKernelDots / (terms * landmarks));
}

// f (rows, landmarks) <- the sum or product of the kernels.
void combine_kernels(Call& call, int64_t rows, int64_t landmarks, int combine, float constant,
                     const std::vector<KernelTerm>& terms, float* f);

}  // namespace cinefuse::gpu
