#include <algorithm>

#include "../activation/activation_math.cuh"
#include "network_layers.cuh"

namespace cinefuse::gpu {

constexpr int kDenseThreads = 256;
constexpr int kDenseWarps = kDenseThreads / 32;
constexpr int kFinishThreads = 128;
constexpr unsigned kAllFinite = 0xffffffffu;

struct DenseJob {
  const float *x, *mean, *scale, *w, *bias, *absent;
  float* y;
  uint64_t* not_finite;
  int rows, ldx, in, stride, out, ldy;
  int activation, parts, modality;
};
struct DenseJobs {
  DenseJob job[kMostNetworkJobs];
  const uint8_t* present;
  int modalities;
  float slope;
};
struct FinishJob {
  float* y;
  const float *gain, *shift, *absent;
  int64_t rows;
  int ldy, cols, norm, activation, modality;
};
struct FinishJobs {
  FinishJob job[kMostNetworkJobs];
  const uint8_t* present;
  int modalities;
  float slope;
};
static_assert(sizeof(DenseJobs) <= 4096 && sizeof(FinishJobs) <= 4096, "kernel parameters");

// The totals over the warp of N sums a lane, N a power of two up to 32: lane l gets that of sum l * N / 32.
template <int N, int kOffset = 16>
__device__ __forceinline__ float total_of_many(float (&v)[N], int lane) {
  if constexpr (kOffset == 0) {
    return v[0];
  } else {
    constexpr int kLeft = N > 1 ? N / 2 : 1;
    float halves[kLeft];
    if constexpr (N == 1) {
      halves[0] = v[0] + __shfl_xor_sync(kWholeWarp, v[0], kOffset);
    } else {
      const bool upper = lane & kOffset;
#pragma unroll
      for (int i = 0; i < kLeft; ++i) {
        const float given = upper ? v[i] : v[i + kLeft], kept = upper ? v[i + kLeft] : v[i];
        halves[i] = kept + __shfl_xor_sync(kWholeWarp, given, kOffset);
      }
    }
    return total_of_many<kLeft, kOffset / 2>(halves, lane);
  }
}

__device__ __forceinline__ float4 load_up_to4(const float* p, int n, bool aligned) {
  if (aligned && n >= 4) return load4(p);
  return make_float4(n > 0 ? p[0] : 0.f, n > 1 ? p[1] : 0.f, n > 2 ? p[2] : 0.f, n > 3 ? p[3] : 0.f);
}

__device__ __forceinline__ unsigned first_not_finite(float4 v, unsigned position) {
  unsigned first = kAllFinite;
  if (is_not_finite(v.w)) first = 4 * (position + 3) + kind_of_not_finite(v.w);
  if (is_not_finite(v.z)) first = 4 * (position + 2) + kind_of_not_finite(v.z);
  if (is_not_finite(v.y)) first = 4 * (position + 1) + kind_of_not_finite(v.y);
  if (is_not_finite(v.x)) first = 4 * position + kind_of_not_finite(v.x);
  return first;
}

// y[r][n] = act(b[n] + sum_k w[n][k] x[r][k]) of few rows, a job for each blockIdx.z. A warp has kColumns n
// and kRows r, of which it sums every `parts`-th piece of 128 k; x: (rows, in), w: (out, stride), y: (rows,
// out).
template <int kRows, int kColumns>
__global__ void __launch_bounds__(kDenseThreads, 2) network_dense_kernel(DenseJobs jobs) {
  constexpr int kSums = kRows * kColumns;
  CINEFUSE_SHARED(float, partial, [kDenseWarps][kSums]);
  CINEFUSE_SHARED(unsigned, partial_first, [kDenseWarps]);
  const DenseJob& job = jobs.job[blockIdx.z];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int part = warp & (job.parts - 1), group = warp / job.parts;
  const int groups = kDenseWarps / job.parts;
  const int row = blockIdx.y * kRows, column = (blockIdx.x * groups + group) * kColumns;
  if (row >= job.rows || static_cast<int>(blockIdx.x) * groups * kColumns >= job.out) return;

  unsigned live = 0;  // rows that are there
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (row + r < job.rows &&
        (job.modality < 0 || jobs.present[int64_t{row + r} * jobs.modalities + job.modality])) {
      live |= 1u << r;
    }
  }
  const bool aligned = ((reinterpret_cast<uintptr_t>(job.x) & 15) | (job.ldx & 3)) == 0;
  const bool checks = job.not_finite && blockIdx.x == 0 && group == 0;
  const float* const x = job.x + int64_t{row} * job.ldx;
  const float* w[kColumns];
#pragma unroll
  for (int c = 0; c < kColumns; ++c) {
    w[c] = job.w + int64_t{column + c < job.out ? column + c : job.out - 1} * job.stride;
  }
  float sums[kSums] = {};
  unsigned first = kAllFinite;
  for (int k = 4 * (32 * part + lane); k < job.in; k += 128 * job.parts) {
    float4 v[kRows], u[kColumns];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) u[c] = load4(w[c] + k);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      v[r] = make_float4(0.f, 0.f, 0.f, 0.f);
      if (live >> r & 1) v[r] = load_up_to4(x + r * job.ldx + k, job.in - k, aligned);
    }
    if (job.mean) {
      const float4 mean = load4(job.mean + k), scale = load4(job.scale + k);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        if (!(live >> r & 1)) continue;
        if (checks) first = min(first, first_not_finite(v[r], static_cast<unsigned>((row + r) * job.in + k)));
        v[r].x = (v[r].x - mean.x) * scale.x;
        v[r].y = (v[r].y - mean.y) * scale.y;
        v[r].z = (v[r].z - mean.z) * scale.z;
        v[r].w = (v[r].w - mean.w) * scale.w;
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        float& sum = sums[r * kColumns + c];
        sum = fmaf(v[r].x, u[c].x, sum);
        sum = fmaf(v[r].y, u[c].y, sum);
        sum = fmaf(v[r].z, u[c].z, sum);
        sum = fmaf(v[r].w, u[c].w, sum);
      }
    }
  }
  const float total = total_of_many<kSums>(sums, lane);
  constexpr int kLanesASum = 32 / kSums;
  if (lane % kLanesASum == 0) partial[warp][lane / kLanesASum] = total;
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
  if (part != 0 || lane >= kSums) return;
  const int r = lane / kColumns, n = column + lane % kColumns;
  if (row + r >= job.rows || n >= job.out) return;
  float y = job.bias ? job.bias[n] : 0.f;
  for (int i = 0; i < job.parts; ++i) y += partial[warp + i][lane];
  y = activate(job.activation, jobs.slope, y);
  if (!(live >> r & 1)) y = job.absent ? job.absent[n] : 0.f;
  job.y[int64_t{row + r} * job.ldy + n] = y;
}

__device__ __forceinline__ float block_sum(float x, float* partial) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  x = warp_sum(x);
  if (lane == 0) partial[warp] = x;
  __syncthreads();
  return warp_sum(lane < kFinishThreads / 32 ? partial[lane] : 0.f);
}

// In place, a block a row, a job for each blockIdx.y: y <- act(LN(y) * gain + shift), or of a row that is not
// there its learned vector, or zeros.
__global__ void __launch_bounds__(kFinishThreads) network_finish_kernel(FinishJobs jobs) {
  CINEFUSE_SHARED(float, partial, [2][kFinishThreads / 32]);
  const FinishJob& job = jobs.job[blockIdx.y];
  const int64_t row = blockIdx.x;
  if (row >= job.rows) return;
  float* const y = job.y + row * job.ldy;
  if (job.modality >= 0 && !jobs.present[row * jobs.modalities + job.modality]) {
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
    y[j] = activate(job.activation, jobs.slope, v * job.gain[j] + job.shift[j]);
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

static int rows_a_block(int64_t rows) { return rows == 1 ? 1 : rows <= 4 ? 4 : 8; }

int64_t row_blocks(int64_t rows) { return blocks_of(rows, rows_a_block(rows)); }

template <int kRows, int kColumns>
static void launch_dense(Call& call, DenseJobs& jobs, int count) {
  unsigned columns = 1, rows = 1;
  for (int i = 0; i < count; ++i) {
    DenseJob& job = jobs.job[i];
    // Enough warps for the weights' latency: each lane has a load or two of every column.
    job.parts = 1;
    while (job.parts < kDenseWarps && job.in > 128 * job.parts) job.parts *= 2;
    columns = std::max(
        columns, static_cast<unsigned>(blocks_of(job.out, int64_t{kColumns} * kDenseWarps / job.parts)));
    rows = std::max(rows, static_cast<unsigned>(blocks_of(job.rows, kRows)));
  }
  CINEFUSE_LAUNCH(call.stream(), (network_dense_kernel<kRows, kColumns>),
                  dim3(columns, rows, static_cast<unsigned>(count)), kDenseThreads, 0, jobs);
}

void run_layers(Call& call, const NetworkRows& network, const std::vector<LayerRun>& runs) {
  DenseJobs dense{};
  FinishJobs finish{};
  dense.present = finish.present = network.present;
  dense.modalities = finish.modalities = network.modalities;
  dense.slope = finish.slope = network.slope;
  int thin = 0, finishing = 0;
  int64_t most_rows = 1, finish_rows = 1;
  for (const LayerRun& run : runs) {
    const DeviceLayer& layer = *run.layer;
    const bool few = layer.thin(run.rows);
    const int activation = layer.norm ? 0 : layer.activation;
    if (few) {
      most_rows = std::max(most_rows, run.rows);
      dense.job[thin++] = {run.x,
                           run.mean,
                           run.scale,
                           layer.weights.data(),
                           layer.weights.bias(),
                           run.absent,
                           run.y,
                           run.not_finite,
                           static_cast<int>(run.rows),
                           static_cast<int>(run.ldx),
                           static_cast<int>(layer.in),
                           static_cast<int>(layer.weights.stride()),
                           static_cast<int>(layer.out),
                           static_cast<int>(run.ldy),
                           activation,
                           1,
                           run.modality};
    } else if (run.x) {
      gemm(call, run.rows, run.x, run.ldx, layer.weights, activation, network.slope, run.y, run.ldy);
    }
    if (layer.norm || (!few && run.modality >= 0)) {
      finish_rows = std::max(finish_rows, run.rows);
      finish.job[finishing++] = {run.y,
                                 layer.gain.get(),
                                 layer.shift.get(),
                                 run.absent,
                                 run.rows,
                                 static_cast<int>(run.ldy),
                                 static_cast<int>(layer.out),
                                 layer.norm,
                                 layer.activation,
                                 run.modality};
    }
  }
  if (thin) {
    switch (rows_a_block(most_rows)) {
      case 1:
        launch_dense<1, 2>(call, dense, thin);
        break;
      case 4:
        launch_dense<4, 2>(call, dense, thin);
        break;
      default:
        launch_dense<8, 4>(call, dense, thin);
    }
  }
  if (finishing) {
    CINEFUSE_LAUNCH(call.stream(), network_finish_kernel,
                    dim3(static_cast<unsigned>(finish_rows), static_cast<unsigned>(finishing)),
                    kFinishThreads, 0, finish);
  }
}

}  // namespace cinefuse::gpu
