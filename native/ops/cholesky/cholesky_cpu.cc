#include <cmath>
#include <cstring>
#include <vector>

#include "../../core/dot64.h"
#include "cholesky.h"

namespace cinefuse {
namespace {

constexpr int64_t kBlock = 64;      // columns of a block of the factor
constexpr int64_t kRows = 48;       // rows of a task: a multiple of every register tile's height
constexpr int64_t kGramRows = 512;  // rows that a Gram matrix takes at a time
constexpr int64_t kColumns = 512;   // columns of a task where whole rows are added up
constexpr int64_t kFewRows = 4;     // rows of right sides that a task solves

int tasks_of(int64_t n, int64_t step) { return static_cast<int>((n + step - 1) / step); }

// Row r of `b` less what columns [from, from + width) of L give, then divided: x_j = (b_j - L_j · x) / L_jj.
void solve_block(const Dot64Simd& simd, const double* l, int64_t n, int64_t from, int64_t width, int64_t rows,
                 double* b, int64_t ldb) {
  for (int64_t j = from; j < from + width; ++j) {
    simd.dots(rows, 1, j - from, b + from, ldb, l + j * n + from, n, -1.0, b + j, ldb);
    const double pivot = l[j * n + j];
    for (int64_t r = 0; r < rows; ++r) b[r * ldb + j] /= pivot;
  }
}

}  // namespace

int64_t cholesky_factor(int64_t n, double shift, double least, double* a, const Exec& exec) {
  const Dot64Simd& simd = dot64_simd(exec.isa);
  for (int64_t i = 0; i < n; ++i) a[i * n + i] += shift;
  for (int64_t from = 0; from < n; from += kBlock) {
    exec.check_cancelled();
    const int64_t width = std::min(kBlock, n - from);
    // The block on the diagonal: what the columns before give, then its own factor.
    add_dots(simd, width, width, from, {a + from * n, n}, {a + from * n, n}, -1.0, a + from * n + from, n);
    for (int64_t j = from; j < from + width; ++j) {
      const double* const row = a + j * n + from;
      solve_block(simd, a, n, from, j - from, 1, a + j * n, n);
      double pivot = 0.0;
      simd.dots(1, 1, j - from, row, n, row, n, 1.0, &pivot, 1);
      pivot = a[j * n + j] - pivot;
      if (!(pivot > least)) return j;
      a[j * n + j] = std::sqrt(pivot);
    }
    const int64_t below = from + width;
    parallel_for(exec, tasks_of(n - below, kRows), [&](int task) {
      const int64_t first = below + task * kRows;
      const int64_t rows = std::min(kRows, n - first);
      double* const panel = a + first * n;
      add_dots(simd, rows, width, from, {panel, n}, {a + from * n, n}, -1.0, panel + from, n);
      solve_block(simd, a, n, from, width, rows, panel, n);
    });
  }
  return -1;
}

void cholesky_solve(int64_t n, const double* l, bool transposed, int64_t rows, double* b, const Exec& exec) {
  const Dot64Simd& simd = dot64_simd(exec.isa);
  if (transposed) {
    parallel_for(exec, tasks_of(rows, kFewRows), [&](int task) {
      const int64_t first = task * kFewRows, end = std::min(rows, first + kFewRows);
      for (int64_t j = n - 1; j >= 0; --j) {
        for (int64_t r = first; r < end; ++r) {
          double* const x = b + r * n;
          x[j] /= l[j * n + j];
          simd.axpy(j, -x[j], l + j * n, x);
        }
      }
    });
    return;
  }
  parallel_for(exec, tasks_of(rows, kRows), [&](int task) {
    const int64_t first = task * kRows, count = std::min(kRows, rows - first);
    double* const x = b + first * n;
    for (int64_t from = 0; from < n; from += kBlock) {
      const int64_t width = std::min(kBlock, n - from);
      add_dots(simd, count, width, from, {x, n}, {l + from * n, n}, -1.0, x + from, n);
      solve_block(simd, l, n, from, width, count, x, n);
    }
  });
}

void gram64(int64_t rows, int64_t n, const double* f, const double* weights, double* g, const Exec& exec) {
  const Dot64Simd& simd = dot64_simd(exec.isa);
  const int64_t most = std::min(rows, kGramRows);
  // Columns of F as rows, once weighted and once not.
  std::vector<double> plain(static_cast<size_t>(n * most));
  std::vector<double> weighted(static_cast<size_t>(weights ? n * most : 0));
  for (int64_t from = 0; from < rows; from += kGramRows) {
    exec.check_cancelled();
    const int64_t depth = std::min(kGramRows, rows - from);
    parallel_for(exec, tasks_of(n, kBlock), [&](int task) {
      const int64_t end = std::min(n, (task + 1) * kBlock);
      for (int64_t j = task * kBlock; j < end; ++j) {
        double* const to = plain.data() + j * depth;
        for (int64_t r = 0; r < depth; ++r) to[r] = f[(from + r) * n + j];
        if (!weights) continue;
        double* const other = weighted.data() + j * depth;
        for (int64_t r = 0; r < depth; ++r) other[r] = to[r] * weights[from + r];
      }
    });
    const double* const left = weights ? weighted.data() : plain.data();
    parallel_for(exec, tasks_of(n, kRows), [&](int task) {
      const int64_t first = task * kRows, count = std::min(kRows, n - first);
      // A few elements right of the diagonal come along; what is there is nobody's.
      add_dots(simd, count, std::min(n, first + count), depth, {left + first * depth, depth},
               {plain.data(), depth}, 1.0, g + first * n, n);
    });
  }
}

void product64(int64_t rows, int64_t out, int64_t n, const double* a, const double* b, double* c,
               const Exec& exec) {
  const Dot64Simd& simd = dot64_simd(exec.isa);
  parallel_for(exec, tasks_of(rows, kRows), [&](int task) {
    const int64_t first = task * kRows, count = std::min(kRows, rows - first);
    std::memset(c + first * out, 0, sizeof(double) * static_cast<size_t>(count * out));
    add_dots(simd, count, out, n, {a + first * n, n}, {b, n}, 1.0, c + first * out, out);
  });
}

void gather64(int64_t rows, int64_t out, int64_t n, const double* a, const double* b, double* c,
              const Exec& exec) {
  const Dot64Simd& simd = dot64_simd(exec.isa);
  parallel_for(exec, tasks_of(n, kColumns), [&](int task) {
    const int64_t first = task * kColumns, count = std::min(kColumns, n - first);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < out; ++o)
        simd.axpy(count, a[r * out + o], b + r * n + first, c + o * n + first);
    }
  });
}

}  // namespace cinefuse
