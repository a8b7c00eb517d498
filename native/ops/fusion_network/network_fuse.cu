#include "network_fuse.cuh"

namespace cinefuse::gpu {

constexpr int kFuseThreads = 128;

// A row for each blockIdx.y, its columns over blockIdx.x.
__global__ void __launch_bounds__(kFuseThreads)
    network_weigh_kernel(NetworkRows network, int64_t rows, WeighedRows run) {
  const int64_t j = int64_t{blockIdx.x} * kFuseThreads + threadIdx.x;
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const uint8_t* const present = network.present + row * network.modalities;
    float top = -INFINITY, total = 0.f;
    uint32_t there = 0;
    for (int m = 0; m < network.modalities; ++m) there |= present[m] ? 1u << m : 0u;
    const uint32_t late = there & run.late_side;
    for (int m = 0; m < network.modalities; ++m) {
      if (late >> m & 1u) top = fmaxf(top, run.logits[m]);
    }
    for (int m = 0; m < network.modalities; ++m) {
      if (late >> m & 1u) total += expf(run.logits[m] - top);
    }
    const float scale = late ? 1.f / total : 0.f;
    if (blockIdx.x == 0 && run.weights) {
      for (int m = threadIdx.x; m < network.modalities; m += kFuseThreads) {
        run.weights[row * network.modalities + m] = late >> m & 1u ? expf(run.logits[m] - top) * scale : 0.f;
      }
    }
    if (j >= run.cols) continue;
    float sum = 0.f;
    for (int m = 0; m < network.modalities; ++m) {
      if (!(late >> m & 1u)) continue;
      sum = fmaf(expf(run.logits[m] - top) * scale, run.v[m * run.modality_stride + row * run.row_stride + j],
                 sum);
    }
    const float share = !late ? 1.f : there & run.early_side ? run.early_share : 0.f;
    run.y[row * run.ldy + j] = run.early ? share * run.early[row * run.cols + j] + (1.f - share) * sum : sum;
  }
}

void weigh_rows(Call& call, int64_t rows, const NetworkRows& network, const WeighedRows& run) {
  CINEFUSE_LAUNCH(call.stream(), network_weigh_kernel,
                  dim3(static_cast<unsigned>(blocks_of(run.cols, kFuseThreads)),
                       static_cast<unsigned>(rows < 65535 ? rows : 65535)),
                  kFuseThreads, 0, network, rows, run);
}

// A block a row.
__global__ void __launch_bounds__(kFuseThreads)
    network_features_kernel(NetworkRows network, int64_t d, const float* h, float* e, float* y,
                            float* weights) {
  const int64_t row = blockIdx.x;
  const int modalities = network.modalities;
  const uint8_t* const present = network.present + row * modalities;
  h += row * modalities * d;
  e += row * modalities * d;
  for (int64_t j = threadIdx.x; j < d; j += kFuseThreads) {
    float top = -INFINITY, total = 0.f, sum = 0.f;
    for (int m = 0; m < modalities; ++m) {
      if (present[m]) top = fmaxf(top, e[m * d + j]);
    }
    for (int m = 0; m < modalities; ++m) {
      if (!present[m]) continue;
      const float weight = expf(e[m * d + j] - top);
      e[m * d + j] = weight;
      total += weight;
      sum = fmaf(weight, h[m * d + j], sum);
    }
    const float scale = 1.f / total;
    y[row * d + j] = sum * scale;
    for (int m = 0; weights && m < modalities; ++m) {
      if (present[m]) e[m * d + j] *= scale;
    }
  }
  if (!weights) return;
  __syncthreads();
  const int lane = threadIdx.x & 31;
  for (int m = threadIdx.x >> 5; m < modalities; m += kFuseThreads / 32) {
    float sum = 0.f;
    for (int64_t j = lane; present[m] && j < d; j += 32) sum += e[m * d + j];
    sum = warp_sum(sum);
    if (lane == 0) weights[row * modalities + m] = sum / static_cast<float>(d);
  }
}

void weigh_features(Call& call, int64_t rows, int64_t d, const NetworkRows& network, const float* h, float* e,
                    float* y, float* weights) {
  CINEFUSE_LAUNCH(call.stream(), network_features_kernel, static_cast<unsigned>(rows), kFuseThreads, 0,
                  network, d, h, e, y, weights);
}

}  // namespace cinefuse::gpu
