#include <algorithm>

#include "fusion_network_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kRelu = 1, kTanh = 3;  // enum class Activation

static DeviceLayer make_layer(Call& call, const cinefuse_network_layer& l) {
  return DeviceLayer(call, l.in, l.out, l.activation, l.w, l.bias, l.norm ? l.gain : nullptr, l.shift);
}

static NetworkStack make_stack(Call& call, const cinefuse_network_stack& s) {
  NetworkStack stack;
  if (!s.heads) return stack;
  for (int64_t i = 0; i < s.layers; ++i) stack.trunk.push_back(make_layer(call, s.trunk[i]));
  stack.heads = make_layer(call, *s.heads);
  return stack;
}

// Padded with zeros to a multiple of four.
static Array<float> make_vector(Call& call, const float* values, int64_t n) {
  std::vector<float> padded(static_cast<size_t>((n + 3) / 4 * 4));
  std::copy_n(values, n, padded.data());
  return Array<float>(call, padded.data(), static_cast<int64_t>(padded.size()));
}

static NetworkModality make_modality(Call& call, const cinefuse_network_modality& d) {
  NetworkModality m;
  m.dim = d.dim;
  m.column = d.column;
  m.pooling = static_cast<NetworkPooling>(d.pooling);
  m.mean = make_vector(call, d.mean, d.dim);
  m.scale = make_vector(call, d.scale, d.dim);
  if (m.pooling == NetworkPooling::kAttention) {
    m.attention =
        DeviceLayer(call, d.dim, d.attention_k, kTanh, d.attention_W, d.attention_b, nullptr, nullptr);
    m.attention_w = Array<float>(call, d.attention_w, d.attention_k);
  }
  if (d.projection.w) m.projection = make_layer(call, d.projection);
  m.absent = Array<float>(call, d.absent, d.projection.out);
  m.late = make_stack(call, d.late);
  return m;
}

static NetworkBlock make_block(Call& call, const cinefuse_cross_description& d) {
  NetworkBlock b;
  b.heads = static_cast<int>(d.heads);
  b.q = DeviceLayer(call, d.width, d.width, 0, d.Wq, d.bq, nullptr, nullptr);
  b.kv = DeviceLayer(call, d.width, 2 * d.width, 0, d.Wkv, d.bkv, nullptr, nullptr);
  b.o = DeviceLayer(call, d.width, d.width, 0, d.Wo, d.bo, nullptr, nullptr);
  b.first = DeviceLayer(call, d.width, d.ff, kRelu, d.W1, d.b1, nullptr, nullptr);
  b.second = DeviceLayer(call, d.ff, d.width, 0, d.W2, d.b2, nullptr, nullptr);
  b.gain1 = Array<float>(call, d.gain1, d.width);
  b.shift1 = Array<float>(call, d.shift1, d.width);
  b.gain2 = Array<float>(call, d.gain2, d.width);
  b.shift2 = Array<float>(call, d.shift2, d.width);
  return b;
}

std::unique_ptr<NetworkObject> network_create(Call& call, const cinefuse_fusion_network_description& d) {
  auto n = std::make_unique<NetworkObject>();
  n->kind = static_cast<NetworkKind>(d.kind);
  n->columns = d.columns;
  n->fused = d.fused;
  n->outputs = d.outputs;
  n->slope = d.slope;
  n->gate = d.gate;
  for (int i = 0; i < d.modalities; ++i) n->modalities.push_back(make_modality(call, d.modality[i]));
  n->stack = make_stack(call, d.stack);
  for (int i = 0; d.kernel && i < d.modalities; ++i) {
    const cinefuse_kernel_term& term = d.kernel->term[i];
    NetworkModality& m = n->modalities[static_cast<size_t>(i)];
    m.projection = DeviceLayer(call, term.dim, d.kernel->landmarks, 0, term.z, nullptr, nullptr, nullptr);
    m.kernel = DeviceKernel(call, term, d.kernel->landmarks);
  }
  if (d.kernel) {
    n->combine = d.kernel->combine;
    n->constant = d.kernel->constant;
  }
  n->logits = Array<float>(call, d.logits, d.modalities);
  if (d.attention_W) {
    // Of features: a bias would shift all modalities alike, which changes nothing.
    const bool features = d.attention_w == nullptr;
    n->attention = DeviceLayer(call, d.fused, d.attention_k, features ? 0 : kTanh, d.attention_W,
                               features ? nullptr : d.attention_b, nullptr, nullptr);
    n->attention_w = Array<float>(call, d.attention_w, d.attention_k);
  }
  if (d.tensor) {
    const cinefuse_tensor_fusion_description& t = *d.tensor;
    n->tensor = TensorFusionWeights(call, t.modes, t.d, t.out, t.weight, t.bias, t.activation, t.slope);
  }
  if (d.low_rank) n->low_rank = LowRankFusionWeights(call, *d.low_rank);
  for (int64_t i = 0; i < d.blocks; ++i) n->blocks.push_back(make_block(call, d.block[i]));
  return n;
}

}  // namespace cinefuse::gpu
