#include <cmath>
#include <memory>

#include "../../native/ops/fusion_network/fusion_network.h"
#include "../../native/ops/layer_norm/layer_norm.h"
#include "../../native/ops/linear/linear.h"
#include "bench.h"

namespace cinefuse::bench {
namespace {

using Floats = std::shared_ptr<std::vector<float>>;
Floats make(int64_t n, uint32_t seed) { return std::make_shared<std::vector<float>>(numbers(n, seed)); }
Floats room(int64_t n) { return std::make_shared<std::vector<float>>(static_cast<size_t>(n)); }

Case tensor_case(const std::vector<int64_t>& sizes, int64_t out, int64_t rows) {
  int64_t k = 1, width = 0;
  std::string name = "tensor_fusion";
  for (int64_t d : sizes) {
    k *= d + 1;
    width += d;
    name += format(" %lld", static_cast<long long>(d));
  }
  const Floats w = make(k * out, 1), b = make(out, 2), y = room(rows * out);
  auto layer = std::make_shared<TensorFusion>(tensor_fusion_prepare(
      {fusion_dims(sizes, kMostTensorModes), out, w->data(), b->data(), Activation::kNone, 0.f}, Exec()));
  std::vector<Floats> h;
  FusionInputs inputs{rows, {}, nullptr};
  for (size_t m = 0; m < sizes.size(); ++m) {
    h.push_back(make(rows * sizes[m], 3 + static_cast<uint32_t>(m)));
    inputs.h[m] = h.back()->data();
  }
  Case c;
  c.name = name + format(" -> %lld, %lld rows", static_cast<long long>(out), static_cast<long long>(rows));
  c.bytes = 4. * static_cast<double>(k * out + rows * (width + out));
  c.flops = 2. * static_cast<double>(k) * static_cast<double>(out * rows);
  c.precise = false;
  c.run = [=](const Exec& exec) {
    (void)h;
    tensor_fusion(*layer, inputs, y->data(), exec);
  };
  return c;
}

Case linear_case(int64_t rows, int64_t in, int64_t out) {
  const Floats w = make(in * out, 1), b = make(out, 2), x = make(rows * in, 3), y = room(rows * out);
  auto layer = std::make_shared<Linear>(
      linear_prepare({in, out, w->data(), b->data(), Activation::kGelu, 0.f}, Exec()));
  Case c;
  c.name = format("linear gelu %lld -> %lld, %lld rows", (long long)in, (long long)out, (long long)rows);
  c.bytes = 4. * static_cast<double>(in * out + rows * (in + out));
  c.flops = 2. * static_cast<double>(in) * static_cast<double>(out * rows);
  c.precise = false;
  c.run = [=](const Exec& exec) { linear(*layer, rows, x->data(), y->data(), exec); };
  return c;
}

Case low_rank_case(int64_t rank, int64_t rows) {
  const std::vector<int64_t> sizes = {128, 64, 32};
  const int64_t out = 128;
  LowRankFusionParams p{};
  p.dims = fusion_dims(sizes, kMostFusionModes);
  p.rank = rank;
  p.out = out;
  std::vector<Floats> factors, h;
  FusionInputs inputs{rows, {}, nullptr};
  int64_t weights = 0, width = 0;
  for (size_t m = 0; m < sizes.size(); ++m) {
    factors.push_back(make(rank * (sizes[m] + 1) * out, 1));
    p.factors[m] = factors.back()->data();
    h.push_back(make(rows * sizes[m], 2));
    inputs.h[m] = h.back()->data();
    weights += rank * (sizes[m] + 1) * out;
    width += sizes[m];
  }
  auto layer = std::make_shared<LowRankFusion>(low_rank_fusion_prepare(p));
  const Floats y = room(rows * out);
  Case c;
  c.name = format("low_rank_fusion 128 64 32 -> 128 rank %lld, %lld rows", (long long)rank, (long long)rows);
  c.bytes = 4. * static_cast<double>(weights + rows * (width + out));
  c.flops = 2. * static_cast<double>(weights) * static_cast<double>(rows);
  c.precise = false;
  c.run = [=](const Exec& exec) {
    (void)h;
    low_rank_fusion(*layer, inputs, y->data(), exec);
  };
  return c;
}

// The shape of the bundle that ships: five modalities, concatenated, two layers, three heads.
Case network_case(int64_t batch) {
  const std::vector<std::pair<int64_t, int64_t>> modalities = {
      {130, 144}, {512, 96}, {40, 96}, {1792, 72}, {512, 72}};
  const auto silu = static_cast<int64_t>(Activation::kSilu);
  std::vector<int64_t> description = {5};
  std::vector<Floats> weights;
  std::vector<std::string> names;
  int64_t columns = 0, floats = 0, width = 0;
  const auto add = [&](int64_t n) {
    weights.push_back(make(n, static_cast<uint32_t>(weights.size()) + 1));
    for (float& x : *weights.back()) x *= 0.1f;
    floats += n;
  };
  for (const auto& [dim, out] : modalities) {
    names.push_back(format("m%zu", names.size()));
    for (int64_t x : {dim, int64_t{0}, int64_t{1}, out, silu, int64_t{0}}) description.push_back(x);
    add(dim), add(dim), add(dim * out), add(out), add(out);
    columns += out;
    width += dim;
  }
  for (int64_t x :
       {int64_t{0}, int64_t{0}, int64_t{0}, int64_t{0}, int64_t{2}, int64_t{288}, silu, int64_t{0},
        int64_t{144}, silu, int64_t{0}, int64_t{3}, int64_t{1}, int64_t{1}, int64_t{1}})
    description.push_back(x);
  add(columns * 288), add(288), add(288 * 144), add(144);
  for (int i = 0; i < 3; ++i) add(144), add(1);
  std::vector<NetworkWeight> list;
  for (const Floats& w : weights) list.push_back({w->data(), w->size()});
  const auto network = fusion_network_build(names, description, list);
  std::vector<Floats> x;
  std::vector<NetworkInput> inputs;
  for (const auto& [dim, out] : modalities) {
    x.push_back(make(batch * dim, 9));
    inputs.push_back({x.back()->data(), x.back()->size(), 1, nullptr, nullptr});
  }
  auto present = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(batch * 5), 1);
  const Floats heads = room(batch * 3);
  Case c;
  c.name = format("full head (concat, 5 modalities), %lld rows", (long long)batch);
  c.bytes = 4. * static_cast<double>(floats + batch * (width + 3));
  c.flops = 2. * static_cast<double>(floats) * static_cast<double>(batch);
  c.precise = false;
  c.run = [=](const Exec& exec) {
    (void)x;
    fusion_network(*network, {batch, present->data(), present->size(), inputs.data(), heads->data(), nullptr},
                   exec);
  };
  return c;
}

Case row_case(const char* name, int64_t rows, int64_t cols, Activation kind) {
  const Floats x = make(rows * cols, 1), y = room(rows * cols), gain = make(cols, 2), bias = make(cols, 3);
  Case c;
  c.name = format("%s (%lld, %lld)", name, (long long)rows, (long long)cols);
  c.bytes = 8. * static_cast<double>(rows * cols);
  c.run = [=](const Exec& exec) {
    if (kind == Activation::kNone) {
      layer_norm({rows, cols, 1e-5f, x->data(), gain->data(), bias->data(), y->data()}, exec);
    } else {
      activation({kind, 0.01f, rows, cols, x->data(), y->data()}, exec);
    }
  };
  return c;
}

}  // namespace

std::vector<Case> fusion_cases(bool small) {
  std::vector<Case> list;
  if (small) {
    list.push_back(tensor_case({4, 3, 5}, 8, 2));
    list.push_back(linear_case(3, 20, 9));
    list.push_back(low_rank_case(1, 1));
    list.push_back(network_case(1));
    list.push_back(row_case("gelu", 2, 64, Activation::kGelu));
    list.push_back(row_case("softmax", 2, 64, Activation::kSoftmax));
    list.push_back(row_case("layer_norm", 2, 64, Activation::kNone));
    return list;
  }
  for (int64_t rows : {1, 8, 32, 256, 4096}) list.push_back(tensor_case({32, 32, 32}, 128, rows));
  for (int64_t rows : {1, 32, 256, 4096}) list.push_back(tensor_case({128, 32, 32}, 128, rows));
  for (int64_t rows : {1, 4096}) list.push_back(low_rank_case(8, rows));
  for (int64_t rows : {1, 256, 8192}) list.push_back(linear_case(rows, 4096, 4096));
  for (int64_t batch : {1, 16, 256, 4096}) list.push_back(network_case(batch));
  list.push_back(row_case("gelu", 65536, 1024, Activation::kGelu));
  list.push_back(row_case("softmax", 65536, 1024, Activation::kSoftmax));
  list.push_back(row_case("layer_norm", 65536, 1024, Activation::kNone));
  return list;
}

}  // namespace cinefuse::bench
