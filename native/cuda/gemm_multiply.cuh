// Tiles of a matrix product on the matrix units, for every kernel that has one.
//
// A block computes kRows x kColumns of a product, a warp kWarpRows x kWarpColumns of them. Chunks of 32 k's
// of A (as float32) and W (float32 or bfloat16) stream through kStages stages of shared memory. Which k meets
// which column of a fragment is free as long as A and W agree: each lane takes k's that lie together, 16
// bytes at a time, so plain rows serve as packed weights. A row's eight 16-byte pieces stand in an order that
// depends on the row's lowest bit, which keeps the eight lanes of a quarter warp, two rows by four pieces, on
// different banks.
#pragma once
#include "portable.h"

namespace cinefuse::gpu {

enum class GemmMath { k3xTf32, kTf32, kBf16 };

template <GemmMath MATH, int ROWS, int COLUMNS, int WARP_ROWS, int WARP_COLUMNS, int STAGES>
struct GemmTile {
  static constexpr GemmMath kMath = MATH;
  static constexpr int kRows = ROWS, kColumns = COLUMNS;
  static constexpr int kWarpRows = WARP_ROWS, kWarpColumns = WARP_COLUMNS, kStages = STAGES;
  static constexpr int kThreads = 32 * (ROWS / WARP_ROWS) * (COLUMNS / WARP_COLUMNS);
  static constexpr int kDepth = 32;
  static constexpr int kRowTiles = WARP_ROWS / 16, kColumnTiles = WARP_COLUMNS / 8;
  static constexpr bool kHalf = MATH == GemmMath::kBf16;
  // In 4-byte words.
  static constexpr int kRowWords = kDepth, kColumnWords = kHalf ? kDepth / 2 : kDepth;
  static constexpr int kAWords = ROWS * kRowWords, kStageWords = kAWords + COLUMNS * kColumnWords;
  static constexpr int kResultStride = COLUMNS + 8;
  static constexpr int kSharedBytes =
      4 * (STAGES * kStageWords > ROWS * kResultStride ? STAGES * kStageWords : ROWS * kResultStride);
  static constexpr int kBlocksAnSm = kSharedBytes > 80 * 1024 ? 1 : 2;
};

// Where piece `piece` of a row of 32 floats stands.
template <class T>
__device__ __forceinline__ int gemm_piece(int row, int piece) {
  return 4 * (T::kHalf ? piece ^ (row & 1) : piece ^ ((row & 1) << 2));
}

// x as the sum of two numbers that TF32 holds, to some 22 bits. Infinity and what rounds to it give NaN.
__device__ __forceinline__ void split_tf32(float x, uint32_t& high, uint32_t& low) {
  high = to_tf32(x);
  low = float_to_bits(x - bits_to_float(high)) & 0xffffe000u;
}

// Sums this large, and what is none, are formed again: an operand may have rounded to infinity, a matrix unit
// have stopped at the largest number.
constexpr float kGemmDoubtful = 1e38f;

template <class T>
__device__ __forceinline__ void gemm_multiply_3xtf32(const float* a, const float* w, int g, int t,
                                                     float (&sum)[T::kRowTiles][T::kColumnTiles][4]) {
  // Matrix units cut off what exceeds a float of the sum, always towards zero: sums of 32 k's are short
  // enough for that not to add up, and join the whole by additions that round.
  float part[T::kRowTiles][T::kColumnTiles][4] = {};
#pragma unroll
  for (int step = 0; step < 2; ++step) {
    const int at = gemm_piece<T>(g, 4 * step + t);
    uint32_t w_high[2][T::kColumnTiles][2], w_low[2][T::kColumnTiles][2];
#pragma unroll
    for (int j = 0; j < T::kColumnTiles; ++j) {
      const float4 v = load4(w + j * 8 * T::kColumnWords + at);
      split_tf32(v.x, w_high[0][j][0], w_low[0][j][0]);
      split_tf32(v.y, w_high[0][j][1], w_low[0][j][1]);
      split_tf32(v.z, w_high[1][j][0], w_low[1][j][0]);
      split_tf32(v.w, w_high[1][j][1], w_low[1][j][1]);
    }
#pragma unroll
    for (int i = 0; i < T::kRowTiles; ++i) {
      const float4 upper = load4(a + i * 16 * T::kRowWords + at);
      const float4 lower = load4(a + (i * 16 + 8) * T::kRowWords + at);
      uint32_t high[2][4], low[2][4];
      split_tf32(upper.x, high[0][0], low[0][0]);
      split_tf32(lower.x, high[0][1], low[0][1]);
      split_tf32(upper.y, high[0][2], low[0][2]);
      split_tf32(lower.y, high[0][3], low[0][3]);
      split_tf32(upper.z, high[1][0], low[1][0]);
      split_tf32(lower.z, high[1][1], low[1][1]);
      split_tf32(upper.w, high[1][2], low[1][2]);
      split_tf32(lower.w, high[1][3], low[1][3]);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
#pragma unroll
        for (int j = 0; j < T::kColumnTiles; ++j) mma_m16n8k8_tf32(part[i][j], low[h], w_high[h][j]);
#pragma unroll
        for (int j = 0; j < T::kColumnTiles; ++j) mma_m16n8k8_tf32(part[i][j], high[h], w_low[h][j]);
#pragma unroll
        for (int j = 0; j < T::kColumnTiles; ++j) mma_m16n8k8_tf32(part[i][j], high[h], w_high[h][j]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < T::kRowTiles; ++i) {
#pragma unroll
    for (int j = 0; j < T::kColumnTiles; ++j) {
#pragma unroll
      for (int q = 0; q < 4; ++q) sum[i][j][q] += part[i][j][q];
    }
  }
}

template <class T>
__device__ __forceinline__ void gemm_multiply_tf32(const float* a, const float* w, int g, int t,
                                                   float (&sum)[T::kRowTiles][T::kColumnTiles][4]) {
#pragma unroll
  for (int step = 0; step < 2; ++step) {
    const int at = gemm_piece<T>(g, 4 * step + t);
    uint32_t wf[2][T::kColumnTiles][2];
#pragma unroll
    for (int j = 0; j < T::kColumnTiles; ++j) {
      const float4 v = load4(w + j * 8 * T::kColumnWords + at);
      wf[0][j][0] = to_tf32(v.x);
      wf[0][j][1] = to_tf32(v.y);
      wf[1][j][0] = to_tf32(v.z);
      wf[1][j][1] = to_tf32(v.w);
    }
#pragma unroll
    for (int i = 0; i < T::kRowTiles; ++i) {
      const float4 upper = load4(a + i * 16 * T::kRowWords + at);
      const float4 lower = load4(a + (i * 16 + 8) * T::kRowWords + at);
      const uint32_t first[4] = {to_tf32(upper.x), to_tf32(lower.x), to_tf32(upper.y), to_tf32(lower.y)};
      const uint32_t second[4] = {to_tf32(upper.z), to_tf32(lower.z), to_tf32(upper.w), to_tf32(lower.w)};
#pragma unroll
      for (int j = 0; j < T::kColumnTiles; ++j) mma_m16n8k8_tf32(sum[i][j], first, wf[0][j]);
#pragma unroll
      for (int j = 0; j < T::kColumnTiles; ++j) mma_m16n8k8_tf32(sum[i][j], second, wf[1][j]);
    }
  }
}

template <class T>
__device__ __forceinline__ void gemm_multiply_bf16(const float* a, const float* w, int g, int t,
                                                   float (&sum)[T::kRowTiles][T::kColumnTiles][4]) {
  uint32_t wf[2][T::kColumnTiles][2];  // lane t has the k's 8 t to 8 t + 7, half of them a product
#pragma unroll
  for (int j = 0; j < T::kColumnTiles; ++j) {
    const float4 v = load4(w + j * 8 * T::kColumnWords + 4 * t);
    wf[0][j][0] = float_to_bits(v.x);
    wf[0][j][1] = float_to_bits(v.y);
    wf[1][j][0] = float_to_bits(v.z);
    wf[1][j][1] = float_to_bits(v.w);
  }
#pragma unroll
  for (int i = 0; i < T::kRowTiles; ++i) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int at = gemm_piece<T>(g, 2 * t + h);
      const float4 upper = load4(a + i * 16 * T::kRowWords + at);
      const float4 lower = load4(a + (i * 16 + 8) * T::kRowWords + at);
      const uint32_t af[4] = {to_bf16x2(upper.x, upper.y), to_bf16x2(lower.x, lower.y),
                              to_bf16x2(upper.z, upper.w), to_bf16x2(lower.z, lower.w)};
#pragma unroll
      for (int j = 0; j < T::kColumnTiles; ++j) mma_m16n8k16_bf16(sum[i][j], af, wf[h][j]);
    }
  }
}

// sum += the warp's part of one chunk; a and w are the lane's own rows of the stage: row g of the warp's
// first 16, column g of its first 8; g = lane / 4, t = lane % 4.
template <class T>
__device__ __forceinline__ void gemm_multiply(const float* a, const float* w, int g, int t,
                                              float (&sum)[T::kRowTiles][T::kColumnTiles][4]) {
  if constexpr (T::kMath == GemmMath::k3xTf32) {
    gemm_multiply_3xtf32<T>(a, w, g, t, sum);
  } else if constexpr (T::kMath == GemmMath::kTf32) {
    gemm_multiply_tf32<T>(a, w, g, t, sum);
  } else {
    gemm_multiply_bf16<T>(a, w, g, t, sum);
  }
}

}  // namespace cinefuse::gpu
