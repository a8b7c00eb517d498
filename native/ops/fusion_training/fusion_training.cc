#include "fusion_training.h"

#include <algorithm>
#include <cmath>

#include "../cross_modal/cross_modal.h"
#include "../loss/loss.h"
#include "../modality_attention/modality_attention.h"
#include "../optimizer/optimizer.h"
#include "../tensor_fusion/tensor_fusion.h"
#include "training_reader.h"

namespace cinefuse {

void fusion_training_cpu(FusionTraining& training, const TrainingData& data, const TrainingSteps& steps,
                         const TrainingReport& report, const Exec& exec);
void fusion_training_device(FusionTraining& training, const TrainingData& data, const TrainingSteps& steps,
                            const TrainingReport& report, const Exec& exec);

namespace {

constexpr int64_t kMostCols = int64_t{1} << 24;

// Whether a program's parts fit together. lib/train/program.ts makes them fit; here nothing is trusted, since
// what does not would read and write anywhere.
class Checker {
 public:
  explicit Checker(const TrainingProgram& p)
      : p_(p), made_(p.values.size(), 0), used_(p.values.size(), 0), count_(p.modality_count()) {}

  void check() {
    require(p_.parameters >= 0 && p_.constants >= 0 && count_ >= 1 && count_ <= 32, "sizes");
    require(p_.dropout >= 0.f && p_.dropout < 1.f, "dropout");
    require(p_.input_dropout >= 0.f && p_.input_dropout < 1.f, "input dropout");
    for (const TrainingModality& m : p_.modalities) require(m.dim >= 1 && m.dim <= 65536, "a modality");
    require(!p_.subsets.empty() && p_.subsets[0].size() == p_.modalities.size(), "the first subset");
    for (const std::vector<int64_t>& subset : p_.subsets) {
      require(!subset.empty() && subset.size() <= 32, "a subset");
      for (const int64_t m : subset) modality(m);
    }
    for (size_t i = 0; i < p_.subsets[0].size(); ++i) {
      require(p_.subsets[0][i] == static_cast<int64_t>(i), "the first subset");
    }
    for (const TrainingValue& v : p_.values) {
      require(v.domain >= -1 && v.domain < count_ && v.cols >= 1 && v.cols <= kMostCols, "a value");
      require(!v.timed || v.domain >= 0, "a value of steps");
    }
    for (const TrainingNode& node : p_.nodes) check(node);
    require(p_.heads >= 0 && p_.heads < static_cast<int64_t>(p_.values.size()), "the heads");
    for (size_t v = 0; v < p_.values.size(); ++v) {
      const bool heads = static_cast<int64_t>(v) == p_.heads;
      require(made_[v] && used_[v] != heads, "a value that nothing makes or uses");
    }
    require(p_.value(p_.heads).domain == -1, "the heads");
    check_losses();
    check_updates();
  }

 private:
  void require(bool condition, const char* what) const {
    CINEFUSE_REQUIRE(condition, Code::kInputValue, "program", "The program of the training does not fit: %s",
                     what);
  }
  void modality(int64_t m) const { require(m >= 0 && m < count_, "a modality"); }
  void subset(int64_t s) const { require(s >= 0 && s < static_cast<int64_t>(p_.subsets.size()), "a subset"); }
  int64_t size_of(int64_t s) const { return static_cast<int64_t>(p_.subsets[static_cast<size_t>(s)].size()); }
  void within(int64_t at, int64_t size, int64_t whole, const char* what) const {
    require(at >= 0 && size >= 0 && size <= whole && at <= whole - size, what);
  }
  void parameter(int64_t at, int64_t size) const { within(at, size, p_.parameters, "a parameter"); }
  void optional(int64_t at, int64_t size) const {
    if (at != -1) parameter(at, size);
  }
  void shape(const TrainingValue& v, int64_t domain, int64_t cols, bool timed = false) const {
    require(v.domain == domain && v.cols == cols && v.timed == timed, "the shape of a value");
  }

  void check(const TrainingNode& n) {
    static constexpr int kParts[kTrainingOpCount][3] = {{0, 2, 2}, {1, 3, 2}, {1, 2, 0}, {1, 0, 1}, {1, 2, 0},
                                                        {1, 0, 2}, {1, 1, 2}, {1, 1, 1}, {2, 1, 2}, {0, 2, 0},
                                                        {0, 0, 1}, {1, 3, 2}, {1, 0, 3}};
    const int op = static_cast<int>(n.op);
    require(op >= 0 && op < kTrainingOpCount, "an operator");
    const bool product = n.op == TrainingOp::kTensor || n.op == TrainingOp::kLowRank;
    require(n.integer.size() == static_cast<size_t>(kParts[op][2]), "the integers of a node");
    if (product) {
      require(n.in.size() == p_.modalities.size() && n.in.size() <= kMostNodeInputs, "the inputs of a node");
    } else {
      require(n.in.size() == static_cast<size_t>(kParts[op][0]), "the inputs of a node");
    }
    size_t params = static_cast<size_t>(kParts[op][1]);
    if (n.op == TrainingOp::kLowRank) params = n.in.size() + 2;
    if (n.op == TrainingOp::kCrossModal) {
      require(n.integer[2] >= 1 && n.integer[2] <= kMaxCrossBlocks, "the blocks of a node");
      params = 16 * static_cast<size_t>(n.integer[2]);
    }
    require(n.param.size() == params, "the parameters of a node");
    for (const int64_t v : n.in) {
      require(v >= 0 && v < static_cast<int64_t>(p_.values.size()) && made_[static_cast<size_t>(v)],
              "a value before it is made");
      used_[static_cast<size_t>(v)] = 1;
    }
    require(n.out >= 0 && n.out < static_cast<int64_t>(p_.values.size()), "a value");
    // Scatters fill the columns of one value together.
    require(n.op == TrainingOp::kScatter || !made_[static_cast<size_t>(n.out)], "a value made twice");
    made_[static_cast<size_t>(n.out)] = 1;
    shapes(n);
  }

  void shapes(const TrainingNode& n) const {
    const TrainingValue& y = p_.value(n.out);
    const std::vector<int64_t>& k = n.integer;
    const TrainingValue* const x = n.in.empty() ? nullptr : &p_.value(n.in[0]);
    switch (n.op) {
      case TrainingOp::kInput: {
        modality(k[0]);
        const TrainingModality& m = p_.modalities[static_cast<size_t>(k[0])];
        shape(y, k[0], m.dim, m.sequence && !k[1]);
        for (const int64_t at : n.param) within(at, m.dim, p_.constants, "a scaler");
        break;
      }
      case TrainingOp::kAdditive:
        modality(k[0]);
        require(k[1] >= 1 && k[1] <= 65536, "the width of an attention");
        shape(*x, k[0], y.cols, true);
        shape(y, k[0], y.cols);
        parameter(n.param[0], k[1] * y.cols);
        parameter(n.param[1], k[1]);
        parameter(n.param[2], k[1]);
        break;
      case TrainingOp::kLinear:
        shape(*x, y.domain, x->cols);
        require(!y.timed, "the shape of a value");
        parameter(n.param[0], x->cols * y.cols);
        parameter(n.param[1], y.cols);
        break;
      case TrainingOp::kActivation:
        shape(*x, y.domain, y.cols, y.timed);
        require(k[0] >= 0 && k[0] < kElementwiseActivationCount, "an activation");
        break;
      case TrainingOp::kNorm:
        shape(*x, y.domain, y.cols);
        parameter(n.param[0], y.cols);
        parameter(n.param[1], y.cols);
        break;
      case TrainingOp::kDropout:
        shape(*x, y.domain, y.cols, y.timed);
        require(k[1] >= 0 && k[1] < static_cast<int64_t>(kDropoutUses), "a use of dropout");
        break;
      case TrainingOp::kScatter:
        modality(k[0]);
        shape(*x, k[0], x->cols);
        require(y.domain == -1, "the shape of a value");
        within(k[1], x->cols, y.cols, "a column");
        optional(n.param[0], x->cols);
        break;
      case TrainingOp::kLogitSum:
        subset(k[0]);
        shape(*x, -1, y.cols * size_of(k[0]));
        shape(y, -1, y.cols);
        parameter(n.param[0], size_of(k[0]));
        break;
      case TrainingOp::kGate:
        subset(k[0]);
        subset(k[1]);
        for (const int64_t v : n.in) shape(p_.value(v), -1, y.cols);
        shape(y, -1, y.cols);
        parameter(n.param[0], 1);
        break;
      case TrainingOp::kTensor: {
        const FusionDims d = dims(n, kMostTensorModes);
        require(d.product() * y.cols <= kMostFusionBytes / 4, "a tensor fusion this large");
        shape(y, -1, y.cols);
        parameter(n.param[0], d.product() * y.cols);
        parameter(n.param[1], y.cols);
        break;
      }
      case TrainingOp::kLowRank: {
        const FusionDims d = dims(n, kMostFusionModes);
        require(k[0] >= 1 && k[0] <= 1024, "a rank");
        shape(y, -1, y.cols);
        for (int m = 0; m < d.modes; ++m) {
          parameter(n.param[static_cast<size_t>(m)], k[0] * (d.d[static_cast<size_t>(m)] + 1) * y.cols);
        }
        parameter(n.param[n.in.size()], k[0]);
        parameter(n.param[n.in.size() + 1], y.cols);
        break;
      }
      case TrainingOp::kModalityAttention: {
        const bool tanh = k[0] == static_cast<int64_t>(AttentionForm::kTanh);
        require((tanh || k[0] == 0) && k[1] >= 1 && k[1] <= 65536, "an attention");
        require(tanh ? n.param[2] != -1 : k[1] == y.cols, "an attention");
        shape(*x, -1, y.cols * count_);
        shape(y, -1, y.cols);
        parameter(n.param[0], k[1] * y.cols);
        parameter(n.param[1], k[1]);
        optional(n.param[2], k[1]);
        break;
      }
      case TrainingOp::kCrossModal: {
        shape(*x, -1, y.cols * count_);
        shape(y, -1, y.cols);
        require(k[0] >= 1 && k[0] <= 1024 && y.cols % k[0] == 0 && k[1] >= 1 && k[1] <= 65536,
                "the heads of a node");
        CrossWeights w{};
        w.width = w.context_width = y.cols;
        w.ff = k[1];
        const std::vector<CrossArray> arrays = cross_arrays(w);
        for (size_t i = 0; i < n.param.size(); ++i) {
          parameter(n.param[i], arrays[i % 16].rows * arrays[i % 16].cols);
        }
        break;
      }
    }
  }

  FusionDims dims(const TrainingNode& n, int most) const {
    std::vector<int64_t> sizes;
    for (const int64_t v : n.in) {
      shape(p_.value(v), -1, p_.value(v).cols);
      sizes.push_back(p_.value(v).cols);
    }
    return fusion_dims(sizes, most);
  }

  void check_losses() const {
    const int64_t outputs = p_.value(p_.heads).cols;
    require(!p_.losses.empty() && p_.losses.size() <= 1024, "the losses");
    for (const int64_t cols : p_.target_cols) require(cols >= 1 && cols <= 65536, "a target");
    for (const TrainingLoss& l : p_.losses) {
      require(l.kind >= TrainingLossKind::kMse && l.kind <= TrainingLossKind::kSpread, "a loss");
      within(l.column, l.cols, outputs, "the columns of a loss");
      require(l.cols >= 1, "the columns of a loss");
      if (l.kind == TrainingLossKind::kSpread) within(l.of_column, l.cols, outputs, "the columns of a loss");
      require(l.target >= 0 && l.target < static_cast<int64_t>(p_.target_cols.size()) &&
                  p_.target_cols[static_cast<size_t>(l.target)] == l.target_cols(),
              "the target of a loss");
      if (l.class_weights != -1) within(l.class_weights, l.cols, p_.constants, "class weights");
      require(std::isfinite(l.weight) && l.delta > 0.f && l.smoothing >= 0.f && l.smoothing < 1.f,
              "the numbers of a loss");
    }
  }

  void check_updates() const {
    int64_t at = 0;
    for (const TrainingRange& r : p_.ranges) {
      require(r.begin >= at && r.end > r.begin && r.end <= p_.parameters, "the ranges of updates");
      at = r.end;
    }
    const TrainingOptimizer& o = p_.optimizer;
    require(o.kind >= 0 && o.kind <= 2 && o.clip_norm >= 0.f, "the optimiser");
    OptimizerParams params{};
    params.kind = static_cast<OptimizerKind>(o.kind);
    params.nesterov = o.nesterov != 0;
    params.momentum = o.momentum;
    params.beta1 = o.beta1;
    params.beta2 = o.beta2;
    params.eps = o.epsilon;
    params.weight_decay = o.weight_decay;
    params.l1 = o.l1;
    params.step = 1;
    params.gradient_scale = 1.f;
    optimizer_check(params);
  }

  const TrainingProgram& p_;
  std::vector<uint8_t> made_, used_;
  const int64_t count_;
};

}  // namespace

int64_t FusionTraining::bytes() const {
  return static_cast<int64_t>(sizeof(float) * (parameters.size() * 4 + constants.size()));
}

std::shared_ptr<FusionTraining> fusion_training_create(const std::vector<std::string>& names,
                                                       const std::vector<int64_t>& integers,
                                                       const float* floats, size_t float_count,
                                                       const float* parameters, size_t parameter_count,
                                                       const float* constants, size_t constant_count) {
  auto training = std::make_shared<FusionTraining>();
  TrainingProgram& p = training->program;
  CINEFUSE_REQUIRE(read_training_program(integers.data(), integers.size(), floats, float_count, p),
                   Code::kInputValue, "program", "The program of the training cannot be read");
  Checker(p).check();
  CINEFUSE_REQUIRE(names.size() == p.modalities.size() + p.target_cols.size(), Code::kShape, "names",
                   "Expected %zu names, received %zu", p.modalities.size() + p.target_cols.size(),
                   names.size());
  training->names = names;
  training->integers = integers;
  training->floats.assign(floats, floats + float_count);
  CINEFUSE_REQUIRE(static_cast<size_t>(p.parameters) == parameter_count &&
                       static_cast<size_t>(p.constants) == constant_count,
                   Code::kShape, "parameters", "Expected %lld parameters and %lld constants",
                   static_cast<long long>(p.parameters), static_cast<long long>(p.constants));
  training->parameters.assign(parameters, parameters + parameter_count);
  training->constants.assign(constants, constants + constant_count);
  const bool adam = p.optimizer.kind != static_cast<int32_t>(OptimizerKind::kSgd);
  if (adam || p.optimizer.momentum != 0.f) training->first.assign(parameter_count, 0.f);
  if (adam) training->second.assign(parameter_count, 0.f);
  TrainingBatch& batch = training->batch;
  batch.modalities.resize(p.modalities.size());
  batch.masks.resize(p.subsets.size());
  batch.targets.resize(p.target_cols.size());
  batch.sizes.present.assign(p.modalities.size(), 0);
  batch.sizes.steps.assign(p.modalities.size(), 1);
  batch.sizes.known.assign(p.losses.size(), 0);
  return training;
}

void fusion_training_check(const FusionTraining& training, const TrainingData& d, const TrainingSteps& s) {
  const TrainingProgram& p = training.program;
  const auto size = [](size_t got, int64_t expected, const char* name) {
    CINEFUSE_REQUIRE(got == static_cast<size_t>(expected), Code::kShape, name,
                     "Expected %lld elements for %s, received %zu", static_cast<long long>(expected), name,
                     got);
  };
  CINEFUSE_REQUIRE(d.films >= 1 && d.films <= (int64_t{1} << 31) - 1, Code::kInputValue, "films",
                   "Expected 1 film or more, received %lld", static_cast<long long>(d.films));
  size(d.present_size, d.films * p.modality_count(), "present");
  if (d.weights) size(d.weights_size, d.films, "weights");
  if (d.variants) size(d.variants_size, d.films, "variants");
  CINEFUSE_REQUIRE(d.modalities.size() == p.modalities.size() && d.targets.size() == p.target_cols.size(),
                   Code::kShape, "data", "Expected %zu modalities and %zu targets", p.modalities.size(),
                   p.target_cols.size());
  for (size_t t = 0; t < d.targets.size(); ++t) {
    size(d.targets[t].size, d.films * p.target_cols[t], training.names[d.modalities.size() + t].c_str());
  }
  for (size_t m = 0; m < d.modalities.size(); ++m) {
    const TrainingData::Modality& x = d.modalities[m];
    if (!x.values) continue;
    const std::string& name = training.names[m];
    CINEFUSE_REQUIRE(x.steps >= 1 && x.steps <= (1 << 20) && x.variants >= 1 && x.variants <= 256,
                     Code::kInputValue, name, "Expected 1..2^20 steps and 1..256 variants of %s",
                     name.c_str());
    CINEFUSE_REQUIRE(p.modalities[m].sequence || x.steps == 1, Code::kShape, name,
                     "Expected one vector a film for %s, which is no sequence, received %lld steps",
                     name.c_str(), static_cast<long long>(x.steps));
    size(x.size, x.variants * d.films * x.steps * p.modalities[m].dim, name.c_str());
    if (x.lengths) size(x.lengths_size, d.films, name.c_str());
  }
  CINEFUSE_REQUIRE(s.row_count >= 1 && s.batch >= 1 && s.batch <= (1 << 20), Code::kShape, "batchSize",
                   "Expected rows and a batch of 1..2^20 films, received %zu rows and %lld", s.row_count,
                   static_cast<long long>(s.batch));
  size(s.rate_count, (static_cast<int64_t>(s.row_count) + s.batch - 1) / s.batch, "learningRates");
}

void fusion_training(FusionTraining& training, const TrainingData& data, const TrainingSteps& steps,
                     const TrainingReport& report, const Exec& exec) {
  // Two calls at a time would train one set of weights from both sides.
  CINEFUSE_REQUIRE(!training.busy.exchange(true), Code::kInternal, "trainer",
                   "Another call trains these weights");
  struct Free {
    std::atomic<bool>& busy;
    ~Free() { busy = false; }
  } free{training.busy};
  if (exec.backend != Backend::kCpu) {
    return fusion_training_device(training, data, steps, report, exec);
  }
  training_to_host(training, true);
  fusion_training_cpu(training, data, steps, report, exec);
}

}  // namespace cinefuse
