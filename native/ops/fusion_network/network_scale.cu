#include <algorithm>

#include "network_scale.cuh"

namespace cinefuse::gpu {

constexpr int kScaleThreads = 256;
constexpr int kScaleWarps = kScaleThreads / 32;
constexpr int kPiece = 128;  // features that a warp averages at a time

struct ScaledInputs {
  ScaledInput job[kMostNetworkJobs - 1];
  NetworkRows network;
  int64_t batch;
};
static_assert(sizeof(ScaledInputs) <= 4096, "kernel parameters");

__device__ __forceinline__ void note(unsigned long long& first, float x, int64_t position) {
  if (!is_not_finite(x)) return;
  const unsigned long long code = 4 * static_cast<unsigned long long>(position) + kind_of_not_finite(x);
  if (code < first) first = code;
}

// y[row][j] = (mean over t of x[row][t][j] - mean[j]) * scale[j] for the features [from, from + kPiece).
__device__ __forceinline__ void average_piece(const ScaledInput& job, int64_t row, int from, int length,
                                              int lane, unsigned long long& first) {
  const float share = length ? 1.f / static_cast<float>(length) : 0.f;
  float sum[kPiece / 32] = {};
#pragma unroll 2
  for (int t = 0; t < length; ++t) {
    const int64_t vector = (row * job.steps + t) * job.dim;
    float x[kPiece / 32];
#pragma unroll
    for (int i = 0; i < kPiece / 32; ++i) {
      const int j = from + 32 * i + lane;
      x[i] = j < job.dim ? job.x[vector + j] : 0.f;
    }
#pragma unroll
    for (int i = 0; i < kPiece / 32; ++i) {
      note(first, x[i], vector + from + 32 * i + lane);
      sum[i] += share * x[i];
    }
  }
#pragma unroll
  for (int i = 0; i < kPiece / 32; ++i) {
    const int j = from + 32 * i + lane;
    if (j < job.dim) job.y[row * job.ldy + j] = length ? (sum[i] - job.mean[j]) * job.scale[j] : 0.f;
  }
  if (from != 0 || !job.weights) return;
  for (int64_t t = lane; t < job.steps; t += 32) job.weights[row * job.steps + t] = t < length ? share : 0.f;
}

// y[vector][j] = (x[vector][j] - mean[j]) * scale[j], or zeros.
__device__ __forceinline__ void scale_vector(const ScaledInput& job, int64_t vector, bool there, int lane,
                                             unsigned long long& first) {
  const int64_t position = vector * job.dim;
  const float* const x = job.x + position;
  float* const y = job.y + vector * job.ldy;
  if (job.dim % 4 == 0) {
#pragma unroll 4
    for (int j = 4 * lane; j < job.dim; j += 128) {
      float4 v = there ? stream4(x + j) : make_float4(0.f, 0.f, 0.f, 0.f);
      if (there) {
        const float4 mean = load4(job.mean + j), scale = load4(job.scale + j);
        note(first, v.x, position + j);
        note(first, v.y, position + j + 1);
        note(first, v.z, position + j + 2);
        note(first, v.w, position + j + 3);
        v = standardise(v, mean, scale);
      }
      store4(y + j, v);
    }
    return;
  }
#pragma unroll 4
  for (int j = lane; j < job.dim; j += 32) {
    const float v = there ? x[j] : 0.f;
    note(first, v, position + j);
    y[j] = there ? (v - job.mean[j]) * job.scale[j] : 0.f;
  }
}

// A job for each blockIdx.y; a warp takes a vector, or a piece of the features of a row that is averaged.
__global__ void __launch_bounds__(kScaleThreads) network_scale_kernel(ScaledInputs inputs) {
  CINEFUSE_SHARED(unsigned long long, partial, [kScaleWarps]);
  const ScaledInput& job = inputs.job[blockIdx.y];
  const NetworkRows& network = inputs.network;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int64_t a_row = job.average ? (job.dim + kPiece - 1) / kPiece : job.steps;
  unsigned long long first = ~0ull;
  for (int64_t unit = int64_t{blockIdx.x} * kScaleWarps + warp; unit < inputs.batch * a_row;
       unit += int64_t{gridDim.x} * kScaleWarps) {
    const int64_t row = unit / a_row;
    const int length =
        job.lengths ? job.lengths[row] : network.present[row * network.modalities + job.modality] != 0;
    if (job.average) {
      average_piece(job, row, static_cast<int>(unit - row * a_row) * kPiece, length, lane, first);
    } else {
      scale_vector(job, unit, unit - row * a_row < length, lane, first);
    }
  }
#pragma unroll
  for (int o = 16; o > 0; o >>= 1) first = min(first, __shfl_xor_sync(kWholeWarp, first, o));
  if (lane == 0) partial[warp] = first;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < kScaleWarps; ++i) first = min(first, partial[i]);
  job.not_finite[blockIdx.x] = first;
}

int64_t scale_units(int64_t batch, int64_t steps, int64_t dim, bool average) {
  return batch * (average ? blocks_of(dim, kPiece) : steps);
}

int64_t scale_blocks(const Device& device, int64_t most_units) {
  return std::min<int64_t>(blocks_of(most_units, kScaleWarps), int64_t{8} * device.multiprocessors());
}

void scale_inputs(Call& call, int64_t batch, const NetworkRows& network,
                  const std::vector<ScaledInput>& inputs) {
  if (inputs.empty()) return;
  ScaledInputs jobs{};
  jobs.network = network;
  jobs.batch = batch;
  std::copy(inputs.begin(), inputs.end(), jobs.job);
  int64_t units = 0;
  for (const ScaledInput& input : inputs) {
    units = std::max(units, scale_units(batch, input.steps, input.dim, input.average));
  }
  CINEFUSE_LAUNCH(
      call.stream(), network_scale_kernel,
      dim3(static_cast<unsigned>(scale_blocks(call.device(), units)), static_cast<unsigned>(inputs.size())),
      kScaleThreads, 0, jobs);
}

}  // namespace cinefuse::gpu
