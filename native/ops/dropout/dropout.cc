#include "dropout.h"

namespace cinefuse {

void dropout_cpu(const DropoutParams& params, const Exec& exec);
void dropout_device(const DropoutParams& params, const Exec& exec);

void dropout_check(const DropoutParams& p) {
  CINEFUSE_REQUIRE(p.p >= 0.f && p.p < 1.f, Code::kInputValue, "p",
                   "Expected a number in [0, 1) for p, received %g", static_cast<double>(p.p));
  CINEFUSE_REQUIRE(p.n >= 0, Code::kShape, "x", "Expected no negative number of elements");
}

void dropout(const DropoutParams& p, const Exec& exec) {
  exec.backend == Backend::kCpu ? dropout_cpu(p, exec) : dropout_device(p, exec);
}

}  // namespace cinefuse
