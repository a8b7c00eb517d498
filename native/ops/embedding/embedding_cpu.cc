#include <algorithm>
#include <cstring>

#include "../../core/gemm/gemm_simd.h"
#include "../../core/pool.h"
#include "embedding.h"

namespace cinefuse {
namespace {

constexpr int64_t kFloatsATask = 1 << 16;

}  // namespace

void embedding_cpu(const EmbeddingIds& p, const float* table, float* y, const Exec& exec) {
  const int64_t share = std::max<int64_t>(1, kFloatsATask / p.dim);
  const size_t bytes = sizeof(float) * static_cast<size_t>(p.dim);
  parallel_for(exec, static_cast<int>((p.count + share - 1) / share), [&](int task) {
    const int64_t end = std::min(p.count, (task + 1) * share);
    for (int64_t i = task * share; i < end; ++i) {
      float* const to = y + i * p.dim;
      p.is_padding(i) ? std::memset(to, 0, bytes) : std::memcpy(to, table + p.ids[i] * p.dim, bytes);
    }
  });
}

void embedding_backward_cpu(const EmbeddingIds& p, const float* dy, float* dtable, const Exec& exec) {
  const GemmSimd& simd = gemm_simd(exec.isa);
  const EmbeddingPlaces places = embedding_places(p);
  const int64_t share = std::max<int64_t>(1, kFloatsATask / p.dim);
  parallel_for(exec, static_cast<int>((p.rows + share - 1) / share), [&](int task) {
    const int64_t first = task * share, end = std::min(p.rows, first + share);
    std::memset(dtable + first * p.dim, 0, sizeof(float) * static_cast<size_t>((end - first) * p.dim));
    for (int64_t r = first; r < end; ++r) {
      const size_t row = static_cast<size_t>(r);
      for (int32_t i = places.begin[row]; i < places.begin[row + 1]; ++i) {
        simd.add(p.dim, dy + int64_t{places.order[static_cast<size_t>(i)]} * p.dim, dtable + r * p.dim);
      }
    }
  });
}

}  // namespace cinefuse
