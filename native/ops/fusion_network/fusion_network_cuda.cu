#include <algorithm>

#include "../../cuda/operators.h"
#include "../../cuda/plans.h"
#include "../low_rank_fusion/low_rank_fusion_cuda.cuh"
#include "../tensor_fusion/tensor_fusion_cuda.cuh"
#include "fusion_network_device.h"
#include "network_fuse.cuh"
#include "network_inputs.cuh"

namespace cinefuse::gpu {

// As in fusion_network.h.
enum Pooling { kNone, kMean, kAttention };
enum Kind { kConcat, kWeightedSum, kLate, kHybrid, kTensor, kLowRank, kModalityAttention };

constexpr int kTanh = 3;  // enum class Activation
constexpr size_t kMostPlanned = size_t{16}
                                << 20;  // bytes of a call beyond which its kernels outlast their launches

struct NetworkStack {
  std::vector<DeviceLayer> trunk;
  DeviceLayer heads;
};

struct NetworkModality {
  int64_t dim = 0, column = 0;
  int pooling = kNone;
  Array<float> mean, scale, attention_w, absent;
  DeviceLayer attention, projection;
  NetworkStack late;
};

struct NetworkObject final : Object {
  int kind = 0;
  int64_t columns = 0, fused = 0, outputs = 0;
  float slope = 0.f, gate = 0.f;
  std::vector<NetworkModality> modalities;
  NetworkStack stack;
  Array<float> logits, attention_w;
  DeviceLayer attention;  // over modalities; by features where there is no attention_w
  TensorFusionWeights tensor;
  LowRankFusionWeights low_rank;
  mutable PlanCache plans;

  bool shrink() const override { return plans.drop_idle(); }
};

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

static std::unique_ptr<NetworkObject> network_create(Call& call,
                                                     const cinefuse_fusion_network_description& d) {
  auto n = std::make_unique<NetworkObject>();
  n->kind = d.kind;
  n->columns = d.columns;
  n->fused = d.fused;
  n->outputs = d.outputs;
  n->slope = d.slope;
  n->gate = d.gate;
  for (int i = 0; i < d.modalities; ++i) {
    const cinefuse_network_modality& from = d.modality[i];
    NetworkModality m;
    m.dim = from.dim;
    m.column = from.column;
    m.pooling = from.pooling;
    m.mean = make_vector(call, from.mean, m.dim);
    m.scale = make_vector(call, from.scale, m.dim);
    if (m.pooling == kAttention) {
      m.attention = DeviceLayer(call, m.dim, from.attention_k, kTanh, from.attention_W, from.attention_b,
                                nullptr, nullptr);
      m.attention_w = Array<float>(call, from.attention_w, from.attention_k);
    }
    m.projection = make_layer(call, from.projection);
    m.absent = Array<float>(call, from.absent, m.projection.out);
    m.late = make_stack(call, from.late);
    n->modalities.push_back(std::move(m));
  }
  n->stack = make_stack(call, d.stack);
  n->logits = Array<float>(call, d.logits, d.modalities);
  if (d.attention_W) {
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
  return n;
}

namespace {

// The device addresses of one call.
struct NetworkData {
  int64_t batch;
  struct Input {
    int64_t steps;
    bool given;
    In<float> x;
    In<int32_t> lengths;
    Out<float> weights;
  };
  std::vector<Input> inputs;
  In<uint8_t> present;
  Out<float> heads, modality_weights;
  Out<uint64_t> not_finite;  // (modalities, row_blocks)
  int64_t row_blocks;
};

int64_t padded(int64_t n) { return (n + 3) / 4 * 4; }

// The launches of one call, from inputs to heads. Each step puts what it makes into scratch memory of its
// own.
class Run {
 public:
  Run(Call& call, const NetworkObject& network, const NetworkData& data)
      : call_(call),
        n_(network),
        d_(data),
        rows_(data.batch),
        network_{data.present.get(), static_cast<int>(network.modalities.size()), network.slope},
        x_(network.modalities.size()),
        z_(network.modalities.size()) {}

  void run() {
    place();
    scale();
    attend();
    project();
    switch (n_.kind) {
      case kConcat:
        stacks({{&n_.stack, h_, ldh_, d_.heads.get()}});
        break;
      case kWeightedSum: {
        float* const fused = scratch(rows_ * padded(n_.fused));
        weigh_rows(call_, rows_, network_,
                   {n_.logits.get(), h_, n_.fused, ldh_, nullptr, 0.f, fused, n_.fused, padded(n_.fused),
                    d_.modality_weights.get()});
        stacks({{&n_.stack, fused, padded(n_.fused), d_.heads.get()}});
        break;
      }
      case kLate:
      case kHybrid:
        late();
        break;
      case kModalityAttention: {
        float* const fused = scratch(rows_ * n_.fused);
        attend_modalities(fused);
        stacks({{&n_.stack, fused, n_.fused, d_.heads.get()}});
        break;
      }
      case kTensor:
      case kLowRank: {
        float* const fused = scratch(rows_ * n_.fused);
        multiply(fused);
        stacks({{&n_.stack, fused, n_.fused, d_.heads.get()}});
        break;
      }
    }
  }

 private:
  // One vector a row and modality, as the projection reads it.
  struct Vectors {
    const float* x = nullptr;
    int64_t ld = 0;
    bool raw = false;  // neither scaled nor checked yet
  };
  struct Tower {
    const NetworkStack* stack;
    const float* x;
    int64_t ldx;
    float* y;  // (rows, outputs)
  };

  float* scratch(int64_t floats) { return call_.scratch<float>(floats); }
  int count() const { return network_.modalities; }
  uint64_t* not_finite(int m) const { return d_.not_finite.get() + m * d_.row_blocks; }

  // Where each h_m goes: beside each other in a row.
  void place() {
    ldh_ = n_.kind == kModalityAttention ? n_.columns : padded(n_.columns);
    h_ = scratch(rows_ * ldh_);
    for (int m = 0; m < count(); ++m) z_[m] = {h_ + n_.modalities[m].column, ldh_};
  }

  // What is no sequence and goes through the kernel for few rows is scaled and checked there.
  void scale() {
    std::vector<ScaledInput> inputs;
    for (int i = 0; i < count(); ++i) {
      const NetworkModality& m = n_.modalities[i];
      const NetworkData::Input& input = d_.inputs[i];
      if (!input.given) continue;
      if (m.pooling == kNone && m.projection.thin(rows_)) {
        x_[i] = {input.x.get(), m.dim, true};
        continue;
      }
      const bool pool = m.pooling == kMean;
      const int64_t vectors = pool ? rows_ : rows_ * input.steps, ld = padded(m.dim);
      float* const y = scratch(vectors * ld);
      inputs.push_back({input.x.get(), m.mean.get(), m.scale.get(), input.lengths.get(), y,
                        pool ? input.weights.get() : nullptr, not_finite(i), input.steps,
                        static_cast<int>(m.dim), static_cast<int>(ld), pool, i});
      x_[i] = {y, ld, false};
    }
    if (inputs.empty()) return;
    CINEFUSE_CUDA(cudaMemsetAsync(d_.not_finite.get(), 0xff, sizeof(uint64_t) * count() * d_.row_blocks,
                                  call_.stream()));
    scale_inputs(call_, rows_, network_, inputs);
  }

  // Attention over time: all steps of a modality go through its hidden layer at once.
  void attend() {
    std::vector<LayerRun> hidden;
    std::vector<AttendedRows> runs;
    for (int i = 0; i < count(); ++i) {
      const NetworkModality& m = n_.modalities[i];
      const NetworkData::Input& input = d_.inputs[i];
      if (!input.given || m.pooling != kAttention) continue;
      const int64_t steps = rows_ * input.steps, ld = padded(m.dim), k = m.attention.out;
      float* const z = scratch(steps * padded(k));
      float* const c = scratch(rows_ * ld);
      hidden.push_back({&m.attention, steps, x_[i].x, x_[i].ld, z, padded(k)});
      runs.push_back({z, m.attention_w.get(), x_[i].x, input.lengths.get(), scratch(steps), c,
                      input.weights.get(), input.steps, static_cast<int>(k), static_cast<int>(padded(k)),
                      static_cast<int>(m.dim), static_cast<int>(ld), static_cast<int>(ld), i});
      x_[i] = {c, ld, false};
    }
    if (runs.empty()) return;
    run_layers(call_, network_, hidden);
    attend_rows(call_, rows_, network_, runs);
  }

  void project() {
    std::vector<LayerRun> runs;
    for (int i = 0; i < count(); ++i) {
      const NetworkModality& m = n_.modalities[i];
      LayerRun run{&m.projection, rows_, x_[i].x, x_[i].ld, z_[i].x, z_[i].ld};
      run.modality = i;
      run.absent = m.absent.get();
      if (x_[i].raw) {
        run.mean = m.mean.get();
        run.scale = m.scale.get();
        run.not_finite = not_finite(i);
      }
      runs.push_back(run);
    }
    run_layers(call_, network_, runs);
  }

  // Trunks and heads of the same depth, beside each other.
  void stacks(std::vector<Tower> towers) {
    const size_t depth = towers[0].stack->trunk.size();
    std::vector<LayerRun> runs;
    for (size_t layer = 0; layer < depth; ++layer) {
      runs.clear();
      for (Tower& tower : towers) {
        const DeviceLayer& l = tower.stack->trunk[layer];
        float* const y = scratch(rows_ * padded(l.out));
        runs.push_back({&l, rows_, tower.x, tower.ldx, y, padded(l.out)});
        tower.x = y;
        tower.ldx = padded(l.out);
      }
      run_layers(call_, network_, runs);
    }
    runs.clear();
    for (const Tower& tower : towers) {
      runs.push_back({&tower.stack->heads, rows_, tower.x, tower.ldx, tower.y, n_.outputs});
    }
    run_layers(call_, network_, runs);
  }

  void late() {
    std::vector<Tower> towers;
    float* const y = scratch((count() + 1) * rows_ * n_.outputs);
    for (int i = 0; i < count(); ++i) {
      towers.push_back({&n_.modalities[i].late, z_[i].x, z_[i].ld, y + i * rows_ * n_.outputs});
    }
    const bool hybrid = n_.kind == kHybrid;
    float* const early = y + count() * rows_ * n_.outputs;
    if (hybrid) towers.push_back({&n_.stack, h_, ldh_, early});
    stacks(std::move(towers));
    weigh_rows(call_, rows_, network_,
               {n_.logits.get(), y, rows_ * n_.outputs, n_.outputs, hybrid ? early : nullptr,
                hybrid ? n_.gate : 0.f, d_.heads.get(), n_.outputs, n_.outputs, d_.modality_weights.get()});
  }

  void multiply(float* fused) {
    const float* h[CINEFUSE_LOW_RANK_FUSION_MODES] = {};
    int64_t ldh[CINEFUSE_LOW_RANK_FUSION_MODES] = {};
    for (int m = 0; m < count(); ++m) {
      h[m] = z_[m].x;
      ldh[m] = z_[m].ld;
    }
    if (n_.kind == kTensor) {
      tensor_fusion_rows(call_, n_.tensor, rows_, h, ldh, network_.present, fused);
    } else {
      low_rank_fusion_rows(call_, n_.low_rank, rows_, h, ldh, network_.present, fused);
    }
  }

  // h as vectors of the same width, those of a row one after the other.
  void attend_modalities(float* fused) {
    const int64_t vectors = rows_ * count(), d = n_.fused, k = n_.attention.out;
    float* const z = scratch(vectors * padded(k));
    float* const weights = d_.modality_weights.get();
    const bool features = n_.attention_w.get() == nullptr;
    const int64_t ld = features ? k : padded(k);
    run_layers(call_, network_, {{&n_.attention, vectors, h_, d, z, ld}});
    if (features) return attend_features(call_, rows_, d, network_, h_, z, fused, weights);
    attend_rows(call_, rows_, network_,
                {{z, n_.attention_w.get(), h_, nullptr, scratch(vectors), fused, weights, count(),
                  static_cast<int>(k), static_cast<int>(ld), static_cast<int>(d), static_cast<int>(d),
                  static_cast<int>(d), -1}});
  }

  Call& call_;
  const NetworkObject& n_;
  const NetworkData& d_;
  const int64_t rows_;
  const NetworkRows network_;
  struct Rows {
    float* x;
    int64_t ld;
  };
  std::vector<Vectors> x_;  // before the projections
  std::vector<Rows> z_;     // after them: h_m
  float* h_ = nullptr;
  int64_t ldh_ = 0;
};

}  // namespace

static void network_cuda(Call& call, const NetworkObject& n, const cinefuse_fusion_network_params& p) {
  const int64_t count = static_cast<int64_t>(n.modalities.size());
  NetworkData data;
  data.batch = p.batch;
  data.present = call.in(p.present, p.batch * count);
  data.row_blocks = row_blocks(std::min<int64_t>(p.batch, 64));
  PlanCache::Key key{p.batch, call.precision(), p.modality_weights != nullptr};
  for (int64_t i = 0; i < count; ++i) {
    const cinefuse_network_input& input = p.inputs[i];
    const int64_t steps = input.x ? input.steps : 0, vectors = p.batch * steps;
    data.inputs.push_back({steps, input.x != nullptr, call.in(input.x, vectors * n.modalities[i].dim),
                           call.in(input.x ? input.lengths : nullptr, p.batch),
                           call.out(input.x ? input.weights : nullptr, vectors)});
    key.insert(key.end(), {steps, input.lengths != nullptr, input.weights != nullptr});
  }
  data.heads = call.out(p.heads, p.batch * n.outputs);
  data.modality_weights = call.out(p.modality_weights, p.batch * count);
  std::vector<uint64_t> not_finite(static_cast<size_t>(count * data.row_blocks));
  data.not_finite = call.out(not_finite.data(), count * data.row_blocks);
  if (call.transfer_bytes() <= kMostPlanned) {
    if (auto plan = n.plans.take(call.device(), key, call.timed())) call.use(std::move(plan));
  }
  call.send();
  call.compute([&] { Run(call, n, data).run(); });
  call.receive();
  for (int64_t i = 0; i < count; ++i) {
    const auto first = not_finite.begin() + i * data.row_blocks;
    p.not_finite[i] = p.inputs[i].x ? *std::min_element(first, first + data.row_blocks) : ~uint64_t{0};
  }
}

const Operator kFusionNetworkOperator =
    prepared_operator<NetworkObject, cinefuse_fusion_network_description, cinefuse_fusion_network_params,
                      network_create, network_cuda>();

}  // namespace cinefuse::gpu
