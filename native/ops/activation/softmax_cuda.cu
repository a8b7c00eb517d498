#include "../../cuda/rows.cuh"
#include "softmax_cuda.cuh"

namespace cinefuse::gpu {

// y[j] = e^(x_j - max) / sum, or its logarithm, of rows that a group of lanes holds; a row with NaN or
// +infinity, or all -infinity, gives NaN. x, y: (rows, cols).
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads)
    softmax_rows_kernel(bool logarithm, int64_t rows, int cols, const float* x, float* y) {
  constexpr int VEC = Shape::VEC, LANES = Shape::LANES, ITEMS = Shape::ITEMS, ROWS = Shape::ROWS;
  const int lane = threadIdx.x % LANES, group = threadIdx.x / LANES;
  for (int64_t base = int64_t{blockIdx.x} * Shape::kRowsABlock; base < rows;
       base += int64_t{gridDim.x} * Shape::kRowsABlock) {
    float v[ROWS][ITEMS][VEC];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      const int64_t row = base + r * Shape::kGroups + group;
#pragma unroll
      for (int i = 0; i < ITEMS; ++i) {
        const int j = (i * LANES + lane) * VEC;
        if (row < rows && j < cols) {
          load_pack<VEC>(x + row * cols + j, v[r][i]);
        } else {
#pragma unroll
          for (int k = 0; k < VEC; ++k) v[r][i][k] = -INFINITY;
        }
      }
    }
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      const int64_t row = base + r * Shape::kGroups + group;
      float top = -INFINITY, sum = 0.f;
#pragma unroll
      for (int i = 0; i < ITEMS * VEC; ++i) top = fmaxf(top, v[r][i / VEC][i % VEC]);
      top = group_max<LANES>(top);
#pragma unroll
      for (int i = 0; i < ITEMS * VEC; ++i) {
        float& t = v[r][i / VEC][i % VEC];
        const bool counts = (i / VEC * LANES + lane) * VEC < cols;  // not for what only fills up
        t -= top;
        const float e = expf(t);
        if (counts) sum += e;
        if (!logarithm) t = e;
      }
      sum = group_sum<LANES>(sum);
      const float scale = logarithm ? 1.f : 1.f / sum, shift = logarithm ? logf(sum) : 0.f;
#pragma unroll
      for (int i = 0; i < ITEMS; ++i) {
        const int j = (i * LANES + lane) * VEC;
        if (row >= rows || j >= cols) continue;
#pragma unroll
        for (int k = 0; k < VEC; ++k) v[r][i][k] = v[r][i][k] * scale - shift;
        store_pack<VEC>(y + row * cols + j, v[r][i]);
      }
    }
  }
}

// The same with a block a row, which shared memory holds.
template <int VEC>
__global__ void __launch_bounds__(1024)
    softmax_block_kernel(bool logarithm, int64_t rows, int cols, const float* x, float* y) {
  CINEFUSE_SHARED(float, partial, [2][32]);
  CINEFUSE_DYNAMIC_SHARED(float, held);
  const int step = blockDim.x * VEC, begin = threadIdx.x * VEC;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    fetch_row<VEC>(x + row * cols, cols, held);
    float top = -INFINITY, sum = 0.f;
    float v[VEC];
    for (int j = begin; j < cols; j += step) {
      load_pack<VEC>(held + j, v);
#pragma unroll
      for (int k = 0; k < VEC; ++k) top = fmaxf(top, v[k]);
    }
    top = block_max(top, partial[0]);
    for (int j = begin; j < cols; j += step) {
      load_pack<VEC>(held + j, v);
#pragma unroll
      for (int k = 0; k < VEC; ++k) {
        v[k] -= top;
        const float e = expf(v[k]);
        sum += e;
        if (!logarithm) v[k] = e;
      }
      store_pack<VEC>(held + j, v);
    }
    sum = block_sum(sum, partial[1]);
    const float scale = logarithm ? 1.f : 1.f / sum, shift = logarithm ? logf(sum) : 0.f;
    for (int j = begin; j < cols; j += step) {
      load_pack<VEC>(held + j, v);
#pragma unroll
      for (int k = 0; k < VEC; ++k) v[k] = v[k] * scale - shift;
      store_pack<VEC>(y + row * cols + j, v);
    }
  }
}

// Rows that no block can hold: maximum and sum on the way in one pass, a second one for the result.
__global__ void __launch_bounds__(1024)
    softmax_long_kernel(bool logarithm, int64_t rows, int64_t cols, const float* x, float* y) {
  CINEFUSE_SHARED(float, partial, [2][32]);
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    const float* const row = x + r * cols;
    float mine = -INFINITY, sum = 0.f;
    for (int64_t j = threadIdx.x; j < cols; j += blockDim.x) {
      const float t = row[j];
      const float next = fmaxf(mine, t);
      // -infinity so far: the sum is 0 or NaN, and infinity less infinity must not spoil it.
      if (next != mine && mine != -INFINITY) sum *= expf(mine - next);
      mine = next;
      if (t != -INFINITY) sum += expf(t - next);
    }
    const float top = block_max(mine, partial[0]);
    sum = block_sum(mine == -INFINITY ? sum : sum * expf(mine - top), partial[1]);
    if (top == -INFINITY) sum = NAN;
    const float scale = 1.f / sum, shift = logf(sum);
    for (int64_t j = threadIdx.x; j < cols; j += blockDim.x) {
      const float d = row[j] - top;
      y[r * cols + j] = logarithm ? d - shift : expf(d) * scale;
    }
  }
}

void softmax_rows(cudaStream_t stream, bool logarithm, int64_t rows, int64_t cols, const float* x, float* y) {
  if (rows == 0) return;
  const bool vectors = cols % 4 == 0 && is_aligned16(x) && is_aligned16(y);
  if (cols <= most_row_columns(vectors)) {
    with_row_shape(cols, vectors, [&](auto shape) {
      using Shape = decltype(shape);
      CINEFUSE_LAUNCH(stream, (softmax_rows_kernel<Shape>), grid_of(blocks_of(rows, Shape::kRowsABlock)),
                      Shape::kThreads, 0, logarithm, rows, static_cast<int>(cols), x, y);
    });
  } else if (cols <= kMostBlockColumns) {
    const auto kernel = vectors ? softmax_block_kernel<4> : softmax_block_kernel<1>;
    CINEFUSE_LAUNCH(stream, kernel, grid_of(rows), row_threads(cols), sizeof(float) * cols, logarithm, rows,
                    static_cast<int>(cols), x, y);
  } else {
    CINEFUSE_LAUNCH(stream, softmax_long_kernel, grid_of(rows), 1024, 0, logarithm, rows, cols, x, y);
  }
}

}  // namespace cinefuse::gpu
