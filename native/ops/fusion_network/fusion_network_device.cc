#include "fusion_network_device.h"

#include <cmath>
#include <deque>

#include "fusion_network.h"

namespace cinefuse {
namespace {

// The network as plain structs; what they point to lives as long as this.
class Description {
 public:
  explicit Description(const FusionNetwork& network) {
    for (const NetworkModality& m : network.modalities) modalities_.push_back(describe(m));
    all = cinefuse_fusion_network_description{};
    all.kind = static_cast<int32_t>(network.kind);
    all.modalities = static_cast<int32_t>(network.modalities.size());
    all.columns = network.columns;
    all.fused = network.fused;
    all.outputs = network.outputs;
    all.slope = kNetworkSlope;
    all.gate = network.gate;
    all.modality = modalities_.data();
    all.stack = describe(network.stack);
    all.logits = data_or_null(network.logits);
    if (network.kind == FusionKind::kAttention) {
      all.attention_W = unpack(network.attention.W);
      all.attention_b = network.attention.b.data();
      all.attention_w = data_or_null(network.attention.w);
      all.attention_k = network.attention.k;
    }
    if (network.kind == FusionKind::kTensor) {
      matrices_.emplace_back();
      tensor_fusion_describe(network.tensor, matrices_.back(), tensor_);
      all.tensor = &tensor_;
    }
    if (network.kind == FusionKind::kLowRank) {
      low_rank_fusion_describe(network.low_rank, matrices_, low_rank_);
      all.low_rank = &low_rank_;
    }
    for (const CrossAttention& block : network.cross.blocks) blocks_.push_back(describe(block));
    all.block = blocks_.data();
    all.blocks = static_cast<int64_t>(blocks_.size());
    if (network.kind == FusionKind::kKernel) {
      for (const NetworkModality& m : network.modalities) {
        terms_.push_back(kernel_describe(m.kernel, matrices_));
      }
      kernel_ = {network.fused, all.modalities, static_cast<int32_t>(network.combine), network.constant,
                 terms_.data()};
      all.kernel = &kernel_;
    }
  }

  cinefuse_fusion_network_description all;

 private:
  static const float* data_or_null(const std::vector<float>& values) {
    return values.empty() ? nullptr : values.data();
  }

  const float* unpack(const PackedMatrix& matrix) {
    matrices_.emplace_back(static_cast<size_t>(matrix.out() * matrix.in()));
    matrix.unpack(matrices_.back().data());
    return matrices_.back().data();
  }

  cinefuse_network_layer describe(const NetworkLayer& l) {
    return {l.in,
            l.out,
            static_cast<int32_t>(l.activation),
            l.norm,
            unpack(l.W),
            l.bias.data(),
            data_or_null(l.gain),
            data_or_null(l.shift)};
  }

  cinefuse_cross_description describe(const CrossAttention& b) {
    return {b.width,         b.context_width, b.heads,        b.ff,         unpack(b.Wq),
            b.bq.data(),     unpack(b.Wkv),   b.bkv.data(),   unpack(b.Wo), b.bo.data(),
            unpack(b.W1),    b.b1.data(),     unpack(b.W2),   b.b2.data(),  b.gain1.data(),
            b.shift1.data(), b.gain2.data(),  b.shift2.data()};
  }

  cinefuse_network_stack describe(const NetworkStack& s) {
    if (s.heads.out() == 0) return {};
    layers_.emplace_back();
    std::vector<cinefuse_network_layer>& layers = layers_.back();
    for (const NetworkLayer& l : s.trunk) layers.push_back(describe(l));
    layers.push_back(
        {s.heads.in(), s.heads.out(), 0, 0, unpack(s.heads), s.heads_bias.data(), nullptr, nullptr});
    return {static_cast<int64_t>(s.trunk.size()), layers.data(), &layers.back()};
  }

  cinefuse_network_modality describe(const NetworkModality& m) {
    cinefuse_network_modality d{};
    d.dim = m.dim;
    d.column = m.column;
    d.pooling = static_cast<int32_t>(m.pooling);
    d.mean = m.mean.data();
    d.scale = m.scale.data();
    if (m.pooling == Pooling::kAttention) {
      d.attention_k = static_cast<int32_t>(m.attention.k);
      d.attention_W = unpack(m.attention.W);
      d.attention_b = m.attention.b.data();
      d.attention_w = m.attention.w.data();
    }
    d.absent = data_or_null(m.absent);
    if (m.kernel.count() == 0) d.projection = describe(m.projection);
    d.late = describe(m.late);
    return d;
  }

  std::vector<cinefuse_network_modality> modalities_;
  std::vector<cinefuse_cross_description> blocks_;
  std::deque<std::vector<float>> matrices_;
  std::deque<std::vector<cinefuse_network_layer>> layers_;
  cinefuse_tensor_fusion_description tensor_{};
  cinefuse_low_rank_fusion_description low_rank_{};
  std::vector<cinefuse_kernel_term> terms_;
  cinefuse_kernel_matrix_description kernel_{};
};

// Of each sequence, 0 where it is absent: what was given there may be anything.
std::vector<std::vector<int32_t>> lengths_there(const FusionNetwork& network, const FusionNetworkParams& p) {
  const size_t count = network.modalities.size(), batch = static_cast<size_t>(p.batch);
  std::vector<std::vector<int32_t>> lengths(count);
  for (size_t i = 0; i < count; ++i) {
    const NetworkInput& input = p.inputs[i];
    if (!input.x || network.modalities[i].pooling == Pooling::kNone) continue;
    for (size_t r = 0; r < batch; ++r) {
      const int32_t length = input.lengths ? input.lengths[r] : static_cast<int32_t>(input.steps);
      lengths[i].push_back(p.present[r * count + i] ? length : 0);
    }
  }
  return lengths;
}

// Throws as the CPU twin does, for the first modality that has one.
void require_finite(const FusionNetwork& network, const FusionNetworkParams& p,
                    const std::vector<uint64_t>& not_finite) {
  constexpr float kFound[] = {NAN, -NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < not_finite.size(); ++i) {
    if (not_finite[i] == ~uint64_t{0}) continue;
    const NetworkModality& m = network.modalities[i];
    const int64_t position = static_cast<int64_t>(not_finite[i] / 4), row = p.inputs[i].steps * m.dim;
    throw_not_finite(m, position / row, position % row, kFound[not_finite[i] % 4]);
  }
}

}  // namespace

void fusion_network_device(const FusionNetwork& network, const FusionNetworkParams& p, const Exec& exec) {
  const auto twin = network.twins.get(exec, [&] {
    const Description description(network);
    return create_on_device(exec, CINEFUSE_FUSION_NETWORK, description.all);
  });
  const std::vector<std::vector<int32_t>> lengths = lengths_there(network, p);
  std::vector<cinefuse_network_input> inputs;
  for (size_t i = 0; i < network.modalities.size(); ++i) {
    const NetworkInput& input = p.inputs[i];
    inputs.push_back({input.x, lengths[i].empty() ? nullptr : lengths[i].data(), input.weights, input.steps});
  }
  std::vector<uint64_t> not_finite(inputs.size());
  run_on_device(exec, CINEFUSE_FUSION_NETWORK, *twin,
                cinefuse_fusion_network_params{p.batch, p.present, inputs.data(), p.heads, p.modality_weights,
                                               not_finite.data()});
  require_finite(network, p, not_finite);
}

}  // namespace cinefuse
