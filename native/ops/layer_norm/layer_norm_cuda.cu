#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "../activation/activation_math.cuh"
#include "layer_norm_cuda.cuh"
#include "layer_norm_device.h"

namespace cinefuse::gpu {

// What all forms of the kernel are given. x, residual, y: (rows, cols); gain, bias: (cols); residual, gain
// and bias may be null.
struct LayerNormArguments {
  int64_t rows, cols;
  float eps, slope;
  int activation;
  const float *x, *residual, *gain, *bias;
  float* y;
};

// The activations that cost next to nothing are taken on the way; the others in a loop of their own over what
// the same thread has just stored, so that their code does not stand in every unrolled step.
__device__ __forceinline__ bool is_cheap(int activation) { return activation <= 2; }

// v <- (v - mean) * scale * gain[j] + bias[j], stored at y
template <int VEC>
__device__ __forceinline__ void finish_pack(const LayerNormArguments& p, int64_t row, int j, float mean,
                                            float scale, float (&v)[VEC]) {
  float gain[VEC], bias[VEC];
  if (p.gain) load_pack<VEC>(p.gain + j, gain);
  if (p.bias) load_pack<VEC>(p.bias + j, bias);
#pragma unroll
  for (int k = 0; k < VEC; ++k) {
    float z = (v[k] - mean) * scale;
    if (p.gain) z *= gain[k];
    if (p.bias) z += bias[k];
    if (p.activation != 0 && is_cheap(p.activation))
      z = z > 0.f || z != z ? z : p.activation == 1 ? 0.f : p.slope * z;
    v[k] = z;
  }
  store_pack<VEC>(p.y + row * p.cols + j, v);
}

template <int VEC>
__device__ __forceinline__ void load_row_pack(const LayerNormArguments& p, int64_t row, int j,
                                              float (&v)[VEC]) {
  load_pack<VEC>(p.x + row * p.cols + j, v);
  if (!p.residual) return;
  float other[VEC];
  load_pack<VEC>(p.residual + row * p.cols + j, other);
#pragma unroll
  for (int k = 0; k < VEC; ++k) v[k] += other[k];
}

template <int VEC>
__device__ __forceinline__ void activate_pack(const LayerNormArguments& p, int64_t row, int j) {
  float v[VEC];
  load_pack<VEC>(p.y + row * p.cols + j, v);
#pragma unroll
  for (int k = 0; k < VEC; ++k) v[k] = activate(p.activation, p.slope, v[k]);
  store_pack<VEC>(p.y + row * p.cols + j, v);
}

// y = act((x - mean) / sqrt(var + eps) * gain + bias) of rows that a group of lanes holds, less their first
// number from the start: a mean far from zero costs no accuracy.
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads) layer_norm_kernel(LayerNormArguments p) {
  constexpr int VEC = Shape::VEC, LANES = Shape::LANES, ITEMS = Shape::ITEMS, ROWS = Shape::ROWS;
  const int lane = threadIdx.x % LANES, group = threadIdx.x / LANES, cols = static_cast<int>(p.cols);
  const float count = static_cast<float>(cols);
  for (int64_t base = int64_t{blockIdx.x} * Shape::kRowsABlock; base < p.rows;
       base += int64_t{gridDim.x} * Shape::kRowsABlock) {
    float v[ROWS][ITEMS][VEC];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      const int64_t row = base + r * Shape::kGroups + group;
#pragma unroll
      for (int i = 0; i < ITEMS; ++i) {
        const int j = (i * LANES + lane) * VEC;
#pragma unroll
        for (int k = 0; k < VEC; ++k) v[r][i][k] = 0.f;
        if (row < p.rows && j < cols) load_row_pack<VEC>(p, row, j, v[r][i]);
      }
    }
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
      const int64_t row = base + r * Shape::kGroups + group;
      const float first = __shfl_sync(kWholeWarp, v[r][0][0], 0, LANES);
      float sum = 0.f, spread = 0.f;
#pragma unroll
      for (int i = 0; i < ITEMS * VEC; ++i) {
        v[r][i / VEC][i % VEC] -= first;
        if ((i / VEC * LANES + lane) * VEC < cols) sum += v[r][i / VEC][i % VEC];
      }
      const float mean = group_sum<LANES>(sum) / count;
#pragma unroll
      for (int i = 0; i < ITEMS * VEC; ++i) {
        const float d = v[r][i / VEC][i % VEC] - mean;
        if ((i / VEC * LANES + lane) * VEC < cols) spread += d * d;
      }
      const float scale = 1.f / sqrtf(group_sum<LANES>(spread) / count + p.eps);
#pragma unroll
      for (int i = 0; i < ITEMS; ++i) {
        const int j = (i * LANES + lane) * VEC;
        if (row < p.rows && j < cols) finish_pack<VEC>(p, row, j, mean, scale, v[r][i]);
      }
      if (is_cheap(p.activation) || row >= p.rows) continue;
      for (int j = lane * VEC; j < cols; j += LANES * VEC) activate_pack<VEC>(p, row, j);
    }
  }
}

// The same with a block a row, which shared memory holds.
template <int VEC>
__global__ void __launch_bounds__(1024, 1) layer_norm_block_kernel(LayerNormArguments p) {
  CINEFUSE_SHARED(float, partial, [2][32]);
  CINEFUSE_DYNAMIC_SHARED(float, held);
  const int cols = static_cast<int>(p.cols), step = blockDim.x * VEC, begin = threadIdx.x * VEC;
  const float count = static_cast<float>(cols);
  for (int64_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
    const float first = p.x[row * p.cols] + (p.residual ? p.residual[row * p.cols] : 0.f);
    fetch_row<VEC>(p.x + row * p.cols, cols, held);
    float sum = 0.f, spread = 0.f;
    float v[VEC];
    for (int j = begin; j < cols; j += step) {
      load_pack<VEC>(held + j, v);
      if (p.residual) {
        float other[VEC];
        load_pack<VEC>(p.residual + row * p.cols + j, other);
#pragma unroll
        for (int k = 0; k < VEC; ++k) v[k] += other[k];
      }
#pragma unroll
      for (int k = 0; k < VEC; ++k) sum += v[k] -= first;
      store_pack<VEC>(held + j, v);
    }
    // Its barrier also stands between every thread's reading of `first` and the first store: y may be x.
    const float mean = block_sum(sum, partial[0]) / count;
    for (int j = begin; j < cols; j += step) {
      load_pack<VEC>(held + j, v);
#pragma unroll
      for (int k = 0; k < VEC; ++k) spread += (v[k] - mean) * (v[k] - mean);
    }
    const float scale = 1.f / sqrtf(block_sum(spread, partial[1]) / count + p.eps);
    for (int j = begin; j < cols; j += step) {
      load_pack<VEC>(held + j, v);
      finish_pack<VEC>(p, row, j, mean, scale, v);
    }
    if (is_cheap(p.activation)) continue;
    for (int j = begin; j < cols; j += step) activate_pack<VEC>(p, row, j);
  }
}

// Rows that no block can hold: three passes, the second and third mostly out of L2.
__global__ void __launch_bounds__(1024, 1) layer_norm_long_kernel(LayerNormArguments p) {
  CINEFUSE_SHARED(float, partial, [2][32]);
  const float count = static_cast<float>(p.cols);
  for (int64_t r = blockIdx.x; r < p.rows; r += gridDim.x) {
    const float* const x = p.x + r * p.cols;
    const float* const residual = p.residual ? p.residual + r * p.cols : nullptr;
    const auto value = [&](int64_t j) { return residual ? x[j] + residual[j] : x[j]; };
    const float first = value(0);
    float sum = 0.f, spread = 0.f;
    for (int64_t j = threadIdx.x; j < p.cols; j += blockDim.x) sum += value(j) - first;
    const float mean = block_sum(sum, partial[0]) / count;
    for (int64_t j = threadIdx.x; j < p.cols; j += blockDim.x) {
      const float d = value(j) - first - mean;
      spread += d * d;
    }
    const float scale = 1.f / sqrtf(block_sum(spread, partial[1]) / count + p.eps);
    for (int64_t j = threadIdx.x; j < p.cols; j += blockDim.x) {
      float z = (value(j) - first - mean) * scale;
      if (p.gain) z *= p.gain[j];
      if (p.bias) z += p.bias[j];
      p.y[r * p.cols + j] = activate(p.activation, p.slope, z);
    }
  }
}

static void launch_layer_norm(cudaStream_t stream, const LayerNormArguments& p) {
  if (p.rows == 0) return;
  const bool vectors = p.cols % 4 == 0 && is_aligned16(p.x) && is_aligned16(p.residual) &&
                       is_aligned16(p.gain) && is_aligned16(p.bias) && is_aligned16(p.y);
  if (p.cols <= most_row_columns(vectors)) {
    with_row_shape(p.cols, vectors, [&](auto shape) {
      using Shape = decltype(shape);
      CINEFUSE_LAUNCH(stream, (layer_norm_kernel<Shape>), grid_of(blocks_of(p.rows, Shape::kRowsABlock)),
                      Shape::kThreads, 0, p);
    });
  } else if (p.cols <= kMostBlockColumns) {
    const auto kernel = vectors ? layer_norm_block_kernel<4> : layer_norm_block_kernel<1>;
    CINEFUSE_LAUNCH(stream, kernel, grid_of(p.rows), row_threads(p.cols), sizeof(float) * p.cols, p);
  } else {
    CINEFUSE_LAUNCH(stream, layer_norm_long_kernel, grid_of(p.rows), 1024, 0, p);
  }
}

void layer_norm_rows(cudaStream_t stream, int64_t rows, int64_t cols, float eps, const float* x,
                     const float* gain, const float* bias, int activation, float slope, float* y) {
  launch_layer_norm(stream, {rows, cols, eps, slope, activation, x, nullptr, gain, bias, y});
}

void add_layer_norm_rows(cudaStream_t stream, int64_t rows, int64_t cols, float eps, const float* x,
                         const float* residual, const float* gain, const float* bias, float* y) {
  launch_layer_norm(stream, {rows, cols, eps, 0.f, 0, x, residual, gain, bias, y});
}

static void layer_norm_cuda(Call& call, const cinefuse_layer_norm_params& p) {
  const In<float> x = call.in(p.x, p.rows * p.cols), gain = call.in(p.gain, p.cols),
                  bias = call.in(p.bias, p.cols);
  const Out<float> y = call.out(p.y, p.rows * p.cols);
  if (p.rows == 0) return;
  call.send();
  call.compute([&] {
    layer_norm_rows(call.stream(), p.rows, p.cols, p.eps, x.get(), gain.get(), bias.get(), 0, 0.f, y.get());
  });
  call.receive();
}

const Operator kLayerNormOperator = plain_operator<cinefuse_layer_norm_params, layer_norm_cuda>();

}  // namespace cinefuse::gpu
