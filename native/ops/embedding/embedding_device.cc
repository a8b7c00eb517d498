#include "embedding_device.h"

#include "../../core/device.h"
#include "embedding.h"

namespace cinefuse {

void embedding_device(const EmbeddingIds& p, const float* table, float* y, const Exec& exec) {
  std::vector<int32_t> ids(static_cast<size_t>(p.count));
  for (int64_t i = 0; i < p.count; ++i) ids[static_cast<size_t>(i)] = p.is_padding(i) ? -1 : p.ids[i];
  run_on_device(exec, CINEFUSE_EMBEDDING,
                cinefuse_embedding_params{p.count, p.rows, p.dim, ids.data(), table, y});
}

void embedding_backward_device(const EmbeddingIds& p, const float* dy, float* dtable, const Exec& exec) {
  const EmbeddingPlaces places = embedding_places(p);
  run_on_device(
      exec, CINEFUSE_EMBEDDING_BACKWARD,
      cinefuse_embedding_backward_params{p.count, p.rows, p.dim, static_cast<int64_t>(places.order.size()),
                                         places.begin.data(), places.order.data(), dy, dtable});
}

}  // namespace cinefuse
