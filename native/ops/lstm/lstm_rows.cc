#include "lstm_rows.h"

#include <algorithm>

#include "../../core/gemm/lines_simd.h"

namespace cinefuse {

LstmTasks::LstmTasks(const LstmShape& shape, const LstmSequence& q, int threads)
    : order_(lstm_longest_first(q)) {
  constexpr int64_t kFew = 12, kMost = 96;  // a register tile's rows; what still shares weights in L2 well
  // As many equal blocks of rows as give every thread one, unless those would be too few or too many rows.
  const int64_t wanted = (int64_t{threads} + shape.directions - 1) / shape.directions;
  const int64_t blocks =
      std::max((q.batch + kMost - 1) / kMost, std::min(wanted, (q.batch + kFew - 1) / kFew));
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t first = q.batch * i / blocks, end = q.batch * (i + 1) / blocks;
    for (int d = 0; d < shape.directions && first < end; ++d) {
      list_.push_back({d, order_.data() + first, end - first});
    }
  }
}

void lstm_product(Isa isa, int64_t rows, const float* a, int64_t lda, const PackedMatrix& w, bool from_zero,
                  float* c, int64_t ldc) {
  static constexpr float kZeros[kPanel] = {};
  const GemmSimd& gemm = gemm_simd(isa);
  const LinesSimd& lines = lines_simd(isa);
  if (rows <= kThinRows) {
    const float* row[kThinRows] = {};
    if (from_zero) {
      for (int64_t r = 0; r < rows; ++r) std::fill_n(c + r * ldc, w.out(), 0.f);
    }
    for (int kb = 0; kb < w.blocks(); ++kb) {
      for (int64_t r = 0; r < rows; ++r) row[r] = a + r * lda + int64_t{kb} * kBlock;
      gemm.stored[0].thin(static_cast<int>(rows), static_cast<int>(w.out()), w.block_length(kb), row,
                          w.panel(kb, 0), nullptr, nullptr, c, ldc);
    }
    return;
  }
  const int64_t count = (rows + gemm.tile_rows - 1) / gemm.tile_rows, step = (rows + count - 1) / count;
  for (int kb = 0; kb < w.blocks(); ++kb) {
    for (int p = 0; p < w.panels(); ++p) {
      const int64_t n = int64_t{p} * kPanel;
      const int cols = static_cast<int>(std::min<int64_t>(kPanel, w.out() - n));
      for (int64_t r = 0; r < rows; r += step) {
        lines.tile(static_cast<int>(std::min(step, rows - r)), cols, w.block_length(kb),
                   a + r * lda + int64_t{kb} * kBlock, lda, static_cast<const float*>(w.panel(kb, p)),
                   from_zero && kb == 0 ? kZeros : nullptr, c + r * ldc + n, ldc, nullptr, 0);
      }
    }
  }
}

}  // namespace cinefuse
