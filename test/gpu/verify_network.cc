#include <algorithm>

#include "../../native/ops/fusion_network/fusion_network.h"
#include "verify.h"

namespace cinefuse::verify {
namespace {

struct Modality {
  int64_t dim;
  Pooling pooling;
  int64_t k, out;
};

// A network of random weights: the description and the weights in the order of fusion_network_build.
struct Network {
  std::vector<int64_t> description;
  std::vector<std::vector<float>> weights;
  std::vector<std::string> names;
  std::shared_ptr<const FusionNetwork> built;

  Network(Random& random, FusionKind kind, int64_t form, const std::vector<Modality>& modalities,
          const std::vector<int64_t>& trunk, const std::vector<int64_t>& heads)
      : random_(random) {
    const auto gelu = static_cast<int64_t>(Activation::kGelu);
    description.push_back(static_cast<int64_t>(modalities.size()));
    int64_t columns = 0;
    for (const Modality& m : modalities) {
      names.push_back(format("m%zu", names.size()));
      for (int64_t x : {m.dim, static_cast<int64_t>(m.pooling), m.k, m.out, gelu, int64_t{1}})
        description.push_back(x);
      columns += m.out;
    }
    const int64_t d = modalities[0].out, fused_out = 24, rank = 3;
    int64_t fused = columns;
    int64_t parameters[3] = {0, 0, 0};
    if (kind == FusionKind::kTensor) parameters[0] = fused = fused_out, parameters[1] = gelu;
    if (kind == FusionKind::kLowRank)
      parameters[0] = rank, parameters[1] = fused = fused_out, parameters[2] = gelu;
    if (kind == FusionKind::kAttention) parameters[0] = form, parameters[1] = 16;
    // Every modality is on both sides.
    if (kind == FusionKind::kHybrid) parameters[0] = parameters[1] = (int64_t{1} << modalities.size()) - 1;
    if (kind == FusionKind::kAttention || kind == FusionKind::kWeightedSum) fused = d;
    description.push_back(static_cast<int64_t>(kind));
    for (int64_t p : parameters) description.push_back(p);
    description.push_back(static_cast<int64_t>(trunk.size()));
    for (int64_t out : trunk) {
      for (int64_t x : {out, gelu, int64_t{1}}) description.push_back(x);
    }
    description.push_back(static_cast<int64_t>(heads.size()));
    for (int64_t out : heads) description.push_back(out);

    for (const Modality& m : modalities) {
      add(m.dim);
      add(m.dim);
      if (m.pooling == Pooling::kAttention) add(m.k * m.dim), add(m.k), add(m.k);
      layer(m.dim, m.out);
      if (kind == FusionKind::kConcat || kind == FusionKind::kHybrid) add(m.out);
    }
    const auto count = static_cast<int64_t>(modalities.size());
    const auto stack = [&](int64_t in) {
      for (int64_t out : trunk) layer(in, out), in = out;
      for (int64_t out : heads) add(out * in), add(out);
    };
    switch (kind) {
      case FusionKind::kWeightedSum:
        add(count);
        break;
      case FusionKind::kLate:
      case FusionKind::kHybrid:
        add(count);
        for (const Modality& m : modalities) stack(m.out);
        if (kind == FusionKind::kHybrid) add(1);
        break;
      case FusionKind::kTensor: {
        int64_t k = 1;
        for (const Modality& m : modalities) k *= m.out + 1;
        add(fused_out * k), add(fused_out);
        break;
      }
      case FusionKind::kLowRank:
        for (const Modality& m : modalities) add(rank * (m.out + 1) * fused_out);
        add(rank), add(fused_out);
        break;
      case FusionKind::kAttention: {
        const int64_t k = form == 0 ? d : 16;
        add(k * d), add(k);
        if (form != 0) add(k);
        break;
      }
      default:
        break;
    }
    if (kind != FusionKind::kLate) stack(fused);
    std::vector<NetworkWeight> list;
    for (const std::vector<float>& w : weights) list.push_back({w.data(), w.size()});
    built = fusion_network_build(names, description, list);
  }

 private:
  void add(int64_t n) { weights.push_back(random_.numbers(n, n > 64 ? 0.2f : 1.f)); }
  void layer(int64_t in, int64_t out) {
    add(out * in);
    add(out);
    add(out);
    add(out);
  }
  Random& random_;
};

}  // namespace

void verify_network(Suite& suite) {
  Random random(40);
  struct Kind {
    const char* name;
    FusionKind kind;
    int64_t form;
  };
  for (const Kind& kind : std::vector<Kind>{{"concat", FusionKind::kConcat, 0},
                                            {"weighted-sum", FusionKind::kWeightedSum, 0},
                                            {"late", FusionKind::kLate, 0},
                                            {"hybrid", FusionKind::kHybrid, 0},
                                            {"tensor", FusionKind::kTensor, 0},
                                            {"low-rank", FusionKind::kLowRank, 0},
                                            {"attention feature", FusionKind::kAttention, 0},
                                            {"attention tanh", FusionKind::kAttention, 1}}) {
    const std::vector<Modality> modalities = {
        {40, Pooling::kNone, 1, 16}, {33, Pooling::kAttention, 12, 16}, {24, Pooling::kMean, 1, 16}};
    const Network network(random, kind.kind, kind.form, modalities, {20, 12}, {1, 3});
    for (int64_t batch : {1, 2, 7, 64, 300}) {
      if (suite.small() && batch > 7) continue;
      std::vector<std::vector<float>> x;
      std::vector<uint8_t> present;
      std::vector<std::vector<int32_t>> lengths(modalities.size());
      const int64_t steps[] = {1, 9, 5};
      for (size_t m = 0; m < modalities.size(); ++m)
        x.push_back(random.numbers(batch * steps[m] * modalities[m].dim));
      for (int64_t r = 0; r < batch; ++r) {
        const int64_t kept = random.integer(0, 2);
        for (int64_t m = 0; m < 3; ++m) {
          const bool there = m == kept || random.integer(0, 2) > 0;
          present.push_back(there);
          const int64_t length = random.integer(1, steps[m]), dim = modalities[static_cast<size_t>(m)].dim;
          lengths[static_cast<size_t>(m)].push_back(static_cast<int32_t>(length));
          float* const row = x[static_cast<size_t>(m)].data() + r * steps[m] * dim;
          const int64_t counts = m == 0 ? 1 : length;
          std::fill(row + (there ? counts : 0) * dim, row + steps[m] * dim, NAN);
        }
      }
      const FusionNetwork& n = *network.built;
      const int64_t heads = batch * n.outputs, alphas = n.has_weights() ? batch * 3 : 0;
      const auto body = [&](const Exec& exec, float* out) {
        std::vector<NetworkInput> inputs(3);
        for (size_t m = 0; m < 3; ++m) {
          inputs[m] = {x[m].data(), x[m].size(), steps[m], m ? lengths[m].data() : nullptr, nullptr};
        }
        inputs[1].weights = out + heads + alphas;
        const FusionNetworkParams p{
            batch, present.data(), present.size(), inputs.data(), out, alphas ? out + heads : nullptr};
        fusion_network_check(n, p);
        fusion_network(n, p, exec);
      };
      suite.compare(format("fusion_network %s, %lld rows", kind.name, (long long)batch),
                    heads + alphas + batch * steps[1], 5e-5f, false, body);
      if (batch != 7) continue;
      // Row 3, made present, with a number that is none.
      std::vector<uint8_t> all = present;
      all[3 * 3] = 1;
      std::vector<float> spoiled = x[0];
      for (int64_t i = 0; i < batch * 40; ++i) {
        if (std::isnan(spoiled[static_cast<size_t>(i)])) spoiled[static_cast<size_t>(i)] = 0.f;
      }
      spoiled[3 * 40 + 5] = INFINITY;
      suite.refuse(format("fusion_network %s: infinity in an input", kind.name), Code::kInputValue, "m0",
                   [&](const Exec& exec) {
                     std::vector<NetworkInput> inputs(3);
                     for (size_t m = 0; m < 3; ++m) {
                       inputs[m] = {m ? x[m].data() : spoiled.data(), x[m].size(), steps[m],
                                    m ? lengths[m].data() : nullptr, nullptr};
                     }
                     std::vector<float> out(static_cast<size_t>(heads));
                     const FusionNetworkParams p{batch,         all.data(), all.size(),
                                                 inputs.data(), out.data(), nullptr};
                     fusion_network_check(n, p);
                     fusion_network(n, p, exec);
                   });
    }
  }
}

}  // namespace cinefuse::verify
