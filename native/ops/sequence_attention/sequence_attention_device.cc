#include "sequence_attention_device.h"

#include "../../core/device.h"
#include "sequence_attention.h"

namespace cinefuse {
namespace {

std::vector<float> unpacked(const PackedMatrix& matrix) {
  std::vector<float> w(static_cast<size_t>(matrix.in() * matrix.out()));
  if (!w.empty()) matrix.unpack(w.data());
  return w;
}

}  // namespace

void temporal_device(const TemporalParams& p, const Exec& exec) {
  run_on_device(exec, CINEFUSE_TEMPORAL_ATTENTION,
                cinefuse_temporal_params{p.batch, p.steps, p.d, p.dv, p.scale, 0, p.q, p.keys, p.values,
                                         p.lengths, p.c, p.alpha});
}

void additive_device(const AdditiveAttention& layer, const AdditiveParams& p, const Exec& exec) {
  const auto twin = layer.twins.get(exec, [&] {
    const std::vector<float> W = unpacked(layer.W);
    return create_on_device(
        exec, CINEFUSE_ADDITIVE_ATTENTION,
        cinefuse_additive_description{layer.d, layer.k, W.data(), layer.b.data(), layer.w.data()});
  });
  run_on_device(exec, CINEFUSE_ADDITIVE_ATTENTION, *twin,
                cinefuse_additive_params{p.batch, p.steps, p.x, p.lengths, p.c, p.alpha});
}

void spatial_device(const SpatialParams& p, const Exec& exec) {
  run_on_device(exec, CINEFUSE_SPATIAL_ATTENTION,
                cinefuse_spatial_params{p.batch, p.channels, p.positions, p.query_per_row, p.scale, p.bias, 0,
                                        p.x, p.query, p.c, p.alpha});
}

void cross_device(const CrossAttention& layer, const CrossParams& p, const Exec& exec) {
  const auto twin = layer.twins.get(exec, [&] {
    const std::vector<float> Wq = unpacked(layer.Wq), Wkv = unpacked(layer.Wkv), Wo = unpacked(layer.Wo),
                             W1 = unpacked(layer.W1), W2 = unpacked(layer.W2);
    const auto data = [&](const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); };
    return create_on_device(
        exec, CINEFUSE_CROSS_ATTENTION,
        cinefuse_cross_description{layer.width, layer.context_width, layer.heads, layer.ff, Wq.data(),
                                   layer.bq.data(), Wkv.data(), layer.bkv.data(), Wo.data(), layer.bo.data(),
                                   data(W1), data(layer.b1), data(W2), data(layer.b2), data(layer.gain1),
                                   data(layer.shift1), data(layer.gain2), data(layer.shift2)});
  });
  run_on_device(exec, CINEFUSE_CROSS_ATTENTION, *twin,
                cinefuse_cross_params{p.batch, p.queries, p.keys, p.x, p.ctx, p.present, p.y, p.alpha});
}

}  // namespace cinefuse
