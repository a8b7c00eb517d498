// Dense float64 algebra of closed-form fits: the Cholesky factor, its triangular systems, Gram matrices and
// products. Row-major, contiguous.
//
//   factor     A = L Lᵀ + ..., L over the lower triangle of A (n, n); the upper one is neither read nor
//              written. `shift` is added to the diagonal first. Returns -1, or the first row whose pivot is
//              not above `least`, or is NaN: the matrix is not positive definite, and A is left half done.
//   solve      each row b of B (rows, n) <- x with L x = b, or with Lᵀ x = b
//   gram       G (n, n), lower triangle += Σ_r w_r f_r f_rᵀ over the rows f_r of F (rows, n); w null: all 1
//   product    C (rows, out) <- A Bᵀ, A (rows, n), B (out, n)
//   gather     C (out, n) += Aᵀ B, A (rows, out), B (rows, n)
//
// Blocked and by rows (left-looking), so that whole rows are multiplied. The same bits on any number of
// threads. NaN and infinity pass into what depends on them.
#pragma once
#include "../../core/exec.h"

namespace cinefuse {

int64_t cholesky_factor(int64_t n, double shift, double least, double* a, const Exec& exec);
void cholesky_solve(int64_t n, const double* l, bool transposed, int64_t rows, double* b, const Exec& exec);
void gram64(int64_t rows, int64_t n, const double* f, const double* weights, double* g, const Exec& exec);
void product64(int64_t rows, int64_t out, int64_t n, const double* a, const double* b, double* c,
               const Exec& exec);
void gather64(int64_t rows, int64_t out, int64_t n, const double* a, const double* b, double* c,
              const Exec& exec);

}  // namespace cinefuse
