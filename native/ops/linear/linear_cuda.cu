#include "../../cuda/gemm.h"
#include "../../cuda/operators.h"
#include "linear_device.h"

namespace cinefuse::gpu {

struct LinearObject final : Object {
  GemmWeights weights;
  int activation;
  float slope;
};

static std::unique_ptr<LinearObject> linear_create(Call& call, const cinefuse_linear_description& d) {
  auto object = std::make_unique<LinearObject>();
  object->weights = GemmWeights(call, d.weight, d.bias, d.out, d.in);
  object->activation = d.activation;
  object->slope = d.slope;
  return object;
}

static void linear_cuda(Call& call, const LinearObject& layer, const cinefuse_linear_params& p) {
  const GemmWeights& w = layer.weights;
  const In<float> x = call.in(p.x, p.rows * w.in());
  const Out<float> y = call.out(p.y, p.rows * w.out());
  if (p.rows == 0) return;
  call.send();
  call.compute(
      [&] { gemm(call, p.rows, x.get(), w.in(), w, layer.activation, layer.slope, y.get(), w.out()); });
  call.receive();
}

const Operator kLinearOperator = prepared_operator<LinearObject, cinefuse_linear_description,
                                                   cinefuse_linear_params, linear_create, linear_cuda>();

}  // namespace cinefuse::gpu
