#include <algorithm>
#include <type_traits>

#include "gemm.h"
#include "gemm_rows.cuh"
#include "gemm_tile.cuh"

namespace cinefuse::gpu {

constexpr int kPackThreads = 256;
constexpr int kSumThreads = 256;

// w_half[n][k] (and w[n][k], where given) = raw[n][k], zeros up to the row's end; two numbers a thread.
// raw: (out, in), w: (out, ldw), w_half: (out, ldw_half).
__global__ void gemm_pack_kernel(int64_t out, int64_t in, const float* raw, int64_t ldw, float* w,
                                 int64_t ldw_half, uint32_t* w_half) {
  const int64_t words = ldw_half / 2, n = out * words;
  for (int64_t i = int64_t{blockIdx.x} * kPackThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kPackThreads) {
    const int64_t row = i / words, k = i % words * 2;
    const float x = k < in ? raw[row * in + k] : 0.f, y = k + 1 < in ? raw[row * in + k + 1] : 0.f;
    w_half[i] = to_bf16x2(x, y);
    if (w && k < ldw) {
      w[row * ldw + k] = x;
      w[row * ldw + k + 1] = y;
    }
  }
}

// c[m][n] = f(bias[n] + the sums of all splits in order); four columns a thread. sums: (splits, rows,
// ld_sums).
__global__ void gemm_sum_kernel(GemmArgs p, int splits) {
  const int across = static_cast<int>(p.ld_sums / 4);
  const int64_t i = int64_t{blockIdx.x} * kSumThreads + threadIdx.x;
  if (i >= int64_t{p.rows} * across) return;
  const int64_t row = i / across, slice = p.rows * p.ld_sums;
  const int column = static_cast<int>(i % across) * 4;
  const float* from = p.sums + row * p.ld_sums + column;
  float4 sum = load4(from);
#pragma unroll 4
  for (int s = 1; s < splits; ++s) {
    const float4 v = load4(from + s * slice);
    sum.x += v.x;
    sum.y += v.y;
    sum.z += v.z;
    sum.w += v.w;
  }
  p.sums = nullptr;
  gemm_store4(p, row, column, sum);
}

GemmWeights::GemmWeights(Call& call, const float* w, const float* bias, int64_t out, int64_t in)
    : in_(in), out_(out), bias_(call, bias, out) {
  weights_ = Array<float>(call.device(), out * stride());
  halves_ = Array<uint32_t>(call.device(), out * half_stride() / 2);
  const bool packed = stride() == in;
  float* const raw = packed ? weights_.get() : call.scratch<float>(out * in);
  call.upload(raw, w, sizeof(float) * static_cast<size_t>(out * in));
  const int64_t blocks = std::min<int64_t>(blocks_of(halves_.size(), kPackThreads),
                                           int64_t{32} * call.device().multiprocessors());
  CINEFUSE_LAUNCH(call.stream(), gemm_pack_kernel, static_cast<unsigned>(blocks), kPackThreads, 0, out, in,
                  raw, stride(), packed ? nullptr : weights_.get(), half_stride(), halves_.get());
}

namespace {

// The tiles that are there, per precision. Warp tiles: as large as the accumulating registers allow, which a
// float32 product needs twice.
template <GemmMath MATH>
using LargeTile = std::conditional_t<MATH == GemmMath::k3xTf32, GemmTile<MATH, 128, 128, 64, 32, 3>,
                                     GemmTile<MATH, 128, 128, 64, 64, 3>>;
// For the lower precisions, whose arithmetic outruns the L2 cache: less of A is read per number of C. Takes
// more shared memory than all devices have.
template <GemmMath MATH>
using WideTile = GemmTile<MATH, 128, 256, 64, 64, 3>;
template <GemmMath MATH>
using MediumTile = GemmTile<MATH, 64, 64, 32, 32, 4>;
template <GemmMath MATH>
using FlatTile = GemmTile<MATH, 32, 64, 32, 16, 4>;

// How a product is shared out.
struct GemmPlan {
  enum Kernel { kRows, kFlat, kMedium, kLarge, kWide } kernel;
  int splits, steps_a_split;
};

// The fastest tile and split by rough microseconds: the work of the multiprocessor that has the most, by
// arithmetic or by bytes, with the first bytes' way there and the result's way back, plus a second pass where
// k is split. The rates are an H100's; only their relations matter.
GemmPlan plan_tiles(int64_t rows, int64_t out, int64_t in, const Device& device, GemmMath math) {
  struct Shape {
    GemmPlan::Kernel kernel;
    int rows, columns;
    double efficiency;
  };
  constexpr Shape kShapes[] = {{GemmPlan::kWide, 128, 256, 1.0},
                               {GemmPlan::kLarge, 128, 128, 1.0},
                               {GemmPlan::kMedium, 64, 64, 0.8},
                               {GemmPlan::kFlat, 32, 64, 0.6}};
  const bool wide =
      math != GemmMath::k3xTf32 && device.shared_bytes() >= WideTile<GemmMath::kTf32>::kSharedBytes;
  const int multiprocessors = device.multiprocessors();
  const double products_a_us = math == GemmMath::k3xTf32 ? 360e3 : math == GemmMath::kTf32 ? 1.1e6 : 2.2e6;
  constexpr double kBytesAUs = 42e3, kStart = 1., kSecondPass = 2., kSecondPassBytesAUs = 2.5e6;
  const int weight_bytes = math == GemmMath::kBf16 ? 2 : 4;
  const int steps = static_cast<int>(blocks_of(in, 32));
  GemmPlan best{};
  double best_time = 0.;
  for (const Shape& shape : kShapes) {
    if (shape.kernel == GemmPlan::kWide && !wide) continue;
    const int64_t tiles = blocks_of(rows, shape.rows) * blocks_of(out, shape.columns);
    const double area = shape.rows * shape.columns;
    const double step_us = std::max(area * 32. / (products_a_us * shape.efficiency),
                                    32. * (shape.rows * 4 + shape.columns * weight_bytes) / kBytesAUs);
    for (int splits = 1; splits <= 128 && (splits == 1 || steps / splits >= 2); splits += (splits + 1) / 2) {
      const int each = static_cast<int>(blocks_of(steps, splits));
      const int used = static_cast<int>(blocks_of(steps, each));
      const double most = static_cast<double>(blocks_of(tiles * used, multiprocessors));
      double time = kStart + most * (each * step_us + area * 4. / kBytesAUs);
      if (used > 1) {
        time += kSecondPass +
                static_cast<double>(rows) * static_cast<double>(out) * 8. * used / kSecondPassBytesAUs;
      }
      if (best.splits && time >= best_time) continue;
      best_time = time;
      best = {shape.kernel, used, each};
    }
  }
  return best;
}

// Rows of the plain cores' kernel that a block takes; its grid.z counts them.
int rows_a_block(int64_t rows) { return rows >= 5 ? 8 : rows >= 3 ? 4 : static_cast<int>(rows); }

GemmPlan make_plan(int64_t rows, const GemmWeights& w, const Device& device, GemmMath math) {
  // Up to 8 rows the weights are the time, whatever multiplies; and so are several readings of small ones.
  const int64_t weight_bytes = w.in() * w.out() * (math == GemmMath::kBf16 ? 2 : 4);
  if (rows <= 8 || (rows <= 32 && blocks_of(rows, 8) * weight_bytes <= (int64_t{8} << 20))) {
    return {GemmPlan::kRows, 0, 0};
  }
  return plan_tiles(rows, w.out(), w.in(), device, math);
}

template <class T>
void launch_tiles(Call& call, GemmArgs p, int splits) {
  p.row_tiles = static_cast<int>(blocks_of(p.rows, T::kRows));
  p.column_tiles = static_cast<int>(blocks_of(p.out, T::kColumns));
  const dim3 grid(static_cast<unsigned>(p.row_tiles) * static_cast<unsigned>(p.column_tiles),
                  static_cast<unsigned>(splits));
  CINEFUSE_LAUNCH(call.stream(), gemm_tile_kernel<T>, grid, T::kThreads, T::kSharedBytes, p);
}

template <GemmMath MATH>
void launch_tiles(Call& call, const GemmArgs& p, const GemmPlan& plan) {
  if constexpr (MATH != GemmMath::k3xTf32) {
    if (plan.kernel == GemmPlan::kWide) return launch_tiles<WideTile<MATH>>(call, p, plan.splits);
  }
  if (plan.kernel == GemmPlan::kLarge) return launch_tiles<LargeTile<MATH>>(call, p, plan.splits);
  if (plan.kernel == GemmPlan::kMedium) return launch_tiles<MediumTile<MATH>>(call, p, plan.splits);
  launch_tiles<FlatTile<MATH>>(call, p, plan.splits);
}

template <int R, int N, bool HALF>
void launch_rows(Call& call, const GemmArgs& p, int warps_a_column, int splits) {
  const dim3 grid(static_cast<unsigned>(blocks_of(p.out, kGemmRowsWarps / warps_a_column * N)),
                  static_cast<unsigned>(splits), static_cast<unsigned>(blocks_of(p.rows, R)));
  CINEFUSE_LAUNCH(call.stream(), (gemm_rows_kernel<R, N, HALF>), grid, kGemmRowsThreads, 0, p,
                  warps_a_column);
}

template <int N, bool HALF>
void launch_rows(Call& call, const GemmArgs& p, int warps_a_column, int splits) {
  switch (rows_a_block(p.rows)) {
    case 1:
      return launch_rows<1, N, HALF>(call, p, warps_a_column, splits);
    case 2:
      return launch_rows<2, N, HALF>(call, p, warps_a_column, splits);
    case 4:
      return launch_rows<4, N, HALF>(call, p, warps_a_column, splits);
    default:
      return launch_rows<8, N, HALF>(call, p, warps_a_column, splits);
  }
}

bool aligned(const float* p, int64_t stride) {
  return stride % 4 == 0 && reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

// The sums of the splits of k, where there are several.
void provide_sums(Call& call, GemmArgs& p, int splits) {
  if (splits == 1) return;
  p.ld_sums = (int64_t{p.out} + 3) / 4 * 4;
  p.sums = call.scratch<float>(splits * p.rows * p.ld_sums);
}

int run_rows(Call& call, GemmArgs& p, bool half) {
  // About 16 warps a multiprocessor: more columns a warp first, then fewer k's a warp, then splits of k.
  const int64_t wanted = int64_t{16} * call.device().multiprocessors();
  const int64_t steps = blocks_of(p.in, half ? 256 : 128),
                row_blocks = blocks_of(p.rows, rows_a_block(p.rows));
  const int most = static_cast<int>(std::min<int64_t>(steps, kGemmRowsWarps));
  const bool wide = blocks_of(p.out, 4) * row_blocks * most >= wanted;
  const int64_t groups = blocks_of(p.out, wide ? 4 : 1) * row_blocks;
  int warps_a_column = 1;
  while (warps_a_column * 2 <= most && groups * warps_a_column < wanted) warps_a_column *= 2;
  int64_t splits = 1;
  if (warps_a_column == kGemmRowsWarps && groups * kGemmRowsWarps * 2 <= wanted) {
    splits = std::clamp<int64_t>(wanted / (groups * kGemmRowsWarps), 1, blocks_of(steps, 4 * kGemmRowsWarps));
  }
  p.steps_a_split = static_cast<int>(blocks_of(steps, splits));
  const int used = static_cast<int>(blocks_of(steps, p.steps_a_split));
  provide_sums(call, p, used);
  if (half) {
    wide ? launch_rows<4, true>(call, p, warps_a_column, used)
         : launch_rows<1, true>(call, p, warps_a_column, used);
  } else {
    wide ? launch_rows<4, false>(call, p, warps_a_column, used)
         : launch_rows<1, false>(call, p, warps_a_column, used);
  }
  return used;
}

}  // namespace

void gemm(Call& call, int64_t rows, const GemmRows& a, const GemmWeights& w, int activation, float slope,
          float* c, int64_t ldc) {
  if (rows <= 0 || w.out() <= 0) return;
  const cinefuse_precision precision = call.precision();
  const GemmMath math = precision == CINEFUSE_FP32   ? GemmMath::k3xTf32
                        : precision == CINEFUSE_TF32 ? GemmMath::kTf32
                                                     : GemmMath::kBf16;
  GemmArgs p{};
  p.a = a.data;
  p.lda = a.stride;
  p.present = a.present;
  p.present_stride = a.present_stride;
  p.w = w.data();
  p.w_half = w.halves();
  p.ldw = w.stride();
  p.ldw_half = w.half_stride();
  p.bias = w.bias();
  p.c = c;
  p.ldc = ldc;
  p.rows = static_cast<int32_t>(rows);
  p.out = static_cast<int32_t>(w.out());
  p.in = static_cast<int32_t>(w.in());
  p.activation = activation;
  p.slope = slope;
  p.a_vectors = w.in() % 4 == 0 && aligned(a.data, a.stride);
  p.c_vectors = aligned(c, ldc);
  const GemmPlan plan = make_plan(rows, w, call.device(), math);
  int splits = plan.splits;
  if (plan.kernel == GemmPlan::kRows) {
    splits = run_rows(call, p, math == GemmMath::kBf16 && w.in() * w.out() >= kGemmLeastHalfWeights);
  } else {
    p.steps_a_split = plan.steps_a_split;
    provide_sums(call, p, splits);
    if (math == GemmMath::k3xTf32) launch_tiles<GemmMath::k3xTf32>(call, p, plan);
    if (math == GemmMath::kTf32) launch_tiles<GemmMath::kTf32>(call, p, plan);
    if (math == GemmMath::kBf16) launch_tiles<GemmMath::kBf16>(call, p, plan);
  }
  if (splits > 1) {
    const int64_t n = rows * (p.ld_sums / 4);
    CINEFUSE_LAUNCH(call.stream(), gemm_sum_kernel, static_cast<unsigned>(blocks_of(n, kSumThreads)),
                    kSumThreads, 0, p, splits);
  }
}

}  // namespace cinefuse::gpu
