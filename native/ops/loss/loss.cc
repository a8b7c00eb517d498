#include "loss.h"

#include <cmath>

namespace cinefuse {

void loss_cpu(const LossParams& params, const Exec& exec);
void loss_device(const LossParams& params, const Exec& exec);

void loss_check(const LossParams& p, size_t x, size_t target, int64_t class_weights, int64_t row_weights) {
  const int kind = static_cast<int>(p.kind), reduction = static_cast<int>(p.reduction);
  CINEFUSE_REQUIRE(kind >= 0 && kind <= 4, Code::kInputValue, "kind", "Expected a loss 0..4, received %d",
                   kind);
  CINEFUSE_REQUIRE(reduction >= 0 && reduction <= 2, Code::kInputValue, "reduction",
                   "Expected a reduction 0..2, received %d", reduction);
  CINEFUSE_REQUIRE(p.rows >= 0 && p.rows < (int64_t{1} << 31) && p.cols >= 1 && p.cols < (int64_t{1} << 31) &&
                       static_cast<size_t>(p.rows) * static_cast<size_t>(p.cols) == x,
                   Code::kShape, "x", "Expected %lld rows of %lld elements for x, received %zu elements",
                   static_cast<long long>(p.rows), static_cast<long long>(p.cols), x);
  const bool classes = p.kind == LossKind::kCrossEntropy;
  const size_t targets = classes ? static_cast<size_t>(p.rows) : x;
  CINEFUSE_REQUIRE(target == targets, Code::kShape, "target",
                   "Expected %zu elements for target, received %zu", targets, target);
  CINEFUSE_REQUIRE(p.kind != LossKind::kHuber || (p.delta > 0.f && std::isfinite(p.delta)), Code::kInputValue,
                   "delta", "Expected a finite delta above 0, received %g", static_cast<double>(p.delta));
  CINEFUSE_REQUIRE(!classes || (p.smoothing >= 0.f && p.smoothing < 1.f), Code::kInputValue, "smoothing",
                   "Expected a smoothing in [0, 1), received %g", static_cast<double>(p.smoothing));
  CINEFUSE_REQUIRE(class_weights == -1 || (classes && class_weights == p.cols), Code::kShape, "classWeights",
                   "Expected %lld elements for classWeights, of cross-entropy alone, received %lld",
                   static_cast<long long>(p.cols), static_cast<long long>(class_weights));
  CINEFUSE_REQUIRE(row_weights == -1 || row_weights == p.rows, Code::kShape, "rowWeights",
                   "Expected %lld elements for rowWeights, received %lld", static_cast<long long>(p.rows),
                   static_cast<long long>(row_weights));
}

namespace {

void check_weights(const char* field, int64_t n, const float* weights) {
  if (!weights) return;
  for (int64_t i = 0; i < n; ++i) {
    CINEFUSE_REQUIRE(std::isfinite(weights[i]) && weights[i] >= 0.f, Code::kInputValue, field,
                     "Expected finite weights >= 0 for %s, received %g at %lld", field,
                     static_cast<double>(weights[i]), static_cast<long long>(i));
  }
}

}  // namespace

void loss_check_values(const LossParams& p) {
  check_weights("classWeights", p.cols, p.class_weights);
  check_weights("rowWeights", p.rows, p.row_weights);
  if (p.kind == LossKind::kCrossEntropy) {
    for (int64_t r = 0; r < p.rows; ++r) {
      const float t = p.target[r];
      CINEFUSE_REQUIRE(std::isnan(t) || (t >= 0.f && t < static_cast<float>(p.cols) && t == std::floor(t)),
                       Code::kInputValue, "target",
                       "Expected class numbers 0..%lld or NaN for target, received %g at %lld",
                       static_cast<long long>(p.cols - 1), static_cast<double>(t), static_cast<long long>(r));
    }
  } else if (p.kind == LossKind::kBce) {
    for (int64_t i = 0; i < p.rows * p.cols; ++i) {
      const float t = p.target[i];
      CINEFUSE_REQUIRE(std::isnan(t) || (t >= 0.f && t <= 1.f), Code::kInputValue, "target",
                       "Expected numbers in [0, 1] or NaN for target, received %g at %lld",
                       static_cast<double>(t), static_cast<long long>(i));
    }
  }
}

void loss(const LossParams& params, const Exec& exec) {
  loss_check_values(params);
  exec.backend == Backend::kCpu ? loss_cpu(params, exec) : loss_device(params, exec);
}

}  // namespace cinefuse
