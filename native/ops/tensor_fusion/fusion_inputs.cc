#include "fusion_inputs.h"

#include "../../core/gemm/gemm.h"

namespace cinefuse {

FusionDims fusion_dims(const std::vector<int64_t>& sizes, int most) {
  CINEFUSE_REQUIRE(sizes.size() >= 2 && sizes.size() <= static_cast<size_t>(most), Code::kShape, "dims",
                   "Expected 2 to %d modalities in dims, received %zu", most, sizes.size());
  FusionDims dims{static_cast<int>(sizes.size()), {}};
  for (size_t m = 0; m < sizes.size(); ++m) {
    CINEFUSE_REQUIRE(sizes[m] >= 1 && sizes[m] <= 65535, Code::kShape, "dims",
                     "Expected 1..65535 for dims[%zu], received %lld", m, static_cast<long long>(sizes[m]));
    dims.d[m] = static_cast<int>(sizes[m]);
  }
  return dims;
}

void fusion_check_inputs(const FusionDims& dims, int64_t rows, const std::vector<size_t>& sizes,
                         int64_t present_size) {
  CINEFUSE_REQUIRE(sizes.size() == static_cast<size_t>(dims.modes), Code::kShape, "h",
                   "Expected %d arrays for h, received %zu", dims.modes, sizes.size());
  CINEFUSE_REQUIRE(rows >= 0 && rows < (int64_t{1} << 31), Code::kShape, "h",
                   "Expected 0..2^31-1 rows, received %lld", static_cast<long long>(rows));
  for (size_t m = 0; m < sizes.size(); ++m) {
    const int64_t expected = rows * dims.d[m];
    CINEFUSE_REQUIRE(sizes[m] == static_cast<size_t>(expected), Code::kShape, format("h[%zu]", m),
                     "Expected %lld elements for h[%zu] of shape (%lld, %d), received %zu",
                     static_cast<long long>(expected), m, static_cast<long long>(rows), dims.d[m], sizes[m]);
  }
  CINEFUSE_REQUIRE(present_size == -1 || present_size == rows * dims.modes, Code::kShape, "present",
                   "Expected %lld bytes for present of shape (%lld, %d), received %lld",
                   static_cast<long long>(rows * dims.modes), static_cast<long long>(rows), dims.modes,
                   static_cast<long long>(present_size));
}

void fusion_check_out(const FusionDims& dims, const FusionInputs& inputs, const float* out, size_t out_size) {
  for (size_t m = 0; m < static_cast<size_t>(dims.modes); ++m) {
    require_apart(inputs.h[m], static_cast<size_t>(inputs.rows * dims.d[m]), out, out_size);
  }
}

}  // namespace cinefuse
