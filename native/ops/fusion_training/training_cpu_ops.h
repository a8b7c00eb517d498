// The CPU's way to run a program: the twins of every operator, on the trainer's own arrays.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../../core/attend_simd.h"
#include "../activation/activation_backward.h"
#include "../dropout/dropout.h"
#include "../layer_norm/layer_norm.h"
#include "../layer_norm/layer_norm_backward.h"
#include "../linear/linear_backward.h"
#include "../loss/loss.h"
#include "../low_rank_fusion/low_rank_fusion_backward.h"
#include "../modality_attention/modality_attention_backward.h"
#include "../sequence_attention/sequence_attention_backward.h"
#include "../tensor_fusion/tensor_fusion_backward.h"
#include "fusion_training.h"
#include "training_cross.h"
#include "training_layout.h"

namespace cinefuse {

class CpuTraining {
 public:
  CpuTraining(FusionTraining& training, const TrainingData& data, int64_t batch, const Exec& exec)
      : t_(training), p_(training.program), data_(data), exec_(exec), simd_(attend_simd(exec.isa)) {
    std::vector<int64_t> steps;
    for (const TrainingData::Modality& m : data.modalities) steps.push_back(m.values ? m.steps : 1);
    layout_ = TrainingLayout(p_, batch, steps, [this](const TrainingNode& node, const TrainingSizes& most) {
      return saved_of(p_, node, most);
    });
    if (t_.arena.size() < layout_.floats) t_.arena.resize(layout_.floats);
    t_.gradients.resize(t_.parameters.size());
    for (const TrainingNode& node : p_.nodes) dims_.push_back(dims_of(node));
  }

  // Where things lie.
  float* value(int64_t v) const { return t_.arena.data() + layout_.value[static_cast<size_t>(v)]; }
  float* gradient(int64_t v) const { return t_.arena.data() + layout_.gradient[static_cast<size_t>(v)]; }
  const float* parameter(int64_t at) const { return at < 0 ? nullptr : t_.parameters.data() + at; }
  float* parameter_gradient(int64_t at) const { return at < 0 ? nullptr : t_.gradients.data() + at; }
  const float* constant(int64_t at) const { return at < 0 ? nullptr : t_.constants.data() + at; }
  float* addend() const { return t_.arena.data() + layout_.addend; }
  float* loss_scratch() const { return t_.arena.data() + layout_.loss; }
  float* saved(size_t node) const { return t_.arena.data() + layout_.saved[node]; }

  void zero(int64_t n, float* y) const { std::memset(y, 0, sizeof(float) * static_cast<size_t>(n)); }
  void add(int64_t n, const float* x, float* y) const { simd_.axpy(n, 1.f, x, y); }

  void input(int64_t modality, bool averaged, const float* mean, const float* scale, float* y) const {
    training_input(t_, data_, modality, averaged, mean, scale, y, exec_);
  }

  AdditiveParams additive(size_t node, int64_t modality, int64_t n, const float* x, float* c,
                          const AdditiveWeights& weights) const {
    const int64_t steps = t_.batch.sizes.steps[static_cast<size_t>(modality)];
    const int32_t* const lengths = t_.batch.modalities[static_cast<size_t>(modality)].lengths.data();
    return {n, steps, x, lengths, c, saved(node) + additive_saved(weights, n, steps)};
  }
  void additive_forward(size_t node, int64_t modality, int64_t k, int64_t n, int64_t d, const float* x,
                        const float* W, const float* b, const float* w, float* c) const {
    const AdditiveWeights weights{d, k, W, b, w};
    cinefuse::additive_forward(weights, additive(node, modality, n, x, c, weights), saved(node), exec_);
  }
  void additive_backward(size_t node, int64_t modality, int64_t k, int64_t n, int64_t d, const float* x,
                         const float* W, const float* b, const float* w, const float* dc, float* dx,
                         float* dW, float* db, float* dw) const {
    const AdditiveWeights weights{d, k, W, b, w};
    cinefuse::additive_backward(weights, additive(node, modality, n, x, nullptr, weights), saved(node),
                                {dc, dx, dW, db, dw}, exec_);
  }

  void linear_forward(int64_t n, int64_t in, int64_t out, const float* x, const float* W, const float* b,
                      float* y) const {
    cinefuse::linear_forward({n, in, out}, x, W, b, y, exec_);
  }
  void linear_backward(int64_t n, int64_t in, int64_t out, const float* x, const float* W, const float* dy,
                       float* dx, float* dW, float* db) const {
    cinefuse::linear_backward({n, in, out}, {x, W, dy, dx, dW, db}, exec_);
  }

  void activation_forward(int64_t kind, int64_t rows, int64_t cols, const float* x, float* y) const {
    activation({static_cast<Activation>(kind), kTrainingSlope, rows, cols, x, y}, exec_);
  }
  void activation_backward(int64_t kind, int64_t rows, int64_t cols, const float* x, const float* y,
                           const float* dy, float* dx) const {
    cinefuse::activation_backward({static_cast<Activation>(kind), kTrainingSlope, rows, cols, x, y, dy, dx},
                                  exec_);
  }

  void norm_forward(int64_t rows, int64_t cols, const float* x, const float* gain, const float* shift,
                    float* y) const {
    layer_norm({rows, cols, kTrainingNormEps, x, gain, shift, y}, exec_);
  }
  void norm_backward(int64_t rows, int64_t cols, const float* x, const float* gain, const float* dy,
                     float* dx, float* dgain, float* dshift) const {
    layer_norm_backward({rows, cols, kTrainingNormEps, x, gain, dy, dx, dgain, dshift}, exec_);
  }

  void dropout(float p, uint64_t seed, uint64_t stream, int64_t n, const float* x, float* y) const {
    cinefuse::dropout({p, seed, stream, n, x, y}, exec_);
  }

  void scatter(int64_t modality, int64_t rows, int64_t cols, int64_t column, int64_t width, const float* x,
               const float* absent, float* y) const {
    const std::vector<int32_t>& at = t_.batch.modalities[static_cast<size_t>(modality)].rows;
    size_t next = 0;
    for (int64_t r = 0; r < rows; ++r) {
      float* const to = y + r * cols + column;
      if (next < at.size() && at[next] == r) {
        std::copy(x, x + width, to);
        x += width;
        ++next;
      } else if (absent) {
        std::copy(absent, absent + width, to);
      } else {
        zero(width, to);
      }
    }
  }
  void scatter_backward(int64_t modality, int64_t rows, int64_t cols, int64_t column, int64_t width,
                        const float* dy, float* dx, float* dabsent) const {
    const std::vector<int32_t>& at = t_.batch.modalities[static_cast<size_t>(modality)].rows;
    if (dabsent) zero(width, dabsent);
    size_t next = 0;
    for (int64_t r = 0; r < rows; ++r) {
      const float* const from = dy + r * cols + column;
      if (next < at.size() && at[next] == r) {
        if (dx) std::copy(from, from + width, dx + static_cast<int64_t>(next) * width);
        ++next;
      } else if (dabsent) {
        add(width, from, dabsent);
      }
    }
  }

  int64_t subset_size(int64_t s) const {
    return static_cast<int64_t>(p_.subsets[static_cast<size_t>(s)].size());
  }
  const uint8_t* mask(int64_t s) const { return t_.batch.masks[static_cast<size_t>(s)].data(); }
  void logit_sum_forward(size_t node, int64_t subset, int64_t rows, int64_t d, const float* h,
                         const float* logits, float* c) const {
    cinefuse::logit_sum_forward(rows, subset_size(subset), d, h, mask(subset), logits, c, saved(node), exec_);
  }
  void logit_sum_backward(size_t node, int64_t subset, int64_t rows, int64_t d, const float* h,
                          const float* dc, float* dh, float* dlogits) const {
    cinefuse::logit_sum_backward(rows, subset_size(subset), d, h, mask(subset), saved(node), dc, dh, dlogits,
                                 exec_);
  }

  // A row without any modality of one side is the other side's.
  float share(int64_t early, int64_t late, int64_t row, float g) const {
    const auto any = [&](int64_t s) {
      const uint8_t* const present = mask(s) + row * subset_size(s);
      return std::any_of(present, present + subset_size(s), [](uint8_t x) { return x != 0; });
    };
    return !any(late) ? 1.f : !any(early) ? 0.f : g;
  }
  static float sigmoid(float x) { return 1.f / (1.f + std::exp(-x)); }
  void gate_forward(int64_t early, int64_t late, int64_t rows, int64_t cols, const float* e, const float* l,
                    const float* gate, float* y) const {
    const float g = sigmoid(*gate);
    for (int64_t r = 0; r < rows; ++r) {
      const float a = share(early, late, r, g);
      for (int64_t j = r * cols; j < (r + 1) * cols; ++j) y[j] = a * e[j] + (1.f - a) * l[j];
    }
  }
  void gate_backward(int64_t early, int64_t late, int64_t rows, int64_t cols, const float* e, const float* l,
                     const float* gate, const float* dy, float* de, float* dl, float* dgate) const {
    const float g = sigmoid(*gate);
    double sum = 0.;
    for (int64_t r = 0; r < rows; ++r) {
      const float a = share(early, late, r, g);
      const bool both = a == g;
      for (int64_t j = r * cols; j < (r + 1) * cols; ++j) {
        if (both) sum += static_cast<double>(dy[j]) * (static_cast<double>(e[j]) - static_cast<double>(l[j]));
        if (de) de[j] = a * dy[j];
        if (dl) dl[j] = (1.f - a) * dy[j];
      }
    }
    *dgate = static_cast<float>(sum * static_cast<double>(g) * static_cast<double>(1.f - g));
  }

  void tensor_forward(const TrainingNode& node, int64_t rows, int64_t out, float* y) const {
    tensor_fusion_forward(dims(node), out, inputs(node, rows), parameter(node.param[0]),
                          parameter(node.param[1]), y, exec_);
  }
  void tensor_backward(const TrainingNode& node, int64_t rows, int64_t out, const float* dy,
                       float* const* dh) const {
    TensorFusionGradients g{};
    g.W = parameter(node.param[0]);
    g.dy = dy;
    for (size_t m = 0; m < node.in.size(); ++m) g.dh[m] = dh[m];
    g.dW = parameter_gradient(node.param[0]);
    g.db = parameter_gradient(node.param[1]);
    tensor_fusion_backward(dims(node), out, inputs(node, rows), g, exec_);
  }

  LowRankWeights low_rank_weights(const TrainingNode& node) const {
    LowRankWeights w{};
    for (size_t m = 0; m < node.in.size(); ++m) w.factors[m] = parameter(node.param[m]);
    w.rank_weights = parameter(node.param[node.in.size()]);
    w.bias = parameter(node.param[node.in.size() + 1]);
    return w;
  }
  void low_rank_forward(const TrainingNode& node, size_t i, int64_t rows, int64_t out, float* y) const {
    low_rank_fusion_forward({dims(node), node.integer[0], out}, inputs(node, rows), low_rank_weights(node), y,
                            saved(i), exec_);
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
    low_rank_fusion_backward({dims(node), node.integer[0], out}, inputs(node, rows), low_rank_weights(node),
                             saved(i), g, exec_);
  }

  void modality_attention_forward(size_t node, int64_t form, int64_t k, int64_t rows, int64_t d,
                                  const float* h, const float* W, const float* b, const float* w,
                                  float* c) const {
    const ModalityAttentionWeights weights{static_cast<AttentionForm>(form), d, k, W, b, w};
    cinefuse::modality_attention_forward(weights, rows, p_.modality_count(), h, mask(0), c, saved(node),
                                         exec_);
  }
  void modality_attention_backward(size_t node, int64_t form, int64_t k, int64_t rows, int64_t d,
                                   const float* h, const float* W, const float* b, const float* w,
                                   const float* dc, float* dh, float* dW, float* db, float* dw) const {
    const ModalityAttentionWeights weights{static_cast<AttentionForm>(form), d, k, W, b, w};
    cinefuse::modality_attention_backward(weights, rows, p_.modality_count(), h, mask(0), saved(node),
                                          {dc, dh, dW, db, dw}, exec_);
  }

  void cross_modal_forward(const TrainingNode& node, size_t i, int64_t rows, int64_t d, const float* h,
                           float* c) const {
    const std::vector<CrossWeights> blocks = training_cross_weights(node, d, t_.parameters.data());
    cinefuse::cross_modal_forward({d, node.integer[2], blocks.data()}, rows, p_.modality_count(), h, mask(0),
                                  c, saved(i), exec_);
  }
  void cross_modal_backward(const TrainingNode& node, size_t i, int64_t rows, int64_t d, const float* h,
                            const float* dc, float* dh) const {
    const std::vector<CrossWeights> blocks = training_cross_weights(node, d, t_.parameters.data());
    const std::vector<CrossGradients> gradients = training_cross_gradients(node, t_.gradients.data());
    cinefuse::cross_modal_backward({d, node.integer[2], blocks.data()}, rows, p_.modality_count(), h, mask(0),
                                   saved(i), {dc, dh, gradients.data()}, exec_);
  }

  void take_columns(int64_t rows, int64_t all, int64_t column, int64_t cols, const float* x, float* y) const {
    for (int64_t r = 0; r < rows; ++r) std::copy_n(x + r * all + column, cols, y + r * cols);
  }
  void add_columns(int64_t rows, int64_t all, int64_t column, int64_t cols, float factor, const float* x,
                   float* y) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < cols; ++j) y[r * all + column + j] += factor * x[r * cols + j];
    }
  }

  const float* row_weights() const { return t_.batch.weights.empty() ? nullptr : t_.batch.weights.data(); }
  void loss(size_t i, const TrainingLoss& l, int64_t rows, const float* x, float* dx) {
    LossParams params{};
    params.kind = static_cast<LossKind>(l.kind);
    params.reduction = Reduction::kMean;
    params.rows = rows;
    params.cols = l.cols;
    params.delta = l.delta;
    params.smoothing = l.smoothing;
    params.x = x;
    params.target = t_.batch.targets[static_cast<size_t>(l.target)].data();
    params.class_weights = constant(l.class_weights);
    params.row_weights = row_weights();
    params.loss = each_ + i;
    params.dx = dx;
    cinefuse::loss(params, exec_);
  }
  void spread_loss(size_t i, const TrainingLoss& l, int64_t rows, const float* x, const float* of,
                   float* dx) const {
    const float* const target = t_.batch.targets[static_cast<size_t>(l.target)].data();
    double sum = 0., weights = 0.;
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t r = 0; r < rows; ++r) {
        const double w = row_weights() ? static_cast<double>(row_weights()[r]) : 1.;
        for (int64_t j = r * l.cols; j < (r + 1) * l.cols; ++j) {
          const bool counts = !std::isnan(target[j]);
          if (pass == 0) {
            weights += counts ? w : 0.;
            continue;
          }
          const double o = static_cast<double>(x[j]);
          const double e =
              std::fabs(static_cast<double>(target[j]) - static_cast<double>(of[j])) * std::exp(-o);
          if (counts) sum += w * (o + e);
          dx[j] = counts ? static_cast<float>(w * (1. - e) / weights) : 0.f;
        }
      }
    }
    each_[i] = static_cast<float>(sum / weights);
  }

  // Where the losses of the step go, (losses).
  void set_losses(float* each) { each_ = each; }

 private:
  static FusionDims dims_of(const TrainingProgram& p, const TrainingNode& node) {
    FusionDims d{};
    if (node.op != TrainingOp::kTensor && node.op != TrainingOp::kLowRank) return d;
    d.modes = static_cast<int>(node.in.size());
    for (size_t m = 0; m < node.in.size(); ++m) d.d[m] = static_cast<int>(p.value(node.in[m]).cols);
    return d;
  }
  FusionDims dims_of(const TrainingNode& node) const { return dims_of(p_, node); }
  const FusionDims& dims(const TrainingNode& node) const {
    return dims_[static_cast<size_t>(&node - p_.nodes.data())];
  }
  FusionInputs inputs(const TrainingNode& node, int64_t rows) const {
    FusionInputs in{};
    in.rows = rows;
    in.present = mask(0);
    for (size_t m = 0; m < node.in.size(); ++m) in.h[m] = value(node.in[m]);
    return in;
  }

  static size_t saved_of(const TrainingProgram& p, const TrainingNode& node, const TrainingSizes& most) {
    const int64_t rows = most.rows, d = p.value(node.out).cols;
    switch (node.op) {
      case TrainingOp::kAdditive: {
        const int64_t steps = most.steps[static_cast<size_t>(node.integer[0])];
        return additive_saved({d, node.integer[1], nullptr, nullptr, nullptr}, rows, steps) +
               static_cast<size_t>(rows * steps);
      }
      case TrainingOp::kLogitSum:
        return static_cast<size_t>(rows) * p.subsets[static_cast<size_t>(node.integer[0])].size();
      case TrainingOp::kLowRank:
        return low_rank_fusion_saved({dims_of(p, node), node.integer[0], d}, rows);
      case TrainingOp::kModalityAttention:
        return modality_attention_saved(
            {static_cast<AttentionForm>(node.integer[0]), d, node.integer[1], nullptr, nullptr, nullptr},
            rows, p.modality_count());
      case TrainingOp::kCrossModal: {
        const std::vector<CrossWeights> blocks = training_cross_weights(node, d, nullptr);
        return cross_modal_saved({d, node.integer[2], blocks.data()}, rows, p.modality_count());
      }
      default:
        return 0;
    }
  }

  FusionTraining& t_;
  const TrainingProgram& p_;
  const TrainingData& data_;
  const Exec exec_;
  const AttendSimd& simd_;
  TrainingLayout layout_;
  std::vector<FusionDims> dims_;
  float* each_ = nullptr;
};

}  // namespace cinefuse
