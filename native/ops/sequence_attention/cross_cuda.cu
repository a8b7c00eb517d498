#include <algorithm>

#include "../../cuda/attend.h"
#include "../../cuda/gemm.h"
#include "../../cuda/operators.h"
#include "../layer_norm/layer_norm_cuda.cuh"
#include "sequence_attention_device.h"

namespace cinefuse::gpu {

constexpr int kRelu = 1;  // enum class Activation
constexpr float kBlockEps = 1e-5f;
constexpr int64_t kCrossScratch = int64_t{1} << 30;  // bytes, above which the batch is taken in pieces

struct CrossLayer : Object {
  int64_t width = 0, context_width = 0, heads = 0, ff = 0;
  GemmWeights Wq, Wkv, Wo, W1, W2;
  Array<float> gain1, shift1, gain2, shift2;
};

static std::unique_ptr<CrossLayer> cross_create(Call& call, const cinefuse_cross_description& p) {
  auto layer = std::make_unique<CrossLayer>();
  layer->width = p.width;
  layer->context_width = p.context_width;
  layer->heads = p.heads;
  layer->ff = p.ff;
  layer->Wq = GemmWeights(call, p.Wq, p.bq, p.width, p.width);
  layer->Wkv = GemmWeights(call, p.Wkv, p.bkv, 2 * p.width, p.context_width);
  layer->Wo = GemmWeights(call, p.Wo, p.bo, p.width, p.width);
  if (!p.ff) return layer;
  layer->W1 = GemmWeights(call, p.W1, p.b1, p.ff, p.width);
  layer->W2 = GemmWeights(call, p.W2, p.b2, p.width, p.ff);
  layer->gain1 = Array<float>(call, p.gain1, p.width);
  layer->shift1 = Array<float>(call, p.shift1, p.width);
  layer->gain2 = Array<float>(call, p.gain2, p.width);
  layer->shift2 = Array<float>(call, p.shift2, p.width);
  return layer;
}

// Some rows of the batch. Scratch: queries of all heads beside each other and, behind the attention, its
// result in their place; K and V beside each other; the hidden layer of a block.
struct CrossScratch {
  float *q, *kv, *attended, *hidden;
};

static void cross_rows(Call& call, const CrossLayer& layer, int64_t batch, int64_t queries, int64_t keys,
                       const float* x, const float* ctx, const uint8_t* present, const CrossScratch& scratch,
                       float* y, float* alpha) {
  const int64_t width = layer.width, ff = layer.ff, head_width = width / layer.heads;
  const int64_t rows = batch * queries;
  const cudaStream_t stream = call.stream();
  gemm(call, rows, x, width, layer.Wq, 0, 0.f, scratch.q, width);
  gemm(call, batch * keys, {ctx, layer.context_width, present}, layer.Wkv, 0, 0.f, scratch.kv, 2 * width);
  AttendRows a{};
  a.scale = 1.f / sqrtf(static_cast<float>(head_width));
  a.batch = batch;
  a.heads = layer.heads;
  a.queries = queries;
  a.steps = keys;
  a.d = a.dv = head_width;
  a.q = {scratch.q, queries * width, head_width, width};
  a.keys = {scratch.kv, keys * 2 * width, head_width, 2 * width};
  a.values = {scratch.kv + width, keys * 2 * width, head_width, 2 * width};
  a.present = present;
  a.present_batch = keys;
  a.present_step = 1;
  a.c = {scratch.attended, queries * width, head_width, width};
  a.alpha = alpha;
  attend(call, a);
  if (!ff) return gemm(call, rows, scratch.attended, width, layer.Wo, 0, 0.f, y, width);
  // From here on q's place holds u, and y serves the products.
  float* const u = scratch.q;
  gemm(call, rows, scratch.attended, width, layer.Wo, 0, 0.f, y, width);
  add_layer_norm_rows(stream, rows, width, kBlockEps, x, y, layer.gain1.get(), layer.shift1.get(), u);
  gemm(call, rows, u, width, layer.W1, kRelu, 0.f, scratch.hidden, ff);
  gemm(call, rows, scratch.hidden, ff, layer.W2, 0, 0.f, y, width);
  add_layer_norm_rows(stream, rows, width, kBlockEps, u, y, layer.gain2.get(), layer.shift2.get(), y);
}

static void cross_cuda(Call& call, const CrossLayer& layer, const cinefuse_cross_params& p) {
  const int64_t width = layer.width, of_x = p.queries * width, of_ctx = p.keys * layer.context_width,
                of_alpha = layer.heads * p.queries * p.keys;
  const In<float> x = call.in(p.x, p.batch * of_x), ctx = call.in(p.ctx, p.batch * of_ctx);
  const In<uint8_t> present = call.in(p.present, p.batch * p.keys);
  const Out<float> y = call.out(p.y, p.batch * of_x), alpha = call.out(p.alpha, p.batch * of_alpha);
  if (p.batch == 0) return;
  call.send();
  call.compute([&] {
    const int64_t floats = 2 * of_x + 2 * p.keys * width + p.queries * layer.ff;
    const int64_t most = kCrossScratch / static_cast<int64_t>(sizeof(float)) / floats;
    const int64_t at_once = std::min(std::max<int64_t>(most, 1), p.batch);
    const CrossScratch scratch{call.scratch<float>(at_once * of_x),
                               call.scratch<float>(at_once * 2 * p.keys * width),
                               call.scratch<float>(at_once * of_x),
                               layer.ff ? call.scratch<float>(at_once * p.queries * layer.ff) : nullptr};
    for (int64_t first = 0; first < p.batch; first += at_once) {
      cross_rows(call, layer, std::min(at_once, p.batch - first), p.queries, p.keys, x.get() + first * of_x,
                 ctx.get() + first * of_ctx, present.get() ? present.get() + first * p.keys : nullptr,
                 scratch, y.get() + first * of_x, alpha.get() ? alpha.get() + first * of_alpha : nullptr);
    }
  });
  call.receive();
}

const Operator kCrossAttentionOperator = prepared_operator<CrossLayer, cinefuse_cross_description,
                                                           cinefuse_cross_params, cross_create, cross_cuda>();

}  // namespace cinefuse::gpu
