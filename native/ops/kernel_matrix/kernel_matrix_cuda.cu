#include "../../cuda/gemm.h"
#include "../../cuda/operators.h"
#include "kernel_matrix_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kKernelThreads = 128;
constexpr int kKernelWarps = kKernelThreads / 32;
constexpr int kRbf = 1, kPolynomial = 2, kProduct = 1;  // as in kernel_matrix.h

struct KernelTerms {
  KernelTerm term[kMostKernelTerms];
  int count, combine;
  float constant;
  int64_t rows, landmarks;
};
static_assert(sizeof(KernelTerms) <= 4096, "kernel parameters");

__device__ __forceinline__ bool has_term(const KernelTerm& term, int64_t row) {
  return !term.present || term.present[row * term.present_stride] != 0;
}

// |x|² of the terms that need it; a term for each blockIdx.y, a row for each warp.
__global__ void __launch_bounds__(kKernelThreads) kernel_squares_kernel(KernelTerms all) {
  const KernelTerm& term = all.term[blockIdx.y];
  if (term.kind != kRbf) return;
  const int lane = threadIdx.x & 31;
  for (int64_t row = int64_t{blockIdx.x} * kKernelWarps + (threadIdx.x >> 5); row < all.rows;
       row += int64_t{gridDim.x} * kKernelWarps) {
    if (!has_term(term, row)) continue;
    const float* const x = term.x + row * term.ldx;
    float sum = 0.f;
    for (int i = lane; i < term.dim; i += 32) sum = fmaf(x[i], x[i], sum);
    sum = warp_sum(sum);
    if (lane == 0) term.x_squares[row] = sum;
  }
}

__device__ __forceinline__ float kernel_of(const KernelTerm& term, float dot, float squares) {
  if (term.kind == kRbf) {
    const float d = squares - 2.f * dot;
    return expf(-term.gamma * (d < 0.f ? 0.f : d));  // NaN stays
  }
  if (term.kind != kPolynomial) return dot;
  const float base = fmaf(term.gamma, dot, term.constant);
  float power = base;
  for (int i = 1; i < term.degree; ++i) power *= base;
  return power;
}

// f[row][j] = sum or product over the terms. Landmarks over blockIdx.x, rows over blockIdx.y.
__global__ void __launch_bounds__(kKernelThreads) kernel_combine_kernel(KernelTerms all, float* f) {
  const int64_t j = int64_t{blockIdx.x} * kKernelThreads + threadIdx.x;
  if (j >= all.landmarks) return;
  for (int64_t row = blockIdx.y; row < all.rows; row += gridDim.y) {
    float y = all.combine == kProduct ? 1.f : 0.f;
    for (int m = 0; m < all.count; ++m) {
      const KernelTerm& term = all.term[m];
      float k = 0.f;
      if (has_term(term, row)) {
        const float squares = term.kind == kRbf ? term.x_squares[row] + term.squares[j] : 0.f;
        k = term.weight * term.q[j] * kernel_of(term, term.dots[row * term.ldd + j], squares);
      }
      y = all.combine == kProduct ? y * (all.constant + k) : y + k;
    }
    f[row * all.landmarks + j] = y;
  }
}

DeviceKernel::DeviceKernel(Call& call, const cinefuse_kernel_term& t, int64_t landmarks)
    : squares(call, t.squares, landmarks),
      present(call, t.present, landmarks),
      dim(static_cast<int>(t.dim)),
      kind(t.kind),
      degree(t.degree),
      gamma(t.gamma),
      constant(t.constant),
      weight(t.weight) {}

KernelTerm DeviceKernel::term() const {
  KernelTerm t{};
  t.squares = squares.get();
  t.q = present.get();
  t.dim = dim;
  t.kind = kind;
  t.degree = degree;
  t.gamma = gamma;
  t.constant = constant;
  t.weight = weight;
  return t;
}

void combine_kernels(Call& call, int64_t rows, int64_t landmarks, int combine, float constant,
                     const std::vector<KernelTerm>& terms, float* f) {
  KernelTerms all{};
  all.count = static_cast<int>(terms.size());
  all.combine = combine;
  all.constant = constant;
  all.rows = rows;
  all.landmarks = landmarks;
  bool distances = false;
  for (int m = 0; m < all.count; ++m) {
    KernelTerm& term = all.term[m];
    term = terms[static_cast<size_t>(m)];
    if (term.kind != kRbf) continue;
    term.x_squares = call.scratch<float>(rows);
    distances = true;
  }
  const auto blocks = [](int64_t n, int64_t each) {
    return static_cast<unsigned>(std::min<int64_t>(blocks_of(n, each), 65535));
  };
  if (distances) {
    CINEFUSE_LAUNCH(call.stream(), kernel_squares_kernel,
                    dim3(blocks(rows, kKernelWarps), static_cast<unsigned>(all.count)), kKernelThreads, 0,
                    all);
  }
  CINEFUSE_LAUNCH(call.stream(), kernel_combine_kernel,
                  dim3(static_cast<unsigned>(blocks_of(landmarks, kKernelThreads)), blocks(rows, 1)),
                  kKernelThreads, 0, all, f);
}

struct KernelMatrixObject final : Object {
  int64_t landmarks = 0;
  int combine = 0;
  float constant = 1.f;
  std::vector<DeviceKernel> kernels;
  std::vector<GemmWeights> z;
};

static std::unique_ptr<KernelMatrixObject> kernel_matrix_create(Call& call,
                                                                const cinefuse_kernel_matrix_description& d) {
  auto object = std::make_unique<KernelMatrixObject>();
  object->landmarks = d.landmarks;
  object->combine = d.combine;
  object->constant = d.constant;
  for (int m = 0; m < d.terms; ++m) {
    const cinefuse_kernel_term& term = d.term[m];
    object->kernels.emplace_back(call, term, d.landmarks);
    object->z.emplace_back(call, term.z, nullptr, d.landmarks, term.dim);
  }
  return object;
}

static void kernel_matrix_cuda(Call& call, const KernelMatrixObject& o,
                               const cinefuse_kernel_matrix_params& p) {
  const int64_t terms = static_cast<int64_t>(o.kernels.size()), n = o.landmarks;
  std::vector<In<float>> x;
  for (size_t m = 0; m < o.kernels.size(); ++m) x.push_back(call.in(p.x[m], p.rows * o.kernels[m].dim));
  const In<uint8_t> present = call.in(p.present, p.rows * terms);
  const Out<float> out = call.out(p.out, p.rows * n);
  if (p.rows == 0) return;
  call.send();
  call.compute([&] {
    const int64_t most = std::min(p.rows, kernel_rows_at_a_time(terms, n));
    float* const dots = call.scratch<float>(terms * most * n);
    for (int64_t first = 0; first < p.rows; first += most) {
      const int64_t rows = std::min(most, p.rows - first);
      std::vector<KernelTerm> list;
      for (int64_t m = 0; m < terms; ++m) {
        KernelTerm term = o.kernels[static_cast<size_t>(m)].term();
        term.x = x[static_cast<size_t>(m)].get() + first * term.dim;
        term.ldx = term.dim;
        term.present = present.get() ? present.get() + first * terms + m : nullptr;
        term.present_stride = terms;
        float* const products = dots + m * most * n;
        gemm(call, rows, GemmRows{term.x, term.ldx, term.present, terms}, o.z[static_cast<size_t>(m)], 0, 0.f,
             products, n);
        term.dots = products;
        term.ldd = n;
        list.push_back(term);
      }
      combine_kernels(call, rows, n, o.combine, o.constant, list, out.get() + first * n);
    }
  });
  call.receive();
}

const Operator kKernelMatrixOperator =
    prepared_operator<KernelMatrixObject, cinefuse_kernel_matrix_description, cinefuse_kernel_matrix_params,
                      kernel_matrix_create, kernel_matrix_cuda>();

}  // namespace cinefuse::gpu
