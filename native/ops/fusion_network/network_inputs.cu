#include <algorithm>

#include "network_inputs.cuh"

namespace cinefuse::gpu {

constexpr int kInputThreads = 256;
constexpr int kInputWarps = kInputThreads / 32;
constexpr int kPiece = 128;  // features that a warp averages at a time
constexpr int kAttendThreads = 128;

struct ScaledInputs {
  ScaledInput job[kMostNetworkJobs - 1];
  const uint8_t* present;
  int64_t batch;
  int modalities;
};
struct AttendedRowsJobs {
  AttendedRows job[kMostNetworkJobs - 1];
  const uint8_t* present;
  int64_t rows;
  int modalities;
};
static_assert(sizeof(ScaledInputs) <= 4096 && sizeof(AttendedRowsJobs) <= 4096, "kernel parameters");

__device__ __forceinline__ void note(uint64_t& first, float x, int64_t position) {
  if (!is_not_finite(x)) return;
  const uint64_t code = 4 * static_cast<uint64_t>(position) + kind_of_not_finite(x);
  if (code < first) first = code;
}

// Steps of a row that count.
__device__ __forceinline__ int64_t steps_there(const uint8_t* present, int modalities, int modality,
                                               const int32_t* lengths, int64_t steps, int64_t row) {
  if (modality >= 0 && !present[row * modalities + modality]) return 0;
  return lengths ? lengths[row] : steps;
}

// y[row][j] = (mean_t x[row][t][j] - mean[j]) * scale[j] for the features [from, from + kPiece) by one warp.
__device__ __forceinline__ uint64_t average_piece(const ScaledInput& job, int64_t row, int from,
                                                  int64_t length, int lane) {
  uint64_t first = ~uint64_t{0};
  const float share = length ? 1.f / static_cast<float>(length) : 0.f;
  const int to = min(from + kPiece, job.dim);
  float sum[kPiece / 32] = {};
  for (int64_t t = 0; t < length; ++t) {
    const int64_t vector = (row * job.steps + t) * job.dim;
#pragma unroll
    for (int i = 0; i < kPiece / 32; ++i) {
      const int j = from + 32 * i + lane;
      if (j >= to) continue;
      const float x = job.x[vector + j];
      note(first, x, vector + j);
      sum[i] += share * x;
    }
  }
#pragma unroll
  for (int i = 0; i < kPiece / 32; ++i) {
    const int j = from + 32 * i + lane;
    if (j < to) job.y[row * job.ldy + j] = length ? (sum[i] - job.mean[j]) * job.scale[j] : 0.f;
  }
  if (from == 0 && job.weights) {
    for (int64_t t = lane; t < job.steps; t += 32)
      job.weights[row * job.steps + t] = t < length ? share : 0.f;
  }
  return first;
}

// y[vector][j] = (x[vector][j] - mean[j]) * scale[j], or zeros, by one warp.
__device__ __forceinline__ uint64_t scale_vector(const ScaledInput& job, int64_t vector, bool there,
                                                 int lane) {
  uint64_t first = ~uint64_t{0};
  const float* const x = job.x + vector * job.dim;
  float* const y = job.y + vector * job.ldy;
  if (job.dim % 4 == 0) {
#pragma unroll 4
    for (int j = 4 * lane; j < job.dim; j += 128) {
      if (!there) {
        store4(y + j, make_float4(0.f, 0.f, 0.f, 0.f));
        continue;
      }
      float4 v = stream4(x + j);
      const float4 mean = load4(job.mean + j), scale = load4(job.scale + j);
      note(first, v.x, vector * job.dim + j);
      note(first, v.y, vector * job.dim + j + 1);
      note(first, v.z, vector * job.dim + j + 2);
      note(first, v.w, vector * job.dim + j + 3);
      v.x = (v.x - mean.x) * scale.x;
      v.y = (v.y - mean.y) * scale.y;
      v.z = (v.z - mean.z) * scale.z;
      v.w = (v.w - mean.w) * scale.w;
      store4(y + j, v);
    }
    return first;
  }
#pragma unroll 4
  for (int j = lane; j < job.dim; j += 32) {
    const float v = there ? x[j] : 0.f;
    note(first, v, vector * job.dim + j);
    y[j] = there ? (v - job.mean[j]) * job.scale[j] : 0.f;
  }
  return first;
}

// A job for each blockIdx.y; a warp takes a vector, or a piece of the features of a row that is averaged.
__global__ void __launch_bounds__(kInputThreads) network_scale_kernel(ScaledInputs inputs) {
  const ScaledInput& job = inputs.job[blockIdx.y];
  const int lane = threadIdx.x & 31, pieces = (job.dim + kPiece - 1) / kPiece;
  const int64_t units = inputs.batch * (job.pool ? pieces : job.steps);
  uint64_t first = ~uint64_t{0};
  for (int64_t unit = int64_t{blockIdx.x} * kInputWarps + (threadIdx.x >> 5); unit < units;
       unit += int64_t{gridDim.x} * kInputWarps) {
    const int64_t row = unit / (job.pool ? pieces : job.steps);
    const int64_t length =
        steps_there(inputs.present, inputs.modalities, job.modality, job.lengths, job.steps, row);
    const uint64_t found =
        job.pool ? average_piece(job, row, static_cast<int>(unit - row * pieces) * kPiece, length, lane)
                 : scale_vector(job, unit, unit - row * job.steps < length, lane);
    if (found < first) first = found;
  }
  if (first != ~uint64_t{0}) {
    atomicMin(reinterpret_cast<unsigned long long*>(job.not_finite), static_cast<unsigned long long>(first));
  }
}

void scale_inputs(Call& call, int64_t batch, const NetworkRows& network,
                  const std::vector<ScaledInput>& inputs) {
  if (inputs.empty()) return;
  ScaledInputs jobs{};
  jobs.present = network.present;
  jobs.modalities = network.modalities;
  jobs.batch = batch;
  std::copy(inputs.begin(), inputs.end(), jobs.job);
  int64_t units = 1;
  for (const ScaledInput& input : inputs) {
    units = std::max(units, batch * (input.pool ? blocks_of(input.dim, kPiece) : input.steps));
  }
  const int64_t blocks =
      std::min<int64_t>(blocks_of(units, kInputWarps), int64_t{16} * call.device().multiprocessors());
  CINEFUSE_LAUNCH(call.stream(), network_scale_kernel,
                  dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(inputs.size())), kInputThreads, 0,
                  jobs);
}

__device__ __forceinline__ bool is_there(const AttendedRowsJobs& jobs, const AttendedRows& job, int64_t row,
                                         int64_t t, int64_t length) {
  return job.modality < 0 ? jobs.present[row * job.steps + t] != 0 : t < length;
}

// scores[row][t] = w . hidden[row][t], a warp a step.
__global__ void __launch_bounds__(kInputThreads) network_scores_kernel(AttendedRowsJobs jobs) {
  const AttendedRows& job = jobs.job[blockIdx.y];
  const int lane = threadIdx.x & 31;
  const int64_t units = jobs.rows * job.steps;
  for (int64_t unit = int64_t{blockIdx.x} * kInputWarps + (threadIdx.x >> 5); unit < units;
       unit += int64_t{gridDim.x} * kInputWarps) {
    const int64_t row = unit / job.steps;
    const int64_t length =
        steps_there(jobs.present, jobs.modalities, job.modality, job.lengths, job.steps, row);
    if (!is_there(jobs, job, row, unit - row * job.steps, length)) continue;
    const float* const hidden = job.hidden + unit * job.ldhidden;
    float sum = 0.f;
    for (int j = lane; j < job.k; j += 32) sum = fmaf(job.w[j], hidden[j], sum);
    sum = warp_sum(sum);
    if (lane == 0) job.scores[unit] = sum;
  }
}

// c[row][j] = sum_t alpha_t x[row][t][j] for kAttendThreads features a block (blockIdx.x) of a row
// (blockIdx.y), a job for each blockIdx.z; alpha is the softmax of the row's scores, made anew by every
// block.
__global__ void __launch_bounds__(kAttendThreads) network_attend_kernel(AttendedRowsJobs jobs) {
  constexpr int kWarps = kAttendThreads / 32;
  CINEFUSE_SHARED(float, partial, [2][kWarps]);
  CINEFUSE_SHARED(float, weights, [kAttendThreads]);
  const AttendedRows& job = jobs.job[blockIdx.z];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int j = blockIdx.x * kAttendThreads + threadIdx.x;
  if (static_cast<int>(blockIdx.x) * kAttendThreads >= job.d) return;
  for (int64_t row = blockIdx.y; row < jobs.rows; row += gridDim.y) {
    const int64_t length =
        steps_there(jobs.present, jobs.modalities, job.modality, job.lengths, job.steps, row);
    const float* const scores = job.scores + row * job.steps;
    float top = -INFINITY;
    for (int64_t t = threadIdx.x; t < job.steps; t += kAttendThreads) {
      if (is_there(jobs, job, row, t, length)) top = fmaxf(top, scores[t]);
    }
    top = warp_max(top);
    if (lane == 0) partial[0][warp] = top;
    __syncthreads();
    top = warp_max(lane < kWarps ? partial[0][lane] : -INFINITY);
    float sum = 0.f;
    for (int64_t t = threadIdx.x; t < job.steps; t += kAttendThreads) {
      if (is_there(jobs, job, row, t, length)) sum += expf(scores[t] - top);
    }
    sum = warp_sum(sum);
    if (lane == 0) partial[1][warp] = sum;
    __syncthreads();
    sum = warp_sum(lane < kWarps ? partial[1][lane] : 0.f);
    const float scale = 1.f / sum;  // not used where nothing is there
    float c = 0.f;
    for (int64_t from = 0; from < job.steps; from += kAttendThreads) {
      const int64_t t = from + threadIdx.x;
      if (t < job.steps) {
        const float weight = is_there(jobs, job, row, t, length) ? expf(scores[t] - top) * scale : 0.f;
        weights[threadIdx.x] = weight;
        if (blockIdx.x == 0 && job.alpha) job.alpha[row * job.steps + t] = weight;
      }
      __syncthreads();
      const int n = static_cast<int>(min(int64_t{kAttendThreads}, job.steps - from));
      const float* const x = job.x + (row * job.steps + from) * job.ldx + j;
      if (j < job.d) {
        for (int i = 0; i < n; ++i) {
          if (weights[i] != 0.f) c = fmaf(weights[i], x[int64_t{i} * job.ldx], c);
        }
      }
      __syncthreads();
    }
    if (j < job.d) job.c[row * job.ldc + j] = c;
  }
}

void attend_rows(Call& call, int64_t rows, const NetworkRows& network,
                 const std::vector<AttendedRows>& runs) {
  if (runs.empty()) return;
  AttendedRowsJobs jobs{};
  jobs.present = network.present;
  jobs.modalities = network.modalities;
  jobs.rows = rows;
  std::copy(runs.begin(), runs.end(), jobs.job);
  int64_t steps = 1, d = 1;
  for (const AttendedRows& run : runs) {
    steps = std::max(steps, rows * run.steps);
    d = std::max<int64_t>(d, run.d);
  }
  const unsigned count = static_cast<unsigned>(runs.size());
  const int64_t blocks =
      std::min<int64_t>(blocks_of(steps, kInputWarps), int64_t{16} * call.device().multiprocessors());
  CINEFUSE_LAUNCH(call.stream(), network_scores_kernel, dim3(static_cast<unsigned>(blocks), count),
                  kInputThreads, 0, jobs);
  CINEFUSE_LAUNCH(call.stream(), network_attend_kernel,
                  dim3(static_cast<unsigned>(blocks_of(d, kAttendThreads)),
                       static_cast<unsigned>(std::min<int64_t>(rows, 65535)), count),
                  kAttendThreads, 0, jobs);
}

}  // namespace cinefuse::gpu
