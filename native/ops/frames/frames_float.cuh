// What the float kernels share: their tile of the output, its padding, and the horizontal pass.
#pragma once
#include "frames_cuda.cuh"
#include "frames_pixels.cuh"

namespace cinefuse::gpu {

constexpr int kFloatSums = 3 * kFramesFloatRows;

// R, G and B of eight columns of row y from a column that 8 divides: YUV as 0..1, others as 0..255. yuv: y,
// y_shift, rv, gu, gv, bu for levels.
template <int kKind>
__device__ __forceinline__ void load_row(const PixelSource<kKind>& p, const float* yuv, int32_t y, int32_t x,
                                         float (&rgb)[3][8]) {
  const uint8_t* const row = p.row(y);
  if (kKind == kPixelsRgb24) {
    uint32_t w[6];
    load_words(row + 3 * x, 6, w);
#pragma unroll
    for (int i = 0; i < 24; ++i) rgb[i % 3][i / 3] = static_cast<float>(w[i / 4] >> i % 4 * 8 & 255u);
  } else if (kKind == kPixelsRgba) {
    uint32_t w[8];
    load_words(row + 4 * x, 8, w);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const uint32_t alpha = w[i] >> 24;
#pragma unroll
      for (int c = 0; c < 3; ++c)
        rgb[c][i] = static_cast<float>(over(w[i] >> 8 * c & 255u, p.background >> 8 * c & 255u, alpha));
    }
  } else if (kKind == kPixelsGray) {
    uint32_t w[2];
    load_words(row + x, 2, w);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      rgb[0][i] = rgb[1][i] = rgb[2][i] = static_cast<float>(w[i / 4] >> i % 4 * 8 & 255u);
  } else {
    constexpr float kLevel = 1.f / 255.f;
    uint32_t luma[2], uv[8];
    load_words(row + x, 2, luma);
    const int32_t s = x >> 1, near = min(y, p.last_row) >> 1;
    if (kKind == kPixelsNearest) {
      uint32_t w[2];
      load_chroma(p, near, s, w);
#pragma unroll
      for (int i = 0; i < 4; ++i)
        uv[2 * i] = uv[2 * i + 1] = __byte_perm(w[i / 2], 0u, i % 2 ? 0x4342 : 0x4140);
    } else {
      const int32_t far = y & 1 ? near + 1 : near - 1;
      uint32_t w[2], near_uv[6], far_uv[6];
      load_chroma(p, near, s, w);
      spread_chroma(w, load_edge(p, near, s), s, p.last_sample, near_uv);
      load_chroma(p, far, s, w);
      spread_chroma(w, load_edge(p, far, s), s, p.last_sample, far_uv);
      mix_chroma<kKind>(near_uv, far_uv, uv);
    }
    constexpr int kUnit = kChromaUnit<kKind>;
    constexpr float kScale = 16.f / (255.f * kUnit);
    const float scale = yuv[0] * kLevel, shift = yuv[1] * kLevel, rv = yuv[2] * kScale, gu = yuv[3] * kScale,
                gv = yuv[4] * kScale, bu = yuv[5] * kScale;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float l = static_cast<float>(luma[i / 4] >> i % 4 * 8 & 255u) * scale + shift;
      const float u = static_cast<float>(static_cast<int32_t>(uv[i] & 0xffffu) - 128 * kUnit);
      const float v = static_cast<float>(static_cast<int32_t>(uv[i] >> 16) - 128 * kUnit);
      rgb[0][i] = __saturatef(l + v * rv);
      rgb[1][i] = __saturatef(l + u * gu + v * gv);
      rgb[2][i] = __saturatef(l + u * bu);
    }
  }
}

__device__ __forceinline__ void put_float(const FramesTarget& t, int64_t at, float value) {
  if (t.output == kOutputFloat16) {
    static_cast<uint16_t*>(t.out)[at] = to_half(value);
  } else {
    static_cast<float*>(t.out)[at] = value;
  }
}

// Columns [x0, x1) and rows [y0, y1) of one picture's output: the part of the block's tile that is no
// padding.
struct FloatTile {
  int32_t x0, x1, y0, y1;
  int32_t top;  // the output's row 0 of the vertical pass
  int32_t geometry;
  int32_t left, right;  // columns of the picture that it needs; 8 divides `left`
  int64_t out;          // where the picture's first value goes
};

// Into shared memory, by all threads of the block; false when the tile is all padding.
__device__ __forceinline__ bool make_tile(const FramesTables& tables, const FramesTarget& target,
                                          const FramesLaunch& launch, const FramesPicture& picture,
                                          const FramesGeometry& g, FloatTile& shared) {
  FloatTile tile;
  const int32_t index = static_cast<int32_t>(blockIdx.x % launch.tiles);
  const int32_t tile_x = index % launch.tiles_x * launch.tile_w,
                tile_y = index / launch.tiles_x * launch.tile_h;
  const int32_t end_x = min(tile_x + launch.tile_w, target.w), end_y = min(tile_y + launch.tile_h, target.h);
  tile.x0 = max(tile_x, g.x0);
  tile.x1 = min(end_x, g.x1);
  tile.y0 = max(tile_y, g.y0);
  tile.y1 = min(end_y, g.y1);
  tile.top = g.y0;
  tile.geometry = picture.geometry;
  const int64_t plane = int64_t{target.h} * target.w;
  tile.out = 3 * picture.index * plane;
  const bool none = tile.x0 >= tile.x1 || tile.y0 >= tile.y1;
  if (none || tile.x0 > tile_x || tile.x1 < end_x || tile.y0 > tile_y || tile.y1 < end_y) {
    const int32_t width = end_x - tile_x;
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < width * (end_y - tile_y);
         i += static_cast<int32_t>(blockDim.x)) {
      const int32_t y = tile_y + i / width, x = tile_x + i % width;
      if (y >= tile.y0 && y < tile.y1 && x >= tile.x0 && x < tile.x1) continue;
      for (int c = 0; c < 3; ++c)
        put_float(target, tile.out + c * plane + int64_t{y} * target.w + x, tables.levels[c * 256]);
    }
  }
  if (none) return false;
  const int32_t first = tile.x0 - g.x0, last = tile.x1 - 1 - g.x0;
  tile.left = tables.integers[g.h_first + first] * 4 & ~7;
  tile.right = (tables.integers[g.h_first + last] + tables.integers[g.h_groups + last]) * 4;
  if (threadIdx.x == 0) shared = tile;
  __syncthreads();
  return true;
}

// out[c][y + j][x] = scale[c] * unit * Σ_s H[x][s] mixed[3 j + c][s] + shift[c], j < rows, for columns
// [from, from + kColumns) of the picture; `mixed` is (kFloatSums, kColumns). Where that is not all
// (kStretches), `sums` (kFloatSums, tile_w) carries what there is so far. launch.lanes threads share an
// output. All threads of the block.
template <int kColumns, bool kStretches>
__device__ __forceinline__ void pass_across(const FramesTables& tables, const FloatTile& tile,
                                            const FramesTarget& target, const FramesLaunch& launch,
                                            const float* mixed, int32_t from, float* sums, int32_t y,
                                            int32_t rows, float unit) {
  const FramesGeometry& g = tables.geometries[tile.geometry];
  const int32_t at = tile.x0 - g.x0, most_groups = g.most_groups;
  const int32_t *const firsts = tables.integers + g.h_first + at, *const groups =
                                                                      tables.integers + g.h_groups + at;
  const float* const weights = tables.weights + g.h_weights + int64_t{at} * most_groups * 4;
  const int64_t plane = int64_t{target.h} * target.w;
  const int32_t lanes = launch.lanes, n = tile.x1 - tile.x0;
  const int32_t slots = static_cast<int32_t>(blockDim.x) / lanes,
                slot = static_cast<int32_t>(threadIdx.x) / lanes,
                share = static_cast<int32_t>(threadIdx.x) % lanes;
  const bool last = !kStretches || from + kColumns >= tile.right;
  const int32_t items = n * ((rows + 1) / 2);
#pragma unroll 1
  for (int32_t base = 0; base < items; base += slots) {
    const int32_t item = min(base + slot, items - 1), pair = item / n, x = item - pair * n;
    const int32_t first = firsts[x], end = first + groups[x];
    const int32_t from_now = kStretches ? max(first, from / 4) : first,
                  end_now = kStretches ? min(end, (from + kColumns) / 4) : end;
    float sum[6] = {};  // two rows
#pragma unroll 1
    for (int32_t group = from_now + share; group < end_now; group += lanes) {
      const float4 w = load4(weights + (int64_t{x} * most_groups + (group - first)) * 4);
      const float* const samples = mixed + 6 * pair * kColumns + (4 * group - from);
#pragma unroll
      for (int k = 0; k < 6; ++k) {
        const float4 m = load4(samples + k * kColumns);
        sum[k] += w.x * m.x + w.y * m.y + w.z * m.z + w.w * m.w;
      }
    }
#pragma unroll 1
    for (int32_t o = lanes / 2; o > 0; o >>= 1) {
#pragma unroll
      for (int k = 0; k < 6; ++k) sum[k] += __shfl_xor_sync(kWholeWarp, sum[k], o);
    }
    if (share != 0 || base + slot >= items) continue;
    if (kStretches) {
#pragma unroll
      for (int k = 0; k < 6; ++k) {
        float& so_far = sums[(6 * pair + k) * launch.tile_w + x];
        if (from != tile.left) sum[k] += so_far;
        if (!last) so_far = sum[k];
      }
      if (!last) continue;
    }
    int64_t to = tile.out + int64_t{y + 2 * pair} * target.w + tile.x0 + x;
#pragma unroll
    for (int j = 0; j < 2; ++j, to += target.w) {
      if (2 * pair + j >= rows) break;
#pragma unroll
      for (int c = 0; c < 3; ++c)
        put_float(target, to + c * plane, sum[3 * j + c] * (target.scale[c] * unit) + target.shift[c]);
    }
  }
}

}  // namespace cinefuse::gpu
