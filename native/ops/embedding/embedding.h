// Rows of a table, as word vectors are looked up:
//
//   y[i] = table[ids[i]], zeros where ids[i] is the padding's;   dtable[r] = Σ_{i: ids[i] = r} dy[i]
//
// ids: (count), table, dtable: (rows, dim), y, dy: (count, dim), float32, row-major. The padding's id may lie
// outside the table; its row gets no gradient. A row's gradient is summed over i ascending, so results have
// the same bits on any number of threads and any instruction set. Source: torch.nn.Embedding, whose padding
// row is read as it stands.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../core/exec.h"

namespace cinefuse {

struct EmbeddingIds {
  const int32_t* ids;
  int64_t count, rows, dim;
  bool padded;
  int32_t padding;
  bool is_padding(int64_t i) const { return padded && ids[i] == padding; }
};

// Where each row of the table was read: order[begin[r]] ... order[begin[r + 1] - 1], ascending.
struct EmbeddingPlaces {
  std::vector<int32_t> begin;  // (rows + 1)
  std::vector<int32_t> order;  // as many as are not padding
};
EmbeddingPlaces embedding_places(const EmbeddingIds& ids);

// Throws ERR_SHAPE, ERR_INPUT_VALUE; `ids` must not change afterwards.
void embedding_check(const EmbeddingIds& ids);
void embedding(const EmbeddingIds& ids, const float* table, float* y, const Exec& exec);
void embedding_backward(const EmbeddingIds& ids, const float* dy, float* dtable, const Exec& exec);

}  // namespace cinefuse
