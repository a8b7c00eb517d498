#include <algorithm>

#include "../../core/pool.h"
#include "dropout.h"
#include "dropout_simd.h"

namespace cinefuse {

void dropout_cpu(const DropoutParams& p, const Exec& exec) {
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
