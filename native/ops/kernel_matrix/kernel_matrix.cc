#include "kernel_matrix.h"

#include <cmath>

namespace cinefuse {

void kernel_matrix_cpu(const KernelMatrixParams& params, float* out, const Exec& exec);
void kernel_matrix_device(const KernelMatrixParams& params, float* out, const Exec& exec);

void kernel_shape_check(const KernelShape& s, const char* name) {
  CINEFUSE_REQUIRE(static_cast<int>(s.kind) >= 0 && static_cast<int>(s.kind) < kKernelKindCount,
                   Code::kInputValue, "kind", "Expected a kernel of 0..%d for %s, received %d",
                   kKernelKindCount - 1, name, static_cast<int>(s.kind));
  CINEFUSE_REQUIRE(s.degree >= 1 && s.degree <= kMostKernelDegree, Code::kInputValue, "degree",
                   "Expected a degree of 1..%d for %s, received %d", kMostKernelDegree, name, s.degree);
  const bool scales = s.kind != KernelKind::kLinear;
  CINEFUSE_REQUIRE(!scales || (std::isfinite(s.gamma) && s.gamma > 0), Code::kInputValue, "gamma",
                   "Expected a finite gamma > 0 for %s, received %g", name, s.gamma);
  CINEFUSE_REQUIRE(std::isfinite(s.constant) && s.constant >= 0, Code::kInputValue, "constant",
                   "Expected a finite constant >= 0 for %s, received %g", name, s.constant);
  CINEFUSE_REQUIRE(std::isfinite(s.weight) && s.weight >= 0, Code::kInputValue, "weight",
                   "Expected a finite weight >= 0 for %s, received %g", name, s.weight);
}

void kernel_matrix_check(const KernelMatrixParams& p) {
  constexpr int64_t kMost = int64_t{1} << 31;
  CINEFUSE_REQUIRE(p.rows >= 0 && p.rows < kMost, Code::kShape, "rows",
                   "Expected 0..2^31-1 rows, received %lld", static_cast<long long>(p.rows));
  CINEFUSE_REQUIRE(p.landmarks >= 1 && p.landmarks < kMost, Code::kShape, "landmarks",
                   "Expected 1..2^31-1 landmarks, received %lld", static_cast<long long>(p.landmarks));
  CINEFUSE_REQUIRE(!p.terms.empty() && p.terms.size() <= 32, Code::kShape, "terms",
                   "Expected 1..32 modalities, received %zu", p.terms.size());
  CINEFUSE_REQUIRE(p.combine == KernelCombine::kSum || p.combine == KernelCombine::kProduct,
                   Code::kInputValue, "combine", "Expected sum or product, received %d",
                   static_cast<int>(p.combine));
  CINEFUSE_REQUIRE(std::isfinite(p.constant) && p.constant >= 0, Code::kInputValue, "constant",
                   "Expected a finite constant >= 0, received %g", p.constant);
  for (size_t i = 0; i < p.terms.size(); ++i) {
    kernel_shape_check(p.terms[i].shape, format("terms[%zu]", i).c_str());
    CINEFUSE_REQUIRE(p.terms[i].dim >= 1 && p.terms[i].dim <= 65536, Code::kShape, "dim",
                     "Expected 1..65536 for the width of terms[%zu], received %lld", i,
                     static_cast<long long>(p.terms[i].dim));
  }
}

void kernel_matrix(const KernelMatrixParams& params, float* out, const Exec& exec) {
  exec.backend == Backend::kCpu ? kernel_matrix_cpu(params, out, exec)
                                : kernel_matrix_device(params, out, exec);
}

}  // namespace cinefuse
