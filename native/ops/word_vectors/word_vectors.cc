#include "word_vectors.h"

namespace cinefuse {

void word_vectors_cpu(const WordVectorPass& pass, const Exec& exec);

void word_vectors_check(const WordVectorPass& p, const WordVectorSizes& sizes) {
  CINEFUSE_REQUIRE(p.rows >= 1 && p.rows <= (int64_t{1} << 30), Code::kShape, "rows",
                   "Expected 1..2^30 rows, received %lld", static_cast<long long>(p.rows));
  CINEFUSE_REQUIRE(p.stride >= kVectorStride && p.stride % kVectorStride == 0 && p.stride <= 65536,
                   Code::kShape, "stride", "Expected a stride of 16..65536, a multiple of 16, received %lld",
                   static_cast<long long>(p.stride));
  const size_t rows = static_cast<size_t>(p.rows), all = rows * static_cast<size_t>(p.stride);
  CINEFUSE_REQUIRE(sizes.in == all && sizes.out == all, Code::kShape, "vectors",
                   "Expected %zu elements for the vectors, received %zu and %zu", all, sizes.in, sizes.out);
  CINEFUSE_REQUIRE(sizes.keep == rows && sizes.cut == rows && sizes.other == rows, Code::kShape, "tables",
                   "Expected %zu elements for each table, received %zu, %zu and %zu", rows, sizes.keep,
                   sizes.cut, sizes.other);
  CINEFUSE_REQUIRE(p.window >= 1 && p.window <= kMostReach, Code::kInputValue, "window",
                   "Expected a window of 1..%d, received %d", kMostReach, p.window);
  CINEFUSE_REQUIRE(p.negatives >= 1 && p.negatives <= kMostNegatives, Code::kInputValue, "negative",
                   "Expected 1..%d negative samples, received %d", kMostNegatives, p.negatives);
  CINEFUSE_REQUIRE(p.rate - p.rate == 0.f && p.last_rate - p.last_rate == 0.f, Code::kInputValue,
                   "learningRate", "Expected finite learning rates");
  for (int64_t i = 0; i < p.count; ++i) {
    CINEFUSE_REQUIRE(p.tokens[i] >= -1 && p.tokens[i] < p.rows, Code::kInputValue, "tokens",
                     "Expected tokens of -1..%lld, received %d", static_cast<long long>(p.rows - 1),
                     p.tokens[i]);
  }
  for (int64_t i = 0; i < p.rows; ++i) {
    CINEFUSE_REQUIRE(p.other[i] >= 0 && p.other[i] < p.rows, Code::kInputValue, "other",
                     "Expected rows below %lld in the table, received %d", static_cast<long long>(p.rows),
                     p.other[i]);
  }
}

void word_vectors(const WordVectorPass& pass, const Exec& exec) {
  require_cpu(exec, "word vectors");
  word_vectors_cpu(pass, exec);
}

}  // namespace cinefuse
