#include "../../core/gemm/gemm.h"
#include "../../node/boundary.h"
#include "embedding.h"

namespace cinefuse {
namespace {

// ids, rows, dim, paddingId? from argument 2 on
EmbeddingIds read_ids(Call& call) {
  const Span<const int32_t> ids = call.i32(2, "ids");
  EmbeddingIds p{};
  p.ids = ids.data;
  p.count = static_cast<int64_t>(ids.size);
  p.rows = call.integer(3, "rows");
  p.dim = call.integer(4, "dim");
  p.padded = !call.absent(5);
  if (p.padded) p.padding = call.int32(5, "paddingId");
  embedding_check(p);
  return p;
}

size_t elements(int64_t a, int64_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

void require_elements(size_t got, size_t expected, const char* field, const char* shape) {
  CINEFUSE_REQUIRE(got == expected, Code::kShape, field,
                   "Expected %zu elements for %s of shape %s, received %zu", expected, field, shape, got);
}

}  // namespace

// embedding(exec, cancel, ids, rows, dim, paddingId?, table, out?) -> y
Napi::Value embedding_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const EmbeddingIds p = read_ids(call);
  const Span<const float> table = call.f32(6, "table");
  require_elements(table.size, elements(p.rows, p.dim), "table", "(rows, dim)");
  const Span<float> y = call.out_f32(7, "out", elements(p.count, p.dim));
  require_apart(table.data, table.size, y.data, y.size);
  return call.run([=](const Exec& exec) { embedding(p, table.data, y.data, exec); });
}

// embeddingBackward(exec, cancel, ids, rows, dim, paddingId?, dy) -> dtable
Napi::Value embedding_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const EmbeddingIds p = read_ids(call);
  const Span<const float> dy = call.f32(6, "dy");
  require_elements(dy.size, elements(p.count, p.dim), "dy", "(ids, dim)");
  float* const dtable = call.out_f32(SIZE_MAX, "dtable", elements(p.rows, p.dim)).data;
  return call.run([=](const Exec& exec) { embedding_backward(p, dy.data, dtable, exec); });
}

}  // namespace cinefuse
