#include <algorithm>
#include <cmath>

#include "../../core/dot64.h"
#include "../../core/pool.h"
#include "kernel_matrix.h"
#include "kernel_matrix_simd.h"

namespace cinefuse {
namespace {

constexpr int64_t kRowsATask = 64;  // the landmarks are read once for all of them
constexpr int kScratch = 1;

bool there(const uint8_t* present, int64_t stride, int64_t row) { return !present || present[row * stride]; }

int tasks_of(int64_t n) { return static_cast<int>((n + kRowsATask - 1) / kRowsATask); }

}  // namespace

KernelLandmarks kernel_prepare(const KernelShape& shape, int64_t count, int64_t dim, const float* z,
                               const float* present, const Exec& exec) {
  KernelLandmarks l;
  l.shape = shape;
  l.present.assign(present, present + count);
  l.z = PackedMatrix::pack(exec, z, count, dim);
  l.squares.resize(static_cast<size_t>(count));
  const KernelSimd& simd = kernel_simd(exec.isa);
  for (int64_t j = 0; j < count; ++j) l.squares[static_cast<size_t>(j)] = simd.square(dim, z + j * dim);
  return l;
}

KernelLandmarks kernel_landmarks(const KernelTerm& term, int64_t count, const Exec& exec) {
  std::vector<float> present(static_cast<size_t>(count)), clean;
  const float* z = term.z;
  for (int64_t j = 0; j < count; ++j) {
    present[static_cast<size_t>(j)] = there(term.z_present, term.z_stride, j) ? 1.f : 0.f;
  }
  if (std::find(present.begin(), present.end(), 0.f) != present.end()) {
    clean.assign(z, z + count * term.dim);
    for (int64_t j = 0; j < count; ++j) {
      if (present[static_cast<size_t>(j)] == 0.f) std::fill_n(clean.begin() + j * term.dim, term.dim, 0.f);
    }
    z = clean.data();
  }
  return kernel_prepare(term.shape, count, term.dim, z, present.data(), exec);
}

void kernel_rows(const KernelLandmarks& l, int64_t rows, const MatrixRows& x, float* k, const Exec& exec) {
  const KernelSimd& simd = kernel_simd(exec.isa);
  const KernelShape& s = l.shape;
  const int64_t n = l.count();
  Exec exact = exec;  // distances are differences of large numbers
  exact.precision = Precision::kFp32;
  gemm(exact, rows, x, l.z, {}, k, n);
  for (int64_t r = 0; r < rows; ++r) {
    if (!there(x.present, x.present_stride, r)) continue;
    const float square = s.kind == KernelKind::kRbf ? simd.square(l.z.in(), x.data + r * x.stride) : 0.f;
    simd.finish(static_cast<int>(s.kind), s.degree, static_cast<float>(s.gamma),
                static_cast<float>(s.constant), static_cast<float>(s.weight), n, square, l.squares.data(),
                l.present.data(), k + r * n);
  }
}

void kernel_combine(KernelCombine combine, float constant, int64_t n, const float* k, float* f, Isa isa) {
  const KernelSimd& simd = kernel_simd(isa);
  if (combine == KernelCombine::kSum) {
    if (k) simd.add(n, k, f);
  } else if (k) {
    simd.multiply(n, constant, k, f);
  } else {
    simd.scale(n, constant, f);
  }
}

void kernel_matrix_cpu(const KernelMatrixParams& p, float* out, const Exec& exec) {
  std::fill(out, out + p.rows * p.landmarks, p.combine == KernelCombine::kSum ? 0.f : 1.f);
  const int64_t n = p.landmarks;
  for (const KernelTerm& term : p.terms) {
    const KernelLandmarks landmarks = kernel_landmarks(term, n, exec);
    const int tasks = tasks_of(p.rows);
    Exec inner = exec;
    if (tasks > 1) inner.threads = 1;
    parallel_for(exec, tasks, [&](int task) {
      const int64_t first = task * kRowsATask, rows = std::min(kRowsATask, p.rows - first);
      float* const k = thread_scratch(kScratch, static_cast<size_t>(rows * n));
      MatrixRows x{term.x + first * term.dim, term.dim};
      if (term.x_present) x.present = term.x_present + first * term.x_stride;
      x.present_stride = term.x_stride;
      kernel_rows(landmarks, rows, x, k, inner);
      for (int64_t r = 0; r < rows; ++r) {
        const bool has = there(term.x_present, term.x_stride, first + r);
        kernel_combine(p.combine, static_cast<float>(p.constant), n, has ? k + r * n : nullptr,
                       out + (first + r) * n, exec.isa);
      }
    });
  }
}

namespace {

double kernel64(const KernelShape& s, double dot, double squares) {
  switch (s.kind) {
    case KernelKind::kRbf: {
      const double d = squares - 2.0 * dot;
      return std::exp(-s.gamma * (d < 0.0 ? 0.0 : d));
    }
    case KernelKind::kPolynomial: {
      const double base = s.gamma * dot + s.constant;
      double y = base;
      for (int i = 1; i < s.degree; ++i) y *= base;
      return y;
    }
    default:
      return dot;
  }
}

// Some vectors in float64, zeros where they are absent: features [k, k + kc).
void widen(const Dot64Simd& simd, const float* x, const uint8_t* present, int64_t stride, int64_t dim,
           int64_t first, int64_t rows, int64_t k, int64_t kc, double* to) {
  for (int64_t r = first; r < first + rows; ++r, to += kDotDepth) {
    if (there(present, stride, r)) {
      simd.widen(kc, x + r * dim + k, to);
    } else {
      std::fill_n(to, kc, 0.0);
    }
  }
}

std::vector<double> squares64(const float* x, const uint8_t* present, int64_t stride, int64_t dim,
                              int64_t rows, const Exec& exec) {
  std::vector<double> squares(static_cast<size_t>(rows));
  parallel_for(exec, tasks_of(rows), [&](int task) {
    const int64_t end = std::min(rows, (task + 1) * kRowsATask);
    for (int64_t r = task * kRowsATask; r < end; ++r) {
      if (!there(present, stride, r)) continue;
      double sum = 0.0;
      for (int64_t k = 0; k < dim; ++k) {
        const double v = x[r * dim + k];
        sum += v * v;
      }
      squares[static_cast<size_t>(r)] = sum;
    }
  });
  return squares;
}

}  // namespace

void kernel_matrix64(const KernelMatrixParams& p, double* out, const Exec& exec) {
  const Dot64Simd& simd = dot64_simd(exec.isa);
  const int64_t n = p.landmarks;
  std::fill(out, out + p.rows * n, p.combine == KernelCombine::kSum ? 0.0 : 1.0);
  for (const KernelTerm& term : p.terms) {
    const KernelShape& s = term.shape;
    const bool distances = s.kind == KernelKind::kRbf;
    const std::vector<double> xs =
        distances ? squares64(term.x, term.x_present, term.x_stride, term.dim, p.rows, exec)
                  : std::vector<double>(static_cast<size_t>(p.rows));
    const std::vector<double> zs = distances
                                       ? squares64(term.z, term.z_present, term.z_stride, term.dim, n, exec)
                                       : std::vector<double>(static_cast<size_t>(n));
    parallel_for(exec, tasks_of(p.rows), [&](int task) {
      const int64_t first = task * kRowsATask, rows = std::min(kRowsATask, p.rows - first);
      std::vector<double> dots(static_cast<size_t>(rows * n));
      std::vector<double> left(kRowsATask * kDotDepth), right(kDotBlock * kDotDepth);
      for (int64_t k = 0; k < term.dim; k += kDotDepth) {
        const int64_t kc = std::min(kDotDepth, term.dim - k);
        widen(simd, term.x, term.x_present, term.x_stride, term.dim, first, rows, k, kc, left.data());
        for (int64_t j = 0; j < n; j += kDotBlock) {
          const int64_t columns = std::min(kDotBlock, n - j);
          widen(simd, term.z, term.z_present, term.z_stride, term.dim, j, columns, k, kc, right.data());
          simd.dots(rows, columns, kc, left.data(), kDotDepth, right.data(), kDotDepth, 1.0, dots.data() + j,
                    n);
        }
        exec.check_cancelled();
      }
      for (int64_t r = 0; r < rows; ++r) {
        const bool has = there(term.x_present, term.x_stride, first + r);
        double* const f = out + (first + r) * n;
        for (int64_t j = 0; j < n; ++j) {
          const bool both = has && there(term.z_present, term.z_stride, j);
          const double k =
              !both ? 0.0
                    : s.weight * kernel64(s, dots[static_cast<size_t>(r * n + j)],
                                          xs[static_cast<size_t>(first + r)] + zs[static_cast<size_t>(j)]);
          f[j] = p.combine == KernelCombine::kSum ? f[j] + k : f[j] * (p.constant + k);
        }
      }
    });
  }
}

}  // namespace cinefuse
