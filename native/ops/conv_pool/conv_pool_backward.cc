#include "conv_pool_backward.h"

namespace cinefuse {

void conv_pool_backward_cpu(const ConvPoolParams& params, const ConvPoolRows& rows,
                            const ConvPoolBackward& backward, const Exec& exec);
void conv_pool_cpu(const ConvPool& layer, const ConvPoolRows& rows, float* y, int32_t* argmax,
                   const Exec& exec);
void conv_pool_forward_device(const ConvPoolParams& params, const ConvPoolRows& rows, float* y,
                              int32_t* argmax, const Exec& exec);
void conv_pool_backward_device(const ConvPoolParams& params, const ConvPoolRows& rows,
                               const ConvPoolBackward& backward, const Exec& exec);

void conv_pool_forward(const ConvPoolParams& params, const ConvPoolRows& rows, float* y, int32_t* argmax,
                       const Exec& exec) {
  if (exec.backend != Backend::kCpu) return conv_pool_forward_device(params, rows, y, argmax, exec);
  conv_pool_cpu(conv_pool_prepare(params, exec), rows, y, argmax, exec);
}

void conv_pool_check_backward(const ConvPoolParams& p, const ConvPoolRows& rows,
                              const ConvPoolBackward& backward, size_t y, size_t argmax, size_t dy) {
  const int64_t filters = p.filters();
  const size_t expected = static_cast<size_t>(rows.batch * filters);
  const std::pair<const char*, size_t> arrays[] = {{"y", y}, {"argmax", argmax}, {"dy", dy}};
  for (const auto& [field, size] : arrays) {
    CINEFUSE_REQUIRE(size == expected, Code::kShape, field,
                     "Expected %zu elements for %s of shape (batch, filters), received %zu", expected, field,
                     size);
  }
  for (int64_t b = 0; b < rows.batch; ++b) {
    const int32_t* at = backward.argmax + b * filters;
    for (const ConvWindow& window : p.windows) {
      const int64_t places = conv_places(rows.length(b), window.size);
      for (int64_t f = 0; f < window.filters; ++f, ++at) {
        CINEFUSE_REQUIRE(*at >= 0 && *at < places, Code::kInputValue, "argmax",
                         "Expected places below %lld, received %d at [%lld]", static_cast<long long>(places),
                         *at, static_cast<long long>(at - backward.argmax));
      }
    }
  }
}

void conv_pool_backward(const ConvPoolParams& params, const ConvPoolRows& rows,
                        const ConvPoolBackward& backward, const Exec& exec) {
  exec.backend == Backend::kCpu ? conv_pool_backward_cpu(params, rows, backward, exec)
                                : conv_pool_backward_device(params, rows, backward, exec);
}

}  // namespace cinefuse
