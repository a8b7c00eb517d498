// Rounding::kFloat: vertical pass into shared memory, horizontal pass out of it, for any ratio.
#include "frames_float.cuh"

namespace cinefuse::gpu {

constexpr int kFloatThreads = 128;
constexpr int kColumns = kFramesFloatColumns;

// One block: tile_w columns by tile_h rows of one picture's output, four rows at a time.
//   mixed[y][c][s] = Σ_r V[y][r] rgb[r][s][c],   out[c][y][x] = scale[c] Σ_s H[x][s] mixed[y][c][s] +
//   shift[c]
template <int kKind>
__global__ void __launch_bounds__(kFloatThreads)
    frames_float_kernel(FramesTables tables, FramesTarget target, FramesLaunch launch) {
  CINEFUSE_DYNAMIC_SHARED(float, mixed);
  const FramesPicture& picture = tables.pictures[launch.first + blockIdx.x / launch.tiles];
  const FramesGeometry& geometry = tables.geometries[picture.geometry];
  CINEFUSE_SHARED(FloatTile, tiles, [1]);  // rather than in every thread's registers
  const FloatTile& tile = tiles[0];
  // The last of an odd number of rows is passed with one that is not there.
  clear_shared(reinterpret_cast<uint32_t*>(mixed), kFloatSums * kColumns);
  if (!make_tile(tables, target, launch, picture, geometry, tiles[0])) return;
  const PixelSource<kKind> source(tables.base, picture);
  for (int32_t y = tile.y0; y < tile.y1; y += kFramesFloatRows) {
    const int32_t rows = min(kFramesFloatRows, tile.y1 - y);
    for (int32_t from = tile.left; from < tile.right; from += kColumns) {
      const int32_t cells = (min(kColumns, tile.right - from) + 7) / 8;
      for (int32_t item = static_cast<int32_t>(threadIdx.x); item < rows * cells; item += kFloatThreads) {
        const int32_t j = item / cells, x = (item - j * cells) * 8;
        const int32_t i = y + j - geometry.y0;
        const int32_t first = tables.integers[geometry.v_first + i],
                      count = tables.integers[geometry.v_count + i];
        const float* const weights = tables.weights + geometry.v_weights + int64_t{i} * geometry.v_taps;
        float sum[3][8] = {};
        for (int32_t t = 0; t < count; ++t) {
          float rgb[3][8];
          load_row(source, picture.yuv, first + t, from + x, rgb);
          const float w = weights[t];
#pragma unroll
          for (int c = 0; c < 3; ++c)
#pragma unroll
            for (int k = 0; k < 8; ++k) sum[c][k] += w * rgb[c][k];
        }
#pragma unroll
        for (int c = 0; c < 3; ++c) {
          float* const to = mixed + (3 * j + c) * kColumns + x;
          store4(to, make_float4(sum[c][0], sum[c][1], sum[c][2], sum[c][3]));
          store4(to + 4, make_float4(sum[c][4], sum[c][5], sum[c][6], sum[c][7]));
        }
      }
      __syncthreads();
      pass_across<kColumns, true>(tables, tile, target, launch, mixed, from, mixed + kFloatSums * kColumns, y,
                                  rows, PixelSource<kKind>::kUnit);
      __syncthreads();
    }
  }
}

template <int kKind>
static void launch_float(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                         const FramesLaunch& launch) {
  const size_t bytes =
      sizeof(float) * kFloatSums * static_cast<size_t>(kColumns + (launch.stretches ? launch.tile_w : 0));
  CINEFUSE_LAUNCH(stream, (frames_float_kernel<kKind>), static_cast<unsigned>(launch.count * launch.tiles),
                  kFloatThreads, bytes, tables, target, launch);
}

void frames_float(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                  const FramesLaunch& launch) {
  constexpr void (*kLaunches[kPixelKinds])(cudaStream_t, const FramesTables&, const FramesTarget&,
                                           const FramesLaunch&) = {
      launch_float<kPixelsRgb24>,   launch_float<kPixelsRgba>, launch_float<kPixelsGray>,
      launch_float<kPixelsNearest>, launch_float<kPixelsLeft>, launch_float<kPixelsCenter>};
  kLaunches[launch.kind](stream, tables, target, launch);
}

}  // namespace cinefuse::gpu
