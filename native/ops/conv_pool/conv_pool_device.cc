#include "conv_pool_device.h"

#include <deque>

#include "../../core/device.h"
#include "conv_pool_backward.h"

namespace cinefuse {

static_assert(CINEFUSE_CONV_WINDOWS == kMostConvWindows);

namespace {

cinefuse_conv_pool_description describe(const ConvPoolParams& p) {
  cinefuse_conv_pool_description d{};
  d.dim = p.dim;
  d.windows = static_cast<int32_t>(p.windows.size());
  d.activation = static_cast<int32_t>(p.activation);
  for (size_t i = 0; i < p.windows.size(); ++i) {
    const ConvWindow& window = p.windows[i];
    d.window[i] = {window.size, window.filters, window.weight, window.bias};
  }
  return d;
}

cinefuse_conv_pool_params rows_of(const ConvPoolRows& rows, float* y) {
  return {rows.batch, rows.steps, rows.x, rows.lengths, y};
}

}  // namespace

void conv_pool_device(const ConvPool& layer, const ConvPoolRows& rows, float* y, const Exec& exec) {
  const auto twin = layer.twins.get(exec, [&] {
    std::deque<std::vector<float>> weights;
    ConvPoolParams params{layer.dim, {}, layer.activation};
    for (const ConvPool::Window& window : layer.windows) {
      weights.emplace_back(static_cast<size_t>(window.filters * window.size * layer.dim));
      window.weight.unpack(weights.back().data());
      params.windows.push_back({window.size, window.filters, weights.back().data(), window.bias.data()});
    }
    return create_on_device(exec, CINEFUSE_CONV_POOL, describe(params));
  });
  run_on_device(exec, CINEFUSE_CONV_POOL, *twin, rows_of(rows, y));
}

void conv_pool_forward_device(const ConvPoolParams& params, const ConvPoolRows& rows, float* y,
                              int32_t* argmax, const Exec& exec) {
  run_on_device(exec, CINEFUSE_CONV_POOL_FORWARD,
                cinefuse_conv_pool_forward{describe(params), rows_of(rows, y), argmax});
}

void conv_pool_backward_device(const ConvPoolParams& params, const ConvPoolRows& rows,
                               const ConvPoolBackward& back, const Exec& exec) {
  cinefuse_conv_pool_backward p{};
  p.layer = describe(params);
  p.rows = rows_of(rows, nullptr);
  p.y = back.y;
  p.dy = back.dy;
  p.argmax = back.argmax;
  p.dx = back.dx;
  for (size_t i = 0; i < params.windows.size(); ++i) {
    p.dweight[i] = back.dweight[i];
    p.dbias[i] = back.dbias[i];
  }
  run_on_device(exec, CINEFUSE_CONV_POOL_BACKWARD, p);
}

}  // namespace cinefuse
