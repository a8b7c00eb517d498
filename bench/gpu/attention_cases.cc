#include <memory>

#include "../../native/ops/modality_attention/modality_attention.h"
#include "../../native/ops/sequence_attention/sequence_attention.h"
#include "bench.h"

namespace cinefuse::bench {
namespace {

using Floats = std::shared_ptr<std::vector<float>>;
Floats make(int64_t n, uint32_t seed) { return std::make_shared<std::vector<float>>(numbers(n, seed)); }
Floats room(int64_t n) { return std::make_shared<std::vector<float>>(static_cast<size_t>(n)); }

Case modality_case(AttentionForm form, int64_t batch, int64_t m, int64_t d) {
  const bool feature = form == AttentionForm::kFeature;
  const int64_t k = feature ? d : 64;
  const Floats W = make(k * d, 1), b = make(k, 2), w = make(k, 3), h = make(batch * m * d, 4);
  auto layer = std::make_shared<ModalityAttention>(
      modality_attention_prepare({form, d, k, W->data(), b->data(), w->data()}, Exec()));
  const int64_t weights = batch * m * (feature ? d : 1);
  const Floats c_out = room(batch * d), alpha = room(weights);
  Case c;
  c.name = format("modality_attention %s (%lld, %lld, %lld)", feature ? "feature" : "tanh", (long long)batch,
                  (long long)m, (long long)d);
  c.bytes = 4. * static_cast<double>(batch * m * d + batch * d + weights + k * d);
  c.flops = 2. * static_cast<double>(batch * m) * static_cast<double>(k * d);
  c.precise = false;
  c.run = [=](const Exec& exec) {
    modality_attention(*layer, {batch, m, h->data(), nullptr, c_out->data(), alpha->data()}, exec);
  };
  return c;
}

Case temporal_case(int64_t batch, int64_t steps, int64_t d) {
  const Floats q = make(batch * d, 1), keys = make(batch * steps * d, 2), values = make(batch * steps * d, 3);
  const Floats c_out = room(batch * d), alpha = room(batch * steps);
  Case c;
  c.name = format("temporal_attention (%lld, %lld, %lld)", (long long)batch, (long long)steps, (long long)d);
  c.bytes = 4. * static_cast<double>(2 * batch * steps * d + 2 * batch * d + batch * steps);
  c.run = [=](const Exec& exec) {
    temporal({batch, steps, d, d, 0.0625f, q->data(), keys->data(), values->data(), nullptr, c_out->data(),
              alpha->data()},
             exec);
  };
  return c;
}

Case additive_case(int64_t batch, int64_t steps, int64_t d, int64_t k) {
  const Floats W = make(k * d, 1), b = make(k, 2), w = make(k, 3), x = make(batch * steps * d, 4);
  auto layer =
      std::make_shared<AdditiveAttention>(additive_prepare({d, k, W->data(), b->data(), w->data()}, Exec()));
  const Floats c_out = room(batch * d), alpha = room(batch * steps);
  Case c;
  c.name = format("additive_attention (%lld, %lld, %lld)", (long long)batch, (long long)steps, (long long)d);
  c.bytes = 4. * static_cast<double>(batch * steps * d + batch * d + batch * steps);
  c.flops = 2. * static_cast<double>(batch * steps) * static_cast<double>(k * d);
  c.precise = false;
  c.run = [=](const Exec& exec) {
    additive(*layer, {batch, steps, x->data(), nullptr, c_out->data(), alpha->data()}, exec);
  };
  return c;
}

Case spatial_case(int64_t batch, int64_t channels, int64_t positions) {
  const Floats x = make(batch * channels * positions, 1), q = make(channels, 2);
  const Floats c_out = room(batch * channels), alpha = room(batch * positions);
  Case c;
  c.name = format("spatial_attention (%lld, %lld, %lld)", (long long)batch, (long long)channels,
                  (long long)positions);
  c.bytes = 4. * static_cast<double>(batch * channels * positions + batch * channels + batch * positions);
  c.run = [=](const Exec& exec) {
    spatial({batch, channels, positions, false, 1.f, 0.f, x->data(), q->data(), c_out->data(), alpha->data()},
            exec);
  };
  return c;
}

Case cross_case(int64_t batch, int64_t steps, int64_t width, int64_t heads) {
  std::vector<Floats> w;
  const auto add = [&](int64_t n) {
    w.push_back(make(n, static_cast<uint32_t>(w.size()) + 1));
    for (float& v : *w.back()) v *= 0.1f;
    return static_cast<const float*>(w.back()->data());
  };
  CrossWeights weights{width,
                       width,
                       heads,
                       0,
                       add(width * width),
                       add(width),
                       add(width * width),
                       add(width),
                       add(width * width),
                       add(width),
                       add(width * width),
                       add(width),
                       nullptr,
                       nullptr,
                       nullptr,
                       nullptr,
                       nullptr,
                       nullptr,
                       nullptr,
                       nullptr};
  auto layer = std::make_shared<CrossAttention>(cross_prepare(weights, Exec()));
  const Floats x = make(batch * steps * width, 50), ctx = make(batch * steps * width, 51),
               y = room(batch * steps * width);
  const double rows = static_cast<double>(batch * steps);
  Case c;
  c.name = format("cross_attention (%lld, %lld, %lld), %lld heads", (long long)batch, (long long)steps,
                  (long long)width, (long long)heads);
  c.bytes = 4. * (3 * rows * static_cast<double>(width) + 4. * static_cast<double>(width * width));
  c.flops = 2. * rows * static_cast<double>(width) *
            (4. * static_cast<double>(width) + 2. * static_cast<double>(steps));
  c.precise = false;
  c.run = [=](const Exec& exec) {
    cross(*layer, {batch, steps, steps, x->data(), ctx->data(), nullptr, y->data(), nullptr}, exec);
  };
  return c;
}

}  // namespace

std::vector<Case> attention_cases(bool small) {
  if (small) {
    return {modality_case(AttentionForm::kFeature, 2, 3, 8),
            modality_case(AttentionForm::kTanh, 2, 3, 8),
            temporal_case(2, 5, 16),
            additive_case(2, 5, 8, 4),
            spatial_case(2, 8, 9),
            cross_case(1, 4, 16, 2)};
  }
  return {modality_case(AttentionForm::kFeature, 65536, 5, 256),
          modality_case(AttentionForm::kTanh, 65536, 5, 256),
          temporal_case(4096, 100, 256),
          temporal_case(1, 100, 256),
          temporal_case(8, 4096, 256),
          additive_case(4096, 100, 256, 64),
          spatial_case(4096, 512, 49),
          cross_case(256, 64, 512, 8)};
}

}  // namespace cinefuse::bench
