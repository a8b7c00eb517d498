#include <algorithm>

#include "../../cuda/multiply.h"
#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "layer_norm_backward_cuda.cuh"
#include "layer_norm_backward_device.h"

namespace cinefuse::gpu {

constexpr int kNormThreads = 256;

// A warp a row, or a block where BLOCK. `turn` takes the two halves of `partial` in turns.
template <bool BLOCK>
__device__ __forceinline__ float row_sum(float x, float (*partial)[32], int& turn) {
  if constexpr (!BLOCK) return warp_sum(x);
  turn ^= 1;
  return block_sum(x, partial[turn]);
}

// stats[row] = (mean less the row's first number, 1 / sqrt(var + eps)); x: (rows, cols).
template <bool BLOCK>
__global__ void __launch_bounds__(kNormThreads)
    layer_norm_stats_kernel(int64_t rows, int64_t cols, float eps, const float* x, float* stats) {
  CINEFUSE_SHARED(float, partial, [2][32]);
  constexpr int kLanes = BLOCK ? kNormThreads : 32, kRows = kNormThreads / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes, group = static_cast<int>(threadIdx.x) / kLanes;
  const float count = static_cast<float>(cols);
  int turn = 0;
  for (int64_t base = int64_t{blockIdx.x} * kRows; base < rows; base += int64_t{gridDim.x} * kRows) {
    const int64_t row = base + group;
    const int64_t width = row < rows ? cols : 0;  // whole warps stay for the sums
    const float* const from = x + row * cols;
    const float first = row < rows ? from[0] : 0.f;
    float sum = 0.f, spread = 0.f;
    for (int64_t j = lane; j < width; j += kLanes) sum += from[j] - first;
    const float mean = row_sum<BLOCK>(sum, partial, turn) / count;
    for (int64_t j = lane; j < width; j += kLanes) {
      const float d = from[j] - first - mean;
      spread += d * d;
    }
    const float scale = 1.f / sqrtf(row_sum<BLOCK>(spread, partial, turn) / count + eps);
    if (lane == 0 && row < rows) {
      stats[2 * row] = mean;
      stats[2 * row + 1] = scale;
    }
  }
}

// dx = (g dy - mean(g dy) - z mean(g dy z)) scale, z = (x - mean) scale; dx may be dy.
template <bool BLOCK>
__global__ void __launch_bounds__(kNormThreads)
    layer_norm_dx_kernel(int64_t rows, int64_t cols, const float* x, const float* gain, const float* dy,
                         const float* stats, float* dx) {
  CINEFUSE_SHARED(float, partial, [2][32]);
  constexpr int kLanes = BLOCK ? kNormThreads : 32, kRows = kNormThreads / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes, group = static_cast<int>(threadIdx.x) / kLanes;
  const float count = static_cast<float>(cols);
  int turn = 0;
  for (int64_t base = int64_t{blockIdx.x} * kRows; base < rows; base += int64_t{gridDim.x} * kRows) {
    const int64_t row = base + group, at = row * cols;
    const int64_t width = row < rows ? cols : 0;
    const float first = row < rows ? x[at] : 0.f, mean = row < rows ? stats[2 * row] : 0.f;
    const float scale = row < rows ? stats[2 * row + 1] : 0.f;
    float along = 0.f, across = 0.f;
    for (int64_t j = lane; j < width; j += kLanes) {
      const float g = gain ? dy[at + j] * gain[j] : dy[at + j];
      along += g;
      across += g * ((x[at + j] - first - mean) * scale);
    }
    const float mean_along = row_sum<BLOCK>(along, partial, turn) / count;
    const float mean_across = row_sum<BLOCK>(across, partial, turn) / count;
    for (int64_t j = lane; j < width; j += kLanes) {
      const float g = gain ? dy[at + j] * gain[j] : dy[at + j];
      dx[at + j] = (g - mean_along - (x[at + j] - first - mean) * scale * mean_across) * scale;
    }
  }
}

// parts[chunk][j] = sum over the chunk's rows of dy z. 32 columns a block, 8 rows of them at a time.
__global__ void __launch_bounds__(256)
    layer_norm_gain_kernel(int64_t rows, int64_t cols, int64_t rows_a_chunk, const float* x, const float* dy,
                           const float* stats, float* parts) {
  CINEFUSE_SHARED(float, shared, [8][33]);
  const int lane = static_cast<int>(threadIdx.x) % 32, group = static_cast<int>(threadIdx.x) / 32;
  const int64_t column = int64_t{blockIdx.x} * 32 + lane;
  const int64_t first = int64_t{blockIdx.y} * rows_a_chunk, end = min(rows, first + rows_a_chunk);
  float sum = 0.f;
  if (column < cols) {
    for (int64_t r = first + group; r < end; r += 8) {
      const float* const row = x + r * cols;
      sum += dy[r * cols + column] * ((row[column] - row[0] - stats[2 * r]) * stats[2 * r + 1]);
    }
  }
  shared[group][lane] = sum;
  __syncthreads();
  if (group > 0 || column >= cols) return;
  for (int g = 1; g < 8; ++g) sum += shared[g][lane];
  parts[int64_t{blockIdx.y} * cols + column] = sum;
}

void layer_norm_backward(const LayerNormGradients& p, Call& call) {
  const bool block = p.cols > 1024;
  const unsigned grid = grid_of(blocks_of(p.rows, block ? 1 : kNormThreads / 32));
  float* stats = nullptr;
  if (p.rows > 0 && (p.dx || p.dgain)) {
    stats = call.scratch<float>(2 * p.rows);
    const auto kernel = block ? layer_norm_stats_kernel<true> : layer_norm_stats_kernel<false>;
    CINEFUSE_LAUNCH(call.stream(), kernel, grid, kNormThreads, 0, p.rows, p.cols, p.eps, p.x, stats);
  }
  if (p.dgain) {
    const int64_t rows_a_chunk = std::max<int64_t>(128, blocks_of(p.rows, 60000));
    const int64_t chunks = std::max<int64_t>(1, blocks_of(p.rows, rows_a_chunk));
    float* const parts = chunks == 1 ? p.dgain : call.scratch<float>(chunks * p.cols);
    const dim3 columns(static_cast<unsigned>(blocks_of(p.cols, 32)), static_cast<unsigned>(chunks));
    CINEFUSE_LAUNCH(call.stream(), layer_norm_gain_kernel, columns, 256, 0, p.rows, p.cols, rows_a_chunk, p.x,
                    p.dy, stats, parts);
    if (chunks > 1) add_parts(chunks, p.cols, parts, p.dgain, call);
  }
  if (p.dbias) column_sums(p.rows, p.cols, p.dy, p.dbias, call);
  // Last: dx may be dy.
  if (p.dx && p.rows > 0) {
    const auto kernel = block ? layer_norm_dx_kernel<true> : layer_norm_dx_kernel<false>;
    CINEFUSE_LAUNCH(call.stream(), kernel, grid, kNormThreads, 0, p.rows, p.cols, p.x, p.gain, p.dy, stats,
                    p.dx);
  }
}

static void layer_norm_backward_cuda(Call& call, const cinefuse_layer_norm_backward_params& p) {
  const int64_t n = p.rows * p.cols;
  const In<float> x = call.in(p.x, n), gain = call.in(p.gain, p.cols), dy = call.in(p.dy, n);
  const Out<float> dx = call.out(p.dx, n), dgain = call.out(p.dgain, p.cols),
                   dbias = call.out(p.dbias, p.cols);
  call.send();
  call.compute([&] {
    layer_norm_backward(
        {p.rows, p.cols, p.eps, x.get(), gain.get(), dy.get(), dx.get(), dgain.get(), dbias.get()}, call);
  });
  call.receive();
}

const Operator kLayerNormBackwardOperator =
    plain_operator<cinefuse_layer_norm_backward_params, layer_norm_backward_cuda>();

}  // namespace cinefuse::gpu
