#include <algorithm>

#include "../../cuda/operators.h"
#include "../../cuda/portable.h"
#include "../../cuda/rows.cuh"
#include "tensor_fusion_backward_cuda.cuh"
#include "tensor_fusion_backward_device.h"

namespace cinefuse::gpu {

constexpr int kWindowThreads = 256;

// Some rows and some values of the first modality: the columns [first * rest, (first + size[0]) * rest) of z.
struct TrainingWindow {
  int64_t rows, width;
  int modes, first;
  int size[kMostTensorModes];        // with the 1; of the first modality only those of the window
  int stride[kMostTensorModes];      // d_m + 1
  const float* v[kMostTensorModes];  // (rows, stride[m]): [h_m; 1]
  float* z;                          // (rows, width): z, or dz
  int64_t z_row;
};

__device__ __forceinline__ float fusion_window_value(const TrainingWindow& p, int64_t row, int m, int64_t i) {
  return p.v[m][row * p.stride[m] + i + (m == 0 ? p.first : 0)];
}

// z[r][k] = Π_m v_m[r][i_m]
__global__ void __launch_bounds__(kWindowThreads) fusion_window_kernel(TrainingWindow p) {
  const int64_t n = p.rows * p.width, step = int64_t{kWindowThreads} * gridDim.x;
  for (int64_t at = int64_t{blockIdx.x} * kWindowThreads + threadIdx.x; at < n; at += step) {
    const int64_t row = at / p.width;
    uint32_t left = static_cast<uint32_t>(at % p.width);
    float product = 1.f;
#pragma unroll
    for (int m = kMostTensorModes - 1; m >= 0; --m) {
      if (m >= p.modes) continue;
      const uint32_t next = left / static_cast<uint32_t>(p.size[m]);
      product *= fusion_window_value(p, row, m, left - next * static_cast<uint32_t>(p.size[m]));
      left = next;
    }
    p.z[row * p.z_row + at % p.width] = product;
  }
}

struct FusionContraction {
  TrainingWindow window;
  int outputs;  // of a row: all values of all modes
  bool add;     // to the dh of all modes but the first
  const uint8_t* present;
  float* dh[kMostTensorModes];
};

// dh_m[r][i] = sum over the other modes of dz times their values; a warp an element.
__global__ void __launch_bounds__(kWindowThreads) fusion_contract_kernel(FusionContraction p) {
  const TrainingWindow& w = p.window;
  const int lane = threadIdx.x % 32;
  const int64_t warps = int64_t{gridDim.x} * (kWindowThreads / 32), all = w.rows * p.outputs;
  for (int64_t at = (int64_t{blockIdx.x} * kWindowThreads + threadIdx.x) / 32; at < all; at += warps) {
    const int64_t row = at / p.outputs;
    int i = static_cast<int>(at % p.outputs), m = 0, d = 0;
    uint32_t size = 1, right = 1, before = 1;
    float* dh = nullptr;
    // Every index into the arguments is known to the compiler: else they would be copied to memory.
#pragma unroll
    for (int n = 0; n < kMostTensorModes - 1; ++n) {
      if (m == n && i >= w.size[n]) i -= w.size[n], m = n + 1;
    }
#pragma unroll
    for (int n = 0; n < kMostTensorModes; ++n) {
      if (n >= w.modes) continue;
      if (n < m) before *= static_cast<uint32_t>(w.size[n]);
      if (n > m) right *= static_cast<uint32_t>(w.size[n]);
      if (n == m) size = static_cast<uint32_t>(w.size[n]), d = w.stride[n] - 1, dh = p.dh[n];
    }
    const int value = i + (m == 0 ? w.first : 0);
    if (!dh || value == d) continue;  // the same in the whole warp
    const float* dz = w.z + row * w.z_row;
    float sum = 0.f;
    for (uint32_t q = static_cast<uint32_t>(lane); q < before * right; q += 32) {
      uint32_t high = q / right, low = q % right;
      float product = dz[(high * size + static_cast<uint32_t>(i)) * right + low];
#pragma unroll
      for (int n = kMostTensorModes - 1; n >= 0; --n) {
        if (n >= w.modes || n == m) continue;
        const uint32_t left = n > m ? low : high;
        const uint32_t next = left / static_cast<uint32_t>(w.size[n]);
        product *= fusion_window_value(w, row, n, left - next * static_cast<uint32_t>(w.size[n]));
        low = n > m ? next : low;
        high = n > m ? high : next;
      }
      sum += product;
    }
    sum = warp_sum(sum);
    if (lane != 0) continue;
    float* to = dh + row * d + value;
    const bool there = !p.present || p.present[row * w.modes + m];
    *to = !there ? 0.f : p.add && m > 0 ? *to + sum : sum;
  }
}

// Rows of a batch, and calls body(window, whether it is the rows' first) for each window of their z.
struct FusionWindows {
  Call& call;
  const FusionDims& dims;
  FusionInputs inputs;
  int64_t rest, most;  // columns of one value of the first modality; floats of a window: part of L2

  FusionWindows(Call& call_, const FusionDims& dims_, const FusionInputs& in)
      : call(call_),
        dims(dims_),
        inputs(in),
        rest(dims_.product() / (dims_.d[0] + 1)),
        most(std::max<int64_t>(int64_t{1} << 14, static_cast<int64_t>(call_.device().l2_bytes() / 64))) {}

  int64_t rows_at_once() const { return std::clamp<int64_t>(most / rest, 1, inputs.rows); }
  int values_at_once() const {
    return static_cast<int>(std::clamp<int64_t>(most / (rest * rows_at_once()), 1, dims.d[0] + 1));
  }
  float* buffer() const { return call.scratch<float>(rows_at_once() * values_at_once() * rest); }

  template <class Body>
  void each(float* z, Body&& body) const {
    float* v[kMostTensorModes];
    for (int m = 0; m < dims.modes; ++m) v[m] = call.scratch<float>(rows_at_once() * (dims.d[m] + 1));
    for (int64_t row = 0; row < inputs.rows; row += rows_at_once()) {
      FusionInputs some = inputs;
      some.rows = std::min(rows_at_once(), inputs.rows - row);
      for (int m = 0; m < dims.modes; ++m) some.h[m] += row * dims.d[m];
      if (some.present) some.present += row * dims.modes;
      TrainingWindow window{};
      window.rows = some.rows;
      window.modes = dims.modes;
      for (int m = 0; m < dims.modes; ++m) {
        fusion_values(call, dims, some, m, v[m]);
        window.v[m] = v[m];
        window.size[m] = window.stride[m] = dims.d[m] + 1;
      }
      window.z = z;
      for (int first = 0; first <= dims.d[0]; first += values_at_once()) {
        call.check_cancelled();
        window.first = first;
        window.size[0] = std::min(values_at_once(), dims.d[0] + 1 - first);
        window.width = window.z_row = window.size[0] * rest;
        body(window, row);
      }
    }
  }

  void form(const TrainingWindow& window) const {
    const int64_t blocks = blocks_of(window.rows * window.width, kWindowThreads);
    CINEFUSE_LAUNCH(call.stream(), fusion_window_kernel, grid_of(std::min<int64_t>(blocks, 8192)),
                    kWindowThreads, 0, window);
  }
  void contract(const TrainingWindow& window, int64_t row, float* const* dh) const {
    FusionContraction p{window, 0, window.first > 0, nullptr, {}};
    for (int m = 0; m < dims.modes; ++m) {
      p.outputs += window.size[m];
      p.dh[m] = dh[m] ? dh[m] + row * dims.d[m] : nullptr;
    }
    if (inputs.present) p.present = inputs.present + row * dims.modes;
    const int64_t blocks = blocks_of(window.rows * p.outputs, kWindowThreads / 32);
    CINEFUSE_LAUNCH(call.stream(), fusion_contract_kernel, grid_of(std::min<int64_t>(blocks, 1 << 16)),
                    kWindowThreads, 0, p);
  }
};

static FusionProduct one_product() {
  FusionProduct p{};
  p.batches = 1;
  return p;
}

void tensor_fusion_forward(const FusionDims& dims, int64_t out, const FusionInputs& in, const float* W,
                           const float* b, float* y, Call& call) {
  if (in.rows == 0) return;
  const FusionWindows windows(call, dims, in);
  const int64_t columns = dims.product();
  // Few rows and outputs: the sum is shared out too, in parts that are added in order.
  const int64_t tiles = blocks_of(windows.rows_at_once(), 64) * blocks_of(out, 64);
  const int64_t widest = windows.values_at_once() * windows.rest;
  const int64_t most = std::clamp<int64_t>(128 / tiles, 1, blocks_of(widest, 256));
  float* z = windows.buffer();
  float* parts = call.scratch<float>(most * windows.rows_at_once() * out);
  windows.each(z, [&](const TrainingWindow& w, int64_t row) {
    windows.form(w);
    FusionProduct p = one_product();
    p.depth = blocks_of(w.width, most);
    p.batches = blocks_of(w.width, p.depth);
    p.depth_all = w.width;
    p.rows = w.rows;
    p.cols = out;
    p.a = z;
    p.a_row = w.width;
    p.a_k = 1;
    p.a_batch = p.b_batch = p.depth;
    p.b = W + w.first * windows.rest;
    p.b_col = columns;
    p.b_k = 1;
    p.c = parts;
    p.c_row = out;
    p.c_batch = w.rows * out;
    fusion_product(call, p);
    fusion_add_parts(call, {w.rows, out, p.batches, parts, b, w.first > 0, nullptr, 0, y + row * out});
  });
}

void tensor_fusion_backward(const FusionDims& dims, int64_t out, const FusionInputs& in,
                            const TensorFusionGradients& g, Call& call) {
  const int64_t columns = dims.product();
  if (g.db) fusion_sum_rows(call, in.rows, out, g.dy, g.db);
  if (in.rows == 0) {
    if (g.dW) fusion_add_parts(call, {out, columns, 0, nullptr, nullptr, false, nullptr, 0, g.dW});
    return;
  }
  const FusionWindows windows(call, dims, in);
  bool inputs = false;
  for (int m = 0; m < dims.modes; ++m) inputs = inputs || g.dh[m];
  float* z = windows.buffer();
  windows.each(z, [&](const TrainingWindow& w, int64_t row) {
    const float* dy = g.dy + row * out;
    const int64_t column = w.first * windows.rest;
    if (g.dW) {
      windows.form(w);
      FusionProduct p = one_product();
      p.rows = out;
      p.cols = w.width;
      p.depth = w.rows;
      p.a = dy;
      p.a_row = 1;
      p.a_k = out;
      p.b = z;
      p.b_col = 1;
      p.b_k = w.width;
      p.c = g.dW + column;
      p.c_row = columns;
      p.add = row > 0;
      fusion_product(call, p);
    }
    if (!inputs) return;
    FusionProduct p = one_product();
    p.rows = w.rows;
    p.cols = w.width;
    p.depth = out;
    p.a = dy;
    p.a_row = out;
    p.a_k = 1;
    p.b = g.W + column;
    p.b_col = 1;
    p.b_k = columns;
    p.c = z;
    p.c_row = w.width;
    fusion_product(call, p);
    windows.contract(w, row, g.dh);
  });
}

void outer_product_backward(const FusionDims& dims, const FusionInputs& in, const float* dz, float* const* dh,
                            Call& call) {
  if (in.rows == 0) return;
  const FusionWindows windows(call, dims, in);
  const int64_t columns = dims.product();
  windows.each(nullptr, [&](TrainingWindow w, int64_t row) {
    w.z = const_cast<float*>(dz) + row * columns + w.first * windows.rest;  // read only
    w.z_row = columns;
    windows.contract(w, row, dh);
  });
}

static FusionDims dims_of(int64_t modes, const int64_t* d) {
  FusionDims dims{static_cast<int>(modes), {}};
  for (int m = 0; m < dims.modes; ++m) dims.d[m] = static_cast<int>(d[m]);
  return dims;
}

static void run_training(Call& call, const cinefuse_tensor_fusion_training& p) {
  const FusionDims dims = dims_of(p.modes, p.d);
  const int64_t columns = dims.product();
  In<float> h[kMostTensorModes];
  Out<float> dh[kMostTensorModes];
  for (int m = 0; m < dims.modes; ++m) {
    h[m] = call.in(p.h[m], p.rows * dims.d[m]);
    dh[m] = call.out(p.dh[m], p.rows * dims.d[m]);
  }
  const In<uint8_t> present = call.in(p.present, p.rows * p.modes);
  const In<float> W = call.in(p.weight, p.out * columns), b = call.in(p.bias, p.out);
  const In<float> dy = call.in(p.dy, p.rows * p.out), dz = call.in(p.dz, p.rows * columns);
  const Out<float> y = call.out(p.y, p.rows * p.out), dW = call.out(p.dW, p.out * columns);
  const Out<float> db = call.out(p.db, p.out);
  call.send();
  call.compute([&] {
    FusionInputs in{p.rows, {}, present.get()};
    TensorFusionGradients g{W.get(), dy.get(), {}, dW.get(), db.get()};
    for (int m = 0; m < dims.modes; ++m) {
      in.h[m] = h[m].get();
      g.dh[m] = dh[m].get();
    }
    if (p.y) tensor_fusion_forward(dims, p.out, in, W.get(), b.get(), y.get(), call);
    if (p.dW) tensor_fusion_backward(dims, p.out, in, g, call);
    if (p.dz) outer_product_backward(dims, in, dz.get(), g.dh, call);
  });
  call.receive();
}

const Operator kTensorFusionTrainingOperator =
    plain_operator<cinefuse_tensor_fusion_training, run_training>();

}  // namespace cinefuse::gpu
