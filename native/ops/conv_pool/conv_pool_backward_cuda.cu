#include <algorithm>

#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "conv_pool_device.h"

namespace cinefuse::gpu {

constexpr int kConvThreads = 256;
constexpr int kConvFilters = 256;  // of which a block keeps places and gradients at a time

// g = dy act'(y), as conv_pool_backward_cpu.cc has it; n of each.
__global__ void __launch_bounds__(kConvThreads)
    conv_slope_kernel(int64_t n, int activation, const float* y, const float* dy, float* g) {
  for (int64_t i = int64_t{blockIdx.x} * kConvThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kConvThreads) {
    const float slope = activation == 1   ? (y[i] <= 0.f ? 0.f : 1.f)
                        : activation == 3 ? 1.f - y[i] * y[i]
                                          : 1.f;
    g[i] = dy[i] * slope;
  }
}

struct ConvGradient {
  int64_t batch, steps, dim, size, filters;
  int64_t width, column;  // of g and argmax; the window's first
  const float *x, *g, *weight;
  const int32_t *lengths, *argmax;
};

__device__ __forceinline__ int64_t conv_length(const ConvGradient& p, int64_t b) {
  return p.lengths ? p.lengths[b] : p.steps;
}

// dw[f][k] = sum over the batch of g[b][f] x[b][argmax * dim + k], db[f] that of g; b ascending.
// Grid: (inputs / kConvThreads, filters).
__global__ void __launch_bounds__(kConvThreads)
    conv_weight_kernel(ConvGradient p, float* dweight, float* dbias) {
  const int64_t inputs = p.size * p.dim;
  const int64_t k = int64_t{blockIdx.x} * kConvThreads + threadIdx.x;
  for (int64_t f = blockIdx.y; f < p.filters; f += gridDim.y) {
    float sum = 0.f, bias = 0.f;
    for (int64_t b = 0; b < p.batch; ++b) {
      const int64_t at = b * p.width + p.column + f;
      const float g = p.g[at];
      if (g == 0.f) continue;
      bias += g;
      // Beyond a row's length are the zeros that padded it.
      if (k < inputs && k < conv_length(p, b) * p.dim) {
        sum = fmaf(g, p.x[(b * p.steps + p.argmax[at]) * p.dim + k], sum);
      }
    }
    if (k < inputs) dweight[f * inputs + k] = sum;
    if (k == 0) dbias[f] = bias;
  }
}

// dx[b][t][d] (+)= sum over the filters whose window covers t of g[b][f] w[f][t - argmax][d], f ascending.
// Grid: (steps * dim / kConvThreads, batch).
__global__ void __launch_bounds__(kConvThreads) conv_input_kernel(ConvGradient p, bool first, float* dx) {
  CINEFUSE_SHARED(float, gradient, [kConvFilters]);
  CINEFUSE_SHARED(int, place, [kConvFilters]);
  const int64_t e = int64_t{blockIdx.x} * kConvThreads + threadIdx.x;
  const int64_t t = e / p.dim, d = e - t * p.dim;
  for (int64_t b = blockIdx.y; b < p.batch; b += gridDim.y) {
    const bool inside = t < conv_length(p, b);
    float sum = 0.f;
    for (int64_t f0 = 0; f0 < p.filters; f0 += kConvFilters) {
      const int count = static_cast<int>(min(int64_t{kConvFilters}, p.filters - f0));
      __syncthreads();
      for (int f = static_cast<int>(threadIdx.x); f < count; f += kConvThreads) {
        const int64_t at = b * p.width + p.column + f0 + f;
        gradient[f] = p.g[at];
        place[f] = p.argmax[at];
      }
      __syncthreads();
      for (int f = 0; inside && f < count; ++f) {
        const int64_t i = t - place[f];
        if (gradient[f] == 0.f || i < 0 || i >= p.size) continue;
        sum = fmaf(gradient[f], p.weight[((f0 + f) * p.size + i) * p.dim + d], sum);
      }
    }
    if (t >= p.steps) continue;
    float* const to = dx + b * p.steps * p.dim + e;
    *to = first ? sum : *to + sum;
  }
}

static void conv_pool_backward_cuda(Call& call, const cinefuse_conv_pool_backward& p) {
  const cinefuse_conv_pool_description& layer = p.layer;
  const int64_t dim = layer.dim, batch = p.rows.batch, steps = p.rows.steps;
  In<float> weights[CINEFUSE_CONV_WINDOWS];
  Out<float> dweight[CINEFUSE_CONV_WINDOWS], dbias[CINEFUSE_CONV_WINDOWS];
  int64_t width = 0;
  for (int i = 0; i < layer.windows; ++i) {
    const cinefuse_conv_window& w = layer.window[i];
    weights[i] = call.in(w.weight, w.filters * w.size * dim);
    dweight[i] = call.out(p.dweight[i], w.filters * w.size * dim);
    dbias[i] = call.out(p.dbias[i], w.filters);
    width += w.filters;
  }
  const In<float> x = call.in(p.rows.x, batch * steps * dim), y = call.in(p.y, batch * width),
                  dy = call.in(p.dy, batch * width);
  const In<int32_t> lengths = call.in(p.rows.lengths, batch), argmax = call.in(p.argmax, batch * width);
  const Out<float> dx = call.out(p.dx, batch * steps * dim);
  call.send();
  call.compute([&] {
    float* const g = call.scratch<float>(std::max<int64_t>(batch * width, 1));
    if (batch > 0) {
      CINEFUSE_LAUNCH(call.stream(), conv_slope_kernel, grid_of(blocks_of(batch * width, kConvThreads)),
                      kConvThreads, 0, batch * width, layer.activation, y.get(), dy.get(), g);
    }
    int64_t column = 0;
    for (int i = 0; i < layer.windows; ++i) {
      const cinefuse_conv_window& w = layer.window[i];
      const ConvGradient gradient{batch,  steps,   dim, w.size,           w.filters,     width,
                                  column, x.get(), g,   weights[i].get(), lengths.get(), argmax.get()};
      const dim3 by_weight(static_cast<unsigned>(blocks_of(w.size * dim, kConvThreads)),
                           static_cast<unsigned>(std::min<int64_t>(w.filters, 65535)));
      CINEFUSE_LAUNCH(call.stream(), conv_weight_kernel, by_weight, kConvThreads, 0, gradient,
                      dweight[i].get(), dbias[i].get());
      if (dx.get() && batch > 0) {
        const dim3 by_input(static_cast<unsigned>(blocks_of(steps * dim, kConvThreads)),
                            static_cast<unsigned>(std::min<int64_t>(batch, 65535)));
        CINEFUSE_LAUNCH(call.stream(), conv_input_kernel, by_input, kConvThreads, 0, gradient, i == 0,
                        dx.get());
      }
      column += w.filters;
    }
  });
  call.receive();
}

const Operator kConvPoolBackwardOperator =
    plain_operator<cinefuse_conv_pool_backward, conv_pool_backward_cuda>();

}  // namespace cinefuse::gpu
