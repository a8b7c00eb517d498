#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "dropout_cuda.cuh"
#include "dropout_device.h"
#include "dropout_mask.h"

namespace cinefuse::gpu {

constexpr int kDropoutThreads = 256;

// y[i] = kept ? x[i] scale : 0; a thread has the four elements of one counter. y may be x.
__global__ void __launch_bounds__(kDropoutThreads)
    dropout_kernel(DropoutMask mask, int64_t counters, int64_t n, const float* x, float* y) {
  for (int64_t counter = int64_t{blockIdx.x} * kDropoutThreads + threadIdx.x; counter < counters;
       counter += int64_t{gridDim.x} * kDropoutThreads) {
    uint32_t words[4] = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), mask.stream0,
                         mask.stream1};
    philox(words, mask.key0, mask.key1);
    // Its place among the counters of its block, and what comes before that.
    const int64_t first = counter + counter / kDropoutCounters * (kDropoutBlock - kDropoutCounters);
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      const int64_t i = first + w * kDropoutCounters;
      if (i < n) y[i] = words[w] >= mask.least ? x[i] * mask.scale : 0.f;
    }
  }
}

void dropout(const DropoutParams& p, Call& call) {
  if (p.n == 0) return;
  const int64_t counters = blocks_of(p.n, kDropoutBlock) * kDropoutCounters;
  CINEFUSE_LAUNCH(call.stream(), dropout_kernel, grid_of(blocks_of(counters, kDropoutThreads)),
                  kDropoutThreads, 0, dropout_mask(p.p, p.seed, p.stream), counters, p.n, p.x, p.y);
}

static void dropout_cuda(Call& call, const cinefuse_dropout_params& p) {
  const In<float> x = call.in(p.x, p.n);
  const Out<float> y = call.out(p.y, p.n);
  if (p.n == 0) return;
  call.send();
  call.compute([&] { dropout({p.p, p.seed, p.stream, p.n, x.get(), y.get()}, call); });
  call.receive();
}

const Operator kDropoutOperator = plain_operator<cinefuse_dropout_params, dropout_cuda>();

}  // namespace cinefuse::gpu
