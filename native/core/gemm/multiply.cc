#include "multiply.h"

#include <algorithm>
#include <cstring>

#include "../pool.h"
#include "gemm.h"

namespace cinefuse {
namespace {

constexpr float kZeros[kPanel] = {};
constexpr int kGroupTiles = 20;  // tiles of A that are packed at a time: some hundred KB, within L2

int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

// to[k * stride + r] = (from as Operand)(r, k) for r < count, k < kc, with `along` telling that r is the
// contiguous index.
void pack(const GemmSimd& simd, bool along, int count, int kc, const float* from, int64_t ld, float* to,
          int stride) {
  if (!along) {
    simd.transpose(count, kc, from, ld, to, stride);
    return;
  }
  const size_t bytes = sizeof(float) * static_cast<size_t>(count);
  if (count == kPanel) {
    for (int k = 0; k < kc; ++k) std::memcpy(to + k * stride, from + k * ld, sizeof(float) * kPanel);
  } else {
    for (int k = 0; k < kc; ++k) std::memcpy(to + k * stride, from + k * ld, bytes);
  }
}

struct Multiplication {
  const Exec& exec;
  const GemmSimd& simd;
  int64_t rows, columns, inner;
  const Operand &a, &b;
  const float* bias;
  float* c;
  int64_t ldc;

  // Rows [r0, r1) by columns [n0, n1); n0 is a multiple of kPanel, r0 one of the tile height.
  void rectangle(int64_t r0, int64_t r1, int64_t n0, int64_t n1) const {
    const int height = simd.tile_rows;
    float* const tiles = thread_scratch(
        kGemmScratch, static_cast<size_t>(kGroupTiles) * kBlock * static_cast<size_t>(height) + kTileSlack);
    float* const panel = thread_scratch(kGemmScratch + 1, size_t{kBlock} * kPanel);
    for (int64_t g0 = r0; g0 < r1; g0 += int64_t{kGroupTiles} * height) {
      const int64_t g1 = std::min(r1, g0 + int64_t{kGroupTiles} * height);
      for (int64_t k0 = 0; k0 < inner; k0 += kBlock) {
        exec.check_cancelled();
        const int kc = static_cast<int>(std::min<int64_t>(kBlock, inner - k0));
        float* tile = tiles;
        for (int64_t r = g0; r < g1; r += height, tile += kc * height) {
          const float* from = a.turned ? a.data + k0 * a.stride + r : a.data + r * a.stride + k0;
          pack(simd, a.turned, static_cast<int>(std::min<int64_t>(height, g1 - r)), kc, from, a.stride, tile,
               height);
        }
        for (int64_t n = n0; n < n1; n += kPanel) {
          const int cols = static_cast<int>(std::min<int64_t>(kPanel, n1 - n));
          if (cols < kPanel) std::memset(panel, 0, sizeof(float) * static_cast<size_t>(kc) * kPanel);
          const float* from = b.turned ? b.data + n * b.stride + k0 : b.data + k0 * b.stride + n;
          pack(simd, !b.turned, cols, kc, from, b.stride, panel, kPanel);
          const float* const start = k0 > 0 ? nullptr : bias ? bias + n : kZeros;
          tile = tiles;
          for (int64_t r = g0; r < g1; r += height, tile += kc * height) {
            simd.tile(static_cast<int>(std::min<int64_t>(height, g1 - r)), cols, kc, tile, panel, start,
                      c + r * ldc + n, ldc);
          }
        }
      }
    }
  }

  void nothing_to_sum() const {
    for (int64_t r = 0; r < rows; ++r) {
      const size_t bytes = sizeof(float) * static_cast<size_t>(columns);
      bias ? std::memcpy(c + r * ldc, bias, bytes) : std::memset(c + r * ldc, 0, bytes);
    }
  }
};

}  // namespace

void multiply(const Exec& exec, int64_t rows, int64_t columns, int64_t inner, const Operand& a,
              const Operand& b, const float* bias, float* c, int64_t ldc) {
  if (rows <= 0 || columns <= 0) return;
  const Multiplication product{exec, gemm_simd(exec.isa), rows, columns, inner, a, b, bias, c, ldc};
  if (inner <= 0) return product.nothing_to_sum();
  const int64_t height = product.simd.tile_rows;
  const int64_t tiles = ceil_div(rows, height), panels = ceil_div(columns, kPanel);
  // A thread joins for some tens of microseconds of arithmetic.
  const double work = static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(inner);
  const int64_t threads =
      std::min<int64_t>(exec.threads, std::max<int64_t>(1, static_cast<int64_t>(work / 1e6)));
  // Whichever side is longer is shared out: the other is packed by every thread.
  const bool by_columns = columns * (b.turned ? 2 : 1) >= rows * (a.turned ? 1 : 2);
  const int64_t column_tasks = by_columns ? std::min(threads, panels) : std::max<int64_t>(1, threads / tiles);
  const int64_t row_tasks = std::min(tiles, std::max<int64_t>(1, threads / column_tasks));
  parallel_for(exec, static_cast<int>(row_tasks * column_tasks), [&](int task) {
    const int64_t i = task / column_tasks, j = task % column_tasks;
    product.rectangle(tiles * i / row_tasks * height, std::min(rows, tiles * (i + 1) / row_tasks * height),
                      panels * j / column_tasks * kPanel,
                      std::min(columns, panels * (j + 1) / column_tasks * kPanel));
  });
}

}  // namespace cinefuse
