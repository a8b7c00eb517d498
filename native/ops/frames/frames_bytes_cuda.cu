// Rounding::kUint8: both passes as products of byte matrices, so that Pillow's sums come out exactly. A
// weight of 22 fractional bits is three signed bytes, w = w0 + 2^8 w1 + 2^16 w2, and so is a sum of products
// three sums.
#include "frames_cuda.cuh"
#include "frames_pixels.cuh"

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

// One block: 64 columns by launch.tile_h rows (a multiple of 16) of one picture's output.
//   passed[c][x][y] = clamp((2^21 + Σ_s H[x][s] rgb[y][s][c]) >> 22)   for 16 rows at a time, which are kept
//   for out[y][x][c] = clamp((2^21 + Σ_s V[y][s] passed[c][x][s]) >> 22)   as products of 16 x 32 by 32 x 8
//   bytes
// `columns` of a row are converted at a time, and 32 more, to [c][row][pitch].
template <int kKind>
__global__ void __launch_bounds__(kByteThreads, 2)
    frames_bytes_kernel(FramesTables tables, FramesTarget target, FramesLaunch launch, int32_t pitch) {
  CINEFUSE_DYNAMIC_SHARED(uint8_t, converted);
  uint8_t* const passed = converted + 3 * kRowsAStep * pitch;
  const int32_t columns = launch.columns;
  const FramesPicture& picture = tables.pictures[launch.first + blockIdx.x / launch.tiles];
  const FramesGeometry& geometry = tables.geometries[picture.geometry];
  const int32_t tile = static_cast<int32_t>(blockIdx.x % launch.tiles);
  const int32_t tile_x = tile % launch.tiles_x * kFramesByteTile,
                tile_y = tile / launch.tiles_x * launch.tile_h;
  const PixelSource<kKind> source(tables.base, picture);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;

  const FramesBand* const x_bands = tables.bands + geometry.x_bands + tile_x / 16;
  const int x_band_count = min(4, (target.w - tile_x + 15) / 16);
  int32_t left = 0x7fffffff, right = 0;
  for (int i = 0; i < x_band_count; ++i) {
    if (x_bands[i].steps == 0) continue;
    left = min(left, x_bands[i].start);
    right = max(right, x_bands[i].end);
  }
  if (right == 0) left = 0;  // nothing but padding
  // A warp passes eight rows to sixteen columns, and makes sixteen rows of eight columns of them.
  const int x_mine = warp & 3, row_mine = (warp >> 2) * 8;
  FramesBand x_band = {0, 0, 0, 0, 0};
  if (x_mine < x_band_count) x_band = x_bands[x_mine];

  const FramesBand* const y_bands = tables.bands + geometry.y_bands + tile_y / 16;
  const int y_band_count = (min(launch.tile_h, target.h - tile_y) + 15) / 16;
  int32_t row = 0,
          bottom = 0;  // rows before `row` are done, as far as they are needed; none from `bottom` on is
  for (int i = 0; i < y_band_count; ++i) bottom = max(bottom, y_bands[i].end);

  // Loads of the first pixels of the next rows are under way during the horizontal pass, where registers
  // allow.
  constexpr bool kAhead = kKind != kPixelsRgba && kKind != kPixelsBilinear;
  RawPixels<kKind> ahead;
  int32_t row_ahead = -1;  // whose rows `ahead` holds, for the first pixels of this thread
  const int32_t blocks_across = max(1, (min(columns + 32, right - left) + 7) / 8);
  const auto place = [&](int32_t item, int32_t& y, int32_t& x) {
    y = item / blocks_across * 2;
    x = (item - y / 2 * blocks_across) * 8;
  };
  int32_t first_y, first_x;
  place(static_cast<int32_t>(threadIdx.x), first_y, first_x);

  for (int j = 0; j < y_band_count; ++j) {
    const FramesBand y_band = y_bands[j];
    ByteSums sums;
    sums.clear();
    if (y_band.start >= row) row = y_band.start & ~(kRowsAStep - 1);
#pragma unroll 1
    for (int k = 0; k < y_band.steps; ++k) {
      const int32_t needed = min(y_band.start + 32 * (k + 1), y_band.end);
#pragma unroll 1
      for (; row < needed; row += kRowsAStep) {
        ByteSums across;
        across.clear();
        for (int32_t from = left; from < right; from += columns) {
          if (from != left) __syncthreads();  // the columns before them are no longer needed
          const int32_t across_now = min(blocks_across, (right - from + 7) / 8);
#pragma unroll 1
          for (int32_t item = static_cast<int32_t>(threadIdx.x); item < blocks_across * (kRowsAStep / 2);
               item += kByteThreads) {
            int32_t y, x;
            place(item, y, x);
            if (x >= 8 * across_now) continue;
            RawPixels<kKind> raw;
            if (kAhead && item == static_cast<int32_t>(threadIdx.x) && from == left && row_ahead == row) {
              raw = ahead;
            } else {
              load_pixels(source, row + y, from + x, raw);
            }
            to_bytes(source, picture.fixed, from + x, raw,
                     ByteRows{converted + y * pitch + x, kRowsAStep * pitch, pitch});
          }
          __syncthreads();
          if (kAhead && from + columns >= right && row + kRowsAStep < bottom && first_y < kRowsAStep) {
            row_ahead = row + kRowsAStep;
            load_pixels(source, row_ahead + first_y, left + first_x, ahead);
          }
          const int first_step = max(0, (from - x_band.start + 31) / 32);
          const int end_step = min(x_band.steps, (from + columns - x_band.start + 31) / 32);
          ByteProduct product;
#pragma unroll 1
          for (int step = first_step; step < end_step; ++step) {
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
      ByteProduct product;
      product.step(step_weights(tables, y_band, k, lane),
                   passed + (8 * warp + g) * kRememberedPitch +
                       ((y_band.start + 32 * k + 8 * t) & (kFramesByteRows - 1)),
                   kFramesByteTile * kRememberedPitch);
      product.add_to(sums);
    }
    const int32_t x = tile_x + 8 * warp + 2 * t;
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
      const int32_t y = tile_y + 16 * j + g + 4 * i;
      if (x >= target.w || y >= target.h) continue;
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
      launch_bytes<kPixelsRgb24>, launch_bytes<kPixelsRgba>, launch_bytes<kPixelsGray>,
      launch_bytes<kPixelsNearest>, launch_bytes<kPixelsBilinear>};
  kLaunches[launch.kind](stream, tables, target, launch);
}

}  // namespace cinefuse::gpu
