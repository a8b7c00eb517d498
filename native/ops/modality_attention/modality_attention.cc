#include "modality_attention.h"

namespace cinefuse {

void modality_attention_cpu(const ModalityAttentionParams& params, const Exec& exec);

void modality_attention_check(const ModalityAttentionParams& p, const ModalityAttentionSizes& sizes) {
  const auto shape = [](size_t got, int64_t expected, const char* field, const char* meaning) {
    CINEFUSE_REQUIRE(got == static_cast<size_t>(expected), Code::kShape, field,
                     "Expected %lld elements for %s of shape %s, received %zu",
                     static_cast<long long>(expected), field, meaning, got);
  };
  CINEFUSE_REQUIRE(p.batch >= 0 && p.batch < (int64_t{1} << 31), Code::kShape, "batch",
                   "Expected a batch from 0 to 2^31, received %lld", static_cast<long long>(p.batch));
  CINEFUSE_REQUIRE(p.modalities >= 1 && p.modalities <= kMaxAttendedModalities, Code::kShape, "modalities",
                   "Expected 1..%d modalities, received %lld", kMaxAttendedModalities,
                   static_cast<long long>(p.modalities));
  CINEFUSE_REQUIRE(p.d >= 1 && p.d <= (1 << 20), Code::kShape, "features",
                   "Expected 1..2^20 features, received %lld", static_cast<long long>(p.d));
  CINEFUSE_REQUIRE(p.k >= 1 && p.k <= (1 << 20), Code::kShape, "b", "Expected 1..2^20 biases, received %lld",
                   static_cast<long long>(p.k));
  shape(sizes.h, p.batch * p.modalities * p.d, "h", "(batch, modalities, features)");
  if (p.mask) shape(sizes.mask, p.batch * p.modalities, "mask", "(batch, modalities)");
  if (p.form == AttentionForm::kFeature) {
    shape(sizes.W, p.d * p.d, "W", "(features, features)");
    shape(sizes.b, p.d, "b", "(features)");
  } else {
    shape(sizes.W, p.k * p.d, "W", "(k, features)");
    shape(sizes.w, p.k, "w", "(k)");
  }
}

void modality_attention(const ModalityAttentionParams& params, const Exec& exec) {
  modality_attention_cpu(params, exec);
}

}  // namespace cinefuse
