#include <algorithm>

#include "../../native/ops/low_rank_fusion/low_rank_fusion.h"
#include "../../native/ops/tensor_fusion/tensor_fusion.h"
#include "verify.h"

namespace cinefuse::verify {
namespace {

// Vectors of all modalities; where one is absent its numbers are NaN, which must not be read.
struct Modalities {
  FusionDims dims{};
  std::vector<std::vector<float>> h;
  std::vector<uint8_t> present;
  FusionInputs inputs{};

  Modalities(Random& random, const std::vector<int64_t>& sizes, int64_t rows, bool masked)
      : dims(fusion_dims(sizes, kMostFusionModes)) {
    const size_t modes = sizes.size();
    present.assign(static_cast<size_t>(rows) * modes, 1);
    for (size_t m = 0; m < modes; ++m) h.push_back(random.numbers(rows * sizes[m]));
    for (int64_t r = 0; masked && r < rows; ++r) {
      const size_t absent = static_cast<size_t>(random.integer(0, static_cast<int64_t>(modes)));
      if (absent == modes) continue;
      present[static_cast<size_t>(r) * modes + absent] = 0;
      std::fill_n(h[absent].begin() + r * sizes[absent], sizes[absent], NAN);
    }
    inputs.rows = rows;
    for (size_t m = 0; m < modes; ++m) inputs.h[m] = h[m].data();
    inputs.present = masked ? present.data() : nullptr;
  }
};

std::string label(const char* op, const std::vector<int64_t>& sizes, int64_t out, int64_t rows, bool masked) {
  std::string text = op;
  for (int64_t d : sizes) text += format(" %lld", (long long)d);
  return text +
         format(" -> %lld, %lld rows%s", (long long)out, (long long)rows, masked ? ", some absent" : "");
}

}  // namespace

void verify_fusion(Suite& suite) {
  Random random(10);
  struct Shape {
    std::vector<int64_t> sizes;
    int64_t out;
    std::vector<int64_t> rows;
  };
  for (const Shape& s : std::vector<Shape>{{{1, 1}, 1, {1, 2, 9}},
                                           {{7, 5}, 3, {1, 8, 9, 33}},
                                           {{16, 31, 8}, 40, {1, 3, 17, 65}},
                                           {{32, 32, 32}, 128, {1, 5, 8, 32, 100, 257}},
                                           {{64, 48}, 130, {2, 70}},
                                           {{128, 32, 32}, 128, {1, 64, 300}},
                                           {{6, 5, 4, 3}, 33, {1, 12, 64}}}) {
    int64_t k = 1;
    for (int64_t d : s.sizes) k *= d + 1;
    const std::vector<float> w = random.numbers(k * s.out, 1.f / std::sqrt(static_cast<float>(k))),
                             b = random.numbers(s.out);
    const TensorFusion layer = tensor_fusion_prepare(
        {fusion_dims(s.sizes, kMostTensorModes), s.out, w.data(), b.data(), Activation::kRelu, 0.f}, Exec());
    const TensorFusion plain = tensor_fusion_prepare(
        {fusion_dims(s.sizes, kMostTensorModes), s.out, w.data(), nullptr, Activation::kNone, 0.f}, Exec());
    for (int64_t rows : s.rows) {
      for (bool masked : {false, true}) {
        if (suite.small() && rows * k * s.out > 400000) continue;
        const Modalities m(random, s.sizes, rows, masked);
        suite.compare(
            label("tensor_fusion", s.sizes, s.out, rows, masked), rows * s.out, 1e-5f, false,
            [&](const Exec& exec, float* y) { tensor_fusion(masked ? layer : plain, m.inputs, y, exec); });
        if (rows * k <= 1 << 24) {
          suite.compare(label("outer_product", s.sizes, k, rows, masked), rows * k, 1e-6f, true,
                        [&](const Exec& exec, float* z) { outer_product(m.dims, m.inputs, z, exec); });
        }
      }
    }
  }
  for (const Shape& s : std::vector<Shape>{{{1, 1}, 1, {1, 3}},
                                           {{9, 17, 30}, 5, {1, 16, 40}},
                                           {{128, 64, 32}, 128, {1, 8, 32, 500}},
                                           {{8, 8, 8, 8, 8}, 64, {2, 33}}}) {
    for (int64_t rank : {1, 4, 7}) {
      LowRankFusionParams p{};
      p.dims = fusion_dims(s.sizes, kMostFusionModes);
      p.rank = rank;
      p.out = s.out;
      std::vector<std::vector<float>> factors;
      for (int64_t d : s.sizes) factors.push_back(random.numbers(rank * (d + 1) * s.out));
      for (size_t m = 0; m < factors.size(); ++m) p.factors[m] = factors[m].data();
      const std::vector<float> weights = random.numbers(rank), bias = random.numbers(s.out);
      p.rank_weights = weights.data();
      p.bias = bias.data();
      p.activation = Activation::kTanh;
      const LowRankFusion layer = low_rank_fusion_prepare(p);
      for (int64_t rows : s.rows) {
        for (bool masked : {false, true}) {
          if (suite.small() && rows * rank * s.out > 3000) continue;
          const Modalities m(random, s.sizes, rows, masked);
          suite.compare(label(format("low_rank_fusion rank %lld", (long long)rank).c_str(), s.sizes, s.out,
                              rows, masked),
                        rows * s.out, 2e-5f, true,
                        [&](const Exec& exec, float* y) { low_rank_fusion(layer, m.inputs, y, exec); });
        }
      }
    }
  }
}

}  // namespace cinefuse::verify
