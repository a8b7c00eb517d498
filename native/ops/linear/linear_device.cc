#include "linear_device.h"

#include "../../core/device.h"
#include "linear.h"

namespace cinefuse {

void linear_device(const Linear& layer, int64_t rows, const float* x, float* y, const Exec& exec) {
  const auto twin = layer.twins.get(exec, [&] {
    std::vector<float> weight(static_cast<size_t>(layer.out() * layer.in()));
    layer.weight.unpack(weight.data());
    return create_on_device(exec, CINEFUSE_LINEAR,
                            cinefuse_linear_description{layer.in(), layer.out(), weight.data(),
                                                        layer.bias.empty() ? nullptr : layer.bias.data(),
                                                        static_cast<int32_t>(layer.activation), layer.slope});
  });
  run_on_device(exec, CINEFUSE_LINEAR, *twin, cinefuse_linear_params{rows, x, y});
}

}  // namespace cinefuse
