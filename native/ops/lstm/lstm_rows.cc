#include "lstm_rows.h"

#include <algorithm>

#include "../../core/gemm/lines_simd.h"
#include "../../core/pool.h"

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

namespace {

// Panels [p0, p1) of the product.
void product(Isa isa, int64_t rows, const float* a, int64_t lda, const PackedMatrix& w, bool from_zero,
             int p0, int p1, float* c, int64_t ldc) {
  static constexpr float kZeros[kPanel] = {};
  const GemmSimd& gemm = gemm_simd(isa);
  const LinesSimd& lines = lines_simd(isa);
  const int64_t n0 = int64_t{p0} * kPanel, n1 = std::min(int64_t{p1} * kPanel, w.out());
  if (rows <= kThinRows) {
    const float* row[kThinRows] = {};
    for (int64_t r = 0; from_zero && r < rows; ++r) std::fill(c + r * ldc + n0, c + r * ldc + n1, 0.f);
    for (int kb = 0; kb < w.blocks(); ++kb) {
      for (int64_t r = 0; r < rows; ++r) row[r] = a + r * lda + int64_t{kb} * kBlock;
      gemm.stored[0].thin(static_cast<int>(rows), static_cast<int>(n1 - n0), w.block_length(kb), row,
                          w.panel(kb, p0), nullptr, nullptr, c + n0, ldc);
    }
    return;
  }
  const int64_t count = (rows + gemm.tile_rows - 1) / gemm.tile_rows, step = (rows + count - 1) / count;
  for (int kb = 0; kb < w.blocks(); ++kb) {
    for (int p = p0; p < p1; ++p) {
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

}  // namespace

void lstm_product(const Exec& exec, int64_t rows, const float* a, int64_t lda, const PackedMatrix& w,
                  bool from_zero, float* c, int64_t ldc) {
  constexpr size_t kWorthThreads = size_t{2} << 20;  // bytes of weights: some 20 microseconds of reading
  const int panels = w.panels();
  const int parts = w.bytes() < kWorthThreads ? 1 : std::min(exec.threads, panels);
  if (parts == 1) return product(exec.isa, rows, a, lda, w, from_zero, 0, panels, c, ldc);
  parallel_for(exec, parts, [&](int i) {
    product(exec.isa, rows, a, lda, w, from_zero, panels * i / parts, panels * (i + 1) / parts, c, ldc);
  });
}

}  // namespace cinefuse
