// C = f(A · Wᵀ + bias) in float32, with W prepared once and A either in memory or formed on the way.
//
//   c[m][n] = f( ((bias[n] + s_0) + s_1) + ... ),   s_j = sum of a[m][k] * w[n][k] over the j-th block of
//   kBlock k's
//
// Inside a block one chain of (fused) multiply-adds per element, k ascending. So a result depends on the
// instruction set alone: never on the number of threads, the number of rows in the call, or where a row
// stands in it. Work is split over rows and columns, and over k only when those are too few; the partial sums
// are then added in the same order. NaN and infinity in A or W pass into the rows and columns that they
// belong to, and into no others.
//
// Nothing is allocated while running: scratch is thread_scratch, slots kGemmScratch and kGemmScratch + 1 of
// every thread involved. To call gemm inside a parallel_for, give it an Exec of one thread.
#pragma once
#include <cstddef>
#include <cstdint>

#include "packed_matrix.h"

namespace cinefuse {

constexpr int kGemmScratch = 6;  // first of two slots

// For front doors. Throws ERR_INPUT_VALUE where the two overlap.
void require_apart(const float* x, size_t x_size, const float* out, size_t out_size,
                   const char* field = "out");

// What happens to a sum: bias, then an elementwise function of whole stretches, in place. activation_epilogue
// (ops/activation) makes one.
struct Epilogue {
  const float* bias = nullptr;  // (out), or none
  void (*function)(int kind, float parameter, long n, const float* x, float* y) = nullptr;
  int kind = 0;
  float parameter = 0.f;
};

// The rows of A in equal blocks, as the inner loops take them.
struct RowBlocks {
  int64_t rows;
  int step, count;
  bool thin;  // one block of at most kThinRows rows, read through pointers
  int64_t first(int block) const { return int64_t{block} * step; }
  int length(int block) const {
    const int64_t left = rows - first(block);
    return static_cast<int>(left < step ? left : step);
  }
};
RowBlocks row_blocks(int64_t rows, Isa isa);

// Where A comes from: either form is asked for k's [k0, k0 + kc) of one row block, by several threads at
// once.
class RowSource {
 public:
  virtual ~RowSource() = default;
  // tile[k * stride + r] for the rows r of the block; stride is the tile height of the instruction set. Up to
  // kTileSlack floats after the tile's end may be overwritten.
  virtual void tile(const GemmSimd& simd, const RowBlocks& blocks, int block, int64_t k0, int kc, int stride,
                    float* tile) const = 0;
  // Thin blocks: row[r] is set to kc floats, which may be put into `scratch` (kThinRows rows of kBlock
  // floats).
  virtual void thin(const GemmSimd& simd, const RowBlocks& blocks, int64_t k0, int kc, float* scratch,
                    const float** row) const = 0;
  // Where k0 of a row lies in memory, if the rows lie there `stride` apart and may be read in place of a
  // tile; else null.
  virtual const float* lines(int64_t /*row*/, int64_t /*k0*/, int64_t* /*stride*/) const { return nullptr; }
};
constexpr int kTileSlack = 16;

// A in memory: (rows, in), row r at data + r * stride. A row whose presence byte is 0 is read as zeros,
// whatever lies there.
struct MatrixRows {
  const float* data;
  int64_t stride;
  const uint8_t* present = nullptr;  // of row r: present[r * present_stride]
  int64_t present_stride = 1;
};

// c: (rows, w.out()), row r at c + r * ldc; must not overlap A. rows >= 0.
void gemm(const Exec& exec, int64_t rows, const MatrixRows& a, const PackedMatrix& w,
          const Epilogue& epilogue, float* c, int64_t ldc);
void gemm(const Exec& exec, int64_t rows, const RowSource& a, const PackedMatrix& w, const Epilogue& epilogue,
          float* c, int64_t ldc);

}  // namespace cinefuse
