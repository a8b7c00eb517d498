#include "modality_attention.h"

namespace cinefuse {

void modality_attention_cpu(const ModalityAttention& layer, const ModalityAttentionParams& params,
                            const Exec& exec);
void modality_attention_device(const ModalityAttention& layer, const ModalityAttentionParams& params,
                               const Exec& exec);

namespace {

void require_length(size_t got, int64_t expected, const char* field, const char* shape) {
  CINEFUSE_REQUIRE(got == static_cast<size_t>(expected), Code::kShape, field,
                   "Expected %lld elements for %s of shape %s, received %zu",
                   static_cast<long long>(expected), field, shape, got);
}

}  // namespace

void modality_attention_check(const ModalityAttentionWeights& p, size_t W, size_t b, size_t w) {
  CINEFUSE_REQUIRE(p.d >= 1 && p.d <= (1 << 20), Code::kShape, "features",
                   "Expected 1..2^20 features, received %lld", static_cast<long long>(p.d));
  CINEFUSE_REQUIRE(p.k >= 1 && p.k <= (1 << 20), Code::kShape, "b", "Expected 1..2^20 biases, received %lld",
                   static_cast<long long>(p.k));
  if (p.form == AttentionForm::kFeature) {
    require_length(W, p.d * p.d, "W", "(features, features)");
    require_length(b, p.d, "b", "(features)");
  } else {
    require_length(W, p.k * p.d, "W", "(k, features)");
    require_length(w, p.k, "w", "(k)");
  }
}

ModalityAttention modality_attention_prepare(const ModalityAttentionWeights& p, const Exec& exec) {
  ModalityAttention layer;
  layer.form = p.form;
  layer.d = p.d;
  layer.k = p.k;
  layer.W = PackedMatrix::pack(exec, p.W, p.k, p.d);
  layer.b.assign(p.b, p.b + p.k);
  if (p.form == AttentionForm::kTanh) layer.w.assign(p.w, p.w + p.k);
  return layer;
}

void modality_attention_check_rows(const ModalityAttention& layer, const ModalityAttentionParams& p, size_t h,
                                   size_t mask) {
  CINEFUSE_REQUIRE(p.batch >= 0 && p.batch < (int64_t{1} << 31), Code::kShape, "batch",
                   "Expected a batch from 0 to 2^31, received %lld", static_cast<long long>(p.batch));
  CINEFUSE_REQUIRE(p.modalities >= 1 && p.modalities <= kMaxAttendedModalities, Code::kShape, "modalities",
                   "Expected 1..%d modalities, received %lld", kMaxAttendedModalities,
                   static_cast<long long>(p.modalities));
  require_length(h, p.batch * p.modalities * layer.d, "h", "(batch, modalities, features)");
  if (p.mask) require_length(mask, p.batch * p.modalities, "mask", "(batch, modalities)");
}

void modality_attention(const ModalityAttention& layer, const ModalityAttentionParams& params,
                        const Exec& exec) {
  const auto twin = exec.backend == Backend::kCpu ? modality_attention_cpu : modality_attention_device;
  twin(layer, params, exec);
}

}  // namespace cinefuse
