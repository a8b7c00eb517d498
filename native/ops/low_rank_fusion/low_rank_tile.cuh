// Low-rank fusion of many rows on the matrix units: the projections of a tile are multiplied and summed in
// registers.
//
// The columns of a block's tile are `RANKS` ranks (1 or 4) of 64 / RANKS outputs, by eights: eight outputs of
// one rank, the same eight of the next, and so on, so that a thread has all ranks of its outputs. The block
// goes through groups of ranks, in each through the modalities, in each through chunks of 32 k's: one stream
// of chunks, which the copies run ahead in.
#pragma once
#include "../../cuda/gemm_multiply.cuh"
#include "low_rank_args.cuh"

namespace cinefuse::gpu {

template <GemmMath MATH>
using LowRankTile = GemmTile<MATH, 64, 64, 32, 32, 4>;

// A chunk's place in the stream.
struct LowRankPlace {
  int group = 0, mode = 0, k = 0;

  __device__ __forceinline__ void advance(const LowRankArgs& p, int depth) {
    k += depth;
    if (k < p.dims[mode]) return;
    k = 0;
    if (++mode < p.modes) return;
    mode = 0;
    ++group;
  }
};

// A thread's share of the copies of a chunk.
template <class T, int RANKS>
struct LowRankCopies {
  static constexpr int kARows = T::kThreads / 8, kAEach = T::kRows / kARows;
  static constexpr int kWPieces = T::kHalf ? 4 : 8, kWRows = T::kThreads / kWPieces;
  static_assert(kAEach * kLowRankModes <= 32);
  uint32_t there = 0;  // bit mode * kAEach + i: the thread's i-th row has that modality
  LowRankPlace next;

  __device__ __forceinline__ LowRankCopies(const LowRankArgs& p, int64_t row0) {
    for (int m = 0; m < p.modes; ++m) {
#pragma unroll
      for (int i = 0; i < kAEach; ++i) {
        const int64_t row = row0 + threadIdx.x / 8 + i * kARows;
        if (row < p.rows && (!p.present || p.present[row * p.modes + m])) there |= 1u << (m * kAEach + i);
      }
    }
  }

  // The next chunk, into a stage.
  __device__ __forceinline__ void fetch(const LowRankArgs& p, int64_t row0, int output0, float* stage) {
    const int m = next.mode;
    const int piece = threadIdx.x % 8, row = threadIdx.x / 8, at = next.k + 4 * piece, end = p.dims[m];
    float* to = stage + row * T::kRowWords + gemm_piece<T>(row, piece);
    const float* from = p.h[m] + (row0 + row) * p.ldh[m] + at;
    const uint32_t rows = there >> (m * kAEach);
    const int64_t step = kARows * p.ldh[m];
    const bool vectors = p.vectors >> m & 1;
#pragma unroll
    for (int i = 0; i < kAEach; ++i, from += step, to += kARows * T::kRowWords) {
      if (vectors) {
        cp_async16(to, from, (rows >> i & 1u) && at < end);
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j) cp_async4(to + j, from + j, (rows >> i & 1u) && at + j < end);
      }
    }
    const int w_piece = threadIdx.x % kWPieces, column = threadIdx.x / kWPieces;
    const int w_at = next.k + (T::kHalf ? 8 : 4) * w_piece;
    to = stage + T::kAWords + column * T::kColumnWords +
         (T::kHalf ? 4 * w_piece : gemm_piece<T>(column, w_piece));
#pragma unroll
    for (int i = 0; i < T::kColumns / kWRows; ++i) {
      const int eight = (column + i * kWRows) / 8;
      const int rank = next.group * RANKS + eight % RANKS;
      const int output = output0 + eight / RANKS * 8 + column % 8;
      const float* const w =
          reinterpret_cast<const float*>(p.factors[m]) + (int64_t{rank} * p.out + output) * p.factor_words[m];
      cp_async16(to + i * kWRows * T::kColumnWords, w + (T::kHalf ? w_at / 2 : w_at),
                 rank < p.rank && output < p.out && w_at < p.factor_ends[m]);
    }
    next.advance(p, T::kDepth);
  }
};

// An output before bias and f, on the plain cores.
__device__ __forceinline__ float low_rank_plain(const LowRankArgs& p, int64_t row, int output) {
  float sum = 0.f;
  for (int rank = 0; rank < p.rank; ++rank) {
    float product = p.rank_weights[rank];
    for (int m = 0; m < p.modes; ++m) {
      const int64_t at = int64_t{rank} * p.out + output;
      const float* const w = reinterpret_cast<const float*>(p.factors[m]) + at * p.factor_words[m];
      const float* const h = p.h[m] + row * p.ldh[m];
      float dot = p.ones[m][at];
      const int n = !p.present || p.present[row * p.modes + m] ? p.dims[m] : 0;
      for (int k = 0; k < n; ++k) dot += h[k] * w[k];
      product *= dot;
    }
    sum += product;
  }
  return sum;
}

// y[b][o] = f(bias[o] + sum_r w[r] prod_m (ones_m[r][o] + sum_k h_m[b][k] F_m[r][o][k])).
// Grid: (rows / 64, out / (64 / RANKS)).
template <class T, int RANKS>
__global__ void __launch_bounds__(T::kThreads, 2) low_rank_tile_kernel(LowRankArgs p) {
  CINEFUSE_DYNAMIC_SHARED(float, shared);
  constexpr int kOutputs = T::kColumns / RANKS, kOutputTiles = T::kColumnTiles / RANKS;
  constexpr int kStride = kOutputs + 8;
  const int64_t row0 = int64_t{blockIdx.x} * T::kRows;
  const int output0 = static_cast<int>(blockIdx.y) * kOutputs;
  const int rows = static_cast<int>(min(int64_t{T::kRows}, p.rows - row0));
  const int outputs = min(kOutputs, p.out - output0);
  LowRankCopies<T, RANKS> copies(p, row0);
  int steps = 0;
  for (int m = 0; m < p.modes; ++m) steps += (p.dims[m] + T::kDepth - 1) / T::kDepth;
  steps *= (p.rank + RANKS - 1) / RANKS;
#pragma unroll 1
  for (int s = 0; s < T::kStages - 1; ++s) {
    if (s < steps) copies.fetch(p, row0, output0, shared + s * T::kStageWords);
    cp_async_commit();
  }

  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
  constexpr int kWarpsAcross = T::kColumns / T::kWarpColumns;
  const int warp_row = warp / kWarpsAcross * T::kWarpRows;
  const int warp_column = warp % kWarpsAcross * T::kWarpColumns, warp_output = warp_column / RANKS;
  const bool works = warp_row < rows && warp_output < outputs;
  float projection[T::kRowTiles][T::kColumnTiles][4] = {}, product[T::kRowTiles][T::kColumnTiles][4] = {};
  float total[T::kRowTiles][kOutputTiles][4] = {};
  LowRankPlace place;
  int stage = 0, free_stage = T::kStages - 1;
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<T::kStages - 2>();
    __syncthreads();
    if (step + T::kStages - 1 < steps) {
      copies.fetch(p, row0, output0, shared + free_stage * T::kStageWords);
    }
    cp_async_commit();
    const LowRankPlace here = place;
    place.advance(p, T::kDepth);
    if (works) {
      const float* const from = shared + stage * T::kStageWords;
      gemm_multiply<T>(from + (warp_row + g) * T::kRowWords,
                       from + T::kAWords + (warp_column + g) * T::kColumnWords, g, t, projection);
      if (place.k == 0) {  // the modality's last chunk
#pragma unroll
        for (int j = 0; j < T::kColumnTiles; ++j) {
          const int rank = here.group * RANKS + j % RANKS;
          const int output = output0 + warp_output + j / RANKS * 8 + 2 * t;
          const float* const ones = p.ones[here.mode] + int64_t{rank} * p.out + output;
          const float one[2] = {rank < p.rank && output < p.out ? ones[0] : 0.f,
                                rank < p.rank && output + 1 < p.out ? ones[1] : 0.f};
          const float weight = rank < p.rank ? p.rank_weights[rank] : 0.f;
#pragma unroll
          for (int i = 0; i < T::kRowTiles; ++i) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
              float v = projection[i][j][e] + one[e & 1];
              // What is doubtful becomes NaN, which stays to the end, where it is looked into.
              if (T::kMath == GemmMath::k3xTf32 && !(fabsf(v) < kGemmDoubtful)) v = NAN;
              v = here.mode == 0 ? v : product[i][j][e] * v;
              product[i][j][e] = v;
              projection[i][j][e] = 0.f;
              if (here.mode + 1 == p.modes) total[i][j / RANKS][e] += weight * v;
            }
          }
        }
      }
    }
    stage = stage + 1 == T::kStages ? 0 : stage + 1;
    free_stage = free_stage + 1 == T::kStages ? 0 : free_stage + 1;
  }

  cp_async_wait<0>();
  __syncthreads();
  if (works) {
#pragma unroll
    for (int i = 0; i < T::kRowTiles; ++i) {
      float* const to = shared + (warp_row + i * 16 + g) * kStride + warp_output + 2 * t;
#pragma unroll
      for (int j = 0; j < kOutputTiles; ++j) {
        store2(to + j * 8, make_float2(total[i][j][0], total[i][j][1]));
        store2(to + 8 * kStride + j * 8, make_float2(total[i][j][2], total[i][j][3]));
      }
    }
  }
  __syncthreads();
  const int column = static_cast<int>(threadIdx.x) % kOutputs;
  if (column >= outputs) return;
  const float bias = p.bias[output0 + column];
  for (int row = static_cast<int>(threadIdx.x) / kOutputs; row < rows; row += T::kThreads / kOutputs) {
    float v = shared[row * kStride + column];
    if (T::kMath == GemmMath::k3xTf32 && v != v) v = low_rank_plain(p, row0 + row, output0 + column);
    p.y[(row0 + row) * p.out + output0 + column] = activate(p.activation, p.slope, v + bias);
  }
}

}  // namespace cinefuse::gpu
