#include "gemm.h"

#include <algorithm>
#include <cstring>

#include "../pool.h"
#include "bf16x3.h"
#include "lines_simd.h"

namespace cinefuse {

void require_apart(const float* x, size_t x_size, const float* out, size_t out_size, const char* field) {
  const bool apart = x_size == 0 || out_size == 0 || x + x_size <= out || out + out_size <= x;
  CINEFUSE_REQUIRE(apart, Code::kInputValue, field,
                   "Expected memory for %s that does not overlap the other arrays", field);
}

RowBlocks row_blocks(int64_t rows, Isa isa) {
  if (rows <= kThinRows) return {rows, kThinRows, 1, true};
  const int height = gemm_simd(isa).tile_rows;
  const int64_t count = (rows + height - 1) / height;
  const int64_t step = (rows + count - 1) / count;
  return {rows, static_cast<int>(step), static_cast<int>((rows + step - 1) / step), false};
}

namespace {

constexpr float kZeros[kBlock] = {};
constexpr int kThinPanels = 4;  // of one call of the inner loop

class MatrixSource final : public RowSource {
 public:
  explicit MatrixSource(const MatrixRows& a) : a_(a) {}

  void tile(const GemmSimd& simd, const RowBlocks& blocks, int block, int64_t k0, int kc, int stride,
            float* tile) const override {
    const int64_t first = blocks.first(block);
    const int rows = blocks.length(block);
    if (!a_.present) {
      simd.transpose(rows, kc, a_.data + first * a_.stride + k0, a_.stride, tile, stride);
      return;
    }
    for (int r = 0; r < rows; ++r) {
      if (present(first + r)) {
        simd.transpose(1, kc, a_.data + (first + r) * a_.stride + k0, a_.stride, tile + r, stride);
      } else {
        for (int k = 0; k < kc; ++k) tile[k * stride + r] = 0.f;
      }
    }
  }

  void thin(const GemmSimd&, const RowBlocks& blocks, int64_t k0, int, float*,
            const float** row) const override {
    for (int64_t r = 0; r < blocks.rows; ++r) {
      row[r] = present(r) ? a_.data + r * a_.stride + k0 : kZeros;
    }
  }

  const float* lines(int64_t row, int64_t k0, int64_t* stride) const override {
    // Rows a multiple of the page apart would fall on the same few places of the cache, all twelve of a tile.
    if (a_.present || a_.stride % kPage == 0) return nullptr;
    *stride = a_.stride;
    return a_.data + row * a_.stride + k0;
  }

 private:
  static constexpr int64_t kPage = 4096 / sizeof(float);

  bool present(int64_t row) const { return !a_.present || a_.present[row * a_.present_stride] != 0; }
  const MatrixRows& a_;
};

// How a product is shared out: `row_tasks` x `column_tasks` rectangles, or the k blocks of the whole.
struct Plan {
  int row_tasks, column_tasks;
  bool split_k;
};

int share(int count, int parts) { return (count + parts - 1) / parts; }

Plan make_plan(const Exec& exec, const RowBlocks& blocks, const PackedMatrix& w) {
  const double weights = static_cast<double>(w.in()) * w.panels() * kPanel;
  // Rough microseconds on one thread: arithmetic, or the stream of weights. A thread joins for 25 of them.
  const double cost =
      std::max(weights * static_cast<double>(blocks.rows) / 40e3, static_cast<double>(w.bytes()) / 60e3);
  const int threads = static_cast<int>(std::min<double>(exec.threads, std::max(1., cost / 25)));
  Plan best{1, 1, false};
  double best_time = 1e300;
  for (int row_tasks = 1; row_tasks <= std::min(threads, blocks.count); ++row_tasks) {
    const int column_tasks = std::min(w.panels(), threads / row_tasks);
    // In cycles per k: the arithmetic or the stream of weights, whichever takes longer, and the packing of A.
    const double rows = static_cast<double>(share(blocks.count, row_tasks)) * blocks.step;
    const double panels = share(w.panels(), column_tasks);
    const double time = std::max(rows * panels, 25. * panels) + 0.3 * rows;
    if (time < best_time) {
      best_time = time;
      best = {row_tasks, column_tasks, false};
    }
  }
  // Rows shared out finer than needed cost little, and even out threads that a busy machine holds up.
  if (best.row_tasks > 1 && blocks.count >= 8 * best.row_tasks) best.row_tasks *= 2;
  best.split_k = best.row_tasks * best.column_tasks * 2 <= threads && w.blocks() > 1;
  return best;
}

struct Product {
  const Exec& exec;
  const RowBlocks blocks;
  const RowSource& a;
  const PackedMatrix& w;
  const Epilogue& epilogue;
  const GemmSimd& simd;
  const LinesSimd& in_lines;

  // Adds one k block of one row block to the columns of panels [p0, p1). `c` and `start` are those of column
  // 0.
  void block(int row_block, int k_block, int p0, int p1, int64_t columns, const float* start, float* c,
             int64_t ldc) const {
    float* scratch = thread_scratch(kGemmScratch, kBlock * 16 + kTileSlack);
    const int kc = w.block_length(k_block);
    const int64_t k0 = int64_t{k_block} * kBlock;
    const int rows = blocks.length(row_block);
    int64_t stride = 0;
    const bool in_place = !blocks.thin && w.type() == WeightType::kFloat32;
    const float* const lines = !in_place ? nullptr : a.lines(blocks.first(row_block), k0, &stride);
    const float* row[kThinRows];
    if (lines) {
      // Read as they are; a.tile has nothing to do.
    } else if (blocks.thin) {
      a.thin(simd, blocks, k0, kc, scratch, row);
    } else {
      a.tile(simd, blocks, row_block, k0, kc, simd.tile_rows, scratch);
    }
    const int next = row_block + 1 < blocks.count ? blocks.length(row_block + 1) : 0;
    const StoredSimd& inner = simd.stored[static_cast<int>(w.type())];
    const int panels = blocks.thin ? kThinPanels : 1;
    for (int p = p0; p < p1; p += panels) {
      const int64_t n = int64_t{p} * kPanel;
      const int cols = static_cast<int>(std::min(int64_t{std::min(panels, p1 - p)} * kPanel, columns - n));
      const float* from = k_block > 0 ? nullptr : start ? start + n : kZeros;
      const float* const scale = w.scale(k_block, p);
      if (lines) {
        // The next rows are asked for meanwhile, some at each panel: from main memory they would be waited
        // for.
        const int ahead = next * (p - p0) / (p1 - p0), ahead_end = next * (p - p0 + 1) / (p1 - p0);
        in_lines.tile(rows, cols, kc, lines, stride, static_cast<const float*>(w.panel(k_block, p)), from,
                      c + n, ldc, lines + (blocks.step + ahead) * stride, ahead_end - ahead);
      } else if (blocks.thin) {
        inner.thin(rows, cols, kc, row, w.panel(k_block, p), scale, from, c + n, ldc);
      } else {
        inner.tile(rows, cols, kc, scratch, w.panel(k_block, p), scale, from, c + n, ldc);
      }
    }
  }

  void finish(int64_t first, int64_t rows, int64_t n0, int64_t n1, float* c, int64_t ldc) const {
    if (!epilogue.function) return;
    for (int64_t r = first; r < first + rows; ++r) {
      float* y = c + r * ldc + n0;
      epilogue.function(epilogue.kind, epilogue.parameter, n1 - n0, y, y);
    }
  }

  // Row blocks [b0, b1) by panels [p0, p1), so many panels at a time that their weights of one k block stay
  // in L2.
  void rectangle(int b0, int b1, int p0, int p1, float* c, int64_t ldc) const {
    const int panels_in_l2 = 512 * 1024 / (kBlock * kPanel * static_cast<int>(w.element_bytes()));
    for (int q0 = p0; q0 < p1; q0 += panels_in_l2) {
      const int q1 = std::min(p1, q0 + panels_in_l2);
      const int64_t n0 = int64_t{q0} * kPanel, n1 = std::min<int64_t>(w.out(), int64_t{q1} * kPanel);
      for (int kb = 0; kb < w.blocks(); ++kb) {
        exec.check_cancelled();
        for (int b = b0; b < b1; ++b) {
          float* rows = c + blocks.first(b) * ldc;
          block(b, kb, q0, q1, w.out(), epilogue.bias, rows, ldc);
          if (kb + 1 == w.blocks()) finish(blocks.first(b), blocks.length(b), n0, n1, c, ldc);
        }
      }
    }
  }

  // The whole product of operands in two bfloat16 parts.
  void split_operands(const Plan& plan, float* c, int64_t ldc) const {
    const int64_t panels = w.panels();
    parallel_for(exec, plan.row_tasks * plan.column_tasks, [&](int task) {
      const int i = task / plan.column_tasks, j = task % plan.column_tasks;
      const int b0 = static_cast<int>(int64_t{blocks.count} * i / plan.row_tasks);
      const int b1 = static_cast<int>(int64_t{blocks.count} * (i + 1) / plan.row_tasks);
      const int p0 = static_cast<int>(panels * j / plan.column_tasks);
      const int p1 = static_cast<int>(panels * (j + 1) / plan.column_tasks);
      if (b0 == b1 || p0 == p1) return;
      bf16x3_rectangle(exec, blocks, a, w, epilogue.bias, b0, b1, p0, p1, c, ldc);
      const int64_t first = blocks.first(b0);
      finish(first, blocks.first(b1 - 1) + blocks.length(b1 - 1) - first, int64_t{p0} * kPanel,
             std::min<int64_t>(w.out(), int64_t{p1} * kPanel), c, ldc);
    });
  }

  // The k blocks shared out: every block's sums go to a place of their own and are added up in order.
  void split_k(float* c, int64_t ldc) const {
    const int64_t width = int64_t{w.panels()} * kPanel;
    const int64_t size = blocks.rows * width;
    const int wave = static_cast<int>(
        std::min<int64_t>(w.blocks(), std::max<int64_t>(2 * exec.threads, (int64_t{1} << 20) / size)));
    float* sums = thread_scratch(kGemmScratch + 1, static_cast<size_t>(wave) * static_cast<size_t>(size));
    for (int64_t r = 0; r < blocks.rows; ++r) {
      if (epilogue.bias) {
        std::memcpy(c + r * ldc, epilogue.bias, sizeof(float) * static_cast<size_t>(w.out()));
      } else {
        std::memset(c + r * ldc, 0, sizeof(float) * static_cast<size_t>(w.out()));
      }
    }
    for (int k0 = 0; k0 < w.blocks(); k0 += wave) {
      const int count = std::min(wave, w.blocks() - k0);
      parallel_for(exec, count, [&](int i) {
        float* sum = sums + i * size;
        std::memset(sum, 0, sizeof(float) * static_cast<size_t>(size));
        for (int b = 0; b < blocks.count; ++b) {
          block(b, k0 + i, 0, w.panels(), width, nullptr, sum + blocks.first(b) * width, width);
        }
      });
      for (int i = 0; i < count; ++i) {
        for (int64_t r = 0; r < blocks.rows; ++r) simd.add(w.out(), sums + i * size + r * width, c + r * ldc);
      }
    }
    finish(0, blocks.rows, 0, w.out(), c, ldc);
  }
};

}  // namespace

void gemm(const Exec& exec, int64_t rows, const RowSource& a, const PackedMatrix& w, const Epilogue& epilogue,
          float* c, int64_t ldc) {
  if (rows <= 0) return;
  const Product product{
      exec, row_blocks(rows, exec.isa), a, w, epilogue, gemm_simd(exec.isa), lines_simd(exec.isa)};
  const Plan plan = make_plan(exec, product.blocks, w);
  const bool split_operands =
      exec.precision == Precision::kBf16x3 || exec.precision == Precision::kBf16x3Software;
  if (split_operands && w.type() == WeightType::kFloat32) {
    product.split_operands(plan, c, ldc);
    return;
  }
  if (plan.split_k) {
    product.split_k(c, ldc);
    return;
  }
  const int64_t row_count = product.blocks.count, panels = w.panels();
  parallel_for(exec, plan.row_tasks * plan.column_tasks, [&](int task) {
    const int i = task / plan.column_tasks, j = task % plan.column_tasks;
    product.rectangle(static_cast<int>(row_count * i / plan.row_tasks),
                      static_cast<int>(row_count * (i + 1) / plan.row_tasks),
                      static_cast<int>(panels * j / plan.column_tasks),
                      static_cast<int>(panels * (j + 1) / plan.column_tasks), c, ldc);
  });
}

void gemm(const Exec& exec, int64_t rows, const MatrixRows& a, const PackedMatrix& w,
          const Epilogue& epilogue, float* c, int64_t ldc) {
  gemm(exec, rows, MatrixSource(a), w, epilogue, c, ldc);
}

}  // namespace cinefuse
