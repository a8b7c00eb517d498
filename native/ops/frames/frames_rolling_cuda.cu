// Rounding::kFloat where the picture shrinks so that every row of it counts for two rows of the output at
// most (bilinear, box): its rows are read and converted once.
#include "frames_float.cuh"

namespace cinefuse::gpu {

constexpr int kRollingColumns = 8 * kFramesRollingThreads;

// One row of eight pixels after the other: converted and counted for two outputs.
template <int kKind>
struct RollingSums {
  float now[3][8], next[3][8];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int c = 0; c < 3; ++c)
#pragma unroll
      for (int k = 0; k < 8; ++k) now[c][k] = next[c][k] = 0.f;
  }
  __device__ __forceinline__ void count(int c, int k, float level, float w_now, float w_next) {
    now[c][k] += w_now * level;
    next[c][k] += w_next * level;
  }
  __device__ __forceinline__ void put(float* to) const {
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      store4(to + c * kRollingColumns, make_float4(now[c][0], now[c][1], now[c][2], now[c][3]));
      store4(to + c * kRollingColumns + 4, make_float4(now[c][4], now[c][5], now[c][6], now[c][7]));
    }
  }
  __device__ __forceinline__ void roll() {
#pragma unroll
    for (int c = 0; c < 3; ++c) {
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        now[c][k] = next[c][k];
        next[c][k] = 0.f;
      }
    }
  }
};

__device__ __forceinline__ float byte_of(const uint32_t* w, int i) {
  return static_cast<float>(w[i / 4] >> 8 * (i % 4) & 255u);
}

// The first of two rows, and then the second one in its place.
__device__ __forceinline__ void count_row(const PixelSource<kPixelsRgb24>&, const float*, int32_t,
                                          RawPixels<kPixelsRgb24>& raw, RawEdges&, float w_now, float w_next,
                                          RollingSums<kPixelsRgb24>& sums) {
#pragma unroll
  for (int i = 0; i < 24; ++i) sums.count(i % 3, i / 3, byte_of(raw.w, i), w_now, w_next);
#pragma unroll
  for (int i = 0; i < 6; ++i) raw.w[i] = raw.w[6 + i];
}
__device__ __forceinline__ void count_row(const PixelSource<kPixelsRgba>& p, const float*, int32_t,
                                          RawPixels<kPixelsRgba>& raw, RawEdges&, float w_now, float w_next,
                                          RollingSums<kPixelsRgba>& sums) {
#pragma unroll
  for (int k = 0; k < 8; ++k) {
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const uint32_t level = over(raw.w[k] >> 8 * c & 255u, p.background >> 8 * c & 255u, raw.w[k] >> 24);
      sums.count(c, k, static_cast<float>(level), w_now, w_next);
    }
    raw.w[k] = raw.w[8 + k];
  }
}
__device__ __forceinline__ void count_row(const PixelSource<kPixelsGray>&, const float*, int32_t,
                                          RawPixels<kPixelsGray>& raw, RawEdges&, float w_now, float w_next,
                                          RollingSums<kPixelsGray>& sums) {
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const float level = byte_of(raw.w, k);
#pragma unroll
    for (int c = 0; c < 3; ++c) sums.count(c, k, level, w_now, w_next);
  }
  raw.w[0] = raw.w[2];
  raw.w[1] = raw.w[3];
}

// yuv: y, y_shift, rv, gu, gv, bu for levels in 0..1 and 16 times the chroma.
__device__ __forceinline__ void count_row(const PixelSource<kPixelsNearest>&, const float* yuv, int32_t,
                                          RawPixels<kPixelsNearest>& raw, RawEdges&, float w_now,
                                          float w_next, RollingSums<kPixelsNearest>& sums) {
  const float rv = 16.f * yuv[2], gu = 16.f * yuv[3], gv = 16.f * yuv[4], bu = 16.f * yuv[5];
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    const float u = byte_of(raw.w + 4, 2 * s) - 128.f, v = byte_of(raw.w + 4, 2 * s + 1) - 128.f;
    const float r = v * rv + yuv[1], g = u * gu + (v * gv + yuv[1]), b = u * bu + yuv[1];
#pragma unroll
    for (int k = 2 * s; k < 2 * s + 2; ++k) {
      const float luma = byte_of(raw.w, k);
      sums.count(0, k, __saturatef(luma * yuv[0] + r), w_now, w_next);
      sums.count(1, k, __saturatef(luma * yuv[0] + g), w_now, w_next);
      sums.count(2, k, __saturatef(luma * yuv[0] + b), w_now, w_next);
    }
  }
  raw.w[0] = raw.w[2];
  raw.w[1] = raw.w[3];
}
template <int kKind>
__device__ __forceinline__ void count_row(const PixelSource<kKind>& p, const float* yuv, int32_t x,
                                          RawPixels<kKind>& raw, RawEdges& edges, float w_now, float w_next,
                                          RollingSums<kKind>& sums) {
  uint32_t near[6], far[6];
  spread_chroma(raw.w + 6, edges.w[1], x >> 1, p.last_sample, near);
  spread_chroma(raw.w + 4, edges.w[0], x >> 1, p.last_sample, far);
  // What the samples add to R, G and B, the rows mixed: before, the four, after.
  float terms[3][6];
#pragma unroll
  for (int s = kKind == kPixelsLeft ? 1 : 0; s < 6; ++s) {
    const uint32_t mixed = 3u * near[s] + far[s];  // 4 times the chroma
    const float u = static_cast<float>(mixed & 0xffffu) - 512.f, v = static_cast<float>(mixed >> 16) - 512.f;
    terms[0][s] = v * (4.f * yuv[2]) + yuv[1];
    terms[1][s] = u * (4.f * yuv[3]) + (v * (4.f * yuv[4]) + yuv[1]);
    terms[2][s] = u * (4.f * yuv[5]) + yuv[1];
  }
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const int s = k / 2 + 1, other = k % 2 ? s + 1 : s - 1;
    const float luma = byte_of(raw.w, k) * yuv[0];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      // An even column lies on its sample or a quarter before it, an odd one between two or a quarter after.
      const float level = kKind == kPixelsCenter ? terms[c][s] * 0.75f + (terms[c][other] * 0.25f + luma)
                          : k % 2 == 0           ? terms[c][s] + luma
                                                 : (terms[c][s] + terms[c][other]) * 0.5f + luma;
      sums.count(c, k, __saturatef(level), w_now, w_next);
    }
  }
  raw.w[0] = raw.w[2];
  raw.w[1] = raw.w[3];
  raw.w[4] = raw.w[8];
  raw.w[5] = raw.w[9];
  edges.w[0] = edges.w[2];
}

// One block: as frames_float_kernel; a thread has eight columns of the picture and goes down its rows.
//   now[c][k] += w_now rgb[r][k][c], next[c][k] += w_next rgb[r][k][c],   (w_now, w_next) = V[y, y + 1][r]
template <int kKind>
__global__ void __launch_bounds__(kFramesRollingThreads, 3)
    frames_rolling_kernel(FramesTables tables, FramesTarget target, FramesLaunch launch) {
  CINEFUSE_DYNAMIC_SHARED(float, mixed);
  const FramesPicture& picture = tables.pictures[launch.first + blockIdx.x / launch.tiles];
  const FramesGeometry& geometry = tables.geometries[picture.geometry];
  CINEFUSE_SHARED(FloatTile, tiles, [1]);  // rather than in every thread's registers
  const FloatTile& tile = tiles[0];
  // The last of an odd number of rows is passed with one that is not there.
  clear_shared(reinterpret_cast<uint32_t*>(mixed), kFloatSums * kRollingColumns);
  if (!make_tile(tables, target, launch, picture, geometry, tiles[0])) return;
  const PixelSource<kKind> source(tables.base, picture);
  const int32_t column = 8 * static_cast<int32_t>(threadIdx.x), x = tile.left + column;
  const bool mine = x < tile.right;
  float yuv[6];
#pragma unroll
  for (int i = 0; i < 6; ++i) yuv[i] = picture.yuv[i] * (1.f / 255.f);

  const FramesRow* const rows = tables.rows + geometry.rows;
  const int32_t top = tables.integers[geometry.v_first + tile.y0 - tile.top] & ~1;
  int32_t output = rows[top].output, waiting = 0;
  RollingSums<kKind> sums;
  sums.clear();
  RawPixels<kKind> ahead;
  RawEdges edges_ahead;
  const auto load = [&](int32_t row) {
    load_pixels(source, row, x, ahead);
    if constexpr (PixelSource<kKind>::kBilinear) load_edges(source, row, x, edges_ahead);
  };
  if (mine) load(top);
  // Complete rows wait in shared memory until there are four.
  const auto complete = [&](int32_t i) {
    if (tile.top + i >= tile.y0) {
      if (mine) sums.put(mixed + 3 * waiting * kRollingColumns + column);
      if (++waiting == kFramesFloatRows || tile.top + i + 1 == tile.y1) {
        __syncthreads();
        pass_across<kRollingColumns, false>(tables, tile, target, launch, mixed, tile.left, nullptr,
                                            tile.top + i + 1 - waiting, waiting, PixelSource<kKind>::kUnit);
        __syncthreads();
        waiting = 0;
      }
    }
    sums.roll();
  };
#pragma unroll 1
  for (int32_t row = top; tile.top + output < tile.y1; row += 2) {
    RawPixels<kKind> raw = ahead;
    RawEdges edges = edges_ahead;
    if (mine && row + 2 <= source.last_row) load(row + 2);
#pragma unroll 1
    for (int32_t r = row; r < row + 2; ++r) {
      const FramesRow entry = rows[r];
      while (output < entry.output && tile.top + output < tile.y1) complete(output++);
      if (tile.top + output == tile.y1) break;
      if (mine) count_row(source, yuv, x, raw, edges, entry.now, entry.next, sums);
    }
  }
}

template <int kKind>
static void launch_rolling(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                           const FramesLaunch& launch) {
  constexpr size_t bytes = sizeof(float) * kFloatSums * kRollingColumns;
  CINEFUSE_LAUNCH(stream, (frames_rolling_kernel<kKind>), static_cast<unsigned>(launch.count * launch.tiles),
                  static_cast<unsigned>(launch.threads), bytes, tables, target, launch);
}

void frames_rolling(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                    const FramesLaunch& launch) {
  constexpr void (*kLaunches[kPixelKinds])(cudaStream_t, const FramesTables&, const FramesTarget&,
                                           const FramesLaunch&) = {
      launch_rolling<kPixelsRgb24>,   launch_rolling<kPixelsRgba>, launch_rolling<kPixelsGray>,
      launch_rolling<kPixelsNearest>, launch_rolling<kPixelsLeft>, launch_rolling<kPixelsCenter>};
  kLaunches[launch.kind](stream, tables, target, launch);
}

}  // namespace cinefuse::gpu
