#include "../optimizer/optimizer.h"
#include "training_cpu_ops.h"

namespace cinefuse {
namespace {

class Stepper {
 public:
  Stepper(FusionTraining& training, const TrainingData& data, int64_t batch, const Exec& exec)
      : t_(training),
        p_(training.program),
        exec_(exec),
        simd_(attend_simd(exec.isa)),
        ops_(training, data, batch, exec) {}

  // One step but for its update.
  void run(float* each) {
    ops_.set_losses(each);
    std::fill(each, each + p_.losses.size(), 0.f);
    // Nodes of a modality that no film of the batch has do not run: their gradients are zeros.
    if (std::find(sizes().present.begin(), sizes().present.end(), 0) != sizes().present.end()) {
      zero(p_.parameters, t_.gradients.data());
    }
    TrainingWalk<CpuTraining> walk(p_, sizes(), ops_);
    walk.forward();
    walk.losses();
    walk.backward();
  }

  double gradient_norm() const {
    double sum = 0.;
    for (const TrainingRange& r : p_.ranges) {
      sum += squared_norm(r.end - r.begin, t_.gradients.data() + r.begin, exec_);
    }
    return std::sqrt(sum);
  }

  // Never cancelled half-way: the weights are those before a step or after it.
  void update(float rate, double norm) const {
    Exec whole = exec_;
    whole.cancel = nullptr;
    const TrainingOptimizer& o = p_.optimizer;
    OptimizerParams params{};
    params.kind = static_cast<OptimizerKind>(o.kind);
    params.nesterov = o.nesterov != 0;
    params.lr = rate;
    params.momentum = o.momentum;
    params.beta1 = o.beta1;
    params.beta2 = o.beta2;
    params.eps = o.epsilon;
    params.step = t_.step + 1;
    params.gradient_scale =
        o.clip_norm > 0.f ? static_cast<float>(std::min(1., static_cast<double>(o.clip_norm) / (norm + 1e-6)))
                          : 1.f;
    for (const TrainingRange& r : p_.ranges) {
      params.weight_decay = r.decays ? o.weight_decay : 0.f;
      params.l1 = r.decays ? o.l1 : 0.f;
      const auto at = [&](std::vector<float>& all) { return all.empty() ? nullptr : all.data() + r.begin; };
      optimizer_step(params, r.end - r.begin, at(t_.parameters), at(t_.gradients), at(t_.first),
                     at(t_.second), whole);
    }
  }

  // The first node, from the inputs on, whose value or whose parameters' gradient is not finite; or -1.
  int32_t first_bad_value() const {
    for (size_t i = 0; i < p_.nodes.size(); ++i) {
      const TrainingValue& v = p_.value(p_.nodes[i].out);
      // What scatters fill together is whole after the last of them; their inputs were looked at before.
      if (p_.nodes[i].op == TrainingOp::kScatter) continue;
      if (simd_.first_non_finite(sizes().size_of(v), value(p_.nodes[i].out)) >= 0) {
        return static_cast<int32_t>(i);
      }
    }
    return -1;
  }
  int32_t first_bad_gradient() const {
    for (size_t i = p_.nodes.size(); i-- > 0;) {
      const TrainingValue& v = p_.value(p_.nodes[i].out);
      if (p_.nodes[i].op == TrainingOp::kInput) continue;
      if (simd_.first_non_finite(sizes().size_of(v), gradient(p_.nodes[i].out)) >= 0) {
        return static_cast<int32_t>(i);
      }
    }
    return -1;
  }

 private:
  const TrainingSizes& sizes() const { return t_.batch.sizes; }
  void zero(int64_t n, float* y) const { ops_.zero(n, y); }
  const float* value(int64_t v) const { return ops_.value(v); }
  const float* gradient(int64_t v) const { return ops_.gradient(v); }

  FusionTraining& t_;
  const TrainingProgram& p_;
  const Exec exec_;
  const AttendSimd& simd_;
  CpuTraining ops_;
};

}  // namespace

void fusion_training_cpu(FusionTraining& training, const TrainingData& data, const TrainingSteps& steps,
                         const TrainingReport& report, const Exec& exec) {
  const TrainingProgram& p = training.program;
  const int64_t all = static_cast<int64_t>(steps.row_count);
  Stepper stepper(training, data, std::min(steps.batch, all), exec);
  const auto stop = [&](TrainingEnd end, size_t step, int32_t at) {
    report.end[0] = static_cast<int32_t>(end);
    report.end[1] = static_cast<int32_t>(step);
    report.end[2] = at;
  };
  stop(TrainingEnd::kDone, steps.rate_count, -1);
  for (size_t step = 0; step < steps.rate_count; ++step) {
    exec.check_cancelled();
    const int64_t first = static_cast<int64_t>(step) * steps.batch;
    training_batch(training, data, steps.rows + first, std::min(steps.batch, all - first), training.batch);
    float* const each = report.each + step * p.losses.size();
    stepper.run(each);
    double sum = 0.;
    int32_t bad = -1;
    for (size_t i = 0; i < p.losses.size(); ++i) {
      sum += static_cast<double>(p.losses[i].weight) * static_cast<double>(each[i]);
      if (!std::isfinite(each[i]) && bad < 0) bad = static_cast<int32_t>(i);
    }
    report.losses[step] = static_cast<float>(sum);
    const double norm = stepper.gradient_norm();
    report.norms[step] = static_cast<float>(norm);
    if (!std::isfinite(report.losses[step])) {
      const int32_t node = stepper.first_bad_value();
      return node >= 0 ? stop(TrainingEnd::kValue, step, node) : stop(TrainingEnd::kLoss, step, bad);
    }
    if (!std::isfinite(report.norms[step])) {
      return stop(TrainingEnd::kGradient, step, stepper.first_bad_gradient());
    }
    stepper.update(steps.rates[step], norm);
    ++training.step;
  }
}

}  // namespace cinefuse
