// Rounding::kFloat: vertical pass into shared memory, horizontal pass out of it.
#include "frames_cuda.cuh"
#include "frames_pixels.cuh"

namespace cinefuse::gpu {

constexpr int kFloatThreads = 128;
constexpr int kFloatRows = kFramesFloatRows;  // of the output, made together

// The pixels of the output that lie beyond the picture's edges.
__device__ __forceinline__ void put_float(const FramesTarget& t, int64_t at, float value) {
  if (t.output == kOutputFloat16) {
    static_cast<uint16_t*>(t.out)[at] = to_half(value);
  } else {
    static_cast<float*>(t.out)[at] = value;
  }
}

// One block: tile_w columns by tile_h rows of one picture's output, four rows at a time.
//   mixed[y][c][s] = Σ_r V[y][r] rgb[r][s][c],   out[c][y][x] = scale[c] Σ_s H[x][s] mixed[y][c][s] +
//   shift[c]
// `columns` of the picture (a multiple of 8) at a time; `lanes` threads, a power of two up to 32, share an
// output.
template <int kKind>
__global__ void __launch_bounds__(kFloatThreads)
    frames_float_kernel(FramesTables tables, FramesTarget target, int64_t first_picture, int32_t columns,
                        int32_t lanes) {
  constexpr int kSums = 3 * kFloatRows;
  CINEFUSE_DYNAMIC_SHARED(float, mixed);
  float* const sums = mixed + kSums * columns;  // (kSums, tile_w), where one stretch of columns is not enough
  const FramesPicture& picture = tables.pictures[first_picture + blockIdx.x / target.tiles];
  const FramesGeometry& geometry = tables.geometries[picture.geometry];
  const int32_t tile = static_cast<int32_t>(blockIdx.x % target.tiles);
  const int32_t tile_x = tile % target.tiles_x * target.tile_w,
                tile_y = tile / target.tiles_x * target.tile_h;
  const int32_t end_x = min(tile_x + target.tile_w, target.w), end_y = min(tile_y + target.tile_h, target.h);
  const int32_t x0 = max(tile_x, geometry.x0), x1 = min(end_x, geometry.x1);
  const int32_t y0 = max(tile_y, geometry.y0), y1 = min(end_y, geometry.y1);
  const int64_t plane = int64_t{target.h} * target.w, out = 3 * picture.index * plane;

  const int32_t width = end_x - tile_x;
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < width * (end_y - tile_y); i += kFloatThreads) {
    const int32_t y = tile_y + i / width, x = tile_x + i % width;
    if (y >= y0 && y < y1 && x >= x0 && x < x1) continue;
    for (int c = 0; c < 3; ++c) {
      put_float(target, out + c * plane + int64_t{y} * target.w + x, tables.levels[c * 256]);
    }
  }
  if (x0 >= x1 || y0 >= y1) return;

  const PixelSource<kKind> source(tables.base, picture);
  const int32_t* const h_first = tables.integers + geometry.h_first + (x0 - geometry.x0);
  const int32_t* const h_groups = tables.integers + geometry.h_groups + (x0 - geometry.x0);
  const float* const h_weights =
      tables.weights + geometry.h_weights + int64_t{x0 - geometry.x0} * geometry.most_groups * 4;
  const int32_t n = x1 - x0, most_groups = geometry.most_groups;
  const int32_t left = h_first[0] * 4 & ~7, right = (h_first[n - 1] + h_groups[n - 1]) * 4;
  const int32_t slots = kFloatThreads / lanes, slot = static_cast<int32_t>(threadIdx.x) / lanes,
                share = static_cast<int32_t>(threadIdx.x) % lanes;
  // Levels of YUV come as 0..1.
  const float unit = PixelSource<kKind>::kYuv ? 255.f : 1.f;

  for (int32_t y = y0; y < y1; y += kFloatRows) {
    const int32_t rows = min(kFloatRows, y1 - y);
    for (int32_t from = left; from < right; from += columns) {
      const int32_t cells = (min(columns, right - from) + 7) / 8;
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
          float* const to = mixed + (3 * j + c) * columns + x;
          store4(to, make_float4(sum[c][0], sum[c][1], sum[c][2], sum[c][3]));
          store4(to + 4, make_float4(sum[c][4], sum[c][5], sum[c][6], sum[c][7]));
        }
      }
      __syncthreads();
      const bool last = from + columns >= right;
      for (int32_t base = 0; base < n; base += slots) {
        const int32_t x = min(base + slot, n - 1);
        const int32_t first = h_first[x], end = first + h_groups[x];
        const int32_t end_now = min(end, (from + columns) / 4);
        float sum[kSums] = {};
        for (int32_t group = max(first, from / 4) + share; group < end_now; group += lanes) {
          const float4 w = load4(h_weights + (int64_t{x} * most_groups + (group - first)) * 4);
          const float* const at = mixed + (4 * group - from);
#pragma unroll
          for (int k = 0; k < kSums; ++k) {
            const float4 m = load4(at + k * columns);
            sum[k] += w.x * m.x + w.y * m.y + w.z * m.z + w.w * m.w;
          }
        }
        for (int32_t o = lanes / 2; o > 0; o >>= 1) {
#pragma unroll
          for (int k = 0; k < kSums; ++k) sum[k] += __shfl_xor_sync(kWholeWarp, sum[k], o);
        }
        if (share != 0 || base + slot >= n) continue;
#pragma unroll
        for (int k = 0; k < kSums; ++k) {
          if (from != left) sum[k] += sums[k * target.tile_w + x];
          if (!last) {
            sums[k * target.tile_w + x] = sum[k];
          } else if (k / 3 < rows) {
            put_float(target, out + (k % 3) * plane + int64_t{y + k / 3} * target.w + x0 + x,
                      sum[k] * (target.scale[k % 3] * unit) + target.shift[k % 3]);
          }
        }
      }
      __syncthreads();
    }
  }
}

template <int kKind>
static void launch_float(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                         const FramesLaunch& launch) {
  const size_t bytes = sizeof(float) * 3 * kFloatRows *
                       static_cast<size_t>(launch.columns + (launch.stretches ? target.tile_w : 0));
  CINEFUSE_LAUNCH(stream, (frames_float_kernel<kKind>), static_cast<unsigned>(launch.count * target.tiles),
                  kFloatThreads, bytes, tables, target, launch.first, launch.columns, launch.lanes);
}

void frames_float(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                  const FramesLaunch& launch) {
  constexpr void (*kLaunches[kPixelKinds])(cudaStream_t, const FramesTables&, const FramesTarget&,
                                           const FramesLaunch&) = {
      launch_float<kPixelsRgb24>, launch_float<kPixelsRgba>, launch_float<kPixelsGray>,
      launch_float<kPixelsNearest>, launch_float<kPixelsBilinear>};
  kLaunches[launch.kind](stream, tables, target, launch);
}

}  // namespace cinefuse::gpu
