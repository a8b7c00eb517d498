// Rounding::kUint8: both passes as products of byte matrices, so that Pillow's sums come out exactly. A
// weight of 22 fractional bits is three signed bytes, w = w0 + 2^8 w1 + 2^16 w2, and so is a sum of products
// three sums.
#include "frames_bytes.cuh"
#include "frames_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kByteThreads = 256;
constexpr int kRowsAStep = 16;  // of the picture, converted and passed horizontally together
// Bytes from column to column of the rows remembered: lanes (g, t) of a warp read from different banks.
constexpr int kRememberedPitch = kFramesByteRows + 32;

// What a lane has of a product: of each channel four sums, modulo 2^32.
struct ByteSums {
  uint32_t of[3][4];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int c = 0; c < 3; ++c)
#pragma unroll
      for (int i = 0; i < 4; ++i) of[c][i] = 0;
  }
  // In units of a level, neither clamped nor packed.
  __device__ __forceinline__ int32_t level(int c, int i) const {
    return static_cast<int32_t>(of[c][i] + (1u << 21)) >> 22;
  }
};

// Steps of a band while they last, then their sums added to those there are.
struct ByteProduct {
  int32_t d[3][3][4];  // of a channel, of a part of the weights

  __device__ __forceinline__ ByteProduct() {
#pragma unroll
    for (int c = 0; c < 3; ++c)
#pragma unroll
      for (int part = 0; part < 3; ++part)
#pragma unroll
        for (int i = 0; i < 4; ++i) d[c][part][i] = 0;
  }
  // One step: 8 bytes of each channel, `apart` bytes from channel to channel, times its weights.
  __device__ __forceinline__ void step(const uint32_t* weights, const uint8_t* bytes, int32_t apart) {
    uint32_t a[3][4];
#pragma unroll
    for (int part = 0; part < 3; ++part) {
      const uint4 w = load4(weights + part * 128);
      a[part][0] = w.x;
      a[part][1] = w.y;
      a[part][2] = w.z;
      a[part][3] = w.w;
    }
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const uint2 two = load2(words_at(bytes + c * apart));
      const uint32_t b[2] = {two.x, two.y};
#pragma unroll
      for (int part = 0; part < 3; ++part) mma_m16n8k32_s8u8(d[c][part], a[part], b);
    }
  }
  __device__ __forceinline__ void add_to(ByteSums& sums) const {
#pragma unroll
    for (int c = 0; c < 3; ++c)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sums.of[c][i] += static_cast<uint32_t>(d[c][0][i]) + (static_cast<uint32_t>(d[c][1][i]) << 8) +
                         (static_cast<uint32_t>(d[c][2][i]) << 16);
      }
  }
};

__device__ __forceinline__ const uint32_t* step_weights(const FramesTables& t, const FramesBand& band,
                                                        int step, int lane) {
  return t.words + band.at + (int64_t{step} * 3 * 32 + lane) * 4;
}

// Two neighbours of one row, x even; the second may lie beyond the row.
__device__ __forceinline__ void put_levels(const FramesTables& tables, const FramesTarget& t, int64_t picture,
                                           int32_t y, int32_t x, const int32_t (&left)[3],
                                           const int32_t (&right)[3]) {
  const bool both = x + 1 < t.w;
  if (t.output == kOutputRgb24) {
    uint8_t* const out = static_cast<uint8_t*>(t.out) + ((picture * t.h + y) * t.w + x) * 3;
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      out[c] = static_cast<uint8_t>(left[c]);
      if (both) out[3 + c] = static_cast<uint8_t>(right[c]);
    }
    return;
  }
  const bool even = (t.w & 1) == 0;
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    const int64_t at = ((picture * 3 + c) * t.h + y) * t.w + x;
    const float a = __ldg(tables.levels + c * 256 + left[c]), b = __ldg(tables.levels + c * 256 + right[c]);
    if (t.output == kOutputFloat32) {
      float* const out = static_cast<float*>(t.out) + at;
      if (even) {
        store2(out, make_float2(a, b));
      } else {
        out[0] = a;
        if (both) out[1] = b;
      }
    } else {
      uint16_t* const out = static_cast<uint16_t*>(t.out) + at;
      if (even) {
        *reinterpret_cast<uint32_t*>(out) = to_half(a) | uint32_t{to_half(b)} << 16;
      } else {
        out[0] = to_half(a);
        if (both) out[1] = to_half(b);
      }
    }
  }
}

// What the threads of a block share about it.
struct ByteTile {
  int32_t x, y;                 // of its first output
  int32_t x_bands, y_bands;     // how many
  int32_t left, right, bottom;  // columns of the picture that it needs, and the end of its rows
  int32_t across;               // eights of columns that are converted at a time
  int64_t first_y_band;
  FramesBand x_band[kFramesByteTile / 16];
  FixedYuv yuv;
};

__device__ __forceinline__ void make_byte_tile(const FramesTables& tables, const FramesTarget& target,
                                               const FramesLaunch& launch, const FramesPicture& picture,
                                               int unit, ByteTile& tile) {
  const FramesGeometry& geometry = tables.geometries[picture.geometry];
  const int32_t index = static_cast<int32_t>(blockIdx.x % launch.tiles);
  tile.x = index % launch.tiles_x * launch.tile_w;
  tile.y = index / launch.tiles_x * launch.tile_h;
  tile.x_bands = (min(launch.tile_w, target.w - tile.x) + 15) / 16;
  tile.y_bands = (min(launch.tile_h, target.h - tile.y) + 15) / 16;
  int32_t left = 0x7fffffff, right = 0, bottom = 0;
  for (int i = 0; i < kFramesByteTile / 16; ++i) {
    FramesBand band = {0, 0, 0, 0, 0};
    if (i < tile.x_bands) band = tables.bands[geometry.x_bands + tile.x / 16 + i];
    tile.x_band[i] = band;
    if (band.steps == 0) continue;
    left = min(left, band.start);
    right = max(right, band.end);
  }
  tile.first_y_band = geometry.y_bands + tile.y / 16;
  for (int i = 0; i < tile.y_bands; ++i) bottom = max(bottom, tables.bands[tile.first_y_band + i].end);
  tile.left = right == 0 ? 0 : left;  // 0, 0: nothing but padding
  tile.right = right;
  tile.bottom = bottom;
  tile.across = max(1, (min(launch.columns + 32, right - tile.left) + 7) / 8);
  tile.yuv.set(picture.fixed, unit);
}

// One block: tile_w columns (up to 64) by tile_h rows of one picture's output, multiples of 16.
//   passed[c][x][y] = clamp((2^21 + Σ_s H[x][s] rgb[y][s][c]) >> 22)   for 16 rows at a time, which are kept
//   for out[y][x][c] = clamp((2^21 + Σ_s V[y][s] passed[c][x][s]) >> 22)   as products of 16 x 32 by 32 x 8
//   bytes
// launch.columns of a row are converted at a time, and 32 more, to [c][row][pitch].
template <int kKind>
__global__ void __launch_bounds__(kByteThreads, 2)
    frames_bytes_kernel(FramesTables tables, FramesTarget target, FramesLaunch launch, int32_t pitch) {
  CINEFUSE_SHARED(ByteTile, tiles, [1]);
  CINEFUSE_DYNAMIC_SHARED(uint8_t, converted);
  uint8_t* const passed = converted + 3 * kRowsAStep * pitch;
  const ByteTile& tile = tiles[0];
  const FramesPicture& picture = tables.pictures[launch.first + blockIdx.x / launch.tiles];
  if (threadIdx.x == 0) make_byte_tile(tables, target, launch, picture, kChromaUnit<kKind>, tiles[0]);
  const PixelSource<kKind> source(tables.base, picture);
  // Products read whole steps: what lies beyond a picture has the weight 0, and is 0.
  clear_shared(reinterpret_cast<uint32_t*>(converted),
               3 * (kRowsAStep * pitch + kFramesByteTile * kRememberedPitch) / 4);
  __syncthreads();
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
  // A warp passes eight rows to sixteen columns, and makes sixteen rows of eight columns of them.
  const int x_mine = warp & 3, row_mine = (warp >> 2) * 8;
  // Two rows and eight columns at a time, of which these are the thread's first.
  const int32_t first_y = static_cast<int32_t>(threadIdx.x) / tile.across * 2,
                first_x = (static_cast<int32_t>(threadIdx.x) - first_y / 2 * tile.across) * 8;
  const int32_t next_y = kByteThreads / tile.across * 2, next_x = kByteThreads % tile.across * 8;

  // Loads of the thread's first pixels of the next rows are under way during the products, where registers
  // allow.
  constexpr bool kAhead = kKind != kPixelsRgba;
  RawPixels<kKind> ahead;
  int32_t row_ahead = -1;  // whose rows `ahead` holds
  int32_t row = 0;         // those before are done, as far as they are needed
  for (int32_t j = 0; j < tile.y_bands; ++j) {
    const FramesBand y_band = tables.bands[tile.first_y_band + j];
    ByteSums sums;
    sums.clear();
    if (y_band.start >= row) row = y_band.start & ~(kRowsAStep - 1);
#pragma unroll 1
    for (int32_t k = 0; k < y_band.steps; ++k) {
      const int32_t needed = min(y_band.start + 32 * (k + 1), y_band.end);
#pragma unroll 1
      for (; row < needed; row += kRowsAStep) {
        ByteSums across;
        across.clear();
#pragma unroll 1
        for (int32_t from = tile.left; from < tile.right; from += launch.columns) {
          if (from != tile.left) __syncthreads();  // the columns before them are no longer needed
          const int32_t columns = tile.right - from;
#pragma unroll 1
          for (int32_t y = first_y, x = first_x; y < kRowsAStep;) {
            if (x < columns) {
              RawPixels<kKind> raw = ahead;
              if (!kAhead || row_ahead != row || y != first_y || x != first_x || from != tile.left)
                load_pixels(source, row + y, from + x, raw);
              to_bytes(source, tile.yuv, row + y, from + x, raw,
                       ByteRows{converted + y * pitch + x, kRowsAStep * pitch, pitch});
            }
            y += next_y;
            x += next_x;
            if (x >= 8 * tile.across) {
              x -= 8 * tile.across;
              y += 2;
            }
          }
          __syncthreads();
          if (kAhead && from + launch.columns >= tile.right && row + kRowsAStep < tile.bottom &&
              first_y < kRowsAStep) {
            row_ahead = row + kRowsAStep;
            load_pixels(source, row_ahead + first_y, tile.left + first_x, ahead);
          }
          const FramesBand x_band = tile.x_band[x_mine];
          const int32_t first_step = max(0, (from - x_band.start + 31) / 32);
          const int32_t end_step = min(x_band.steps, (from + launch.columns - x_band.start + 31) / 32);
          ByteProduct product;
#pragma unroll 1
          for (int32_t step = first_step; step < end_step; ++step) {
            product.step(step_weights(tables, x_band, step, lane),
                         converted + (row_mine + g) * pitch + (x_band.start + 32 * step - from) + 8 * t,
                         kRowsAStep * pitch);
          }
          product.add_to(across);
        }
#pragma unroll
        for (int c = 0; c < 3; ++c) {
          const uint32_t levels =
              pack_levels(across.level(c, 0), across.level(c, 1), across.level(c, 2), across.level(c, 3));
          uint8_t* const to = passed + (c * kFramesByteTile + 16 * x_mine + g) * kRememberedPitch +
                              ((row + row_mine + 2 * t) & (kFramesByteRows - 1));
          *reinterpret_cast<uint16_t*>(to) = static_cast<uint16_t>(levels);
          *reinterpret_cast<uint16_t*>(to + 8 * kRememberedPitch) = static_cast<uint16_t>(levels >> 16);
        }
        __syncthreads();
      }
      if (8 * warp >= launch.tile_w) continue;
      ByteProduct product;
      product.step(step_weights(tables, y_band, k, lane),
                   passed + (8 * warp + g) * kRememberedPitch +
                       ((y_band.start + 32 * k + 8 * t) & (kFramesByteRows - 1)),
                   kFramesByteTile * kRememberedPitch);
      product.add_to(sums);
    }
    const int32_t x = tile.x + 8 * warp + 2 * t;
    if (x >= min(tile.x + launch.tile_w, target.w)) continue;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
      const int32_t y = tile.y + 16 * j + g + 4 * i;
      if (y >= target.h) continue;
      int32_t two[2][3];
#pragma unroll
      for (int c = 0; c < 3; ++c) {
        two[0][c] = min(max(sums.level(c, i), 0), 255);
        two[1][c] = min(max(sums.level(c, i + 1), 0), 255);
      }
      put_levels(tables, target, picture.index, y, x, two[0], two[1]);
    }
  }
}

template <int kKind>
static void launch_bytes(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                         const FramesLaunch& launch) {
  // An odd multiple of 32 bytes: what a half warp reads, 32 bytes of each of four rows, is in different
  // banks.
  const int32_t pitch = ((launch.columns + 32 + 31) / 32 | 1) * 32;
  const size_t bytes = static_cast<size_t>(3 * kRowsAStep * pitch + 3 * kFramesByteTile * kRememberedPitch);
  CINEFUSE_LAUNCH(stream, (frames_bytes_kernel<kKind>), static_cast<unsigned>(launch.count * launch.tiles),
                  kByteThreads, bytes, tables, target, launch, pitch);
}

void frames_bytes(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                  const FramesLaunch& launch) {
  constexpr void (*kLaunches[kPixelKinds])(cudaStream_t, const FramesTables&, const FramesTarget&,
                                           const FramesLaunch&) = {
      launch_bytes<kPixelsRgb24>,   launch_bytes<kPixelsRgba>, launch_bytes<kPixelsGray>,
      launch_bytes<kPixelsNearest>, launch_bytes<kPixelsLeft>, launch_bytes<kPixelsCenter>};
  kLaunches[launch.kind](stream, tables, target, launch);
}

}  // namespace cinefuse::gpu
