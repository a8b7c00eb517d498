#pragma once
#include "../../node/boundary.h"
#include "fusion_inputs.h"

namespace cinefuse {

// rows, h[], present? from argument `first` on
inline FusionInputs read_fusion_inputs(Call& call, size_t first, const FusionDims& dims) {
  FusionInputs inputs{call.integer(first, "rows"), {}, nullptr};
  const std::vector<Span<const float>> h = call.f32_list(first + 1, "h");
  std::vector<size_t> sizes;
  for (const Span<const float>& span : h) sizes.push_back(span.size);
  int64_t present_size = -1;
  if (!call.absent(first + 2)) {
    const Span<const uint8_t> present = call.u8(first + 2, "present");
    inputs.present = present.data;
    present_size = static_cast<int64_t>(present.size);
  }
  fusion_check_inputs(dims, inputs.rows, sizes, present_size);
  for (size_t m = 0; m < h.size(); ++m) inputs.h[m] = h[m].data;
  return inputs;
}

}  // namespace cinefuse
