// A device's way to run a program: the operators' functions on the trainer's arrays there.
#pragma once
#include "../activation/activation_backward_cuda.cuh"
#include "../activation/activation_cuda.cuh"
#include "../cross_modal/cross_modal_backward_cuda.cuh"
#include "../dropout/dropout_cuda.cuh"
#include "../layer_norm/layer_norm_backward_cuda.cuh"
#include "../layer_norm/layer_norm_cuda.cuh"
#include "../linear/linear_backward_cuda.cuh"
#include "../loss/loss_cuda.cuh"
#include "../low_rank_fusion/low_rank_fusion_backward_cuda.cuh"
#include "../modality_attention/modality_attention_backward_cuda.cuh"
#include "../optimizer/optimizer_cuda.cuh"
#include "../sequence_attention/sequence_attention_backward_cuda.cuh"
#include "../tensor_fusion/tensor_fusion_backward_cuda.cuh"
#include "fusion_training_device.h"
#include "training_kernels.cuh"
#include "training_layout.h"

namespace cinefuse::gpu {

class DeviceTraining {
 public:
  // What lies where on the device; of a step all but `sizes` is set anew.
  struct Arrays {
    const float *parameters, *constants;
    float *gradients, *arena, *each;
    const float* floats;
    const int32_t* ints;
    const uint8_t* bytes;
  };
  DeviceTraining(Call& call, const TrainingProgram& program, const TrainingLayout& layout,
                 const Arrays& arrays, const TrainingSizes& sizes)
      : call_(call), p_(program), layout_(layout), a_(arrays), s_(sizes) {}

  void begin(const cinefuse_training_step& step, float* each) {
    step_ = &step;
    each_ = each;
    input_ = a_.floats + step.inputs;
  }

  float* value(int64_t v) const { return a_.arena + layout_.value[static_cast<size_t>(v)]; }
  float* gradient(int64_t v) const { return a_.arena + layout_.gradient[static_cast<size_t>(v)]; }
  const float* parameter(int64_t at) const { return at < 0 ? nullptr : a_.parameters + at; }
  float* parameter_gradient(int64_t at) const { return at < 0 ? nullptr : a_.gradients + at; }
  const float* constant(int64_t at) const { return at < 0 ? nullptr : a_.constants + at; }
  float* addend() const { return a_.arena + layout_.addend; }
  float* loss_scratch() const { return a_.arena + layout_.loss; }
  float* saved(size_t node) const { return a_.arena + layout_.saved[node]; }

  void zero(int64_t n, float* y) const { fill_zeros(call_, n, y); }
  void add(int64_t n, const float* x, float* y) const { add_to(call_, n, x, y); }

  // Scaled on the host; the program reads the inputs in order.
  void input(int64_t modality, bool averaged, const float*, const float*, float* y) {
    const TrainingModality& m = p_.modalities[static_cast<size_t>(modality)];
    const int64_t steps = averaged ? 1 : s_.steps[static_cast<size_t>(modality)];
    const int64_t n = s_.present[static_cast<size_t>(modality)] * steps * m.dim;
    CINEFUSE_CUDA(cudaMemcpyAsync(y, input_, sizeof(float) * static_cast<size_t>(n), cudaMemcpyDeviceToDevice,
                                  call_.stream()));
    input_ += n;
  }

  AdditiveParams additive(size_t node, int64_t modality, int64_t n, const float* x, float* c,
                          const AdditiveWeights& weights) const {
    const int64_t steps = s_.steps[static_cast<size_t>(modality)];
    return {n, steps,
            x, a_.ints + step_->lengths + modality * s_.rows,
            c, saved(node) + gpu::additive_saved(weights, n, steps)};
  }
  void additive_forward(size_t node, int64_t modality, int64_t k, int64_t n, int64_t d, const float* x,
                        const float* W, const float* b, const float* w, float* c) const {
    const AdditiveWeights weights{d, k, W, b, w};
    gpu::additive_forward(weights, additive(node, modality, n, x, c, weights), saved(node), call_);
  }
  void additive_backward(size_t node, int64_t modality, int64_t k, int64_t n, int64_t d, const float* x,
                         const float* W, const float* b, const float* w, const float* dc, float* dx,
                         float* dW, float* db, float* dw) const {
    const AdditiveWeights weights{d, k, W, b, w};
    gpu::additive_backward(weights, additive(node, modality, n, x, nullptr, weights), saved(node),
                           {dc, dx, dW, db, dw}, call_);
  }

  void linear_forward(int64_t n, int64_t in, int64_t out, const float* x, const float* W, const float* b,
                      float* y) const {
    gpu::linear_forward({n, in, out}, x, W, b, y, call_);
  }
  void linear_backward(int64_t n, int64_t in, int64_t out, const float* x, const float* W, const float* dy,
                       float* dx, float* dW, float* db) const {
    gpu::linear_backward({n, in, out}, {x, W, dy, dx, dW, db}, call_);
  }
  void activation_forward(int64_t kind, int64_t rows, int64_t cols, const float* x, float* y) const {
    activation_rows(call_.stream(), static_cast<int>(kind), kTrainingSlope, rows * cols, x, y);
  }
  void activation_backward(int64_t kind, int64_t rows, int64_t cols, const float* x, const float* y,
                           const float* dy, float* dx) const {
    gpu::activation_backward({static_cast<Activation>(kind), kTrainingSlope, rows, cols, x, y, dy, dx},
                             call_);
  }
  void norm_forward(int64_t rows, int64_t cols, const float* x, const float* gain, const float* shift,
                    float* y) const {
    layer_norm_rows(call_.stream(), rows, cols, kTrainingNormEps, x, gain, shift, 0, 0.f, y);
  }
  void norm_backward(int64_t rows, int64_t cols, const float* x, const float* gain, const float* dy,
                     float* dx, float* dgain, float* dshift) const {
    gpu::layer_norm_backward({rows, cols, kTrainingNormEps, x, gain, dy, dx, dgain, dshift}, call_);
  }
  void dropout(float p, uint64_t seed, uint64_t stream, int64_t n, const float* x, float* y) const {
    gpu::dropout({p, seed, stream, n, x, y}, call_);
  }

  ScatterRows scattered(int64_t modality, int64_t rows, int64_t cols, int64_t column, int64_t width) const {
    return {rows, cols, column, width, a_.ints + step_->places + modality * rows};
  }
  void scatter(int64_t modality, int64_t rows, int64_t cols, int64_t column, int64_t width, const float* x,
               const float* absent, float* y) const {
    scatter_rows(call_, scattered(modality, rows, cols, column, width), x, absent, y);
  }
  void scatter_backward(int64_t modality, int64_t rows, int64_t cols, int64_t column, int64_t width,
                        const float* dy, float* dx, float* dabsent) const {
    scatter_rows_backward(call_, scattered(modality, rows, cols, column, width), dy, dx, dabsent);
  }

  int64_t subset_size(int64_t s) const {
    return static_cast<int64_t>(p_.subsets[static_cast<size_t>(s)].size());
  }
  const uint8_t* mask(int64_t s) const {
    const uint8_t* masks = a_.bytes + step_->masks;
    for (int64_t before = 0; before < s; ++before) masks += s_.rows * subset_size(before);
    return masks;
  }
  LogitRows logits(size_t node, int64_t subset, int64_t rows, int64_t d, const float* h,
                   const float* of) const {
    return {rows, d, static_cast<int>(subset_size(subset)), mask(subset), h, of, saved(node)};
  }
  void logit_sum_forward(size_t node, int64_t subset, int64_t rows, int64_t d, const float* h,
                         const float* of, float* c) const {
    logit_rows(call_, logits(node, subset, rows, d, h, of), c);
  }
  void logit_sum_backward(size_t node, int64_t subset, int64_t rows, int64_t d, const float* h,
                          const float* dc, float* dh, float* dlogits) const {
    logit_rows_backward(call_, logits(node, subset, rows, d, h, nullptr), dc, dh, dlogits);
  }

  GateRows gate(int64_t early, int64_t late, int64_t rows, int64_t cols, const float* e, const float* l,
                const float* g) const {
    return {rows,
            cols,
            mask(early),
            mask(late),
            static_cast<int>(subset_size(early)),
            static_cast<int>(subset_size(late)),
            e,
            l,
            g};
  }
  void gate_forward(int64_t early, int64_t late, int64_t rows, int64_t cols, const float* e, const float* l,
                    const float* g, float* y) const {
    gate_rows(call_, gate(early, late, rows, cols, e, l, g), y);
  }
  void gate_backward(int64_t early, int64_t late, int64_t rows, int64_t cols, const float* e, const float* l,
                     const float* g, const float* dy, float* de, float* dl, float* dgate) const {
    gate_rows_backward(call_, gate(early, late, rows, cols, e, l, g), dy, de, dl, dgate);
  }

  void modality_attention_forward(size_t node, int64_t form, int64_t k, int64_t rows, int64_t d,
                                  const float* h, const float* W, const float* b, const float* w,
                                  float* c) const {
    const ModalityAttentionWeights weights{static_cast<int32_t>(form), d, k, W, b, w};
    gpu::modality_attention_forward(weights, rows, p_.modality_count(), h, mask(0), c, saved(node), call_);
  }
  void modality_attention_backward(size_t node, int64_t form, int64_t k, int64_t rows, int64_t d,
                                   const float* h, const float* W, const float* b, const float* w,
                                   const float* dc, float* dh, float* dW, float* db, float* dw) const {
    const ModalityAttentionWeights weights{static_cast<int32_t>(form), d, k, W, b, w};
    gpu::modality_attention_backward(weights, rows, p_.modality_count(), h, mask(0), saved(node),
                                     {dc, dh, dW, db, dw}, call_);
  }

  static std::vector<CrossWeights> cross_weights(const TrainingNode& node, int64_t d,
                                                 const float* parameters) {
    std::vector<CrossWeights> blocks;
    for (size_t i = 0; i < node.param.size(); i += kCrossArrays) {
      const float* arrays[kCrossArrays] = {};
      for (size_t j = 0; parameters && j < kCrossArrays; ++j) arrays[j] = parameters + node.param[i + j];
      blocks.emplace_back(d, d, node.integer[0], node.integer[1], arrays);
    }
    return blocks;
  }
  void cross_modal_forward(const TrainingNode& node, size_t i, int64_t rows, int64_t d, const float* h,
                           float* c) const {
    const std::vector<CrossWeights> blocks = cross_weights(node, d, a_.parameters);
    gpu::cross_modal_forward({d, node.integer[2], blocks.data()}, rows, p_.modality_count(), h, mask(0), c,
                             saved(i), call_);
  }
  void cross_modal_backward(const TrainingNode& node, size_t i, int64_t rows, int64_t d, const float* h,
                            const float* dc, float* dh) const {
    const std::vector<CrossWeights> blocks = cross_weights(node, d, a_.parameters);
    std::vector<CrossGradients> gradients;
    for (size_t first = 0; first < node.param.size(); first += kCrossArrays) {
      float* arrays[kCrossArrays];
      for (size_t j = 0; j < kCrossArrays; ++j) arrays[j] = a_.gradients + node.param[first + j];
      gradients.emplace_back(nullptr, nullptr, nullptr, kCrossArrays, arrays);
    }
    gpu::cross_modal_backward({d, node.integer[2], blocks.data()}, rows, p_.modality_count(), h, mask(0),
                              saved(i), {dc, dh, gradients.data()}, call_);
  }

  void tensor_forward(const TrainingNode& node, int64_t rows, int64_t out, float* y) const {
    gpu::tensor_fusion_forward(dims(p_, node), out, inputs(node, rows), parameter(node.param[0]),
                               parameter(node.param[1]), y, call_);
  }
  void tensor_backward(const TrainingNode& node, int64_t rows, int64_t out, const float* dy,
                       float* const* dh) const {
    TensorFusionGradients g{};
    g.W = parameter(node.param[0]);
    g.dy = dy;
    for (size_t m = 0; m < node.in.size(); ++m) g.dh[m] = dh[m];
    g.dW = parameter_gradient(node.param[0]);
    g.db = parameter_gradient(node.param[1]);
    gpu::tensor_fusion_backward(dims(p_, node), out, inputs(node, rows), g, call_);
  }

  LowRankWeights low_rank_weights(const TrainingNode& node) const {
    LowRankWeights w{};
    for (size_t m = 0; m < node.in.size(); ++m) w.factors[m] = parameter(node.param[m]);
    w.rank_weights = parameter(node.param[node.in.size()]);
    w.bias = parameter(node.param[node.in.size() + 1]);
    return w;
  }
  void low_rank_forward(const TrainingNode& node, size_t i, int64_t rows, int64_t out, float* y) const {
    gpu::low_rank_fusion_forward({dims(p_, node), node.integer[0], out}, inputs(node, rows),
                                 low_rank_weights(node), y, saved(i), call_);
  }
  void low_rank_backward(const TrainingNode& node, size_t i, int64_t rows, int64_t out, const float* dy,
                         float* const* dh) const {
    LowRankGradients g{};
    g.dy = dy;
    for (size_t m = 0; m < node.in.size(); ++m) {
      g.dh[m] = dh[m];
      g.dfactors[m] = parameter_gradient(node.param[m]);
    }
    g.drank_weights = parameter_gradient(node.param[node.in.size()]);
    g.dbias = parameter_gradient(node.param[node.in.size() + 1]);
    gpu::low_rank_fusion_backward({dims(p_, node), node.integer[0], out}, inputs(node, rows),
                                  low_rank_weights(node), saved(i), g, call_);
  }

  void take_columns(int64_t rows, int64_t all, int64_t column, int64_t cols, const float* x, float* y) const {
    gpu::take_columns(call_, rows, all, column, cols, x, y);
  }
  void add_columns(int64_t rows, int64_t all, int64_t column, int64_t cols, float factor, const float* x,
                   float* y) const {
    gpu::add_columns(call_, rows, all, column, cols, factor, x, y);
  }

  const float* row_weights() const { return step_->weights < 0 ? nullptr : a_.floats + step_->weights; }
  const float* target(int64_t t) const {
    const float* targets = a_.floats + step_->targets;
    for (int64_t before = 0; before < t; ++before) {
      targets += s_.rows * p_.target_cols[static_cast<size_t>(before)];
    }
    return targets;
  }
  void loss(size_t i, const TrainingLoss& l, int64_t rows, const float* x, float* dx) const {
    LossParams params{};
    params.kind = static_cast<LossKind>(l.kind);
    params.reduction = Reduction::kMean;
    params.rows = rows;
    params.cols = l.cols;
    params.delta = l.delta;
    params.smoothing = l.smoothing;
    params.x = x;
    params.target = target(l.target);
    params.class_weights = constant(l.class_weights);
    params.row_weights = row_weights();
    params.loss = each_ + i;
    params.dx = dx;
    gpu::loss(params, call_);
  }
  void spread_loss(size_t i, const TrainingLoss& l, int64_t rows, const float* x, const float* of,
                   float* dx) const {
    spread_rows(call_, {rows, l.cols, x, of, target(l.target), row_weights()}, each_ + i, dx);
  }

  static size_t saved_of(const TrainingProgram& p, const TrainingNode& node, const TrainingSizes& most) {
    const int64_t rows = most.rows, d = p.value(node.out).cols;
    switch (node.op) {
      case TrainingOp::kAdditive: {
        const int64_t steps = most.steps[static_cast<size_t>(node.integer[0])];
        return gpu::additive_saved({d, node.integer[1], nullptr, nullptr, nullptr}, rows, steps) +
               static_cast<size_t>(rows * steps);
      }
      case TrainingOp::kLogitSum:
        return static_cast<size_t>(rows) * p.subsets[static_cast<size_t>(node.integer[0])].size();
      case TrainingOp::kLowRank:
        return static_cast<size_t>(gpu::low_rank_fusion_saved({dims(p, node), node.integer[0], d}, rows));
      case TrainingOp::kModalityAttention:
        return gpu::modality_attention_saved(
            {static_cast<int32_t>(node.integer[0]), d, node.integer[1], nullptr, nullptr, nullptr}, rows,
            p.modality_count());
      case TrainingOp::kCrossModal: {
        const std::vector<CrossWeights> blocks = cross_weights(node, d, nullptr);
        return gpu::cross_modal_saved({d, node.integer[2], blocks.data()}, rows, p.modality_count());
      }
      default:
        return 0;
    }
  }

 private:
  static FusionDims dims(const TrainingProgram& p, const TrainingNode& node) {
    FusionDims d{};
    d.modes = static_cast<int>(node.in.size());
    for (size_t m = 0; m < node.in.size(); ++m) d.d[m] = static_cast<int>(p.value(node.in[m]).cols);
    return d;
  }
  FusionInputs inputs(const TrainingNode& node, int64_t rows) const {
    FusionInputs in{};
    in.rows = rows;
    in.present = mask(0);
    for (size_t m = 0; m < node.in.size(); ++m) in.h[m] = value(node.in[m]);
    return in;
  }

  Call& call_;
  const TrainingProgram& p_;
  const TrainingLayout& layout_;
  const Arrays a_;
  const TrainingSizes& s_;
  const cinefuse_training_step* step_ = nullptr;
  const float* input_ = nullptr;
  float* each_ = nullptr;
};

}  // namespace cinefuse::gpu
