#include <algorithm>

#include "../../cuda/attend.h"
#include "../../cuda/gemm.h"
#include "../../cuda/operators.h"
#include "sequence_attention_device.h"

namespace cinefuse::gpu {

constexpr int kTanh = 3;  // enum class Activation

struct AdditiveLayer : Object {
  int64_t d = 0, k = 0;
  GemmWeights W;
  Array<float> w;
};

static std::unique_ptr<AdditiveLayer> additive_create(Call& call, const cinefuse_additive_description& p) {
  auto layer = std::make_unique<AdditiveLayer>();
  layer->d = p.d;
  layer->k = p.k;
  layer->W = GemmWeights(call, p.W, p.b, p.k, p.d);
  layer->w = Array<float>(call, p.w, p.k);
  return layer;
}

static void additive_cuda(Call& call, const AdditiveLayer& layer, const cinefuse_additive_params& p) {
  const int64_t d = layer.d, k = layer.k;
  const In<float> x = call.in(p.x, p.batch * p.steps * d);
  const In<int32_t> lengths = call.in(p.lengths, p.batch);
  const Out<float> c = call.out(p.c, p.batch * d), alpha = call.out(p.alpha, p.batch * p.steps);
  if (p.batch == 0) return;
  call.send();
  call.compute([&] {
    // So many rows at a time that their vectors and hidden layer are still in L2 when they are weighed.
    const int64_t row_bytes = p.steps * (d + k) * static_cast<int64_t>(sizeof(float));
    const int64_t rows_at_once =
        std::clamp<int64_t>(static_cast<int64_t>(call.device().l2_bytes()) / 2 / row_bytes, 1, p.batch);
    float* const hidden = call.scratch<float>(rows_at_once * p.steps * k);
    for (int64_t first = 0; first < p.batch; first += rows_at_once) {
      const int64_t n = std::min(rows_at_once, p.batch - first);
      const float* const from = x.get() + first * p.steps * d;
      // Vectors beyond a length may hold anything: it stays in their own rows, which nobody reads.
      gemm(call, n * p.steps, from, d, layer.W, kTanh, 0.f, hidden, k);
      AttendRows rows{};
      rows.scale = 1.f;
      rows.batch = n;
      rows.heads = rows.queries = 1;
      rows.steps = p.steps;
      rows.d = k;
      rows.dv = d;
      rows.q = {layer.w.get(), 0, 0, 0};
      rows.keys = {hidden, p.steps * k, 0, k};
      rows.values = {from, p.steps * d, 0, d};
      rows.lengths = lengths.get() ? lengths.get() + first : nullptr;
      rows.c = {c.get() + first * d, d, 0, 0};
      rows.alpha = alpha.get() + first * p.steps;
      attend(call, rows);
    }
  });
  call.receive();
}

const Operator kAdditiveAttentionOperator =
    prepared_operator<AdditiveLayer, cinefuse_additive_description, cinefuse_additive_params, additive_create,
                      additive_cuda>();

}  // namespace cinefuse::gpu
