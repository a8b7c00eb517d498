#include <algorithm>

#include "../../cuda/operators.h"
#include "fusion_kernels.cuh"
#include "fusion_sum.cuh"
#include "tensor_fusion_cuda.cuh"
#include "tensor_fusion_device.h"

namespace cinefuse::gpu {

constexpr int kFusionPackThreads = 256;

struct FusionPackArgs {
  FusionOrder order;
  int64_t stride[2][kFusionRoles];  // of the roles' indices in a raw row; 0 without a mode
  int64_t base[2];                  // of index 0 in all roles
  int64_t out, in, pieces;
  int32_t units, reserved;
  const float* raw;
  uint32_t* w;
};

// The 16 bytes of one lane in one step and 16 columns: weights of output g, then of g + 8, each with the
// products 2 t and 2 t + 1 of the step (float32) or 4 t to 4 t + 3 (bfloat16); zeros for padding. raw: (out,
// in), w: [column tile][stage][step][unit][lane][4 words].
template <bool HALF>
__global__ void tensor_fusion_pack_kernel(FusionPackArgs p) {
  constexpr int kEach = HALF ? 4 : 2;
  const int all = p.order.all_stages();
  for (int64_t piece = int64_t{blockIdx.x} * kFusionPackThreads + threadIdx.x; piece < p.pieces;
       piece += int64_t{gridDim.x} * kFusionPackThreads) {
    const int lane = static_cast<int>(piece & 31), g = lane >> 2, t = lane & 3;
    const int unit = static_cast<int>((piece >> 5) % p.units);
    const int64_t steps = (piece >> 5) / p.units;
    const int64_t stages = steps / p.order.stage_steps;
    const int stage = static_cast<int>(stages % all);
    const FusionWindow win = fusion_window(p.order, stage);
    const int step =
        (stage - win.first_stage) * p.order.stage_steps + static_cast<int>(steps % p.order.stage_steps);
    const int i = win.segment;
    const int r = step / win.s_count / win.chunks, chunk = step / win.s_count % win.chunks;
    const int64_t at = p.base[i] + (r / p.order.segment[i].count[3]) * p.stride[i][2] +
                       (r % p.order.segment[i].count[3]) * p.stride[i][3] +
                       (win.s0 + step % win.s_count) * p.stride[i][1] + win.f0 * p.stride[i][0];
    float v[2][kEach];
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      const int64_t output = (stages / all * p.units + unit) * 16 + n * 8 + g;
#pragma unroll
      for (int e = 0; e < kEach; ++e) {
        const int f = (chunk * 4 + t) * kEach + e;
        const bool there = step < win.steps && f < win.f_count && output < p.out;
        v[n][e] = there ? p.raw[output * p.in + at + f * p.stride[i][0]] : 0.f;
      }
    }
    uint4 words;
    if constexpr (HALF) {
      words = {to_bf16x2(v[0][0], v[0][1]), to_bf16x2(v[0][2], v[0][3]), to_bf16x2(v[1][0], v[1][1]),
               to_bf16x2(v[1][2], v[1][3])};
    } else {
      // The one NaN that rounding by addition of bits leaves a NaN.
      const auto bits = [](float x) { return x == x ? float_to_bits(x) : 0x7fc00000u; };
      words = {bits(v[0][0]), bits(v[0][1]), bits(v[1][0]), bits(v[1][1])};
    }
    store4(p.w + piece * 4, words);
  }
}

void TensorFusionWeights::pack(Call& call, const FusionOrder& order, bool half, const float* raw,
                               uint32_t* to) const {
  FusionPackArgs p{};
  p.order = order;
  p.in = 1;
  int64_t stride[kFusionModes];
  for (int m = modes_; m-- > 0; p.in *= d_[m] + 1) stride[m] = p.in;
  for (int i = 0; i < 2; ++i) {
    for (int role = 0; role < kFusionRoles; ++role) {
      const int mode = order.segment[i].mode[role];
      p.stride[i][role] = mode < 0 ? 0 : stride[mode];
    }
  }
  const int f = order.segment[0].mode[0];  // of the second segment it is always at its 1
  p.base[1] = d_[f] * stride[f];
  p.out = out_;
  p.units = units_;
  p.raw = raw;
  p.w = to;
  p.pieces = int64_t{column_tiles_} * order.all_stages() * order.stage_steps * units_ * 32;
  const int64_t blocks = std::min<int64_t>(blocks_of(p.pieces, kFusionPackThreads),
                                           int64_t{64} * call.device().multiprocessors());
  if (half) {
    CINEFUSE_LAUNCH(call.stream(), tensor_fusion_pack_kernel<true>, static_cast<unsigned>(blocks),
                    kFusionPackThreads, 0, p);
  } else {
    CINEFUSE_LAUNCH(call.stream(), tensor_fusion_pack_kernel<false>, static_cast<unsigned>(blocks),
                    kFusionPackThreads, 0, p);
  }
}

TensorFusionWeights::TensorFusionWeights(Call& call, int modes, const int64_t* d, int64_t out, const float* w,
                                         const float* bias, int activation, float slope)
    : modes_(modes), out_(out), bias_(call, bias, out), activation_(activation), slope_(slope) {
  std::copy(d, d + modes, d_);
  int64_t in = 1;
  for (int m = 0; m < modes; ++m) in *= d[m] + 1;
  const int64_t units = blocks_of(out, 16);
  column_tiles_ = static_cast<int>(blocks_of(units, kMostFusionUnits));
  units_ = static_cast<int>(blocks_of(units, column_tiles_));
  if (units_ > kMostFusionUnits / 2) units_ = (units_ + 1) / 2 * 2;  // for two warps
  const int stage_steps = units_ > kMostFusionUnits / 2 ? 8 : 16;    // 32 KiB at most
  order_ = fusion_order(modes, d, 8, stage_steps);
  half_order_ = fusion_order(modes, d, 16, stage_steps);
  const auto words = [&](const FusionOrder& order) {
    return int64_t{column_tiles_} * order.all_stages() * order.stage_steps * units_ * 128;
  };
  weights_ = Array<uint32_t>(call.device(), words(order_));
  half_weights_ = Array<uint32_t>(call.device(), words(half_order_));
  float* const raw = call.scratch<float>(out * in);
  call.upload(raw, w, sizeof(float) * static_cast<size_t>(out * in));
  pack(call, order_, false, raw, weights_.get());
  pack(call, half_order_, true, raw, half_weights_.get());
}

namespace {

constexpr int64_t kMostSums = int64_t{16} << 20;  // floats of partial sums: more rows go in several launches

void set_roles(FusionArgs& p, const float* const* h, const int64_t* ldh, const int64_t* d, int modes,
               const uint8_t* present) {
  for (int i = 0; i < 2; ++i) {
    for (int role = 0; role < kFusionRoles; ++role) {
      const int mode = p.order.segment[i].mode[role];
      p.role[i][role] = {};
      if (mode < 0) continue;
      p.role[i][role] = {h[mode], present ? present + mode : nullptr, ldh[mode],
                         static_cast<int32_t>(d[mode]), modes};
    }
  }
}

}  // namespace

void tensor_fusion_rows(Call& call, const TensorFusionWeights& w, int64_t rows, const float* const* h,
                        const int64_t* ldh, const uint8_t* present, float* y) {
  if (rows <= 0) return;
  const cinefuse_precision precision = call.precision();
  const bool half = precision == CINEFUSE_BF16;
  const FusionMath math = half                         ? FusionMath::kBf16
                          : precision == CINEFUSE_TF32 ? FusionMath::kTf32
                                                       : FusionMath::k3xTf32;
  FusionArgs p{};
  p.order = half ? w.half_order_ : w.order_;
  p.w = half ? w.half_weights_.get() : w.weights_.get();
  p.w_plain = w.weights_.get();
  p.units = w.units_;
  p.columns = w.column_tiles_ * w.units_ * 16;
  p.warps_across = w.units_ > kMostFusionUnits / 2 ? 2 : 1;
  p.units_a_warp = w.units_ / p.warps_across;
  const int64_t most_rows = std::max<int64_t>(kMostSums / p.columns / 256, 1) * 256;
  float* sums = nullptr;
  int64_t sums_taken = 0;
  for (int64_t first = 0; first < rows; first += most_rows) {
    p.rows = static_cast<int32_t>(std::min(most_rows, rows - first));
    const float* from[kFusionModes];
    for (int m = 0; m < w.modes_; ++m) from[m] = h[m] + first * ldh[m];
    const uint8_t* const there = present ? present + first * w.modes_ : nullptr;
    set_roles(p, from, ldh, w.d_, w.modes_, there);
    p.slice = int64_t{p.rows} * p.columns;

    const bool thin = p.rows <= most_thin_rows(half);
    const FusionPlan plan =
        thin ? fusion_thin_plan(p, call.device()) : fusion_tile_plan(p, math, call.device());
    if (sums_taken < p.splits * p.slice) {
      sums_taken = p.splits * p.slice;
      sums = call.scratch<float>(sums_taken);
    }
    p.sums = sums;
    thin ? fusion_thin_launch(call, p, half, plan) : fusion_tile_launch(call, p, math, plan);

    FusionSumArgs sum{};
    sum.plain = p;
    sum.plain.order = w.order_;
    set_roles(sum.plain, from, ldh, w.d_, w.modes_, there);
    sum.bias = w.bias_.get();
    sum.y = y + first * w.out_;
    sum.out = w.out_;
    sum.vectors = w.out_ % 4 == 0 && reinterpret_cast<uintptr_t>(sum.y) % 16 == 0;
    sum.activation = w.activation_;
    sum.slope = w.slope_;
    fusion_sum_launch(call, sum);
  }
}

struct TensorFusionObject final : Object {
  TensorFusionWeights weights;
};

static std::unique_ptr<TensorFusionObject> tensor_fusion_create(Call& call,
                                                                const cinefuse_tensor_fusion_description& d) {
  auto object = std::make_unique<TensorFusionObject>();
  object->weights = TensorFusionWeights(call, d.modes, d.d, d.out, d.weight, d.bias, d.activation, d.slope);
  return object;
}

static void tensor_fusion_cuda(Call& call, const TensorFusionObject& object,
                               const cinefuse_tensor_fusion_params& p) {
  const TensorFusionWeights& w = object.weights;
  In<float> h[kFusionModes];
  int64_t ldh[kFusionModes];
  for (int m = 0; m < w.modes(); ++m) {
    ldh[m] = w.d(m);
    h[m] = call.in(p.h[m], p.rows * ldh[m]);
  }
  const In<uint8_t> present = call.in(p.present, p.rows * w.modes());
  const Out<float> y = call.out(p.y, p.rows * w.out());
  if (p.rows == 0) return;
  call.send();
  call.compute([&] {
    const float* device_h[kFusionModes];
    for (int m = 0; m < w.modes(); ++m) device_h[m] = h[m].get();
    tensor_fusion_rows(call, w, p.rows, device_h, ldh, present.get(), y.get());
  });
  call.receive();
}

const Operator kTensorFusionOperator =
    prepared_operator<TensorFusionObject, cinefuse_tensor_fusion_description, cinefuse_tensor_fusion_params,
                      tensor_fusion_create, tensor_fusion_cuda>();

}  // namespace cinefuse::gpu
