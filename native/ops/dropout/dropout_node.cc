#include "../../node/boundary.h"
#include "dropout.h"

namespace cinefuse {

// dropout(exec, cancel, p, seed, stream, x, out?) -> y
Napi::Value dropout_node(const Napi::CallbackInfo& info) {
  Call call(info);
  DropoutParams params{};
  const double p = call.number(2, "p");
  // Before it becomes a float, in which 1 - 1e-9 is 1.
  CINEFUSE_REQUIRE(p >= 0. && p < 1., Code::kInputValue, "p",
                   "Expected a number in [0, 1) for p, received %g", p);
  params.p = static_cast<float>(p);
  params.seed = static_cast<uint64_t>(call.integer(3, "seed"));
  params.stream = static_cast<uint64_t>(call.integer(4, "stream"));
  const Span<const float> x = call.f32(5, "x");
  params.n = static_cast<int64_t>(x.size);
  dropout_check(params);
  params.x = x.data;
  params.y = call.out_f32(6, "out", x.size).data;
  return call.run([params](const Exec& exec) { dropout(params, exec); });
}

}  // namespace cinefuse
