#include <algorithm>
#include <vector>

#include "../../cuda/operators.h"
#include "optical_flow_device.h"

namespace cinefuse::gpu {

// Planes (planes, height, width) without padding. A block of 256 threads makes a tile of 16 rows and 32
// columns; planes go over blockIdx.z, and again where there are more than a grid can have.
constexpr int kFlowThreads = 256, kTileRows = 16, kTileColumns = 32;
constexpr int kFlowSums = 5;
constexpr unsigned kMostGridPlanes = 32768;

struct FlowPlanes {
  int64_t planes;
  int height, width;
  int64_t size() const { return int64_t{height} * width; }
};

// Where i lies when reflected at the edges of 0..size - 1, however small the size.
__device__ __forceinline__ int reflected(int i, int size) {
  if (i >= 0 && i < size) return i;
  if (size == 1) return 0;
  const int period = 2 * (size - 1);
  i %= period;
  if (i < 0) i += period;
  return i < size ? i : period - i;
}

__device__ __forceinline__ float clamped(float x, float last) { return fminf(fmaxf(x, 0.f), last); }

// to[i] = levels[i]
__global__ void __launch_bounds__(kFlowThreads)
    flow_widen_kernel(int64_t n, const uint8_t* levels, float* to) {
  for (int64_t i = int64_t{blockIdx.x} * kFlowThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kFlowThreads) {
    to[i] = static_cast<float>(levels[i]);
  }
}

// Means of 2 x 2 pixels, the last row or column twice at an odd edge. fine, coarse: the two sizes.
__global__ void __launch_bounds__(kFlowThreads)
    flow_halve_kernel(FlowPlanes fine, FlowPlanes coarse, const float* from, float* to) {
  const int64_t n = coarse.planes * coarse.height * coarse.width;
  for (int64_t i = int64_t{blockIdx.x} * kFlowThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kFlowThreads) {
    const int x = static_cast<int>(i % coarse.width);
    const int64_t line = i / coarse.width;
    const int y = static_cast<int>(line % coarse.height);
    const float* const plane = from + line / coarse.height * fine.height * fine.width;
    const int x0 = 2 * x, x1 = min(x0 + 1, fine.width - 1);
    const float* const a = plane + int64_t{2 * y} * fine.width;
    const float* const b = plane + int64_t{min(2 * y + 1, fine.height - 1)} * fine.width;
    to[i] = 0.25f * ((a[x0] + a[x1]) + (b[x0] + b[x1]));
  }
}

// The sum of weight[|k|] p[k * step], k in -radius..radius.
__device__ __forceinline__ float weighed(const cinefuse_flow_taps& taps, const float* p, int step) {
  float sum = taps.weight[0] * p[0];
  // Unrolled, so that the weights are read where the launch put them and not from a copy.
#pragma unroll
  for (int k = 1; k < CINEFUSE_FLOW_WEIGHTS; ++k) {
    if (k > taps.radius) break;
    sum += taps.weight[k] * (p[-k * step] + p[k * step]);
  }
  return sum;
}

// Sums the rows of a tile with its margins across: tile (rows, columns + 2 radius) -> across (rows, columns).
__device__ __forceinline__ void weigh_across(const cinefuse_flow_taps& taps, const float* tile,
                                             float* across) {
  const int rows = kTileRows + 2 * taps.radius, pitch = kTileColumns + 2 * taps.radius;
  for (int i = threadIdx.x; i < rows * kTileColumns; i += kFlowThreads) {
    across[i] = weighed(taps, tile + i / kTileColumns * pitch + i % kTileColumns + taps.radius, 1);
  }
}

constexpr int kPlainBlur = 0, kCentredBlur = 1, kContrastBlur = 2;

// to = G * x, x - G * x, or x / sqrt(G * x² + floor²). Dynamic shared memory: flow_tile_floats(radius, 1).
template <int KIND>
__global__ void __launch_bounds__(kFlowThreads)
    flow_blur_kernel(FlowPlanes all, cinefuse_flow_taps taps, float floor, const float* x, float* to) {
  CINEFUSE_DYNAMIC_SHARED(float, tile);
  const int rows = kTileRows + 2 * taps.radius, pitch = kTileColumns + 2 * taps.radius;
  float* const across = tile + rows * pitch;
  const int left = blockIdx.x * kTileColumns, top = blockIdx.y * kTileRows;
  for (int64_t plane = blockIdx.z; plane < all.planes; plane += gridDim.z) {
    const float* const own = x + plane * all.height * all.width;
    float* const out = to + plane * all.height * all.width;
    for (int i = threadIdx.x; i < rows * pitch; i += kFlowThreads) {
      const int64_t row = reflected(top + i / pitch - taps.radius, all.height);
      const float v = own[row * all.width + reflected(left + i % pitch - taps.radius, all.width)];
      tile[i] = KIND == kContrastBlur ? v * v : v;
    }
    __syncthreads();
    weigh_across(taps, tile, across);
    __syncthreads();
    for (int i = threadIdx.x; i < kTileRows * kTileColumns; i += kFlowThreads) {
      const int row = top + i / kTileColumns, column = left + i % kTileColumns;
      if (row >= all.height || column >= all.width) continue;
      const float sum = weighed(taps, across + i + taps.radius * kTileColumns, kTileColumns);
      const int64_t at = int64_t{row} * all.width + column;
      out[at] = KIND == kPlainBlur     ? sum
                : KIND == kCentredBlur ? own[at] - sum
                                       : own[at] / sqrtf(sum + floor * floor);
    }
    __syncthreads();
  }
}

// mean = (first + W) / 2 and difference = W - first, W the frame behind `frames[pair]` at (x + u, y + v);
// frames: (pairs + 1, h, w), flow: u of all pairs, then v.
__global__ void __launch_bounds__(kFlowThreads)
    flow_warp_kernel(FlowPlanes pairs, const float* frames, const float* flow, float* mean,
                     float* difference) {
  const int64_t size = int64_t{pairs.height} * pairs.width, n = pairs.planes * size;
  for (int64_t i = int64_t{blockIdx.x} * kFlowThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kFlowThreads) {
    const int64_t pixel = i % size;
    const float* const second = frames + (i - pixel) + size;
    const float x =
        clamped(static_cast<float>(pixel % pairs.width) + flow[i], static_cast<float>(pairs.width - 1));
    const float y =
        clamped(static_cast<float>(pixel / pairs.width) + flow[n + i], static_cast<float>(pairs.height - 1));
    const int x0 = static_cast<int>(x), y0 = static_cast<int>(y);
    const int x1 = min(x0 + 1, pairs.width - 1), y1 = min(y0 + 1, pairs.height - 1);
    const float fx = x - static_cast<float>(x0), fy = y - static_cast<float>(y0);
    const float* const upper = second + int64_t{y0} * pairs.width;
    const float* const lower = second + int64_t{y1} * pairs.width;
    const float a = upper[x0] + fx * (upper[x1] - upper[x0]);
    const float b = lower[x0] + fx * (lower[x1] - lower[x0]);
    const float warped = a + fy * (b - a), own = frames[i];
    mean[i] = 0.5f * (own + warped);
    difference[i] = warped - own;
  }
}

struct FlowStep {
  float robust, regularization;
  const float *mean, *difference, *flow;
  float* next;  // as flow
};

// The five products of one pixel, as optical_flow.h has them.
__device__ __forceinline__ void flow_products(const FlowPlanes& pairs, const FlowStep& p, int64_t plane,
                                              int x, int y, float (&product)[kFlowSums]) {
  const int64_t size = int64_t{pairs.height} * pairs.width, at = plane * size + int64_t{y} * pairs.width + x;
  const float* const mean = p.mean + plane * size;
  const float* const row = mean + int64_t{y} * pairs.width;
  const auto across = [&](int k) { return row[reflected(x + k, pairs.width)]; };
  const auto down = [&](int k) { return mean[int64_t{reflected(y + k, pairs.height)} * pairs.width + x]; };
  const float near = 8.f / 12.f, far = 1.f / 12.f;
  const float gx = near * (across(1) - across(-1)) - far * (across(2) - across(-2));
  const float gy = near * (down(1) - down(-1)) - far * (down(2) - down(-2));
  const float u = p.flow[at], v = p.flow[pairs.planes * size + at], r = p.difference[at];
  const float to_x = static_cast<float>(x) + u, to_y = static_cast<float>(y) + v;
  const float outside = fmaxf(fmaxf(-to_x, to_x - static_cast<float>(pairs.width - 1)),
                              fmaxf(-to_y, to_y - static_cast<float>(pairs.height - 1)));
  const float squared = p.robust * p.robust;
  const float weight = fminf(fmaxf(1.f - outside, 0.f), 1.f) * (squared / (squared + r * r));
  const float a = weight * gx, b = weight * gy, k = gx * u + gy * v - r;
  product[0] = a * gx;
  product[1] = a * gy;
  product[2] = b * gy;
  product[3] = a * k + p.regularization * u;
  product[4] = b * k + p.regularization * v;
}

// One iteration from the warped frame: products, their sums over the window, the solution. Dynamic shared
// memory: flow_tile_floats(radius, kFlowSums).
__global__ void __launch_bounds__(kFlowThreads)
    flow_step_kernel(FlowPlanes pairs, cinefuse_flow_taps taps, FlowStep p) {
  CINEFUSE_DYNAMIC_SHARED(float, tiles);
  const int rows = kTileRows + 2 * taps.radius, pitch = kTileColumns + 2 * taps.radius;
  const int tile = rows * pitch, narrow = rows * kTileColumns;
  float* const across = tiles + kFlowSums * tile;
  const int left = blockIdx.x * kTileColumns, top = blockIdx.y * kTileRows;
  for (int64_t plane = blockIdx.z; plane < pairs.planes; plane += gridDim.z) {
    for (int i = threadIdx.x; i < tile; i += kFlowThreads) {
      float product[kFlowSums];
      flow_products(pairs, p, plane, reflected(left + i % pitch - taps.radius, pairs.width),
                    reflected(top + i / pitch - taps.radius, pairs.height), product);
#pragma unroll
      for (int k = 0; k < kFlowSums; ++k) tiles[k * tile + i] = product[k];
    }
    __syncthreads();
    for (int k = 0; k < kFlowSums; ++k) weigh_across(taps, tiles + k * tile, across + k * narrow);
    __syncthreads();
    for (int i = threadIdx.x; i < kTileRows * kTileColumns; i += kFlowThreads) {
      const int row = top + i / kTileColumns, column = left + i % kTileColumns;
      if (row >= pairs.height || column >= pairs.width) continue;
      float sum[kFlowSums];
#pragma unroll
      for (int k = 0; k < kFlowSums; ++k) {
        sum[k] = weighed(taps, across + k * narrow + i + taps.radius * kTileColumns, kTileColumns);
      }
      const float a = sum[0] + p.regularization, b = sum[1], c = sum[2] + p.regularization;
      const float scale = 1.f / (a * c - b * b);
      const int64_t size = int64_t{pairs.height} * pairs.width;
      const int64_t at = plane * size + int64_t{row} * pairs.width + column;
      p.next[at] = (c * sum[3] - b * sum[4]) * scale;
      p.next[pairs.planes * size + at] = (a * sum[4] - b * sum[3]) * scale;
    }
    __syncthreads();
  }
}

__device__ __forceinline__ float middle_of(float a, float b, float c) {
  return fmaxf(fminf(a, b), fminf(fmaxf(a, b), c));
}

// Of 3 x 3: the median of the largest low, the middle middle and the smallest high of three columns.
__global__ void __launch_bounds__(kFlowThreads)
    flow_median_kernel(FlowPlanes all, const float* x, float* to) {
  const int64_t size = int64_t{all.height} * all.width, n = all.planes * size;
  for (int64_t i = int64_t{blockIdx.x} * kFlowThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kFlowThreads) {
    const int64_t pixel = i % size;
    const int column = static_cast<int>(pixel % all.width), row = static_cast<int>(pixel / all.width);
    const float* const plane = x + (i - pixel);
    float low[3], middle[3], high[3];
#pragma unroll
    for (int k = 0; k < 3; ++k) {
      const float* const p = plane + reflected(column + k - 1, all.width);
      const float a = p[int64_t{reflected(row - 1, all.height)} * all.width];
      const float b = p[int64_t{row} * all.width];
      const float c = p[int64_t{reflected(row + 1, all.height)} * all.width];
      low[k] = fminf(fminf(a, b), c);
      middle[k] = middle_of(a, b, c);
      high[k] = fmaxf(fmaxf(a, b), c);
    }
    to[i] = middle_of(fmaxf(fmaxf(low[0], low[1]), low[2]), middle_of(middle[0], middle[1], middle[2]),
                      fminf(fminf(high[0], high[1]), high[2]));
  }
}

// Twice the coarser planes, interpolated: 3/4 of the nearer row and column, 1/4 of the farther.
__global__ void __launch_bounds__(kFlowThreads)
    flow_grow_kernel(FlowPlanes coarse, FlowPlanes fine, const float* from, float* to) {
  const int64_t n = fine.planes * fine.height * fine.width;
  for (int64_t i = int64_t{blockIdx.x} * kFlowThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kFlowThreads) {
    const int x = static_cast<int>(i % fine.width);
    const int64_t line = i / fine.width;
    const int y = static_cast<int>(line % fine.height);
    const float* const plane = from + line / fine.height * coarse.height * coarse.width;
    const int x0 = x / 2, x1 = min(max(x0 + (x % 2 ? 1 : -1), 0), coarse.width - 1);
    const int y0 = y / 2, y1 = min(max(y0 + (y % 2 ? 1 : -1), 0), coarse.height - 1);
    const float* const near = plane + int64_t{y0} * coarse.width;
    const float* const far = plane + int64_t{y1} * coarse.width;
    to[i] = 0.75f * (1.5f * near[x0] + 0.5f * far[x0]) + 0.25f * (1.5f * near[x1] + 0.5f * far[x1]);
  }
}

// (pairs, h, w, 2) of the planes of u and v.
__global__ void __launch_bounds__(kFlowThreads)
    flow_interleave_kernel(int64_t n, const float* flow, float* to) {
  for (int64_t i = int64_t{blockIdx.x} * kFlowThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kFlowThreads) {
    to[2 * i] = flow[i];
    to[2 * i + 1] = flow[n + i];
  }
}

static size_t flow_tile_floats(const cinefuse_flow_taps& taps, int tiles) {
  const size_t rows = kTileRows + 2 * taps.radius, columns = kTileColumns + 2 * taps.radius;
  return tiles * rows * (columns + kTileColumns);
}

static dim3 tile_grid(const FlowPlanes& all) {
  return dim3(static_cast<unsigned>(blocks_of(all.width, kTileColumns)),
              static_cast<unsigned>(blocks_of(all.height, kTileRows)),
              static_cast<unsigned>(std::min<int64_t>(all.planes, kMostGridPlanes)));
}

static unsigned pixel_grid(int64_t n) {
  return static_cast<unsigned>(std::min<int64_t>(blocks_of(n, kFlowThreads), 1 << 20));
}

template <int KIND>
static void launch_blur(Call& call, const FlowPlanes& all, const cinefuse_flow_taps& taps, float floor,
                        const float* x, float* to) {
  CINEFUSE_LAUNCH(call.stream(), (flow_blur_kernel<KIND>), tile_grid(all), kFlowThreads,
                  sizeof(float) * flow_tile_floats(taps, 1), all, taps, floor, x, to);
}

// Device memory of some pairs of frames.
struct FlowMemory {
  float *raw, *next, *smooth;  // (pairs + 1, h, w)
  float* contrast;             // of every level, the finest first
  float *flow, *other;         // (2, pairs, h, w)
  float *mean, *difference;    // (pairs, h, w)
};

static std::vector<FlowPlanes> flow_levels(const cinefuse_optical_flow_params& p, int64_t planes) {
  std::vector<FlowPlanes> levels = {{planes, static_cast<int>(p.height), static_cast<int>(p.width)}};
  while (static_cast<int>(levels.size()) < p.levels) {
    const FlowPlanes last = levels.back();
    levels.push_back({planes, (last.height + 1) / 2, (last.width + 1) / 2});
  }
  return levels;
}

// Local contrast of every level of all frames.
static void flow_pyramid(Call& call, const cinefuse_optical_flow_params& p,
                         const std::vector<FlowPlanes>& levels, const float* frames, FlowMemory m) {
  float* contrast = m.contrast;
  for (size_t l = 0; l < levels.size(); ++l) {
    const FlowPlanes& level = levels[l];
    if (l > 0) {
      CINEFUSE_LAUNCH(call.stream(), flow_halve_kernel, pixel_grid(level.planes * level.size()), kFlowThreads,
                      0, levels[l - 1], level, frames, m.next);
      std::swap(m.raw, m.next);
      frames = m.raw;
    }
    launch_blur<kPlainBlur>(call, level, p.presmooth, 0.f, frames, m.smooth);
    launch_blur<kCentredBlur>(call, level, p.local, 0.f, m.smooth, m.next);
    launch_blur<kContrastBlur>(call, level, p.local, p.contrast_floor, m.next, contrast);
    contrast += level.planes * level.size();
  }
}

static void flow_pairs(Call& call, const cinefuse_optical_flow_params& p,
                       const std::vector<FlowPlanes>& levels, FlowMemory m, float* to) {
  const int64_t pairs = levels[0].planes - 1;
  const float* contrast = m.contrast;
  for (const FlowPlanes& level : levels) contrast += level.planes * level.size();
  for (size_t l = levels.size(); l-- > 0;) {
    const FlowPlanes all = {pairs, levels[l].height, levels[l].width};
    const FlowPlanes both = {2 * pairs, all.height, all.width};
    const int64_t n = pairs * all.size();
    contrast -= levels[l].planes * levels[l].size();
    if (l + 1 == levels.size()) {
      CINEFUSE_CUDA(cudaMemsetAsync(m.flow, 0, sizeof(float) * static_cast<size_t>(2 * n), call.stream()));
    } else {
      const FlowPlanes coarse = {2 * pairs, levels[l + 1].height, levels[l + 1].width};
      CINEFUSE_LAUNCH(call.stream(), flow_grow_kernel, pixel_grid(2 * n), kFlowThreads, 0, coarse, both,
                      m.flow, m.other);
      std::swap(m.flow, m.other);
    }
    for (int i = 0; i < p.iterations; ++i) {
      CINEFUSE_LAUNCH(call.stream(), flow_warp_kernel, pixel_grid(n), kFlowThreads, 0, all, contrast, m.flow,
                      m.mean, m.difference);
      const FlowStep step = {p.robust, p.regularization, m.mean, m.difference, m.flow, m.other};
      CINEFUSE_LAUNCH(call.stream(), flow_step_kernel, tile_grid(all), kFlowThreads,
                      sizeof(float) * flow_tile_floats(p.window, kFlowSums), all, p.window, step);
      std::swap(m.flow, m.other);
    }
    CINEFUSE_LAUNCH(call.stream(), flow_median_kernel, pixel_grid(2 * n), kFlowThreads, 0, both, m.flow,
                    m.other);
    std::swap(m.flow, m.other);
  }
  const int64_t n = pairs * levels[0].size();
  CINEFUSE_LAUNCH(call.stream(), flow_interleave_kernel, pixel_grid(n), kFlowThreads, 0, n, m.flow, to);
}

static void optical_flow_cuda(Call& call, const cinefuse_optical_flow_params& p) {
  const int64_t size = p.height * p.width, pairs = p.n - 1;
  const In<uint8_t> bytes = call.in(p.bytes, p.n * size);
  const In<float> floats = call.in(p.floats, p.n * size);
  const Out<float> flow = call.out(p.flow, 2 * pairs * size);
  call.send();
  call.compute([&] {
    // Pairs at a time, in at most 256 MiB where a single pair takes no more; each takes about 11 planes.
    const int64_t most = std::max<int64_t>(1, std::min(pairs, (int64_t{64} << 20) / (11 * size)));
    int64_t pyramid = 0;
    for (const FlowPlanes& level : flow_levels(p, most + 1)) pyramid += level.planes * level.size();
    FlowMemory m{};
    for (float** plane : {&m.raw, &m.next, &m.smooth}) *plane = call.scratch<float>((most + 1) * size);
    m.contrast = call.scratch<float>(pyramid);
    for (float** plane : {&m.flow, &m.other}) *plane = call.scratch<float>(2 * most * size);
    for (float** plane : {&m.mean, &m.difference}) *plane = call.scratch<float>(most * size);
    for (int64_t first = 0; first < pairs; first += most) {
      const std::vector<FlowPlanes> levels = flow_levels(p, std::min(most, pairs - first) + 1);
      const int64_t n = levels[0].planes * size;
      const float* frames = floats.get() ? floats.get() + first * size : m.raw;
      if (bytes.get()) {
        CINEFUSE_LAUNCH(call.stream(), flow_widen_kernel, pixel_grid(n), kFlowThreads, 0, n,
                        bytes.get() + first * size, m.raw);
      }
      flow_pyramid(call, p, levels, frames, m);
      flow_pairs(call, p, levels, m, flow.get() + 2 * first * size);
    }
  });
  call.receive();
}

const Operator kOpticalFlowOperator = plain_operator<cinefuse_optical_flow_params, optical_flow_cuda>();

}  // namespace cinefuse::gpu
