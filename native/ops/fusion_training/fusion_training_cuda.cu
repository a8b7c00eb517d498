#include "../../cuda/operators.h"
#include "training_cuda_ops.cuh"
#include "training_reader.h"

namespace cinefuse::gpu {

// One call at a time changes it: the addon sees to that.
struct TrainingObject final : Object {
  TrainingProgram program;
  Array<float> parameters, gradients, constants, first, second, factors;
};

static std::unique_ptr<TrainingObject> training_create(Call& call,
                                                       const cinefuse_fusion_training_description& d) {
  auto t = std::make_unique<TrainingObject>();
  TrainingProgram& p = t->program;
  if (!read_training_program(d.integers, static_cast<size_t>(d.integer_count), d.floats,
                             static_cast<size_t>(d.float_count), p)) {
    throw Failure(CINEFUSE_INVALID_INPUT, "The program of the training cannot be read", "program");
  }
  t->parameters = Array<float>(call, d.parameters, p.parameters);
  t->gradients = Array<float>(call.device(), p.parameters);
  t->constants = Array<float>(call, d.constants, p.constants);
  t->first = Array<float>(call, d.first, p.parameters);
  t->second = Array<float>(call, d.second, p.parameters);
  std::vector<float> factors;
  for (const TrainingLoss& loss : p.losses) factors.push_back(loss.weight);
  t->factors = Array<float>(call, factors.data(), static_cast<int64_t>(factors.size()));
  call.finish();
  return t;
}

static void training_read(Call& call, const TrainingObject& t, const cinefuse_fusion_training_params& p) {
  const size_t bytes = sizeof(float) * static_cast<size_t>(t.program.parameters);
  call.download(p.parameters, t.parameters.get(), bytes);
  if (p.first) call.download(p.first, t.first.get(), bytes);
  if (p.second) call.download(p.second, t.second.get(), bytes);
  call.finish();
}

static void training_cuda(Call& call, const TrainingObject& t, const cinefuse_fusion_training_params& p) {
  if (p.read) return training_read(call, t, p);
  const TrainingProgram& program = t.program;
  const int64_t modalities = program.modality_count();
  const int64_t losses = static_cast<int64_t>(program.losses.size());
  const int64_t ranges = static_cast<int64_t>(program.ranges.size());
  const In<float> floats = call.in(p.floats, p.float_count);
  const In<int32_t> ints = call.in(p.ints, p.int_count);
  const In<uint8_t> bytes = call.in(p.bytes, p.byte_count);
  const Out<float> each = call.out(p.each, p.steps * losses), norms = call.out(p.norms, p.steps);
  call.send();
  TrainingSizes sizes;
  sizes.steps.assign(p.sequence_steps, p.sequence_steps + modalities);
  const TrainingLayout layout(program, p.most_rows, sizes.steps,
                              [&](const TrainingNode& node, const TrainingSizes& most) {
                                return DeviceTraining::saved_of(program, node, most);
                              });
  const auto* const updates = static_cast<const OptimizerStep*>(p.updates);
  const bool adam = program.optimizer.kind != 0;
  call.compute([&] {
    float* const arena = call.scratch<float>(static_cast<int64_t>(layout.floats));
    double* const squares = call.scratch<double>(ranges);
    float* const clip = call.scratch<float>(1);
    fill_zeros(call, 1, clip);
    fill_zeros(call, p.steps * losses, each.get());
    fill_zeros(call, program.parameters, t.gradients.get());
    DeviceTraining ops(call, program, layout,
                       {t.parameters.get(), t.constants.get(), t.gradients.get(), arena, each.get(),
                        floats.get(), ints.get(), bytes.get()},
                       sizes);
    const std::vector<size_t> mark = call.scratch_mark();
    for (int64_t i = 0; i < p.steps; ++i) {
      call.check_cancelled();
      call.rewind_scratch(mark);
      const cinefuse_training_step& step = p.step[i];
      sizes.rows = step.rows;
      sizes.number = static_cast<uint64_t>(step.number);
      sizes.present.assign(p.present + i * modalities, p.present + (i + 1) * modalities);
      sizes.known.assign(p.known + i * losses, p.known + (i + 1) * losses);
      // Nodes of a modality that no film of the batch has do not run: their gradients are zeros.
      for (const int64_t n : sizes.present) {
        if (n == 0) fill_zeros(call, program.parameters, t.gradients.get());
      }
      ops.begin(step, each.get() + i * losses);
      TrainingWalk<DeviceTraining> walk(program, sizes, ops);
      walk.forward();
      walk.losses();
      walk.backward();
      for (int64_t r = 0; r < ranges; ++r) {
        const TrainingRange& range = program.ranges[static_cast<size_t>(r)];
        squared_norm(range.end - range.begin, t.gradients.get() + range.begin, squares + r, call);
      }
      judge_step(call, {ranges, losses, squares, each.get() + i * losses, t.factors.get(),
                        program.optimizer.clip_norm, norms.get() + i, clip});
      for (int64_t r = 0; r < ranges; ++r) {
        const TrainingRange& range = program.ranges[static_cast<size_t>(r)];
        const auto at = [&](const Array<float>& all) {
          return all.get() ? all.get() + range.begin : nullptr;
        };
        optimizer_step(adam, updates[i * ranges + r], range.end - range.begin, at(t.parameters),
                       at(t.gradients), at(t.first), at(t.second), call, clip);
      }
      *p.done = i + 1;
    }
  });
  call.receive();
}

const Operator kFusionTrainingOperator =
    prepared_operator<TrainingObject, cinefuse_fusion_training_description, cinefuse_fusion_training_params,
                      training_create, training_cuda>();

}  // namespace cinefuse::gpu
