#include <algorithm>

#include "../../cuda/attend.h"
#include "../../cuda/operators.h"
#include "../cross_modal/cross_modal_cuda.cuh"
#include "../layer_norm/layer_norm_cuda.cuh"
#include "fusion_network_cuda.cuh"
#include "network_fuse.cuh"
#include "network_scale.cuh"

namespace cinefuse::gpu {
namespace {

// Bytes of a call, beyond which its kernels take longer than their launches.
constexpr size_t kMostPlanned = size_t{16} << 20;
constexpr float kBlockEps = 1e-5f;

int64_t padded(int64_t n) { return (n + 3) / 4 * 4; }

// How a modality's input is read.
enum class Way {
  kAbsent,  // not given
  kLayer,   // by its projection's kernel, which scales and checks it
  kSteps,   // by its attention's kernel, which does
  kScaled,  // scaled and checked first
};

// What is known of a call before it has device memory.
struct NetworkLayout {
  std::vector<Way> ways;
  int64_t scale_blocks = 0;
  int64_t slots = 0;  // for what is not finite, of a modality

  NetworkLayout(const Device& device, const NetworkObject& n, const cinefuse_fusion_network_params& p) {
    int64_t units = 0, small = 0;
    for (size_t i = 0; i < n.modalities.size(); ++i) {
      const NetworkModality& m = n.modalities[i];
      const cinefuse_network_input& input = p.inputs[i];
      const bool average = m.pooling == NetworkPooling::kMean;
      Way way = Way::kScaled;
      if (!input.x) {
        way = Way::kAbsent;
      } else if (m.pooling == NetworkPooling::kNone) {
        if (m.projection.thin(p.batch)) way = Way::kLayer;
      } else if (m.pooling == NetworkPooling::kAttention) {
        if (m.attention.thin(p.batch * input.steps)) way = Way::kSteps;
      }
      ways.push_back(way);
      if (way == Way::kScaled) {
        units = std::max(units, scale_units(p.batch, input.steps, m.dim, average));
      } else if (way != Way::kAbsent) {
        small = std::max(small, slots_of_layer(p.batch, input.steps));
      }
    }
    scale_blocks = units ? gpu::scale_blocks(device, units) : 0;
    slots = std::max({small, scale_blocks, int64_t{1}});
  }

  static int64_t slots_of_layer(int64_t batch, int64_t steps) { return blocks_of(batch * steps, 8); }
  int64_t slots_of(size_t modality, int64_t batch, int64_t steps) const {
    return ways[modality] == Way::kScaled ? scale_blocks : slots_of_layer(batch, steps);
  }
};

// The device addresses of one call.
struct NetworkData {
  int64_t batch;
  struct Input {
    int64_t steps;
    In<float> x;
    In<int32_t> lengths;
    Out<float> weights;
  };
  std::vector<Input> inputs;
  In<uint8_t> present;
  Out<float> heads, modality_weights;
  Out<uint64_t> not_finite;  // (modalities, slots)
};

// The launches of one call, from inputs to heads. Each step puts what it makes into scratch memory of its
// own.
class NetworkRun {
 public:
  NetworkRun(Call& call, const NetworkObject& network, const NetworkLayout& layout, const NetworkData& data)
      : call_(call),
        n_(network),
        layout_(layout),
        d_(data),
        rows_(data.batch),
        network_{data.present.get(), static_cast<int>(network.modalities.size()), network.slope},
        x_(network.modalities.size()),
        h_(network.modalities.size()) {}

  void run() {
    scale();
    attend_steps();
    if (n_.kind == NetworkKind::kKernel) return compare();
    project();
    if (n_.kind == NetworkKind::kConcat) {
      return stacks({{&n_.stack, h_[0].x, h_[0].ld, d_.heads.get()}});
    }
    if (n_.kind == NetworkKind::kLate || n_.kind == NetworkKind::kHybrid) return late();
    float* const fused = scratch(rows_ * n_.fused);
    if (n_.kind == NetworkKind::kWeightedSum) {
      weigh_rows(call_, rows_, network_,
                 {n_.logits.get(), h_[0].x, n_.fused, h_[0].ld, fused, n_.fused, n_.fused,
                  d_.modality_weights.get()});
    } else if (n_.kind == NetworkKind::kAttention) {
      attend_modalities(fused);
    } else if (n_.kind == NetworkKind::kCrossModal) {
      cross_modalities(fused);
    } else {
      multiply(fused);
    }
    stacks({{&n_.stack, fused, n_.fused, d_.heads.get()}});
  }

 private:
  // One vector a row, `ld` apart.
  struct Vectors {
    const float* x = nullptr;
    int64_t ld = 0;
  };
  struct Rows {
    float* x = nullptr;
    int64_t ld = 0;
  };
  struct Tower {
    const NetworkStack* stack;
    const float* x;
    int64_t ldx;
    float* y;  // (rows, outputs)
  };

  float* scratch(int64_t floats) { return call_.scratch<float>(floats); }
  int count() const { return network_.modalities; }
  uint64_t* not_finite(int m) const { return d_.not_finite.get() + m * layout_.slots; }

  void scale() {
    std::vector<ScaledInput> inputs;
    for (int i = 0; i < count(); ++i) {
      const NetworkModality& m = n_.modalities[i];
      const NetworkData::Input& input = d_.inputs[i];
      x_[i] = {input.x.get(), m.dim};
      if (layout_.ways[i] != Way::kScaled) continue;
      const bool average = m.pooling == NetworkPooling::kMean;
      const int64_t ld = padded(m.dim);
      float* const y = scratch((average ? rows_ : rows_ * input.steps) * ld);
      inputs.push_back({x_[i].x, m.mean.get(), m.scale.get(), input.steps, input.lengths.get(), y,
                        average ? input.weights.get() : nullptr, not_finite(i), static_cast<int>(m.dim),
                        static_cast<int>(ld), average, i});
      x_[i] = {y, ld};
    }
    scale_inputs(call_, rows_, network_, inputs);
  }

  // Attention over time: one vector a row out of its steps.
  void attend_steps() {
    std::vector<LayerRun> hidden;
    for (int i = 0; i < count(); ++i) {
      const NetworkModality& m = n_.modalities[i];
      if (!x_[i].x || m.pooling != NetworkPooling::kAttention) continue;
      const int64_t steps = rows_ * d_.inputs[i].steps, ld = padded(m.attention.out);
      LayerRun run{&m.attention, steps, x_[i].x, x_[i].ld, scratch(steps * ld), ld};
      if (layout_.ways[i] == Way::kSteps) {
        run.mean = m.mean.get();
        run.scale = m.scale.get();
        run.not_finite = not_finite(i);
        run.lengths = d_.inputs[i].lengths.get();
        run.steps = d_.inputs[i].steps;
        run.scaled = scratch(steps * padded(m.dim));
        x_[i] = {run.scaled, padded(m.dim)};
      }
      hidden.push_back(run);
    }
    if (hidden.empty()) return;
    run_layers(call_, network_, hidden);
    auto run = hidden.begin();
    for (int i = 0; i < count(); ++i) {
      const NetworkModality& m = n_.modalities[i];
      if (!x_[i].x || m.pooling != NetworkPooling::kAttention) continue;
      const int64_t steps = d_.inputs[i].steps, ld = padded(m.dim);
      AttendRows rows =
          rows_of(m.attention, m.attention_w, steps, run->y, run->ldy, x_[i].x, x_[i].ld, m.dim);
      rows.lengths = d_.inputs[i].lengths.get();
      rows.alpha = d_.inputs[i].weights.get();
      float* const c = scratch(rows_ * ld);
      rows.c = {c, ld, 0, 0};
      attend(call_, rows);
      x_[i] = {c, ld};
      ++run;
    }
  }

  // alpha = softmax over the steps of w . hidden, c = sum_t alpha_t x_t
  AttendRows rows_of(const DeviceLayer& layer, const Array<float>& w, int64_t steps, const float* hidden,
                     int64_t ld_hidden, const float* x, int64_t ldx, int64_t d) const {
    AttendRows rows{};
    rows.scale = 1.f;
    rows.batch = rows_;
    rows.heads = rows.queries = 1;
    rows.steps = steps;
    rows.d = layer.out;
    rows.dv = d;
    rows.q = {w.get(), 0, 0, 0};
    rows.keys = {hidden, steps * ld_hidden, 0, ld_hidden};
    rows.values = {x, steps * ldx, 0, ldx};
    return rows;
  }

  // h_m beside each other in a row: what follows reads them as one vector or with strides.
  void project() {
    const bool side = n_.kind == NetworkKind::kAttention || n_.kind == NetworkKind::kCrossModal;
    const int64_t ld = side ? n_.columns : padded(n_.columns);
    float* const h = scratch(rows_ * ld);
    std::vector<LayerRun> runs;
    for (int i = 0; i < count(); ++i) {
      const NetworkModality& m = n_.modalities[i];
      h_[i] = {h + m.column, ld};
      LayerRun run{&m.projection, rows_, x_[i].x, x_[i].ld, h_[i].x, ld};
      run.modality = i;
      run.absent = m.absent.get();
      if (layout_.ways[i] == Way::kLayer) {
        run.mean = m.mean.get();
        run.scale = m.scale.get();
        run.not_finite = not_finite(i);
      }
      runs.push_back(run);
    }
    run_layers(call_, network_, runs);
  }

  // How alike the rows are to the landmarks, some rows at a time, in place of projections.
  void compare() {
    const int64_t landmarks = n_.fused, most = std::min(rows_, kernel_rows_at_a_time(count(), landmarks));
    float* const fused = scratch(rows_ * landmarks);
    float* const dots = scratch(count() * most * landmarks);
    for (int64_t first = 0; first < rows_; first += most) {
      const int64_t rows = std::min(most, rows_ - first);
      const NetworkRows network{network_.present + first * count(), count(), network_.slope};
      std::vector<LayerRun> runs;
      std::vector<KernelTerm> terms;
      for (int i = 0; i < count(); ++i) {
        const NetworkModality& m = n_.modalities[i];
        if (!x_[i].x && n_.combine == 0) continue;
        KernelTerm term = m.kernel.term();
        term.present = network.present + i;
        term.present_stride = count();
        if (x_[i].x) {
          float* const products = dots + i * most * landmarks;
          LayerRun run{&m.projection, rows, x_[i].x + first * x_[i].ld, x_[i].ld, products, landmarks};
          run.modality = i;
          term.x = run.x;
          term.ldx = run.ldx;
          if (layout_.ways[i] == Way::kLayer) {
            run.mean = m.mean.get();
            run.scale = m.scale.get();
            run.not_finite = not_finite(i);
            run.scaled = scratch(rows * padded(m.dim));
            term.x = run.scaled;
            term.ldx = padded(m.dim);
          }
          term.dots = products;
          term.ldd = landmarks;
          runs.push_back(run);
        }
        terms.push_back(term);
      }
      run_layers(call_, network, runs);
      combine_kernels(call_, rows, landmarks, n_.combine, n_.constant, terms, fused + first * landmarks);
    }
    stacks({{&n_.stack, fused, landmarks, d_.heads.get()}});
  }

  // Trunks of one depth and heads, side by side.
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
    const int64_t outputs = n_.outputs, size = rows_ * outputs;
    float* const y = scratch((count() + 1) * size);
    for (int i = 0; i < count(); ++i) {
      if (!n_.modalities[i].late.heads.out) continue;
      towers.push_back({&n_.modalities[i].late, h_[i].x, h_[i].ld, y + i * size});
    }
    Rows first = h_[0];
    WeighedRows rows{n_.logits.get(), y,       size,    outputs,
                     d_.heads.get(),  outputs, outputs, d_.modality_weights.get()};
    if (n_.kind == NetworkKind::kHybrid) {
      rows.early_side = rows.late_side = 0;
      for (int i = 0; i < count(); ++i) {
        const NetworkModality& m = n_.modalities[i];
        if (m.absent.get()) {
          rows.early_side |= 1u << i;
          if (m.column == 0) first = h_[i];
        }
        if (m.late.heads.out) rows.late_side |= 1u << i;
      }
      towers.push_back({&n_.stack, first.x, first.ld, y + count() * size});
      rows.early = y + count() * size;
      rows.early_share = n_.gate;
    }
    stacks(std::move(towers));
    weigh_rows(call_, rows_, network_, rows);
  }

  void attend_modalities(float* fused) {
    const int64_t vectors = rows_ * count(), d = n_.fused, k = n_.attention.out;
    float* const z = scratch(vectors * k);
    run_layers(call_, network_, {{&n_.attention, vectors, h_[0].x, d, z, k}});
    if (!n_.attention_w.get()) {
      return weigh_features(call_, rows_, d, network_, h_[0].x, z, fused, d_.modality_weights.get());
    }
    AttendRows rows = rows_of(n_.attention, n_.attention_w, count(), z, k, h_[0].x, d, d);
    rows.present = network_.present;
    rows.present_batch = count();
    rows.present_step = 1;
    rows.c = {fused, d, 0, 0};
    rows.alpha = d_.modality_weights.get();
    attend(call_, rows);
  }

  // Blocks of attention between the modalities of each row.
  void cross_modalities(float* fused) {
    const int64_t vectors = rows_ * count(), d = n_.fused;
    const cudaStream_t stream = call_.stream();
    float* const q = scratch(vectors * d);
    float* const kv = scratch(2 * vectors * d);
    float* const hidden = scratch(vectors * n_.blocks[0].first.out);
    float* const turns[] = {scratch(vectors * d), scratch(vectors * d)};
    const float* x = h_[0].x;
    for (size_t i = 0; i < n_.blocks.size(); ++i) {
      const NetworkBlock& b = n_.blocks[i];
      float* const y = turns[i % 2];  // attended, and at last what the block makes
      run_layers(call_, network_, {{&b.q, vectors, x, d, q, d}, {&b.kv, vectors, x, d, kv, 2 * d}});
      const int head_width = static_cast<int>(d) / b.heads;
      attend_others(call_, {rows_, count(), b.heads, head_width, network_.present, q, kv, kv + d, d, 2 * d},
                    y, nullptr);
      run_layers(call_, network_, {{&b.o, vectors, y, d, q, d}});
      add_layer_norm_rows(stream, vectors, d, kBlockEps, x, q, b.gain1.get(), b.shift1.get(), q);
      run_layers(call_, network_, {{&b.first, vectors, q, d, hidden, b.first.out}});
      run_layers(call_, network_, {{&b.second, vectors, hidden, b.first.out, y, d}});
      add_layer_norm_rows(stream, vectors, d, kBlockEps, q, y, b.gain2.get(), b.shift2.get(), y);
      x = y;
    }
    mean_of_present(call_, rows_, count(), d, network_.present, x, fused);
  }

  void multiply(float* fused) {
    const float* h[CINEFUSE_LOW_RANK_FUSION_MODES] = {};
    int64_t ldh[CINEFUSE_LOW_RANK_FUSION_MODES] = {};
    for (int m = 0; m < count(); ++m) {
      h[m] = h_[m].x;
      ldh[m] = h_[m].ld;
    }
    if (n_.kind == NetworkKind::kTensor) {
      tensor_fusion_rows(call_, n_.tensor, rows_, h, ldh, network_.present, fused);
    } else {
      low_rank_fusion_rows(call_, n_.low_rank, rows_, h, ldh, network_.present, fused);
    }
  }

  Call& call_;
  const NetworkObject& n_;
  const NetworkLayout& layout_;
  const NetworkData& d_;
  const int64_t rows_;
  const NetworkRows network_;
  std::vector<Vectors> x_;  // before the projections; null: absent
  std::vector<Rows> h_;     // after them
};

}  // namespace

static void network_cuda(Call& call, const NetworkObject& n, const cinefuse_fusion_network_params& p) {
  const NetworkLayout layout(call.device(), n, p);
  const int64_t count = static_cast<int64_t>(n.modalities.size());
  NetworkData data{};
  data.batch = p.batch;
  data.present = call.in(p.present, p.batch * count);
  PlanCache::Key key{p.batch, call.precision(), p.modality_weights != nullptr};
  for (int64_t i = 0; i < count; ++i) {
    const cinefuse_network_input& input = p.inputs[i];
    const int64_t steps = input.x ? input.steps : 0, vectors = p.batch * steps;
    data.inputs.push_back({steps, call.in(input.x, vectors * n.modalities[i].dim),
                           call.in(input.x ? input.lengths : nullptr, p.batch),
                           call.out(input.x ? input.weights : nullptr, vectors)});
    key.insert(key.end(), {steps, input.weights != nullptr});
  }
  data.heads = call.out(p.heads, p.batch * n.outputs);
  data.modality_weights = call.out(p.modality_weights, p.batch * count);
  std::vector<uint64_t> not_finite(static_cast<size_t>(count * layout.slots));
  data.not_finite = call.out(not_finite.data(), count * layout.slots);
  if (call.transfer_bytes() <= kMostPlanned) {
    if (auto plan = n.plans.take(call.device(), key, call.timed())) call.use(std::move(plan));
  }
  call.send();
  call.compute([&] { NetworkRun(call, n, layout, data).run(); });
  call.receive();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t slots = layout.slots_of(i, p.batch, p.inputs[i].steps);
    const auto first = not_finite.begin() + i * layout.slots;
    p.not_finite[i] = p.inputs[i].x ? *std::min_element(first, first + slots) : ~uint64_t{0};
  }
}

const Operator kFusionNetworkOperator =
    prepared_operator<NetworkObject, cinefuse_fusion_network_description, cinefuse_fusion_network_params,
                      network_create, network_cuda>();

}  // namespace cinefuse::gpu
