// What the CUDA library is told of an embedding; fields as in embedding.h.
#pragma once
#include <stdint.h>

struct cinefuse_embedding_params {
  int64_t count, rows, dim;
  const int32_t* ids;  // (count), -1 for the padding's
  const float* table;
  float* y;
};

struct cinefuse_embedding_backward_params {
  int64_t count, rows, dim;
  int64_t used;          // places that are not the padding's
  const int32_t* begin;  // (rows + 1)
  const int32_t* order;  // (used)
  const float* dy;
  float* dtable;
};
