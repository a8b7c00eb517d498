#include "tensor_fusion_device.h"

#include "../../core/device.h"
#include "tensor_fusion.h"

namespace cinefuse {

void tensor_fusion_describe(const TensorFusion& layer, std::vector<float>& weight,
                            cinefuse_tensor_fusion_description& d) {
  weight.resize(static_cast<size_t>(layer.weight.out() * layer.weight.in()));
  layer.weight.unpack(weight.data());
  d = {};
  d.modes = layer.dims.modes;
  for (size_t m = 0; m < static_cast<size_t>(d.modes); ++m) d.d[m] = layer.dims.d[m];
  d.out = layer.weight.out();
  d.weight = weight.data();
  d.bias = layer.bias.empty() ? nullptr : layer.bias.data();
  d.activation = static_cast<int32_t>(layer.activation);
  d.slope = layer.slope;
}

void tensor_fusion_device(const TensorFusion& layer, const FusionInputs& in, float* y, const Exec& exec) {
  const size_t modes = static_cast<size_t>(layer.dims.modes);
  const auto twin = layer.twins.get(exec, [&] {
    std::vector<float> weight;
    cinefuse_tensor_fusion_description description;
    tensor_fusion_describe(layer, weight, description);
    return create_on_device(exec, CINEFUSE_TENSOR_FUSION, description);
  });
  cinefuse_tensor_fusion_params p{in.rows, {}, in.present, y};
  for (size_t m = 0; m < modes; ++m) p.h[m] = in.h[m];
  run_on_device(exec, CINEFUSE_TENSOR_FUSION, *twin, p);
}

void outer_product_device(const FusionDims& dims, const FusionInputs& in, float* z, const Exec& exec) {
  cinefuse_outer_product_params p{in.rows, dims.modes, {}, {}, in.present, z};
  for (size_t m = 0; m < static_cast<size_t>(dims.modes); ++m) {
    p.d[m] = dims.d[m];
    p.h[m] = in.h[m];
  }
  run_on_device(exec, CINEFUSE_OUTER_PRODUCT, p);
}

}  // namespace cinefuse
