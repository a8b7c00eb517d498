// Reads what lib/train/program.ts encodes; for the addon and for the CUDA library, which is built apart.
#pragma once
#include "training_program.h"

namespace cinefuse {
namespace detail {

constexpr int64_t kMost = int64_t{1} << 20;  // of anything that is counted

class ProgramReader {
 public:
  ProgramReader(const int64_t* integers, size_t integer_count, const float* floats, size_t float_count)
      : integers_(integers), integer_count_(integer_count), floats_(floats), float_count_(float_count) {}

  int64_t integer() {
    if (at_ >= integer_count_) return fail();
    return integers_[at_++];
  }
  float number() {
    if (next_ >= float_count_) return static_cast<float>(fail());
    return floats_[next_++];
  }
  size_t count() {
    const int64_t n = integer();
    if (n < 0 || n > kMost) return static_cast<size_t>(fail());
    return static_cast<size_t>(n);
  }
  std::vector<int64_t> list() {
    std::vector<int64_t> all(count());
    for (int64_t& x : all) x = integer();
    return all;
  }
  bool done() const { return good_ && at_ == integer_count_ && next_ == float_count_; }

 private:
  int64_t fail() {
    good_ = false;
    return 0;
  }
  const int64_t* integers_;
  size_t integer_count_;
  const float* floats_;
  size_t float_count_;
  size_t at_ = 0, next_ = 0;
  bool good_ = true;
};

// Which gradients are wanted, and which of those of one value come second: gradients flow from the last node
// to the first.
inline void follow_gradients(TrainingProgram& p) {
  const auto known = [&](int64_t v) { return v >= 0 && v < static_cast<int64_t>(p.values.size()); };
  std::vector<uint8_t> trained(p.values.size(), 0), written(p.values.size(), 0);
  for (TrainingNode& node : p.nodes) {
    bool any = !node.param.empty() && node.op != TrainingOp::kInput;
    for (const int64_t v : node.in) {
      node.wanted.push_back(known(v) ? trained[static_cast<size_t>(v)] : 0);
      any = any || node.wanted.back();
    }
    if (known(node.out)) trained[static_cast<size_t>(node.out)] = any;
  }
  for (size_t i = p.nodes.size(); i-- > 0;) {
    TrainingNode& node = p.nodes[i];
    for (const int64_t v : node.in) {
      node.added.push_back(known(v) ? written[static_cast<size_t>(v)] : 0);
      if (known(v)) written[static_cast<size_t>(v)] = 1;
    }
  }
}

}  // namespace detail

// False where the numbers end too early, go on too long or count wrongly. Whether the parts fit together is
// fusion_training.cc's to check.
inline bool read_training_program(const int64_t* integers, size_t integer_count, const float* floats,
                                  size_t float_count, TrainingProgram& p) {
  detail::ProgramReader read(integers, integer_count, floats, float_count);
  p.parameters = read.integer();
  p.constants = read.integer();
  p.heads = read.integer();
  const uint64_t low = static_cast<uint64_t>(read.integer()), high = static_cast<uint64_t>(read.integer());
  p.seed = (high << 32) | (low & 0xffffffffu);
  p.dropout = read.number();
  p.input_dropout = read.number();
  p.modalities.resize(read.count());
  for (TrainingModality& m : p.modalities) {
    m.dim = read.integer();
    m.sequence = read.integer() != 0;
  }
  p.subsets.resize(read.count());
  for (std::vector<int64_t>& subset : p.subsets) subset = read.list();
  p.values.resize(read.count());
  for (TrainingValue& v : p.values) {
    v.domain = read.integer();
    v.cols = read.integer();
    v.timed = read.integer() != 0;
  }
  p.nodes.resize(read.count());
  for (TrainingNode& node : p.nodes) {
    node.op = static_cast<TrainingOp>(read.integer());
    node.out = read.integer();
    node.in = read.list();
    node.param = read.list();
    node.integer = read.list();
  }
  p.target_cols = read.list();
  p.losses.resize(read.count());
  for (TrainingLoss& loss : p.losses) {
    loss.kind = static_cast<TrainingLossKind>(read.integer());
    loss.column = read.integer();
    loss.cols = read.integer();
    loss.target = read.integer();
    loss.of_column = read.integer();
    loss.class_weights = read.integer();
    loss.weight = read.number();
    loss.delta = read.number();
    loss.smoothing = read.number();
  }
  p.ranges.resize(read.count());
  for (TrainingRange& range : p.ranges) {
    range.begin = read.integer();
    range.end = read.integer();
    range.decays = read.integer() != 0;
  }
  TrainingOptimizer& o = p.optimizer;
  o.kind = static_cast<int32_t>(read.integer());
  o.nesterov = static_cast<int32_t>(read.integer());
  for (float* x : {&o.momentum, &o.beta1, &o.beta2, &o.epsilon, &o.weight_decay, &o.l1, &o.clip_norm}) {
    *x = read.number();
  }
  if (!read.done()) return false;
  detail::follow_gradients(p);
  return true;
}

}  // namespace cinefuse
