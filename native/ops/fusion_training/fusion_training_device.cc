#include "fusion_training_device.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include "fusion_training.h"

namespace cinefuse {
namespace {

constexpr size_t kMostFloats = size_t{1} << 24;  // of inputs that go up at a time

std::shared_ptr<DeviceObject> twin_of(FusionTraining& t, const Exec& exec) {
  const std::shared_ptr<OpenDevice> device = open_device(exec);
  if (t.twin && t.twin->device() == device) return t.twin;
  training_to_host(t, true);
  const auto data_or_null = [](const std::vector<float>& x) { return x.empty() ? nullptr : x.data(); };
  t.twin = create_on_device(exec, CINEFUSE_FUSION_TRAINING,
                            cinefuse_fusion_training_description{
                                t.integers.data(), t.floats.data(), static_cast<int64_t>(t.integers.size()),
                                static_cast<int64_t>(t.floats.size()), t.parameters.data(),
                                t.constants.data(), data_or_null(t.first), data_or_null(t.second)});
  return t.twin;
}

// Some steps made ready for one upload.
class Steps {
 public:
  Steps(FusionTraining& training, const TrainingData& data, const Exec& exec)
      : t_(training), p_(training.program), data_(data), exec_(exec) {}

  size_t count() const { return step_.size(); }
  bool full() const { return floats_.size() >= kMostFloats; }

  void add(const int32_t* films, int64_t rows, float rate) {
    TrainingBatch& batch = t_.batch;
    training_batch(t_, data_, films, rows, batch);
    cinefuse_training_step step{};
    step.rows = rows;
    step.number = t_.step + static_cast<int64_t>(count());
    const size_t floats = floats_.size();
    step.inputs = static_cast<int64_t>(floats);
    try {
      inputs();
    } catch (...) {
      floats_.resize(floats);
      throw;
    }
    step.targets = static_cast<int64_t>(floats_.size());
    for (const std::vector<float>& target : batch.targets) append(floats_, target);
    step.weights = batch.weights.empty() ? -1 : static_cast<int64_t>(floats_.size());
    append(floats_, batch.weights);
    step.masks = static_cast<int64_t>(bytes_.size());
    for (const std::vector<uint8_t>& mask : batch.masks) append(bytes_, mask);
    step.places = static_cast<int64_t>(ints_.size());
    for (const TrainingBatch::Modality& m : batch.modalities) {
      const size_t first = ints_.size();
      ints_.resize(first + static_cast<size_t>(rows), -1);
      for (size_t i = 0; i < m.rows.size(); ++i) {
        ints_[first + static_cast<size_t>(m.rows[i])] = static_cast<int32_t>(i);
      }
    }
    step.lengths = static_cast<int64_t>(ints_.size());
    for (const TrainingBatch::Modality& m : batch.modalities) {
      const size_t first = ints_.size();
      append(ints_, m.lengths);
      ints_.resize(first + static_cast<size_t>(rows), 0);
    }
    append(present_, batch.sizes.present);
    append(known_, batch.sizes.known);
    for (const TrainingRange& r : p_.ranges) {
      updates_.push_back(optimizer_step_of(training_update(p_, step.number, rate, r)));
    }
    step_.push_back(step);
    most_ = std::max(most_, rows);
  }

  // each: (steps, losses), norms: (steps); done: steps that were started whole.
  void run(const DeviceObject& twin, float* each, float* norms, int64_t* done) {
    cinefuse_fusion_training_params params{};
    params.steps = static_cast<int64_t>(count());
    params.most_rows = most_;
    params.float_count = static_cast<int64_t>(floats_.size());
    params.int_count = static_cast<int64_t>(ints_.size());
    params.byte_count = static_cast<int64_t>(bytes_.size());
    params.step = step_.data();
    params.floats = floats_.data();
    params.ints = ints_.data();
    params.bytes = bytes_.data();
    params.present = present_.data();
    std::vector<int64_t> steps;
    for (const TrainingData::Modality& m : data_.modalities) steps.push_back(m.values ? m.steps : 1);
    params.sequence_steps = steps.data();
    params.known = known_.data();
    params.updates = updates_.data();
    params.each = each;
    params.norms = norms;
    params.done = done;
    run_on_device(exec_, CINEFUSE_FUSION_TRAINING, twin, params);
  }

 private:
  template <class T>
  static void append(std::vector<T>& to, const std::vector<T>& from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  void inputs() {
    for (const TrainingNode& node : p_.nodes) {
      if (node.op != TrainingOp::kInput) continue;
      const int64_t modality = node.integer[0];
      const bool averaged = node.integer[1] != 0;
      const int64_t steps = averaged ? 1 : t_.batch.sizes.steps[static_cast<size_t>(modality)];
      const int64_t n = t_.batch.sizes.present[static_cast<size_t>(modality)] * steps *
                        p_.modalities[static_cast<size_t>(modality)].dim;
      const size_t first = floats_.size();
      floats_.resize(first + static_cast<size_t>(n));
      if (n == 0) continue;
      training_input(t_, data_, modality, averaged, t_.constants.data() + node.param[0],
                     t_.constants.data() + node.param[1], floats_.data() + first, exec_);
    }
  }

  FusionTraining& t_;
  const TrainingProgram& p_;
  const TrainingData& data_;
  const Exec exec_;
  std::vector<cinefuse_training_step> step_;
  std::vector<float> floats_;
  std::vector<int32_t> ints_;
  std::vector<uint8_t> bytes_, known_;
  std::vector<int64_t> present_;
  std::vector<OptimizerStep> updates_;
  int64_t most_ = 0;
};

}  // namespace

void training_to_host(FusionTraining& t, bool let_go) {
  if (t.ahead) {
    cinefuse_fusion_training_params params{};
    params.read = 1;
    const auto data_or_null = [](std::vector<float>& x) { return x.empty() ? nullptr : x.data(); };
    params.parameters = t.parameters.data();
    params.first = data_or_null(t.first);
    params.second = data_or_null(t.second);
    run_on_device(Exec(), CINEFUSE_FUSION_TRAINING, *t.twin, params);
    t.ahead = false;
  }
  if (let_go) t.twin.reset();
}

void fusion_training_device(FusionTraining& training, const TrainingData& data, const TrainingSteps& steps,
                            const TrainingReport& report, const Exec& exec) {
  const TrainingProgram& p = training.program;
  const std::shared_ptr<DeviceObject> twin = twin_of(training, exec);
  // The host's own part of it, inputs and what is looked for after a divergence, is the CPU's.
  Exec host = exec;
  host.backend = Backend::kCpu;
  const int64_t all = static_cast<int64_t>(steps.row_count), losses = static_cast<int64_t>(p.losses.size());
  report.end[0] = static_cast<int32_t>(TrainingEnd::kDone);
  int64_t step = 0;
  const int64_t count = static_cast<int64_t>(steps.rate_count);
  while (step < count) {
    exec.check_cancelled();
    Steps group(training, data, host);
    std::exception_ptr refused;
    const int64_t begin = step;
    for (; step < count && !group.full(); ++step) {
      try {
        group.add(steps.rows + step * steps.batch, std::min(steps.batch, all - step * steps.batch),
                  steps.rates[step]);
      } catch (const Error&) {
        refused = std::current_exception();  // steps before it are done first
        break;
      }
    }
    if (group.count() == 0) std::rethrow_exception(refused);
    int64_t done = 0;
    training.ahead = true;
    try {
      group.run(*twin, report.each + begin * losses, report.norms + begin, &done);
    } catch (...) {
      training.step += done;
      throw;
    }
    for (int64_t i = begin; i < begin + done; ++i) {
      double sum = 0.;
      for (int64_t l = 0; l < losses; ++l) {
        sum += static_cast<double>(p.losses[static_cast<size_t>(l)].weight) *
               static_cast<double>(report.each[i * losses + l]);
      }
      report.losses[i] = static_cast<float>(sum);
      report.end[1] = static_cast<int32_t>(i);
      if (std::isfinite(report.losses[i]) && std::isfinite(report.norms[i])) {
        ++training.step;
        continue;
      }
      // The device updated nothing from here on; the CPU says where it began.
      training_to_host(training, false);
      const int32_t* const films = steps.rows + i * steps.batch;
      fusion_training_locate(training, data, films, std::min(steps.batch, all - i * steps.batch), report.end,
                             host);
      if (report.end[0] == static_cast<int32_t>(TrainingEnd::kDone)) {
        report.end[0] = static_cast<int32_t>(TrainingEnd::kGradient);
      }
      return;
    }
    if (refused) std::rethrow_exception(refused);
  }
}

}  // namespace cinefuse
