#include <algorithm>

#include "../../cuda/gemm_rows.cuh"
#include "../../cuda/rows.cuh"
#include "network_layers.cuh"

namespace cinefuse::gpu {

constexpr int kDenseThreads = 256;
constexpr int kDenseWarps = kDenseThreads / 32;
constexpr int kFinishThreads = 128;
constexpr unsigned kAllFinite = 0xffffffffu;

struct DenseJob {
  const float *x, *mean, *scale, *w, *bias, *absent;
  float *y, *scaled;
  uint64_t* not_finite;
  const int32_t* lengths;
  int rows, ldx, in, stride, out, ldy;
  int activation, parts, modality, steps;
};
struct DenseJobs {
  DenseJob job[kMostNetworkJobs];
  NetworkRows network;
};
struct FinishJob {
  float* y;
  const float *gain, *shift, *absent;
  int64_t rows;
  int ldy, cols, norm, activation, modality;
};
struct FinishJobs {
  FinishJob job[kMostNetworkJobs];
  NetworkRows network;
};
static_assert(sizeof(DenseJobs) <= 4096 && sizeof(FinishJobs) <= 4096, "kernel parameters");

__device__ __forceinline__ bool is_there(const DenseJob& job, const NetworkRows& network, int row) {
  if (job.lengths) return row % job.steps < job.lengths[row / job.steps];
  return job.modality < 0 || network.present[row * network.modalities + job.modality] != 0;
}

__device__ __forceinline__ unsigned first_not_finite(float4 v, unsigned position) {
  unsigned first = kAllFinite;
  if (is_not_finite(v.w)) first = 4 * (position + 3) + kind_of_not_finite(v.w);
  if (is_not_finite(v.z)) first = 4 * (position + 2) + kind_of_not_finite(v.z);
  if (is_not_finite(v.y)) first = 4 * (position + 1) + kind_of_not_finite(v.y);
  if (is_not_finite(v.x)) first = 4 * position + kind_of_not_finite(v.x);
  return first;
}

// y[r][n] = act(b[n] + sum_k w[n][k] x[r][k]) of few rows, a job for each blockIdx.z. A warp has N columns n
// and R rows r, of which it sums every `parts`-th piece of 128 k; the warps of a column meet in shared
// memory. x: (rows, in), w: (out, stride), y: (rows, out). Grid: (columns / (N * 8 / parts), rows / R, jobs).
template <int R, int N>
__global__ void __launch_bounds__(kDenseThreads, 2) network_dense_kernel(DenseJobs jobs) {
  CINEFUSE_SHARED(float, partial, [kDenseWarps][R * N]);
  CINEFUSE_SHARED(unsigned, partial_first, [kDenseWarps]);
  const DenseJob& job = jobs.job[blockIdx.z];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int part = warp & (job.parts - 1), group = warp / job.parts;
  const int columns_a_block = kDenseWarps / job.parts * N;
  const int row0 = blockIdx.y * R, column0 = blockIdx.x * columns_a_block + group * N;
  if (row0 >= job.rows || static_cast<int>(blockIdx.x) * columns_a_block >= job.out) return;

  unsigned there = 0;
#pragma unroll
  for (int r = 0; r < R; ++r) {
    if (row0 + r < job.rows && is_there(job, jobs.network, row0 + r)) there |= 1u << r;
  }
  const bool vectors = ((reinterpret_cast<uintptr_t>(job.x) & 15) | ((job.ldx | job.in) & 3)) == 0;
  const bool first_columns = blockIdx.x == 0 && group == 0, checks = first_columns && job.not_finite;
  const float* const x = job.x + int64_t{row0} * job.ldx;
  const float* w[N];
#pragma unroll
  for (int j = 0; j < N; ++j) w[j] = job.w + int64_t{min(column0 + j, job.out - 1)} * job.stride;
  float dot[R * N] = {};
  unsigned first = kAllFinite;
  [[maybe_unused]] constexpr int kAhead = R == 1 ? 2 : 1;
#pragma unroll kAhead
  for (int k = 4 * (32 * part + lane); k < job.in; k += 128 * job.parts) {
    float4 u[N], mean, scale;
#pragma unroll
    for (int j = 0; j < N; ++j) u[j] = load4(w[j] + k);
    if (job.mean) mean = load4(job.mean + k), scale = load4(job.scale + k);
    constexpr int kTogether = R < 4 ? R : 4;  // rows whose loads are under way at a time
#pragma unroll
    for (int r0 = 0; r0 < R; r0 += kTogether) {
      float4 a[kTogether];
#pragma unroll
      for (int i = 0; i < kTogether; ++i) {
        a[i] = load_row4(x + (r0 + i) * job.ldx, k, there >> (r0 + i) & 1u ? job.in : 0, vectors);
      }
#pragma unroll
      for (int i = 0; i < kTogether; ++i) {
        const int r = r0 + i;
        if (job.mean && (there >> r & 1u)) {
          const unsigned position = static_cast<unsigned>(row0 + r);
          if (checks)
            first = min(first, first_not_finite(a[i], position * static_cast<unsigned>(job.in) + k));
          a[i] = standardise(a[i], mean, scale);
          if (first_columns && job.scaled)
            store4(job.scaled + position * static_cast<unsigned>(job.stride) + k, a[i]);
        }
#pragma unroll
        for (int j = 0; j < N; ++j) dot[r * N + j] = dot4(dot[r * N + j], a[i], u[j]);
      }
    }
  }
  warp_sums<R * N>(dot, lane);
  constexpr int kLanesAValue = 32 / (R * N);
  if (lane % kLanesAValue == 0) partial[warp][lane / kLanesAValue] = dot[0];
  if (checks) {
#pragma unroll
    for (int o = 16; o > 0; o >>= 1) first = min(first, __shfl_xor_sync(kWholeWarp, first, o));
    if (lane == 0) partial_first[part] = first;
  }
  __syncthreads();
  if (job.not_finite && blockIdx.x == 0 && threadIdx.x == 0) {
    for (int i = 1; i < job.parts; ++i) first = min(first, partial_first[i]);
    job.not_finite[blockIdx.y] = first == kAllFinite ? ~uint64_t{0} : uint64_t{first};
  }
  if (part != 0 || lane >= R * N) return;
  const int r = lane / N, n = column0 + lane % N;
  if (row0 + r >= job.rows || n >= job.out) return;
  float y = job.bias ? job.bias[n] : 0.f;
  for (int i = 0; i < job.parts; ++i) y += partial[warp + i][lane];
  y = activate(job.activation, jobs.network.slope, y);
  if (!(there >> r & 1u)) y = job.absent ? job.absent[n] : 0.f;
  job.y[int64_t{row0 + r} * job.ldy + n] = y;
}

// In place, a block a row, a job for each blockIdx.y: y <- act(LN(y) * gain + shift), or of a row that is not
// there its learned vector, or zeros. LN as in layer_norm_cuda.cu.
__global__ void __launch_bounds__(kFinishThreads) network_finish_kernel(FinishJobs jobs) {
  CINEFUSE_SHARED(float, partial, [2][kFinishThreads / 32]);
  const FinishJob& job = jobs.job[blockIdx.y];
  const NetworkRows& network = jobs.network;
  const int64_t row = blockIdx.x;
  if (row >= job.rows) return;
  float* const y = job.y + row * job.ldy;
  if (job.modality >= 0 && !network.present[row * network.modalities + job.modality]) {
    for (int j = threadIdx.x; j < job.cols; j += kFinishThreads) y[j] = job.absent ? job.absent[j] : 0.f;
    return;
  }
  if (!job.norm) return;
  // Counted from the first number, so that a mean far from zero costs no accuracy.
  const float origin = y[0], n = static_cast<float>(job.cols);
  float sum = 0.f;
  for (int j = threadIdx.x; j < job.cols; j += kFinishThreads) sum += y[j] - origin;
  const float mean = block_sum(sum, partial[0]) / n;
  float spread = 0.f;
  for (int j = threadIdx.x; j < job.cols; j += kFinishThreads) {
    const float d = y[j] - origin - mean;
    spread += d * d;
  }
  const float scale = 1.f / sqrtf(block_sum(spread, partial[1]) / n + 1e-5f);
  for (int j = threadIdx.x; j < job.cols; j += kFinishThreads) {
    const float v = (y[j] - origin - mean) * scale;
    y[j] = activate(job.activation, network.slope, v * job.gain[j] + job.shift[j]);
  }
}

DeviceLayer::DeviceLayer(Call& call, int64_t in, int64_t out, int activation, const float* host_w,
                         const float* host_bias, const float* host_gain, const float* host_shift)
    : in(in),
      out(out),
      activation(activation),
      norm(host_gain != nullptr),
      weights(call, host_w, host_bias, out, in),
      gain(call, host_gain, out),
      shift(call, host_shift, out) {}

template <int R, int N>
static void launch_dense(Call& call, DenseJobs& jobs, int count) {
  unsigned columns = 1, rows = 1;
  for (int i = 0; i < count; ++i) {
    DenseJob& job = jobs.job[i];
    // Warps enough for the weights' latency: each lane has a load or two of every column.
    job.parts = 1;
    while (job.parts < kDenseWarps && job.in > 128 * job.parts) job.parts *= 2;
    columns =
        std::max(columns, static_cast<unsigned>(blocks_of(job.out, int64_t{N} * kDenseWarps / job.parts)));
    rows = std::max(rows, static_cast<unsigned>(blocks_of(job.rows, R)));
  }
  CINEFUSE_LAUNCH(call.stream(), (network_dense_kernel<R, N>),
                  dim3(columns, rows, static_cast<unsigned>(count)), kDenseThreads, 0, jobs);
}

static DenseJob dense_job(const LayerRun& run) {
  const DeviceLayer& layer = *run.layer;
  DenseJob job{};
  job.x = run.x;
  job.mean = run.mean;
  job.scale = run.scale;
  job.w = layer.weights.data();
  job.bias = layer.weights.bias();
  job.absent = run.absent;
  job.y = run.y;
  job.scaled = run.scaled;
  job.not_finite = run.not_finite;
  job.lengths = run.lengths;
  job.rows = static_cast<int>(run.rows);
  job.ldx = static_cast<int>(run.ldx);
  job.in = static_cast<int>(layer.in);
  job.stride = static_cast<int>(layer.weights.stride());
  job.out = static_cast<int>(layer.out);
  job.ldy = static_cast<int>(run.ldy);
  job.activation = layer.norm ? 0 : layer.activation;
  job.modality = run.modality;
  job.steps = static_cast<int>(run.steps);
  return job;
}

static FinishJob finish_job(const LayerRun& run) {
  const DeviceLayer& layer = *run.layer;
  FinishJob job{};
  job.y = run.y;
  job.gain = layer.gain.get();
  job.shift = layer.shift.get();
  job.absent = run.absent;
  job.rows = run.rows;
  job.ldy = static_cast<int>(run.ldy);
  job.cols = static_cast<int>(layer.out);
  job.norm = layer.norm;
  job.activation = layer.activation;
  job.modality = run.modality;
  return job;
}

void run_layers(Call& call, const NetworkRows& network, const std::vector<LayerRun>& runs) {
  DenseJobs dense{{}, network};
  FinishJobs finish{{}, network};
  int thin = 0, finishing = 0;
  int64_t most_rows = 1, finish_rows = 1;
  for (const LayerRun& run : runs) {
    const DeviceLayer& layer = *run.layer;
    const bool few = layer.thin(run.rows);
    if (few) {
      most_rows = std::max(most_rows, run.rows);
      dense.job[thin++] = dense_job(run);
    } else if (run.x) {
      gemm(call, run.rows, run.x, run.ldx, layer.weights, layer.norm ? 0 : layer.activation, network.slope,
           run.y, run.ldy);
    }
    if (layer.norm || (!few && run.modality >= 0)) {
      finish_rows = std::max(finish_rows, run.rows);
      finish.job[finishing++] = finish_job(run);
    }
  }
  if (thin) {
    const auto launch = most_rows == 1   ? launch_dense<1, 2>
                        : most_rows <= 4 ? launch_dense<4, 2>
                                         : launch_dense<8, 4>;
    launch(call, dense, thin);
  }
  if (finishing) {
    CINEFUSE_LAUNCH(call.stream(), network_finish_kernel,
                    dim3(static_cast<unsigned>(finish_rows), static_cast<unsigned>(finishing)),
                    kFinishThreads, 0, finish);
  }
}

}  // namespace cinefuse::gpu
