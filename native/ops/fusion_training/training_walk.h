// The walk over a program: forwards, losses, backwards. Ops knows where arrays lie and how to run each
// operator: CpuTraining in fusion_training_cpu.cc, DeviceTraining in fusion_training_cuda.cu. Nothing here
// touches a number, so CPU and devices cannot differ in what they compute, only in how.
#pragma once
#include "training_program.h"

namespace cinefuse {

constexpr float kTrainingNormEps = 1e-5f;
constexpr float kTrainingSlope = 0.01f;  // of leaky_relu

// Of one step: how many films, how many of them have each modality, how many steps its sequences have.
struct TrainingSizes {
  int64_t rows = 0;
  std::vector<int64_t> present, steps;
  std::vector<uint8_t> known;  // by loss: whether any film that counts has its target
  uint64_t number = 0;         // of steps done before this one

  int64_t rows_of(const TrainingValue& v) const {
    return v.domain < 0 ? rows : present[static_cast<size_t>(v.domain)];
  }
  int64_t cols_of(const TrainingValue& v) const {
    return v.timed ? v.cols * steps[static_cast<size_t>(v.domain)] : v.cols;
  }
  int64_t size_of(const TrainingValue& v) const { return rows_of(v) * cols_of(v); }
};

// A stream of random numbers for every use of dropout in every step.
constexpr uint64_t kDropoutUses = 4096;
inline uint64_t dropout_stream(const TrainingSizes& sizes, int64_t use) {
  return sizes.number * kDropoutUses + static_cast<uint64_t>(use);
}

template <class Ops>
class TrainingWalk {
 public:
  TrainingWalk(const TrainingProgram& program, const TrainingSizes& sizes, Ops& ops)
      : p_(program), s_(sizes), ops_(ops) {}

  void forward() {
    for (size_t i = 0; i < p_.nodes.size(); ++i) {
      if (rows(p_.nodes[i].out)) forward(p_.nodes[i], i);
    }
  }

  // The heads' gradient, and each loss in its place.
  void losses() {
    const int64_t outputs = p_.value(p_.heads).cols, rows = s_.rows;
    ops_.zero(rows * outputs, ops_.gradient(p_.heads));
    for (size_t i = 0; i < p_.losses.size(); ++i) {
      const TrainingLoss& loss = p_.losses[i];
      if (!s_.known[i]) continue;
      const int64_t n = rows * loss.cols;
      float* const x = ops_.loss_scratch();
      float* const dx = x + n;
      ops_.take_columns(rows, outputs, loss.column, loss.cols, ops_.value(p_.heads), x);
      if (loss.kind == TrainingLossKind::kSpread) {
        ops_.take_columns(rows, outputs, loss.of_column, loss.cols, ops_.value(p_.heads), dx + n);
        ops_.spread_loss(i, loss, rows, x, dx + n, dx);
      } else {
        ops_.loss(i, loss, rows, x, dx);
      }
      ops_.add_columns(rows, outputs, loss.column, loss.cols, loss.weight, dx, ops_.gradient(p_.heads));
    }
  }

  void backward() {
    for (size_t i = p_.nodes.size(); i-- > 0;) {
      const TrainingNode& node = p_.nodes[i];
      if (node.op == TrainingOp::kInput || !rows(node.out)) continue;
      // Where each input's gradient is written: to its place, or beside it to be added after.
      float* dx[kMostNodeInputs] = {};
      float* free = ops_.addend();
      for (size_t j = 0; j < node.in.size(); ++j) {
        if (!node.wanted[j] || !rows(node.in[j])) continue;
        dx[j] = ops_.gradient(node.in[j]);
        if (!node.added[j]) continue;
        dx[j] = free;
        free += size(node.in[j]);
      }
      backward(node, i, dx);
      for (size_t j = 0; j < node.in.size(); ++j) {
        if (dx[j] && node.added[j]) ops_.add(size(node.in[j]), dx[j], ops_.gradient(node.in[j]));
      }
    }
  }

 private:
  int64_t rows(int64_t v) const { return s_.rows_of(p_.value(v)); }
  int64_t cols(int64_t v) const { return s_.cols_of(p_.value(v)); }
  int64_t size(int64_t v) const { return s_.size_of(p_.value(v)); }

  void forward(const TrainingNode& node, size_t i) {
    const std::vector<int64_t>& k = node.integer;
    const int64_t n = rows(node.out), width = cols(node.out);
    const float* const x = node.in.empty() ? nullptr : ops_.value(node.in[0]);
    float* const y = ops_.value(node.out);
    const auto param = [&](size_t j) { return ops_.parameter(node.param[j]); };
    switch (node.op) {
      case TrainingOp::kInput:
        ops_.input(k[0], k[1] != 0, ops_.constant(node.param[0]), ops_.constant(node.param[1]), y);
        break;
      case TrainingOp::kAdditive:
        ops_.additive_forward(i, k[0], k[1], n, width, x, param(0), param(1), param(2), y);
        break;
      case TrainingOp::kLinear:
        ops_.linear_forward(n, cols(node.in[0]), width, x, param(0), param(1), y);
        break;
      case TrainingOp::kActivation:
        ops_.activation_forward(k[0], n, width, x, y);
        break;
      case TrainingOp::kNorm:
        ops_.norm_forward(n, width, x, param(0), param(1), y);
        break;
      case TrainingOp::kDropout:
        ops_.dropout(chance(k[0]), p_.seed, dropout_stream(s_, k[1]), n * width, x, y);
        break;
      case TrainingOp::kScatter:
        ops_.scatter(k[0], n, width, k[1], cols(node.in[0]), x, param(0), y);
        break;
      case TrainingOp::kLogitSum:
        ops_.logit_sum_forward(i, k[0], n, width, x, param(0), y);
        break;
      case TrainingOp::kGate:
        ops_.gate_forward(k[0], k[1], n, width, x, ops_.value(node.in[1]), param(0), y);
        break;
      case TrainingOp::kTensor:
        ops_.tensor_forward(node, n, width, y);
        break;
      case TrainingOp::kLowRank:
        ops_.low_rank_forward(node, i, n, width, y);
        break;
      case TrainingOp::kModalityAttention:
        ops_.modality_attention_forward(i, k[0], k[1], n, width, x, param(0), param(1), param(2), y);
        break;
      case TrainingOp::kCrossModal:
        ops_.cross_modal_forward(node, i, n, width, x, y);
        break;
    }
  }

  void backward(const TrainingNode& node, size_t i, float* const* dx) {
    const std::vector<int64_t>& k = node.integer;
    const int64_t n = rows(node.out), width = cols(node.out);
    const float* const x = ops_.value(node.in[0]);
    const float* const dy = ops_.gradient(node.out);
    const auto param = [&](size_t j) { return ops_.parameter(node.param[j]); };
    const auto dparam = [&](size_t j) { return ops_.parameter_gradient(node.param[j]); };
    switch (node.op) {
      case TrainingOp::kInput:
        break;
      case TrainingOp::kAdditive:
        ops_.additive_backward(i, k[0], k[1], n, width, x, param(0), param(1), param(2), dy, dx[0], dparam(0),
                               dparam(1), dparam(2));
        break;
      case TrainingOp::kLinear:
        ops_.linear_backward(n, cols(node.in[0]), width, x, param(0), dy, dx[0], dparam(0), dparam(1));
        break;
      case TrainingOp::kActivation:
        if (dx[0]) ops_.activation_backward(k[0], n, width, x, ops_.value(node.out), dy, dx[0]);
        break;
      case TrainingOp::kNorm:
        ops_.norm_backward(n, width, x, param(0), dy, dx[0], dparam(0), dparam(1));
        break;
      case TrainingOp::kDropout:
        if (dx[0]) ops_.dropout(chance(k[0]), p_.seed, dropout_stream(s_, k[1]), n * width, dy, dx[0]);
        break;
      case TrainingOp::kScatter:
        ops_.scatter_backward(k[0], n, width, k[1], cols(node.in[0]), dy, dx[0], dparam(0));
        break;
      case TrainingOp::kLogitSum:
        ops_.logit_sum_backward(i, k[0], n, width, x, dy, dx[0], dparam(0));
        break;
      case TrainingOp::kGate:
        ops_.gate_backward(k[0], k[1], n, width, x, ops_.value(node.in[1]), param(0), dy, dx[0], dx[1],
                           dparam(0));
        break;
      case TrainingOp::kTensor:
        ops_.tensor_backward(node, n, width, dy, dx);
        break;
      case TrainingOp::kLowRank:
        ops_.low_rank_backward(node, i, n, width, dy, dx);
        break;
      case TrainingOp::kModalityAttention:
        ops_.modality_attention_backward(i, k[0], k[1], n, width, x, param(0), param(1), param(2), dy, dx[0],
                                         dparam(0), dparam(1), dparam(2));
        break;
      case TrainingOp::kCrossModal:
        ops_.cross_modal_backward(node, i, n, width, x, dy, dx[0]);
        break;
    }
  }

  float chance(int64_t of_input) const { return of_input ? p_.input_dropout : p_.dropout; }

  const TrainingProgram& p_;
  const TrainingSizes& s_;
  Ops& ops_;
};

}  // namespace cinefuse
