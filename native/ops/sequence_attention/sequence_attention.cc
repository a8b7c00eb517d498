#include "sequence_attention.h"

namespace cinefuse {
namespace {

void require_length(size_t got, int64_t expected, const char* field, const char* shape) {
  CINEFUSE_REQUIRE(got == static_cast<size_t>(expected), Code::kShape, field,
                   "Expected %lld elements for %s of shape %s, received %zu",
                   static_cast<long long>(expected), field, shape, got);
}

void require_size(int64_t size, int64_t least, const char* field) {
  CINEFUSE_REQUIRE(size >= least && size <= (int64_t{1} << 24), Code::kShape, field,
                   "Expected %lld..2^24 for %s, received %lld", static_cast<long long>(least), field,
                   static_cast<long long>(size));
}

void require_lengths(const int32_t* lengths, size_t count, int64_t batch, int64_t steps) {
  if (!lengths) return;
  require_length(count, batch, "lengths", "(batch)");
  for (size_t i = 0; i < count; ++i) {
    CINEFUSE_REQUIRE(lengths[i] >= 0 && lengths[i] <= steps, Code::kInputValue, "lengths",
                     "Expected lengths of 0..%lld (the steps), received %d at [%zu]",
                     static_cast<long long>(steps), lengths[i], i);
  }
}

void require_finite(float x, const char* field) {
  CINEFUSE_REQUIRE(x - x == 0.f, Code::kInputValue, field, "Expected a finite %s, received %g", field,
                   static_cast<double>(x));
}

}  // namespace

void temporal_cpu(const TemporalParams& params, const Exec& exec);
void additive_cpu(const AdditiveAttention& layer, const AdditiveParams& params, const Exec& exec);
void spatial_cpu(const SpatialParams& params, const Exec& exec);
void cross_cpu(const CrossAttention& layer, const CrossParams& params, const Exec& exec);
void temporal_device(const TemporalParams& params, const Exec& exec);
void additive_device(const AdditiveAttention& layer, const AdditiveParams& params, const Exec& exec);
void spatial_device(const SpatialParams& params, const Exec& exec);
void cross_device(const CrossAttention& layer, const CrossParams& params, const Exec& exec);

void temporal_check(const TemporalParams& p, size_t q, size_t keys, size_t values, size_t lengths) {
  require_size(p.batch, 0, "batch");
  require_size(p.steps, 1, "steps");
  require_size(p.d, 1, "keyDim");
  require_size(p.dv, 1, "valueDim");
  require_finite(p.scale, "scale");
  require_length(q, p.batch * p.d, "query", "(batch, keyDim)");
  require_length(keys, p.batch * p.steps * p.d, "keys", "(batch, steps, keyDim)");
  require_length(values, p.batch * p.steps * p.dv, "values", "(batch, steps, valueDim)");
  require_lengths(p.lengths, lengths, p.batch, p.steps);
}

void additive_check(const AdditiveWeights& p, size_t W, size_t b, size_t w) {
  require_size(p.d, 1, "dim");
  require_size(p.k, 1, "w");
  require_length(W, p.k * p.d, "W", "(k, dim)");
  require_length(b, p.k, "b", "(k)");
  require_length(w, p.k, "w", "(k)");
}

AdditiveAttention additive_prepare(const AdditiveWeights& p, const Exec& exec) {
  AdditiveAttention layer;
  layer.d = p.d;
  layer.k = p.k;
  layer.W = PackedMatrix::pack(exec, p.W, p.k, p.d);
  layer.b.assign(p.b, p.b + p.k);
  layer.w.assign(p.w, p.w + p.k);
  return layer;
}

void additive_check_rows(const AdditiveAttention& layer, const AdditiveParams& p, size_t x, size_t lengths) {
  require_size(p.batch, 0, "batch");
  require_size(p.steps, 1, "steps");
  require_length(x, p.batch * p.steps * layer.d, "x", "(batch, steps, dim)");
  require_lengths(p.lengths, lengths, p.batch, p.steps);
}

void spatial_check(const SpatialParams& p, size_t x, size_t query) {
  require_size(p.batch, 0, "batch");
  require_size(p.channels, 1, "channels");
  require_size(p.positions, 1, "positions");
  require_finite(p.scale, "scale");
  require_finite(p.bias, "bias");
  require_length(x, p.batch * p.channels * p.positions, "x", "(batch, channels, height, width)");
  if (p.query_per_row) {
    require_length(query, p.batch * p.channels, "query", "(batch, channels)");
  } else {
    require_length(query, p.channels, "w", "(channels)");
  }
}

void cross_check(const CrossWeights& p) {
  require_size(p.width, 1, "width");
  require_size(p.context_width, 1, "contextWidth");
  require_size(p.ff, 0, "ff");
  CINEFUSE_REQUIRE(p.heads >= 1 && p.width % p.heads == 0, Code::kShape, "heads",
                   "Expected heads that divide the width %lld, received %lld",
                   static_cast<long long>(p.width), static_cast<long long>(p.heads));
}

std::vector<CrossArray> cross_arrays(CrossWeights& p) {
  const int64_t e = p.width, c = p.context_width, ff = p.ff;
  std::vector<CrossArray> arrays = {
      {"Wq", e, e, &p.Wq}, {"bq", e, 1, &p.bq}, {"Wk", e, c, &p.Wk}, {"bk", e, 1, &p.bk},
      {"Wv", e, c, &p.Wv}, {"bv", e, 1, &p.bv}, {"Wo", e, e, &p.Wo}, {"bo", e, 1, &p.bo},
  };
  if (ff == 0) return arrays;
  arrays.insert(arrays.end(), {{"block.norm1.weight", e, 1, &p.gain1},
                               {"block.norm1.bias", e, 1, &p.shift1},
                               {"block.W1", ff, e, &p.W1},
                               {"block.b1", ff, 1, &p.b1},
                               {"block.W2", e, ff, &p.W2},
                               {"block.b2", e, 1, &p.b2},
                               {"block.norm2.weight", e, 1, &p.gain2},
                               {"block.norm2.bias", e, 1, &p.shift2}});
  return arrays;
}

CrossAttention cross_prepare(const CrossWeights& p, const Exec& exec) {
  const auto vector = [](const float* data, int64_t size) { return std::vector<float>(data, data + size); };
  CrossAttention layer;
  layer.width = p.width;
  layer.context_width = p.context_width;
  layer.heads = p.heads;
  layer.ff = p.ff;
  layer.Wq = PackedMatrix::pack(exec, p.Wq, p.width, p.width);
  layer.Wkv = PackedMatrix(p.context_width, 2 * p.width);
  layer.Wkv.fill(0, p.width, p.Wk, p.context_width, 1);
  layer.Wkv.fill(p.width, p.width, p.Wv, p.context_width, 1);
  layer.Wo = PackedMatrix::pack(exec, p.Wo, p.width, p.width);
  layer.bq = vector(p.bq, p.width);
  layer.bkv = vector(p.bk, p.width);
  layer.bkv.insert(layer.bkv.end(), p.bv, p.bv + p.width);
  layer.bo = vector(p.bo, p.width);
  if (p.ff == 0) return layer;
  layer.W1 = PackedMatrix::pack(exec, p.W1, p.ff, p.width);
  layer.W2 = PackedMatrix::pack(exec, p.W2, p.width, p.ff);
  layer.b1 = vector(p.b1, p.ff);
  layer.b2 = vector(p.b2, p.width);
  layer.gain1 = vector(p.gain1, p.width);
  layer.shift1 = vector(p.shift1, p.width);
  layer.gain2 = vector(p.gain2, p.width);
  layer.shift2 = vector(p.shift2, p.width);
  return layer;
}

void cross_check_rows(const CrossAttention& layer, const CrossParams& p, size_t x, size_t ctx,
                      size_t present) {
  require_size(p.batch, 0, "batch");
  require_size(p.queries, 1, "queries");
  require_size(p.keys, 1, "keys");
  require_length(x, p.batch * p.queries * layer.width, "x", "(batch, queries, width)");
  require_length(ctx, p.batch * p.keys * layer.context_width, "context", "(batch, keys, contextWidth)");
  if (p.present) require_length(present, p.batch * p.keys, "present", "(batch, keys)");
}

void temporal(const TemporalParams& params, const Exec& exec) {
  exec.backend == Backend::kCpu ? temporal_cpu(params, exec) : temporal_device(params, exec);
}
void additive(const AdditiveAttention& layer, const AdditiveParams& params, const Exec& exec) {
  exec.backend == Backend::kCpu ? additive_cpu(layer, params, exec) : additive_device(layer, params, exec);
}
void spatial(const SpatialParams& params, const Exec& exec) {
  exec.backend == Backend::kCpu ? spatial_cpu(params, exec) : spatial_device(params, exec);
}
void cross(const CrossAttention& layer, const CrossParams& params, const Exec& exec) {
  exec.backend == Backend::kCpu ? cross_cpu(layer, params, exec) : cross_device(layer, params, exec);
}

}  // namespace cinefuse
