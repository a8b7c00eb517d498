#include "../../cuda/attend_backward.h"
#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "../activation/activation_backward_cuda.cuh"
#include "../cross_modal/cross_modal_cuda.cuh"
#include "../layer_norm/layer_norm_backward_cuda.cuh"
#include "../layer_norm/layer_norm_cuda.cuh"
#include "../linear/linear_backward_cuda.cuh"
#include "cross_backward_cuda.cuh"
#include "sequence_attention_backward_device.h"

namespace cinefuse::gpu {

constexpr int kReluThreads = 256;
constexpr float kEps = 1e-5f;

__global__ void __launch_bounds__(kReluThreads) cross_relu_kernel(int64_t n, float* x) {
  const int64_t i = int64_t{blockIdx.x} * kReluThreads + threadIdx.x;
  if (i < n && x[i] < 0.f) x[i] = 0.f;
}
static unsigned relu_blocks(int64_t n) { return static_cast<unsigned>(blocks_of(n, kReluThreads)); }

// What forward leaves, in pieces of one memory.
struct CrossSaved {
  float *q, *attended, *k, *v, *alpha, *first, *u, *hidden, *second;
  int64_t floats = 0;

  CrossSaved(const CrossWeights& w, const CrossParams& p, float* base) {
    const int64_t rows = p.batch * p.queries, keys = p.batch * p.keys, block = w.ff ? rows * w.width : 0;
    float** const pieces[] = {&q, &attended, &k, &v, &alpha, &first, &u, &hidden, &second};
    const int64_t sizes[] = {
        rows * w.width, rows * w.width, keys * w.width, keys * w.width, w.heads * rows * p.keys,
        block,          block,          rows * w.ff,    block};
    for (int i = 0; i < 9; ++i) {
      *pieces[i] = base ? base + floats : nullptr;
      floats += sizes[i];
    }
  }
};

static void attend_heads(Call& call, const CrossWeights& w, const CrossParams& p, const CrossSaved& s) {
  const int64_t e = w.width, head_width = e / w.heads;
  if (p.others) {
    return attend_others(call,
                         {p.batch, static_cast<int>(p.keys), static_cast<int>(w.heads),
                          static_cast<int>(head_width), p.present, s.q, s.k, s.v, e, e},
                         s.attended, s.alpha);
  }
  AttendRows a{};
  a.scale = 1.f / sqrtf(static_cast<float>(head_width));
  a.batch = p.batch;
  a.heads = w.heads;
  a.queries = p.queries;
  a.steps = p.keys;
  a.d = a.dv = head_width;
  a.q = {s.q, p.queries * e, head_width, e};
  a.keys = {s.k, p.keys * e, head_width, e};
  a.values = {s.v, p.keys * e, head_width, e};
  a.present = p.present;
  a.present_batch = p.keys;
  a.present_step = 1;
  a.c = {s.attended, p.queries * e, head_width, e};
  a.alpha = s.alpha;
  attend(call, a);
}

size_t cross_saved(const CrossWeights& weights, const CrossParams& params) {
  return static_cast<size_t>(CrossSaved(weights, params, nullptr).floats);
}

void cross_forward(const CrossWeights& w, const CrossParams& p, float* memory, Call& call) {
  const CrossSaved s(w, p, memory);
  const int64_t e = w.width, rows = p.batch * p.queries, keys = p.batch * p.keys;
  if (rows == 0) return;
  linear_forward({rows, e, e}, p.x, w.Wq, w.bq, s.q, call);
  linear_forward({keys, w.context_width, e}, p.ctx, w.Wk, w.bk, s.k, call);
  linear_forward({keys, w.context_width, e}, p.ctx, w.Wv, w.bv, s.v, call);
  attend_heads(call, w, p, s);
  linear_forward({rows, e, e}, s.attended, w.Wo, w.bo, w.ff ? s.first : p.y, call);
  if (!w.ff) return;
  add_present(call, rows, e, nullptr, p.x, s.first);
  layer_norm_rows(call.stream(), rows, e, kEps, s.first, w.gain1, w.shift1, 0, 0.f, s.u);
  linear_forward({rows, e, w.ff}, s.u, w.W1, w.b1, s.hidden, call);
  CINEFUSE_LAUNCH(call.stream(), cross_relu_kernel, relu_blocks(rows * w.ff), kReluThreads, 0, rows * w.ff,
                  s.hidden);
  linear_forward({rows, w.ff, e}, s.hidden, w.W2, w.b2, s.second, call);
  add_present(call, rows, e, nullptr, s.u, s.second);
  layer_norm_rows(call.stream(), rows, e, kEps, s.second, w.gain2, w.shift2, 0, 0.f, p.y);
}

static void heads_backward(Call& call, const CrossWeights& w, const CrossParams& p, const CrossSaved& s,
                           const float* dattended, float* dq, float* dk, float* dv) {
  const int64_t e = w.width, head_width = e / w.heads;
  AttendGradients a{};
  a.scale = 1.f / sqrtf(static_cast<float>(head_width));
  a.batch = p.batch;
  a.heads = w.heads;
  a.queries = p.queries;
  a.steps = p.keys;
  a.d = a.dv = head_width;
  a.dc = {dattended, p.queries * e, head_width, e};
  a.q = {s.q, p.queries * e, head_width, e};
  a.keys = {s.k, p.keys * e, head_width, e};
  a.values = {s.v, p.keys * e, head_width, e};
  a.alpha = s.alpha;
  a.e = call.scratch<float>(p.batch * w.heads * p.queries * p.keys);
  a.dq = {dq, p.queries * e, head_width, e};
  a.dk = {dk, p.keys * e, head_width, e};
  a.dv_out = {dv, p.keys * e, head_width, e};
  attend_backward(call, a);
}

void cross_backward(const CrossWeights& w, const CrossParams& p, const float* memory, const CrossGradients& g,
                    Call& call) {
  const CrossSaved s(w, p, const_cast<float*>(memory));
  const int64_t e = w.width, rows = p.batch * p.queries, keys = p.batch * p.keys;
  float* const dattended = call.scratch<float>(rows * e);
  float* const dq = call.scratch<float>(rows * e);
  float* const dk = call.scratch<float>(keys * e);
  float* const dv = call.scratch<float>(keys * e);
  float* const dsum = w.ff ? call.scratch<float>(rows * e) : nullptr;  // of the block's sums
  const float* dy = g.dy;
  if (w.ff) {
    float* const dhidden = call.scratch<float>(rows * w.ff);
    float* const inner = call.scratch<float>(rows * e);
    layer_norm_backward({rows, e, kEps, s.second, w.gain2, dy, dsum, g.gain2, g.shift2}, call);
    linear_backward({rows, w.ff, e}, {s.hidden, w.W2, dsum, dhidden, g.W2, g.b2}, call);
    activation_backward({Activation::kRelu, 0.f, rows, w.ff, s.hidden, s.hidden, dhidden, dhidden}, call);
    linear_backward({rows, e, w.ff}, {s.u, w.W1, dhidden, inner, g.W1, g.b1}, call);
    add_present(call, rows, e, nullptr, inner, dsum);
    layer_norm_backward({rows, e, kEps, s.first, w.gain1, dsum, dsum, g.gain1, g.shift1}, call);
    dy = dsum;
  }
  linear_backward({rows, e, e}, {s.attended, w.Wo, dy, dattended, g.Wo, g.bo}, call);
  heads_backward(call, w, p, s, dattended, dq, dk, dv);
  linear_backward({rows, e, e}, {p.x, w.Wq, dq, g.dx, g.Wq, g.bq}, call);
  if (g.dx && w.ff) add_present(call, rows, e, nullptr, dsum, g.dx);
  const LinearShape of_keys{keys, w.context_width, e};
  float* const through_keys = g.dctx ? call.scratch<float>(keys * w.context_width) : nullptr;
  linear_backward(of_keys, {p.ctx, w.Wk, dk, through_keys, g.Wk, nullptr}, call);
  if (g.bk) {  // shifts all scores of a query alike
    CINEFUSE_CUDA(cudaMemsetAsync(g.bk, 0, sizeof(float) * static_cast<size_t>(e), call.stream()));
  }
  linear_backward(of_keys, {p.ctx, w.Wv, dv, g.dctx, g.Wv, g.bv}, call);
  if (g.dctx) add_present(call, keys, w.context_width, nullptr, through_keys, g.dctx);
}

static void cross_backward_cuda(Call& call, const cinefuse_cross_backward_params& p) {
  const int64_t rows = p.batch * p.queries, keys = p.batch * p.keys;
  const int count = CrossWeights::arrays_of(p.ff);
  const auto size = [&](int i) { return CrossWeights::size_of(p.width, p.context_width, p.ff, i); };
  In<float> weights[kCrossArrays];
  Out<float> gradients[kCrossArrays];
  for (int i = 0; i < count; ++i) weights[i] = call.in(p.weights[i], size(i));
  const In<float> x = call.in(p.x, rows * p.width), ctx = call.in(p.ctx, keys * p.context_width),
                  dy = call.in(p.dy, rows * p.width);
  const In<uint8_t> present = call.in(p.present, keys);
  const Out<float> dx = call.out(p.dx, rows * p.width), dctx = call.out(p.dctx, keys * p.context_width);
  for (int i = 0; i < count; ++i) gradients[i] = call.out(p.gradients[i], size(i));
  call.send();
  call.compute([&] {
    const float* arrays[kCrossArrays] = {};
    float* to[kCrossArrays] = {};
    for (int i = 0; i < count; ++i) arrays[i] = weights[i].get(), to[i] = gradients[i].get();
    const CrossWeights w(p.width, p.context_width, p.heads, p.ff, arrays);
    const float* context = ctx.get();
    if (present.get()) {
      float* const copy = call.scratch<float>(keys * p.context_width);
      copy_present(call, keys, p.context_width, present.get(), context, copy);
      context = copy;
    }
    const CrossParams params{
        p.batch, p.queries, p.keys, x.get(), context, present.get(), call.scratch<float>(rows * p.width)};
    float* const saved = call.scratch<float>(static_cast<int64_t>(cross_saved(w, params)));
    cross_forward(w, params, saved, call);
    cross_backward(w, params, saved, CrossGradients(dy.get(), dx.get(), dctx.get(), count, to), call);
  });
  call.receive();
}

const Operator kCrossAttentionBackwardOperator =
    plain_operator<cinefuse_cross_backward_params, cross_backward_cuda>();

}  // namespace cinefuse::gpu
