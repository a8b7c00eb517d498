#include "../../cuda/multiply.h"
#include "../../cuda/operators.h"
#include "linear_backward_cuda.cuh"
#include "linear_backward_device.h"

namespace cinefuse::gpu {

void linear_forward(const LinearShape& s, const float* x, const float* W, const float* b, float* y,
                    Call& call) {
  multiply(s.rows, s.out, s.in, {x, s.in, false}, {W, s.in, true}, b, y, s.out, call);
}

void linear_backward(const LinearShape& s, const LinearGradients& g, Call& call) {
  if (g.dx) {
    multiply(s.rows, s.in, s.out, {g.dy, s.out, false}, {g.W, s.in, false}, nullptr, g.dx, s.in, call);
  }
  if (g.dW) {
    multiply(s.out, s.in, s.rows, {g.dy, s.out, true}, {g.x, s.in, false}, nullptr, g.dW, s.in, call);
  }
  if (g.db) column_sums(s.rows, s.out, g.dy, g.db, call);
}

static void linear_backward_cuda(Call& call, const cinefuse_linear_backward_params& p) {
  const In<float> x = call.in(p.x, p.rows * p.in), W = call.in(p.W, p.out * p.in),
                  dy = call.in(p.dy, p.rows * p.out);
  const Out<float> dx = call.out(p.dx, p.rows * p.in), dW = call.out(p.dW, p.out * p.in),
                   db = call.out(p.db, p.out);
  call.send();
  call.compute([&] {
    linear_backward({p.rows, p.in, p.out}, {x.get(), W.get(), dy.get(), dx.get(), dW.get(), db.get()}, call);
  });
  call.receive();
}

const Operator kLinearBackwardOperator =
    plain_operator<cinefuse_linear_backward_params, linear_backward_cuda>();

}  // namespace cinefuse::gpu
