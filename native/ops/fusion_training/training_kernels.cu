#include "../../cuda/rows.cuh"
#include "training_kernels.cuh"

namespace cinefuse::gpu {

constexpr int kTrainingThreads = 256;

static unsigned training_grid(int64_t n) { return grid_of(blocks_of(n, kTrainingThreads)); }

__global__ void __launch_bounds__(kTrainingThreads)
    training_scatter_kernel(ScatterRows run, const float* x, const float* absent, float* y) {
  for (int64_t i = int64_t{blockIdx.x} * kTrainingThreads + threadIdx.x; i < run.rows * run.width;
       i += int64_t{gridDim.x} * kTrainingThreads) {
    const int64_t r = i / run.width, j = i - r * run.width;
    const int32_t at = run.place[r];
    y[r * run.cols + run.column + j] = at >= 0 ? x[at * run.width + j] : absent ? absent[j] : 0.f;
  }
}

__global__ void __launch_bounds__(kTrainingThreads)
    training_gather_kernel(ScatterRows run, const float* dy, float* dx) {
  for (int64_t i = int64_t{blockIdx.x} * kTrainingThreads + threadIdx.x; i < run.rows * run.width;
       i += int64_t{gridDim.x} * kTrainingThreads) {
    const int64_t r = i / run.width, j = i - r * run.width;
    const int32_t at = run.place[r];
    if (at >= 0) dx[at * run.width + j] = dy[r * run.cols + run.column + j];
  }
}

// A thread a column, so that its sum has one order.
__global__ void __launch_bounds__(kTrainingThreads)
    training_absent_kernel(ScatterRows run, const float* dy, float* dabsent) {
  const int64_t j = int64_t{blockIdx.x} * kTrainingThreads + threadIdx.x;
  if (j >= run.width) return;
  float sum = 0.f;
  for (int64_t r = 0; r < run.rows; ++r) {
    if (run.place[r] < 0) sum += dy[r * run.cols + run.column + j];
  }
  dabsent[j] = sum;
}

void scatter_rows(Call& call, const ScatterRows& run, const float* x, const float* absent, float* y) {
  CINEFUSE_LAUNCH(call.stream(), training_scatter_kernel, training_grid(run.rows * run.width),
                  kTrainingThreads, 0, run, x, absent, y);
}

void scatter_rows_backward(Call& call, const ScatterRows& run, const float* dy, float* dx, float* dabsent) {
  if (dx) {
    CINEFUSE_LAUNCH(call.stream(), training_gather_kernel, training_grid(run.rows * run.width),
                    kTrainingThreads, 0, run, dy, dx);
  }
  if (dabsent) {
    CINEFUSE_LAUNCH(call.stream(), training_absent_kernel, training_grid(run.width), kTrainingThreads, 0, run,
                    dy, dabsent);
  }
}

// A block a row.
__global__ void __launch_bounds__(kTrainingThreads) training_logits_kernel(LogitRows run, float* c) {
  for (int64_t row = blockIdx.x; row < run.rows; row += gridDim.x) {
    const uint8_t* const there = run.there + row * run.modalities;
    const float* const h = run.h + row * run.modalities * run.d;
    float top = -INFINITY, total = 0.f;
    for (int m = 0; m < run.modalities; ++m) top = there[m] ? fmaxf(top, run.logits[m]) : top;
    for (int m = 0; m < run.modalities; ++m) total += there[m] ? expf(run.logits[m] - top) : 0.f;
    for (int m = threadIdx.x; m < run.modalities; m += kTrainingThreads) {
      run.alpha[row * run.modalities + m] = there[m] ? expf(run.logits[m] - top) / total : 0.f;
    }
    for (int64_t j = threadIdx.x; j < run.d; j += kTrainingThreads) {
      float sum = 0.f;
      for (int m = 0; m < run.modalities; ++m) {
        if (there[m]) sum = fmaf(expf(run.logits[m] - top) / total, h[m * run.d + j], sum);
      }
      c[row * run.d + j] = sum;
    }
  }
}

// A block a row: dh, and of each logit what the row adds to its gradient.
__global__ void __launch_bounds__(kTrainingThreads)
    training_logits_backward_kernel(LogitRows run, const float* dc, float* dh, float* parts) {
  CINEFUSE_SHARED(float, partial, [32]);
  for (int64_t row = blockIdx.x; row < run.rows; row += gridDim.x) {
    const float* const alpha = run.alpha + row * run.modalities;
    const float* const h = run.h + row * run.modalities * run.d;
    const float* const g = dc + row * run.d;
    float mean = 0.f;
    for (int m = 0; m < run.modalities; ++m) {
      float sum = 0.f;
      for (int64_t j = threadIdx.x; j < run.d; j += kTrainingThreads) {
        const float weighed = alpha[m] * g[j];
        if (dh) dh[(row * run.modalities + m) * run.d + j] = weighed;
        if (alpha[m] != 0.f) sum = fmaf(weighed, h[m * run.d + j], sum);
      }
      sum = block_sum(sum, partial);
      __syncthreads();
      mean += sum;
      if (threadIdx.x == 0) parts[row * run.modalities + m] = sum;
    }
    for (int m = 0; threadIdx.x == 0 && m < run.modalities; ++m) {
      parts[row * run.modalities + m] -= alpha[m] * mean;
    }
  }
}

// A thread a column of x (rows, cols): its sum in one order.
__global__ void __launch_bounds__(kTrainingThreads)
    training_columns_kernel(int64_t rows, int64_t cols, const float* x, float* sums) {
  const int64_t j = int64_t{blockIdx.x} * kTrainingThreads + threadIdx.x;
  if (j >= cols) return;
  float sum = 0.f;
  for (int64_t r = 0; r < rows; ++r) sum += x[r * cols + j];
  sums[j] = sum;
}

void logit_rows(Call& call, const LogitRows& run, float* c) {
  CINEFUSE_LAUNCH(call.stream(), training_logits_kernel, grid_of(run.rows), kTrainingThreads, 0, run, c);
}
void logit_rows_backward(Call& call, const LogitRows& run, const float* dc, float* dh, float* dlogits) {
  float* const parts = call.scratch<float>(run.rows * run.modalities);
  CINEFUSE_LAUNCH(call.stream(), training_logits_backward_kernel, grid_of(run.rows), kTrainingThreads, 0, run,
                  dc, dh, parts);
  CINEFUSE_LAUNCH(call.stream(), training_columns_kernel, training_grid(run.modalities), kTrainingThreads, 0,
                  run.rows, run.modalities, parts, dlogits);
}

__device__ __forceinline__ bool any_there(const uint8_t* there, int count, int64_t row) {
  for (int m = 0; m < count; ++m) {
    if (there[row * count + m]) return true;
  }
  return false;
}

// Of the early side; whether both are there in `both`.
__device__ __forceinline__ float early_share(const GateRows& run, int64_t row, float g, bool* both) {
  const bool early = any_there(run.early_there, run.early_count, row);
  const bool late = any_there(run.late_there, run.late_count, row);
  *both = early && late;
  return !late ? 1.f : early ? g : 0.f;
}

__device__ __forceinline__ float sigmoid_of(float x) { return 1.f / (1.f + expf(-x)); }

__global__ void __launch_bounds__(kTrainingThreads) training_gate_kernel(GateRows run, float* y) {
  const float g = sigmoid_of(*run.gate);
  for (int64_t i = int64_t{blockIdx.x} * kTrainingThreads + threadIdx.x; i < run.rows * run.cols;
       i += int64_t{gridDim.x} * kTrainingThreads) {
    bool both;
    const float a = early_share(run, i / run.cols, g, &both);
    y[i] = a * run.early[i] + (1.f - a) * run.late[i];
  }
}

// One block: the gate's gradient is a sum over everything, in one order.
__global__ void __launch_bounds__(kTrainingThreads)
    training_gate_backward_kernel(GateRows run, const float* dy, float* dearly, float* dlate, float* dgate) {
  CINEFUSE_SHARED(float, partial, [32]);
  const float g = sigmoid_of(*run.gate);
  float sum = 0.f;
  for (int64_t i = threadIdx.x; i < run.rows * run.cols; i += kTrainingThreads) {
    bool both;
    const float a = early_share(run, i / run.cols, g, &both);
    if (both) sum += dy[i] * (run.early[i] - run.late[i]);
    if (dearly) dearly[i] = a * dy[i];
    if (dlate) dlate[i] = (1.f - a) * dy[i];
  }
  sum = block_sum(sum, partial);
  if (threadIdx.x == 0) *dgate = sum * g * (1.f - g);
}

void gate_rows(Call& call, const GateRows& run, float* y) {
  CINEFUSE_LAUNCH(call.stream(), training_gate_kernel, training_grid(run.rows * run.cols), kTrainingThreads,
                  0, run, y);
}
void gate_rows_backward(Call& call, const GateRows& run, const float* dy, float* dearly, float* dlate,
                        float* dgate) {
  CINEFUSE_LAUNCH(call.stream(), training_gate_backward_kernel, 1, kTrainingThreads, 0, run, dy, dearly,
                  dlate, dgate);
}

__global__ void __launch_bounds__(kTrainingThreads)
    training_take_kernel(int64_t n, int64_t all, int64_t column, int64_t cols, const float* x, float* y) {
  for (int64_t i = int64_t{blockIdx.x} * kTrainingThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kTrainingThreads) {
    y[i] = x[i / cols * all + column + i % cols];
  }
}
__global__ void __launch_bounds__(kTrainingThreads)
    training_put_kernel(int64_t n, int64_t all, int64_t column, int64_t cols, float factor, const float* x,
                        float* y) {
  for (int64_t i = int64_t{blockIdx.x} * kTrainingThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kTrainingThreads) {
    y[i / cols * all + column + i % cols] += factor * x[i];
  }
}

void take_columns(Call& call, int64_t rows, int64_t all, int64_t column, int64_t cols, const float* x,
                  float* y) {
  CINEFUSE_LAUNCH(call.stream(), training_take_kernel, training_grid(rows * cols), kTrainingThreads, 0,
                  rows * cols, all, column, cols, x, y);
}
void add_columns(Call& call, int64_t rows, int64_t all, int64_t column, int64_t cols, float factor,
                 const float* x, float* y) {
  CINEFUSE_LAUNCH(call.stream(), training_put_kernel, training_grid(rows * cols), kTrainingThreads, 0,
                  rows * cols, all, column, cols, factor, x, y);
}
void fill_zeros(Call& call, int64_t n, float* y) {
  CINEFUSE_CUDA(cudaMemsetAsync(y, 0, sizeof(float) * static_cast<size_t>(n), call.stream()));
}
// Whole rows of one column each.
void add_to(Call& call, int64_t n, const float* x, float* y) { add_columns(call, n, 1, 0, 1, 1.f, x, y); }

__global__ void __launch_bounds__(kTrainingThreads)
    training_spread_kernel(SpreadRows run, float* loss, float* d) {
  CINEFUSE_SHARED(float, partial, [2][32]);
  float weights = 0.f, sum = 0.f;
  const int64_t n = run.rows * run.cols;
  const auto weight = [&](int64_t i) {
    return run.target[i] != run.target[i] ? 0.f : run.weights ? run.weights[i / run.cols] : 1.f;
  };
  for (int64_t i = threadIdx.x; i < n; i += kTrainingThreads) weights += weight(i);
  weights = block_sum(weights, partial[0]);
  for (int64_t i = threadIdx.x; i < n; i += kTrainingThreads) {
    const float w = weight(i), o = run.o[i];
    const float e = w > 0.f ? fabsf(run.target[i] - run.y[i]) * expf(-o) : 0.f;
    if (w > 0.f) sum += w * (o + e);
    d[i] = w > 0.f ? w * (1.f - e) / weights : 0.f;
  }
  sum = block_sum(sum, partial[1]);
  if (threadIdx.x == 0) *loss = sum / weights;
}
void spread_rows(Call& call, const SpreadRows& run, float* loss, float* d) {
  CINEFUSE_LAUNCH(call.stream(), training_spread_kernel, 1, kTrainingThreads, 0, run, loss, d);
}

// One thread: some numbers.
__global__ void training_judge_kernel(StepJudge run) {
  double squares = 0., sum = 0.;
  for (int64_t i = 0; i < run.ranges; ++i) squares += run.squares[i];
  for (int64_t i = 0; i < run.losses; ++i) {
    sum += static_cast<double>(run.factor[i]) * static_cast<double>(run.each[i]);
  }
  const double length = sqrt(squares), clip = static_cast<double>(run.clip_norm) / (length + 1e-6);
  *run.norm = static_cast<float>(length);
  const bool finite = fabsf(static_cast<float>(sum)) < INFINITY && *run.norm < INFINITY;
  const float factor = run.clip_norm > 0.f && clip < 1. ? static_cast<float>(clip) : 1.f;
  *run.clip = *run.clip == *run.clip && finite ? factor : NAN;
}
void judge_step(Call& call, const StepJudge& judge) {
  CINEFUSE_LAUNCH(call.stream(), training_judge_kernel, 1, 1, 0, judge);
}

}  // namespace cinefuse::gpu
