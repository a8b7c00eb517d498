#include "embedding.h"

namespace cinefuse {

void embedding_cpu(const EmbeddingIds& ids, const float* table, float* y, const Exec& exec);
void embedding_backward_cpu(const EmbeddingIds& ids, const float* dy, float* dtable, const Exec& exec);
void embedding_device(const EmbeddingIds& ids, const float* table, float* y, const Exec& exec);
void embedding_backward_device(const EmbeddingIds& ids, const float* dy, float* dtable, const Exec& exec);

void embedding_check(const EmbeddingIds& p) {
  constexpr int64_t kMost = int64_t{1} << 30;
  CINEFUSE_REQUIRE(p.dim >= 1 && p.dim <= kMost, Code::kShape, "dim",
                   "Expected 1..2^30 for dim, received %lld", static_cast<long long>(p.dim));
  CINEFUSE_REQUIRE(p.rows >= 0 && p.rows < kMost, Code::kShape, "rows",
                   "Expected fewer than 2^30 rows, received %lld", static_cast<long long>(p.rows));
  CINEFUSE_REQUIRE(p.count < kMost, Code::kShape, "ids", "Expected fewer than 2^30 ids, received %lld",
                   static_cast<long long>(p.count));
  for (int64_t i = 0; i < p.count; ++i) {
    CINEFUSE_REQUIRE((p.ids[i] >= 0 && p.ids[i] < p.rows) || p.is_padding(i), Code::kInputValue, "ids",
                     "Expected ids below %lld, the rows of the table, received %d at [%lld]",
                     static_cast<long long>(p.rows), p.ids[i], static_cast<long long>(i));
  }
}

EmbeddingPlaces embedding_places(const EmbeddingIds& p) {
  EmbeddingPlaces places;
  places.begin.assign(static_cast<size_t>(p.rows) + 1, 0);
  for (int64_t i = 0; i < p.count; ++i) {
    if (!p.is_padding(i)) ++places.begin[static_cast<size_t>(p.ids[i]) + 1];
  }
  for (size_t r = 1; r < places.begin.size(); ++r) places.begin[r] += places.begin[r - 1];
  places.order.resize(static_cast<size_t>(places.begin.back()));
  std::vector<int32_t> next(places.begin.begin(), places.begin.end() - 1);
  for (int64_t i = 0; i < p.count; ++i) {
    if (p.is_padding(i)) continue;
    places.order[static_cast<size_t>(next[static_cast<size_t>(p.ids[i])]++)] = static_cast<int32_t>(i);
  }
  return places;
}

void embedding(const EmbeddingIds& ids, const float* table, float* y, const Exec& exec) {
  exec.backend == Backend::kCpu ? embedding_cpu(ids, table, y, exec) : embedding_device(ids, table, y, exec);
}

void embedding_backward(const EmbeddingIds& ids, const float* dy, float* dtable, const Exec& exec) {
  exec.backend == Backend::kCpu ? embedding_backward_cpu(ids, dy, dtable, exec)
                                : embedding_backward_device(ids, dy, dtable, exec);
}

}  // namespace cinefuse
