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
    const double clip = static_cast<double>(p_.optimizer.clip_norm) / (norm + 1e-6);
    for (const TrainingRange& r : p_.ranges) {
      OptimizerParams params = training_update(p_, t_.step, rate, r);
      if (p_.optimizer.clip_norm > 0.f && clip < 1.) params.gradient_scale = static_cast<float>(clip);
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

namespace {

// One step but for its update: its losses and norm, and what in it is not finite.
TrainingEnd try_step(Stepper& stepper, const TrainingProgram& p, float* each, float* loss, double* norm,
                     int32_t* at) {
  stepper.run(each);
  double sum = 0.;
  int32_t bad = -1;
  for (size_t i = 0; i < p.losses.size(); ++i) {
    sum += static_cast<double>(p.losses[i].weight) * static_cast<double>(each[i]);
    if (!std::isfinite(each[i]) && bad < 0) bad = static_cast<int32_t>(i);
  }
  *loss = static_cast<float>(sum);
  *norm = stepper.gradient_norm();
  if (!std::isfinite(*loss)) {
    *at = stepper.first_bad_value();
    if (*at >= 0) return TrainingEnd::kValue;
    *at = bad;
    return TrainingEnd::kLoss;
  }
  *at = -1;
  if (std::isfinite(static_cast<float>(*norm))) return TrainingEnd::kDone;
  *at = stepper.first_bad_gradient();
  return TrainingEnd::kGradient;
}

}  // namespace

OptimizerParams training_update(const TrainingProgram& p, int64_t step, float rate,
                                const TrainingRange& range) {
  const TrainingOptimizer& o = p.optimizer;
  OptimizerParams params{};
  params.kind = static_cast<OptimizerKind>(o.kind);
  params.nesterov = o.nesterov != 0;
  params.lr = rate;
  params.momentum = o.momentum;
  params.beta1 = o.beta1;
  params.beta2 = o.beta2;
  params.eps = o.epsilon;
  params.weight_decay = range.decays ? o.weight_decay : 0.f;
  params.l1 = range.decays ? o.l1 : 0.f;
  params.step = step + 1;
  params.gradient_scale = 1.f;
  return params;
}

void fusion_training_locate(FusionTraining& training, const TrainingData& data, const int32_t* films,
                            int64_t rows, int32_t* end, const Exec& exec) {
  Stepper stepper(training, data, rows, exec);
  training_batch(training, data, films, rows, training.batch);
  std::vector<float> each(training.program.losses.size());
  float loss;
  double norm;
  end[0] = static_cast<int32_t>(try_step(stepper, training.program, each.data(), &loss, &norm, end + 2));
}

void fusion_training_cpu(FusionTraining& training, const TrainingData& data, const TrainingSteps& steps,
                         const TrainingReport& report, const Exec& exec) {
  const int64_t all = static_cast<int64_t>(steps.row_count);
  Stepper stepper(training, data, std::min(steps.batch, all), exec);
  report.end[0] = static_cast<int32_t>(TrainingEnd::kDone);
  for (size_t step = 0; step < steps.rate_count; ++step) {
    exec.check_cancelled();
    const int64_t first = static_cast<int64_t>(step) * steps.batch;
    training_batch(training, data, steps.rows + first, std::min(steps.batch, all - first), training.batch);
    double norm = 0.;
    const TrainingEnd end =
        try_step(stepper, training.program, report.each + step * training.program.losses.size(),
                 report.losses + step, &norm, report.end + 2);
    report.norms[step] = static_cast<float>(norm);
    report.end[1] = static_cast<int32_t>(step);
    if (end != TrainingEnd::kDone) {
      report.end[0] = static_cast<int32_t>(end);
      return;
    }
    stepper.update(steps.rates[step], norm);
    ++training.step;
  }
}

}  // namespace cinefuse
