#include "../../cuda/attend_backward.h"
#include "../../cuda/operators.h"
#include "../../cuda/portable.h"
#include "../linear/linear_backward_cuda.cuh"
#include "modality_attention_backward_cuda.cuh"
#include "modality_attention_backward_device.h"
#include "modality_attention_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kFeatureForm = 0;  // enum class AttentionForm
constexpr int kFeatureBackwardThreads = 128;

// h, alpha, de, direct: (rows, m, d); dc: (rows, d). With c = sum_i alpha_i h_i: direct_i = alpha_i dc,
// de_i = direct_i (h_i - c); zeros where the weight is exactly 0, whatever h holds.
__global__ void __launch_bounds__(kFeatureBackwardThreads)
    feature_backward_kernel(int64_t numbers, int m, int64_t d, const float* h, const float* alpha,
                            const float* dc, float* de, float* direct) {
  const int64_t at = int64_t{blockIdx.x} * kFeatureBackwardThreads + threadIdx.x;
  if (at >= numbers) return;
  const int64_t row = at / d, first = row * m * d + (at - row * d);
  float c = 0.f;
  for (int i = 0; i < m; ++i) {
    const float weight = alpha[first + i * d];
    if (weight != 0.f) c = fmaf(weight, h[first + i * d], c);
  }
  for (int i = 0; i < m; ++i) {
    const float weight = alpha[first + i * d];
    const float through = weight == 0.f ? 0.f : weight * dc[at];
    direct[first + i * d] = through;
    de[first + i * d] = weight == 0.f ? 0.f : through * (h[first + i * d] - c);
  }
}

static unsigned blocks_for(int64_t threads) {
  return static_cast<unsigned>(blocks_of(threads, kFeatureBackwardThreads));
}

// h with zeros where something is absent, for products that go over every vector.
static const float* without_absent(Call& call, int64_t vectors, int64_t d, const float* h,
                                   const uint8_t* mask) {
  if (!mask) return h;
  float* const x = call.scratch<float>(vectors * d);
  copy_present(call, vectors, d, mask, h, x);
  return x;
}

// One weight a modality: rows of one query.
static AttendGradients rows_of(int64_t batch, int64_t m, int64_t d, const float* h, const float* alpha,
                               const float* dc, float* e, float* dh) {
  AttendGradients g{};
  g.scale = 1.f;
  g.batch = batch;
  g.heads = g.queries = 1;
  g.steps = m;
  g.dv = d;
  g.dc = {dc, d, 0, 0};
  g.values = {h, m * d, 0, d};
  g.alpha = alpha;
  g.e = e;
  if (dh) g.dv_out = {dh, m * d, 0, d};
  return g;
}

size_t modality_attention_saved(const ModalityAttentionWeights& p, int64_t batch, int64_t modalities) {
  return static_cast<size_t>(batch * modalities * (p.form == kFeatureForm ? p.d : 1 + p.k));
}

void modality_attention_forward(const ModalityAttentionWeights& p, int64_t batch, int64_t m, const float* h,
                                const uint8_t* mask, float* c, float* saved, Call& call) {
  const int64_t vectors = batch * m, d = p.d, k = p.k;
  if (vectors == 0) return;
  const float* const x = without_absent(call, vectors, d, h, mask);
  if (p.form == kFeatureForm) {
    linear_forward({vectors, d, d}, x, p.W, nullptr, saved, call);
    return attend_features(
        call, {static_cast<int>(batch), static_cast<int>(m), static_cast<int>(d), h, mask, saved, c});
  }
  float* const hidden = saved + vectors;
  linear_forward({vectors, d, k}, x, p.W, p.b, hidden, call);
  tanh_in_place(call, vectors * k, hidden);
  AttendRows rows{};
  rows.scale = 1.f;
  rows.batch = batch;
  rows.heads = rows.queries = 1;
  rows.steps = m;
  rows.d = k;
  rows.dv = d;
  rows.q = {p.w, 0, 0, 0};
  rows.keys = {hidden, m * k, 0, k};
  rows.values = {h, m * d, 0, d};
  rows.present = mask;
  rows.present_batch = m;
  rows.present_step = 1;
  rows.c = {c, d, 0, 0};
  rows.alpha = saved;
  attend(call, rows);
}

void modality_attention_backward(const ModalityAttentionWeights& p, int64_t batch, int64_t m, const float* h,
                                 const uint8_t* mask, const float* saved, const ModalityAttentionGradients& g,
                                 Call& call) {
  const int64_t vectors = batch * m, d = p.d, k = p.k;
  const float* const x = without_absent(call, vectors, d, h, mask);
  float* const through = g.dh ? call.scratch<float>(vectors * d) : nullptr;
  if (p.form == kFeatureForm) {
    float* const de = call.scratch<float>(vectors * d);
    float* const direct = g.dh ? g.dh : call.scratch<float>(vectors * d);
    if (vectors) {
      CINEFUSE_LAUNCH(call.stream(), feature_backward_kernel, blocks_for(batch * d), kFeatureBackwardThreads,
                      0, batch * d, static_cast<int>(m), d, h, saved, g.dc, de, direct);
    }
    linear_backward({vectors, d, d}, {x, p.W, de, through, g.dW, nullptr}, call);
    if (g.db) CINEFUSE_CUDA(cudaMemsetAsync(g.db, 0, sizeof(float) * static_cast<size_t>(d), call.stream()));
  } else {
    float* const e = call.scratch<float>(vectors);
    float* const dz = call.scratch<float>(vectors * k);
    const float* const hidden = saved + vectors;
    attend_backward(call, rows_of(batch, m, d, h, saved, g.dc, e, g.dh));
    tanh_scores_backward(call, vectors, k, e, p.w, hidden, dz);
    linear_backward({vectors, d, k}, {x, p.W, dz, through, g.dW, g.db}, call);
    // dw = Σ e_i tanh(z_i): the product of a layer of one output
    if (g.dw) linear_backward({vectors, k, 1}, {hidden, p.w, e, nullptr, g.dw, nullptr}, call);
  }
  if (g.dh) add_present(call, vectors, d, mask, through, g.dh);
}

static void modality_attention_backward_cuda(Call& call,
                                             const cinefuse_modality_attention_backward_params& p) {
  const int64_t vectors = p.batch * p.modalities;
  const In<float> W = call.in(p.W, p.k * p.d), b = call.in(p.b, p.k), w = call.in(p.w, p.k),
                  h = call.in(p.h, vectors * p.d), dc = call.in(p.dc, p.batch * p.d);
  const In<uint8_t> mask = call.in(p.mask, vectors);
  const Out<float> dh = call.out(p.dh, vectors * p.d), dW = call.out(p.dW, p.k * p.d),
                   db = call.out(p.db, p.k), dw = call.out(p.dw, p.k);
  call.send();
  call.compute([&] {
    const ModalityAttentionWeights weights{p.form, p.d, p.k, W.get(), b.get(), w.get()};
    float* const saved =
        call.scratch<float>(static_cast<int64_t>(modality_attention_saved(weights, p.batch, p.modalities)));
    float* const c = call.scratch<float>(p.batch * p.d);
    modality_attention_forward(weights, p.batch, p.modalities, h.get(), mask.get(), c, saved, call);
    modality_attention_backward(weights, p.batch, p.modalities, h.get(), mask.get(), saved,
                                {dc.get(), dh.get(), dW.get(), db.get(), dw.get()}, call);
  });
  call.receive();
}

const Operator kModalityAttentionBackwardOperator =
    plain_operator<cinefuse_modality_attention_backward_params, modality_attention_backward_cuda>();

}  // namespace cinefuse::gpu
