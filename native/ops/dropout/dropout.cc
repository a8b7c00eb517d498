#include "dropout.h"

#include <algorithm>

#include "../../core/pool.h"
#include "dropout_simd.h"

namespace cinefuse {

void dropout_check(const DropoutParams& p) {
  CINEFUSE_REQUIRE(p.p >= 0.f && p.p < 1.f, Code::kInputValue, "p",
                   "Expected a number in [0, 1) for p, received %g", static_cast<double>(p.p));
  CINEFUSE_REQUIRE(p.n >= 0, Code::kShape, "x", "Expected no negative number of elements");
}

void dropout(const DropoutParams& p, const Exec& exec) {
  const DropoutMask mask = dropout_mask(p.p, p.seed, p.stream);
  const DropoutSimd& simd = dropout_simd(exec.isa);
  constexpr int64_t kChunk = 256 * kDropoutBlock;
  parallel_for(exec, static_cast<int>((p.n + kChunk - 1) / kChunk), [&](int task) {
    const int64_t begin = task * kChunk;
    simd.blocks(&mask, static_cast<unsigned long>(begin / kDropoutBlock), std::min(kChunk, p.n - begin),
                p.x + begin, p.y + begin);
  });
}

}  // namespace cinefuse
