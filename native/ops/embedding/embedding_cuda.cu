#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "embedding_device.h"

namespace cinefuse::gpu {

constexpr int kEmbeddingThreads = 256;

// y[i][d] = table[ids[i]][d], 0 where ids[i] is negative. y: (count, dim).
__global__ void __launch_bounds__(kEmbeddingThreads)
    embedding_kernel(int64_t count, int64_t dim, const int32_t* ids, const float* table, float* y) {
  const int64_t n = count * dim;
  for (int64_t at = int64_t{blockIdx.x} * kEmbeddingThreads + threadIdx.x; at < n;
       at += int64_t{gridDim.x} * kEmbeddingThreads) {
    const int64_t i = at / dim;
    const int32_t id = ids[i];
    y[at] = id < 0 ? 0.f : table[id * dim + (at - i * dim)];
  }
}

// dtable[r][d] = the sum of dy[order[i]][d] for i in [begin[r], begin[r + 1]), ascending. dtable: (rows,
// dim).
__global__ void __launch_bounds__(kEmbeddingThreads)
    embedding_backward_kernel(int64_t rows, int64_t dim, const int32_t* begin, const int32_t* order,
                              const float* dy, float* dtable) {
  const int64_t n = rows * dim;
  for (int64_t at = int64_t{blockIdx.x} * kEmbeddingThreads + threadIdx.x; at < n;
       at += int64_t{gridDim.x} * kEmbeddingThreads) {
    const int64_t r = at / dim, d = at - r * dim;
    float sum = 0.f;
    for (int32_t i = begin[r]; i < begin[r + 1]; ++i) sum += dy[order[i] * dim + d];
    dtable[at] = sum;
  }
}

static void embedding_cuda(Call& call, const cinefuse_embedding_params& p) {
  const In<int32_t> ids = call.in(p.ids, p.count);
  const In<float> table = call.in(p.table, p.rows * p.dim);
  const Out<float> y = call.out(p.y, p.count * p.dim);
  if (p.count == 0) return;
  call.send();
  call.compute([&] {
    CINEFUSE_LAUNCH(call.stream(), embedding_kernel, grid_of(blocks_of(p.count * p.dim, kEmbeddingThreads)),
                    kEmbeddingThreads, 0, p.count, p.dim, ids.get(), table.get(), y.get());
  });
  call.receive();
}

static void embedding_backward_cuda(Call& call, const cinefuse_embedding_backward_params& p) {
  const In<int32_t> begin = call.in(p.begin, p.rows + 1), order = call.in(p.order, p.used);
  const In<float> dy = call.in(p.dy, p.count * p.dim);
  const Out<float> dtable = call.out(p.dtable, p.rows * p.dim);
  if (p.rows == 0) return;
  call.send();
  call.compute([&] {
    CINEFUSE_LAUNCH(call.stream(), embedding_backward_kernel,
                    grid_of(blocks_of(p.rows * p.dim, kEmbeddingThreads)), kEmbeddingThreads, 0, p.rows,
                    p.dim, begin.get(), order.get(), dy.get(), dtable.get());
  });
  call.receive();
}

const Operator kEmbeddingOperator = plain_operator<cinefuse_embedding_params, embedding_cuda>();
const Operator kEmbeddingBackwardOperator =
    plain_operator<cinefuse_embedding_backward_params, embedding_backward_cuda>();

}  // namespace cinefuse::gpu
