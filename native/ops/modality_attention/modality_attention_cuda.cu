#include <algorithm>

#include "../../cuda/attend.h"
#include "../../cuda/gemm.h"
#include "../../cuda/operators.h"
#include "../../cuda/rows.cuh"
#include "modality_attention_cuda.cuh"
#include "modality_attention_device.h"

namespace cinefuse::gpu {

constexpr int kTanh = 3;  // enum class Activation
constexpr int kFeatureThreads = 256;

// c[j] = sum_i a_i[j] h_i[j], a_i[j] = softmax over the modalities present of e_i[j], of at most MOST
// modalities, which a thread holds for VEC features.
template <int VEC, int MOST>
__global__ void __launch_bounds__(kFeatureThreads) attend_features_kernel(FeatureRows p) {
  const unsigned packs = p.d / VEC, unit = blockIdx.x * kFeatureThreads + threadIdx.x;
  const unsigned row = unit / packs;
  if (row >= static_cast<unsigned>(p.rows)) return;
  const int64_t first = int64_t{row} * p.m * p.d + (unit - row * packs) * VEC;
  bool present[MOST];
  int count = 0;
  float e[MOST][VEC], h[MOST][VEC];
#pragma unroll
  for (int i = 0; i < MOST; ++i) {
    present[i] = i < p.m && (!p.mask || p.mask[int64_t{row} * p.m + i] != 0);
    count += present[i];
#pragma unroll
    for (int k = 0; k < VEC; ++k) e[i][k] = h[i][k] = 0.f;
    if (!present[i]) continue;
    load_pack<VEC>(p.e + first + i * p.d, e[i]);
    stream_pack<VEC>(p.h + first + i * p.d, h[i]);
  }
  float c[VEC];
#pragma unroll
  for (int k = 0; k < VEC; ++k) {
    float top = -INFINITY, sum = 0.f;
#pragma unroll
    for (int i = 0; i < MOST; ++i) top = present[i] ? fmaxf(top, e[i][k]) : top;
    c[k] = 0.f;
#pragma unroll
    for (int i = 0; i < MOST; ++i) {
      // One alone has weight 1, whatever its score.
      e[i][k] = !present[i] ? 0.f : count == 1 ? 1.f : expf(e[i][k] - top);
      sum += e[i][k];
      c[k] += e[i][k] * h[i][k];
    }
    const float scale = sum == 0.f ? 0.f : 1.f / sum;  // 0 with nothing present
    c[k] *= scale;
#pragma unroll
    for (int i = 0; i < MOST; ++i) e[i][k] = present[i] ? e[i][k] * scale : 0.f;
  }
  store_pack<VEC>(p.c + int64_t{row} * p.d + (unit - row * packs) * VEC, c);
#pragma unroll
  for (int i = 0; i < MOST; ++i) {
    if (i < p.m) store_pack<VEC>(p.e + first + i * p.d, e[i]);
  }
}

// The same of any number of modalities: maximum, sum and c on the way in one pass over them, a second one for
// the weights.
template <int VEC>
__global__ void __launch_bounds__(kFeatureThreads) attend_many_features_kernel(FeatureRows p) {
  const unsigned packs = p.d / VEC, unit = blockIdx.x * kFeatureThreads + threadIdx.x;
  const unsigned row = unit / packs;
  if (row >= static_cast<unsigned>(p.rows)) return;
  const int64_t first = int64_t{row} * p.m * p.d + (unit - row * packs) * VEC;
  const uint8_t* const mask = p.mask ? p.mask + int64_t{row} * p.m : nullptr;
  int count = 0;
  for (int i = 0; i < p.m; ++i) count += !mask || mask[i] != 0;
  float top[VEC], sum[VEC], c[VEC];
#pragma unroll
  for (int k = 0; k < VEC; ++k) top[k] = -INFINITY, sum[k] = c[k] = 0.f;
  bool begun = false;
#pragma unroll 4
  for (int i = 0; i < p.m; ++i) {
    if (mask && !mask[i]) continue;
    float e[VEC], h[VEC];
    load_pack<VEC>(p.e + first + i * p.d, e);
    stream_pack<VEC>(p.h + first + i * p.d, h);
#pragma unroll
    for (int k = 0; k < VEC; ++k) {
      if (count == 1) e[k] = 0.f;  // one alone has weight 1, whatever its score
      const float next = fmaxf(top[k], e[k]), before = begun ? expf(top[k] - next) : 0.f,
                  x = expf(e[k] - next);
      sum[k] = sum[k] * before + x;
      c[k] = c[k] * before + x * h[k];
      top[k] = next;
    }
    begun = true;
  }
#pragma unroll
  for (int k = 0; k < VEC; ++k) {
    sum[k] = begun ? 1.f / sum[k] : 0.f;
    c[k] *= sum[k];
  }
  store_pack<VEC>(p.c + int64_t{row} * p.d + (unit - row * packs) * VEC, c);
#pragma unroll 4
  for (int i = 0; i < p.m; ++i) {
    float e[VEC];
    load_pack<VEC>(p.e + first + i * p.d, e);
    const bool present = !mask || mask[i];
#pragma unroll
    for (int k = 0; k < VEC; ++k) e[k] = !present ? 0.f : count == 1 ? 1.f : expf(e[k] - top[k]) * sum[k];
    store_pack<VEC>(p.e + first + i * p.d, e);
  }
}

void attend_features(Call& call, const FeatureRows& p) {
  const bool vectors = p.d % 4 == 0 && is_aligned16(p.h) && is_aligned16(p.e) && is_aligned16(p.c);
  const int64_t units = int64_t{p.rows} * (vectors ? p.d / 4 : p.d);
  const auto kernel = p.m <= 4   ? vectors ? attend_features_kernel<4, 4> : attend_features_kernel<1, 4>
                        : p.m <= 8 ? vectors ? attend_features_kernel<4, 8> : attend_features_kernel<1, 8>
                        : vectors ? attend_many_features_kernel<4>
                                 : attend_many_features_kernel<1>;
  CINEFUSE_LAUNCH(call.stream(), kernel, static_cast<unsigned>(blocks_of(units, kFeatureThreads)),
                  kFeatureThreads, 0, p);
}

struct ModalityLayer : Object {
  bool tanh = false;
  int64_t d = 0, k = 0;
  GemmWeights W;
  Array<float> w;
};

static std::unique_ptr<ModalityLayer> modality_attention_create(
    Call& call, const cinefuse_modality_attention_description& p) {
  auto layer = std::make_unique<ModalityLayer>();
  layer->tanh = p.tanh != 0;
  layer->d = p.d;
  layer->k = p.k;
  // In the feature form a bias would shift all modalities alike: it changes nothing.
  layer->W = GemmWeights(call, p.W, p.b, p.k, p.d);
  layer->w = Array<float>(call, p.w, p.k);
  return layer;
}

// Rows that are scored and weighed together; hidden: (rows, m, k), the weights themselves in the feature
// form.
static void attend_modalities(Call& call, const ModalityLayer& layer, int64_t rows, int64_t m, const float* h,
                              const uint8_t* mask, float* hidden, float* c, float* alpha) {
  const int64_t d = layer.d, k = layer.k;
  gemm(call, rows * m, {h, d, mask}, layer.W, layer.tanh ? kTanh : 0, 0.f, hidden, k);
  if (!layer.tanh) {
    return attend_features(
        call, {static_cast<int>(rows), static_cast<int>(m), static_cast<int>(d), h, mask, hidden, c});
  }
  AttendRows a{};
  a.scale = 1.f;
  a.batch = rows;
  a.heads = a.queries = 1;
  a.steps = m;
  a.d = k;
  a.dv = d;
  a.q = {layer.w.get(), 0, 0, 0};
  a.keys = {hidden, m * k, 0, k};
  a.values = {h, m * d, 0, d};
  a.present = mask;
  a.present_batch = m;
  a.present_step = 1;
  a.c = {c, d, 0, 0};
  a.alpha = alpha;
  attend(call, a);
}

static void modality_attention_cuda(Call& call, const ModalityLayer& layer,
                                    const cinefuse_modality_attention_params& p) {
  const int64_t m = p.modalities, d = layer.d, k = layer.k, weights = layer.tanh ? m : m * d;
  const In<float> h = call.in(p.h, p.batch * m * d);
  const In<uint8_t> mask = call.in(p.mask, p.batch * m);
  const Out<float> c = call.out(p.c, p.batch * d), alpha = call.out(p.alpha, p.batch * weights);
  if (p.batch == 0) return;
  call.send();
  call.compute([&] {
    // So many rows at a time that their vectors and hidden layer are still in L2 when they are weighed.
    const int64_t row_bytes = m * (d + k) * static_cast<int64_t>(sizeof(float));
    const int64_t rows_at_once =
        std::clamp<int64_t>(static_cast<int64_t>(call.device().l2_bytes()) / 2 / row_bytes, 1, p.batch);
    float* const scratch = layer.tanh ? call.scratch<float>(rows_at_once * m * k) : nullptr;
    for (int64_t first = 0; first < p.batch; first += rows_at_once) {
      float* const weights_here = alpha.get() + first * weights;
      attend_modalities(call, layer, std::min(rows_at_once, p.batch - first), m, h.get() + first * m * d,
                        mask.get() ? mask.get() + first * m : nullptr, layer.tanh ? scratch : weights_here,
                        c.get() + first * d, weights_here);
    }
  });
  call.receive();
}

const Operator kModalityAttentionOperator =
    prepared_operator<ModalityLayer, cinefuse_modality_attention_description,
                      cinefuse_modality_attention_params, modality_attention_create,
                      modality_attention_cuda>();

}  // namespace cinefuse::gpu
