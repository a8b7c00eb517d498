// A window over consecutive steps is `size * dim` consecutive numbers and the next place lies `dim` further:
// one matrix product over all places of many rows at once, whose rows are then folded into their largest.
// Places that reach from one row of the batch into the next are computed and never looked at.
#include <algorithm>

#include "../../cuda/gemm.h"
#include "../../cuda/multiply.h"
#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "../activation/activation_math.cuh"
#include "conv_pool_device.h"

namespace cinefuse::gpu {

constexpr int kPadThreads = 256;

// to[b] = the `size` first steps of row b, zeros beyond its length. to: (batch, size, dim).
__global__ void __launch_bounds__(kPadThreads)
    conv_pad_kernel(int64_t batch, int64_t steps, int64_t dim, int64_t size, const float* x,
                    const int32_t* lengths, float* to) {
  const int64_t inputs = size * dim, n = batch * inputs;
  for (int64_t at = int64_t{blockIdx.x} * kPadThreads + threadIdx.x; at < n;
       at += int64_t{gridDim.x} * kPadThreads) {
    const int64_t b = at / inputs, i = at - b * inputs;
    const int64_t length = lengths ? lengths[b] : steps;
    to[at] = i < length * dim ? x[b * steps * dim + i] : 0.f;
  }
}

struct ConvFold {
  int64_t steps, size, filters;
  int64_t width;        // filters of all windows: from row to row of y
  const float* sums;    // (batch * steps, filters): of all places
  const float* padded;  // (batch, filters): of rows shorter than the window; null where there are none
  const int32_t* lengths;
  int activation;
  float* y;
  int32_t* argmax;  // or null
};

// Whether (v, t) takes the place of (best, at): the largest, of equals the first, a NaN before all.
__device__ __forceinline__ bool conv_takes(float v, int t, float best, int at) {
  if (v != v) return best == best || t < at;
  return v > best || (v == best && t < at);
}

// y = act(the largest sum of a row's places). 32 filters a block, 8 places of them at a time.
// Grid: (filters / 32, batch).
__global__ void __launch_bounds__(256) conv_fold_kernel(ConvFold p) {
  CINEFUSE_SHARED(float, values, [8][33]);
  CINEFUSE_SHARED(int, places, [8][33]);
  const int lane = static_cast<int>(threadIdx.x) % 32, group = static_cast<int>(threadIdx.x) / 32;
  const int64_t b = blockIdx.y, f = int64_t{blockIdx.x} * 32 + lane;
  const int64_t length = p.lengths ? p.lengths[b] : p.steps;
  const bool is_short = length < p.size;
  const int count = is_short ? 1 : static_cast<int>(length - p.size + 1);
  const float* const from = is_short ? p.padded + b * p.filters : p.sums + b * p.steps * p.filters;
  float best = -INFINITY;
  int at = 0x7fffffff;
  for (int t = group; t < count && f < p.filters; t += 8) {
    const float v = from[t * p.filters + f];
    if (conv_takes(v, t, best, at)) best = v, at = t;
  }
  values[group][lane] = best;
  places[group][lane] = at;
  __syncthreads();
  if (group > 0 || f >= p.filters) return;
  for (int g = 1; g < 8; ++g) {
    if (conv_takes(values[g][lane], places[g][lane], best, at)) best = values[g][lane], at = places[g][lane];
  }
  p.y[b * p.width + f] = activate(p.activation, 0.f, best);
  if (p.argmax) p.argmax[b * p.width + f] = at;
}

// Everything of a call that its windows share.
struct ConvRows {
  int64_t batch, steps, dim, width;
  int activation;
  const int32_t* host_lengths;
  const float* x;
  const int32_t* lengths;
  float* y;
  int32_t* argmax;
};

// One window; product(rows, a, c): the sums of `rows` rows of A, which lie dim apart (padded: inputs apart).
template <class Product>
static void fold_window(Call& call, const ConvRows& p, int64_t size, int64_t filters, int64_t column,
                        Product&& product) {
  const bool any_short = p.host_lengths ? std::any_of(p.host_lengths, p.host_lengths + p.batch,
                                                      [&](int32_t length) { return length < size; })
                                        : p.steps < size;
  // So many rows at a time that their sums are still in L2 when they are folded.
  const int64_t row_bytes = p.steps * filters * static_cast<int64_t>(sizeof(float));
  const int64_t l2 = static_cast<int64_t>(call.device().l2_bytes());
  const int64_t most = std::clamp<int64_t>(l2 / 2 / row_bytes, 1, std::min<int64_t>(p.batch, 65535));
  float* const sums = call.scratch<float>(most * p.steps * filters);
  float* const padded = any_short ? call.scratch<float>(most * (size * p.dim + filters)) : nullptr;
  float* const padded_sums = any_short ? padded + most * size * p.dim : nullptr;
  const std::vector<size_t> mark = call.scratch_mark();
  for (int64_t first = 0; first < p.batch; first += most) {
    call.rewind_scratch(mark);
    const int64_t n = std::min(most, p.batch - first);
    const float* const x = p.x + first * p.steps * p.dim;
    const int32_t* const lengths = p.lengths ? p.lengths + first : nullptr;
    const int64_t places = n * p.steps - size + 1;
    if (places > 0) product(places, x, p.dim, sums);
    if (any_short) {
      CINEFUSE_LAUNCH(call.stream(), conv_pad_kernel, grid_of(blocks_of(n * size * p.dim, kPadThreads)),
                      kPadThreads, 0, n, p.steps, p.dim, size, x, lengths, padded);
      product(n, padded, size * p.dim, padded_sums);
    }
    const int64_t at = first * p.width + column;
    const ConvFold fold{p.steps,     size,    filters,      p.width,  sums,
                        padded_sums, lengths, p.activation, p.y + at, p.argmax ? p.argmax + at : nullptr};
    const dim3 grid(static_cast<unsigned>(blocks_of(filters, 32)), static_cast<unsigned>(n));
    CINEFUSE_LAUNCH(call.stream(), conv_fold_kernel, grid, 256, 0, fold);
  }
}

struct ConvPoolLayer final : Object {
  int64_t dim = 0, width = 0;
  int activation = 0;
  std::vector<int64_t> sizes;
  std::vector<GemmWeights> weights;
};

static std::unique_ptr<ConvPoolLayer> conv_pool_create(Call& call, const cinefuse_conv_pool_description& d) {
  auto layer = std::make_unique<ConvPoolLayer>();
  layer->dim = d.dim;
  layer->activation = d.activation;
  for (int i = 0; i < d.windows; ++i) {
    const cinefuse_conv_window& w = d.window[i];
    layer->sizes.push_back(w.size);
    layer->weights.emplace_back(call, w.weight, w.bias, w.filters, w.size * d.dim);
    layer->width += w.filters;
  }
  return layer;
}

static void conv_pool_cuda(Call& call, const ConvPoolLayer& layer, const cinefuse_conv_pool_params& p) {
  const In<float> x = call.in(p.x, p.batch * p.steps * layer.dim);
  const In<int32_t> lengths = call.in(p.lengths, p.batch);
  const Out<float> y = call.out(p.y, p.batch * layer.width);
  if (p.batch == 0) return;
  call.send();
  call.compute([&] {
    const ConvRows rows{p.batch,   p.steps, layer.dim,     layer.width, layer.activation,
                        p.lengths, x.get(), lengths.get(), y.get(),     nullptr};
    int64_t column = 0;
    for (size_t i = 0; i < layer.sizes.size(); ++i) {
      const GemmWeights& w = layer.weights[i];
      fold_window(call, rows, layer.sizes[i], w.out(), column,
                  [&](int64_t count, const float* a, int64_t lda, float* c) {
                    gemm(call, count, a, lda, w, 0, 0.f, c, w.out());
                  });
      column += w.out();
    }
  });
  call.receive();
}

static void conv_pool_forward_cuda(Call& call, const cinefuse_conv_pool_forward& p) {
  const cinefuse_conv_pool_description& layer = p.layer;
  const int64_t dim = layer.dim, batch = p.rows.batch, steps = p.rows.steps;
  In<float> weights[CINEFUSE_CONV_WINDOWS], biases[CINEFUSE_CONV_WINDOWS];
  int64_t width = 0;
  for (int i = 0; i < layer.windows; ++i) {
    const cinefuse_conv_window& w = layer.window[i];
    weights[i] = call.in(w.weight, w.filters * w.size * dim);
    biases[i] = call.in(w.bias, w.filters);
    width += w.filters;
  }
  const In<float> x = call.in(p.rows.x, batch * steps * dim);
  const In<int32_t> lengths = call.in(p.rows.lengths, batch);
  const Out<float> y = call.out(p.rows.y, batch * width);
  const Out<int32_t> argmax = call.out(p.argmax, batch * width);
  if (batch == 0) return;
  call.send();
  call.compute([&] {
    const ConvRows rows{batch,          steps,   dim,           width,   layer.activation,
                        p.rows.lengths, x.get(), lengths.get(), y.get(), argmax.get()};
    int64_t column = 0;
    for (int i = 0; i < layer.windows; ++i) {
      const cinefuse_conv_window& w = layer.window[i];
      const int64_t inputs = w.size * dim;
      fold_window(call, rows, w.size, w.filters, column,
                  [&](int64_t count, const float* a, int64_t lda, float* c) {
                    multiply(count, w.filters, inputs, {a, lda, false}, {weights[i].get(), inputs, true},
                             biases[i].get(), c, w.filters, call);
                  });
      column += w.filters;
    }
  });
  call.receive();
}

const Operator kConvPoolOperator =
    prepared_operator<ConvPoolLayer, cinefuse_conv_pool_description, cinefuse_conv_pool_params,
                      conv_pool_create, conv_pool_cuda>();
const Operator kConvPoolForwardOperator =
    plain_operator<cinefuse_conv_pool_forward, conv_pool_forward_cuda>();

}  // namespace cinefuse::gpu
