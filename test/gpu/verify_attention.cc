#include <algorithm>

#include "../../native/ops/modality_attention/modality_attention.h"
#include "../../native/ops/sequence_attention/sequence_attention.h"
#include "verify.h"

namespace cinefuse::verify {
namespace {

// Two results of one call, end to end.
struct Two {
  float *first, *second;
  Two(float* out, int64_t n) : first(out), second(out + n) {}
};

void modalities(Suite& suite) {
  Random random(20);
  struct Shape {
    int64_t batch, m, d, k;
  };
  for (const Shape& s : std::vector<Shape>{{1, 1, 1, 1},
                                           {3, 2, 7, 5},
                                           {33, 5, 64, 32},
                                           {100, 6, 128, 64},
                                           {5, 64, 33, 20},
                                           {2000, 4, 256, 64}}) {
    if (suite.small() && s.batch * s.m * s.d * s.d > 200000) continue;
    std::vector<float> h = random.numbers(s.batch * s.m * s.d);
    std::vector<uint8_t> mask(static_cast<size_t>(s.batch * s.m), 1);
    for (int64_t i = 0; i < s.batch * s.m; ++i) {
      if (random.integer(0, 3)) continue;
      mask[static_cast<size_t>(i)] = 0;
      std::fill_n(h.begin() + i * s.d, s.d, NAN);
    }
    for (AttentionForm form : {AttentionForm::kFeature, AttentionForm::kTanh}) {
      const int64_t k = form == AttentionForm::kFeature ? s.d : s.k;
      const int64_t weights = s.batch * s.m * (form == AttentionForm::kFeature ? s.d : 1);
      const std::vector<float> W = random.numbers(k * s.d), b = random.numbers(k), w = random.numbers(k);
      const ModalityAttention layer =
          modality_attention_prepare({form, s.d, k, W.data(), b.data(), w.data()}, Exec());
      suite.compare(
          format("modality_attention %s (%lld, %lld, %lld)",
                 form == AttentionForm::kFeature ? "feature" : "tanh", (long long)s.batch, (long long)s.m,
                 (long long)s.d),
          s.batch * s.d + weights, 3e-5f, false, [&](const Exec& exec, float* out) {
            const Two two(out, s.batch * s.d);
            modality_attention(layer, {s.batch, s.m, h.data(), mask.data(), two.first, two.second}, exec);
          });
    }
  }
}

// Lengths from 0 to `steps`; what lies beyond one is NaN and must not be read.
std::vector<int32_t> lengths_of(Random& random, int64_t batch, int64_t steps, int64_t width,
                                std::vector<float>& x) {
  std::vector<int32_t> lengths;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t length = random.integer(0, steps);
    lengths.push_back(static_cast<int32_t>(length));
    std::fill(x.begin() + (b * steps + length) * width, x.begin() + (b + 1) * steps * width, NAN);
  }
  return lengths;
}

void sequences(Suite& suite) {
  Random random(21);
  struct Shape {
    int64_t batch, steps, d, dv;
  };
  for (const Shape& s : std::vector<Shape>{{1, 1, 1, 1},
                                           {2, 3, 5, 7},
                                           {9, 33, 64, 32},
                                           {3, 300, 48, 20},
                                           {1, 5000, 128, 128},
                                           {256, 100, 256, 256}}) {
    if (suite.small() && s.batch * s.steps * s.d > 40000) continue;
    const std::vector<float> q = random.numbers(s.batch * s.d);
    std::vector<float> keys = random.numbers(s.batch * s.steps * s.d),
                       values = random.numbers(s.batch * s.steps * s.dv);
    Random same(s.steps);
    const std::vector<int32_t> lengths = lengths_of(same, s.batch, s.steps, s.d, keys);
    Random again(s.steps);
    lengths_of(again, s.batch, s.steps, s.dv, values);
    suite.compare(
        format("temporal (%lld, %lld, %lld)", (long long)s.batch, (long long)s.steps, (long long)s.d),
        s.batch * (s.dv + s.steps), 2e-5f, true, [&](const Exec& exec, float* out) {
          const Two two(out, s.batch * s.dv);
          temporal({s.batch, s.steps, s.d, s.dv, 0.3f, q.data(), keys.data(), values.data(), lengths.data(),
                    two.first, two.second},
                   exec);
        });
    const int64_t k = std::max<int64_t>(1, s.d / 2);
    const std::vector<float> W = random.numbers(k * s.d), b = random.numbers(k), w = random.numbers(k);
    const AdditiveAttention layer = additive_prepare({s.d, k, W.data(), b.data(), w.data()}, Exec());
    suite.compare(
        format("additive (%lld, %lld, %lld)", (long long)s.batch, (long long)s.steps, (long long)s.d),
        s.batch * (s.d + s.steps), 3e-5f, false, [&](const Exec& exec, float* out) {
          const Two two(out, s.batch * s.d);
          additive(layer, {s.batch, s.steps, keys.data(), lengths.data(), two.first, two.second}, exec);
        });
    const std::vector<float> x = random.numbers(s.batch * s.d * s.steps);
    for (bool per_row : {false, true}) {
      suite.compare(
          format("spatial (%lld, %lld, %lld)%s", (long long)s.batch, (long long)s.d, (long long)s.steps,
                 per_row ? " query a row" : ""),
          s.batch * (s.d + s.steps), 2e-5f, true, [&](const Exec& exec, float* out) {
            const Two two(out, s.batch * s.d);
            spatial({s.batch, s.d, s.steps, per_row, 0.2f, 0.1f, x.data(), q.data(), two.first, two.second},
                    exec);
          });
    }
  }
}

void crosses(Suite& suite) {
  Random random(22);
  struct Shape {
    int64_t batch, queries, keys, width, context, heads, ff;
  };
  for (const Shape& s : std::vector<Shape>{{1, 1, 1, 4, 3, 1, 0},
                                           {2, 5, 9, 16, 12, 4, 0},
                                           {3, 7, 33, 32, 20, 2, 64},
                                           {2, 65, 70, 64, 64, 8, 128},
                                           {16, 50, 50, 256, 128, 8, 512}}) {
    if (suite.small() && s.batch * s.queries * s.keys * s.width > 80000) continue;
    const auto make = [&](int64_t n) { return random.numbers(n, 0.3f); };
    const int64_t E = s.width, C = s.context, F = s.ff;
    const std::vector<float> Wq = make(E * E), bq = make(E), Wk = make(E * C), bk = make(E), Wv = make(E * C),
                             bv = make(E), Wo = make(E * E), bo = make(E);
    const std::vector<float> g1 = make(E), s1 = make(E), W1 = make(F * E), b1 = make(F), W2 = make(E * F),
                             b2 = make(E), g2 = make(E), s2 = make(E);
    CrossWeights weights{E,         C,         s.heads,   F,         Wq.data(), bq.data(), Wk.data(),
                         bk.data(), Wv.data(), bv.data(), Wo.data(), bo.data(), g1.data(), s1.data(),
                         W1.data(), b1.data(), W2.data(), b2.data(), g2.data(), s2.data()};
    const CrossAttention layer = cross_prepare(weights, Exec());
    const std::vector<float> x = random.numbers(s.batch * s.queries * E);
    std::vector<float> ctx = random.numbers(s.batch * s.keys * C);
    std::vector<uint8_t> present(static_cast<size_t>(s.batch * s.keys), 1);
    for (int64_t i = 0; i < s.batch * s.keys; ++i) {
      if (i / s.keys == s.batch - 1 || random.integer(0, 2) == 0)
        present[static_cast<size_t>(i)] = 0;  // the last row: nothing
      if (!present[static_cast<size_t>(i)]) std::fill_n(ctx.begin() + i * C, C, NAN);
    }
    const int64_t ny = s.batch * s.queries * E, na = s.batch * s.heads * s.queries * s.keys;
    suite.compare(
        format("cross (%lld, %lld x %lld, width %lld, %lld heads%s)", (long long)s.batch,
               (long long)s.queries, (long long)s.keys, (long long)E, (long long)s.heads, F ? ", block" : ""),
        ny + na, 3e-5f, false, [&](const Exec& exec, float* out) {
          const Two two(out, ny);
          cross(layer,
                {s.batch, s.queries, s.keys, x.data(), ctx.data(), present.data(), two.first, two.second},
                exec);
        });
  }
}

}  // namespace

void verify_attention(Suite& suite) {
  modalities(suite);
  sequences(suite);
  crosses(suite);
}

}  // namespace cinefuse::verify
