// Training of a fusion network: many steps in one call, each forwards, losses, backwards, clipping and
// update.
//
//   parameters, gradients and moments lie in one array each; a program (training_program.h) says which
//   operators of native/ops run on what, and TrainingWalk runs it. Modalities are computed for the films that
//   have them and no others, as in fusion_network.h, whose formulas these are.
//
// Losses: native/ops/loss, the mean over the films whose target is known, each with its weight; and
//   spread  o + |t - y| e^-o of the output o, with y another head's output, held fixed, and t its target: the
//           negative logarithm of a Laplace density of scale e^o, but for a constant
// Which films a step takes, in what variant and with which modalities is the caller's choice; dropout is a
// pure function of seed, step and layer. So a run is the same, bit for bit, in one call or in many, on any
// number of threads of one instruction set, and after a restore.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "../../core/device.h"
#include "../../core/exec.h"
#include "../optimizer/optimizer.h"
#include "training_walk.h"

namespace cinefuse {

struct TrainingData {
  int64_t films;
  struct Modality {
    const float* values = nullptr;  // (variants, films, steps, dim); null: absent everywhere
    size_t size = 0;
    int64_t steps = 1, variants = 1;
    const int32_t* lengths = nullptr;  // (films) or null
    size_t lengths_size = 0;
  };
  std::vector<Modality> modalities;
  struct Target {
    const float* values;  // (films, cols)
    size_t size;
  };
  std::vector<Target> targets;
  const float* weights;  // (films) or null
  size_t weights_size;
  const uint8_t* present;  // (films, modalities)
  size_t present_size;
  const uint8_t* variants;  // (films) or null
  size_t variants_size;
};

struct TrainingSteps {
  const int32_t* rows;
  size_t row_count;
  int64_t batch;
  const float* rates;  // one a step
  size_t rate_count;
};

enum class TrainingEnd : int32_t { kDone = 0, kValue, kLoss, kGradient };

// What the steps were like; arrays of (steps), `each` (steps, losses).
struct TrainingReport {
  float *losses, *each, *norms;
  // (3): TrainingEnd; unless kDone the step that came to nothing, with its loss and norm filled in, and the
  // node whose value or whose gradients, or the loss, that is not finite, -1 if none by itself
  int32_t* end;
};

// One batch, made ready for a step: checked, gathered to the films that have each modality, scaled. All
// arrays of the largest batch; those in use are the first.
struct TrainingBatch {
  TrainingSizes sizes;
  struct Modality {
    std::vector<int32_t> rows;     // of the batch, that have it
    std::vector<int32_t> lengths;  // of its sequences
  };
  std::vector<Modality> modalities;
  std::vector<std::vector<uint8_t>> masks;  // by subset: (rows, its modalities)
  std::vector<std::vector<float>> targets;
  std::vector<float> weights;  // empty: all 1
  std::vector<int32_t> films;
  std::vector<uint8_t> variants;
};

struct FusionTraining {
  std::vector<std::string> names;  // of modalities, then of targets: for errors
  TrainingProgram program;
  std::vector<float> parameters, constants, first, second;
  std::vector<float> gradients, arena;
  TrainingBatch batch;
  int64_t step = 0;  // done
  std::atomic<bool> busy{false};
  // A device that has parameters and moments, newer ones than these here while `ahead`.
  std::shared_ptr<DeviceObject> twin;
  bool ahead = false;
  std::vector<int64_t> integers;  // the program as it came, for the device's library
  std::vector<float> floats;

  int64_t bytes() const;
};

// `integers` and `floats` are what lib/train/program.ts encodes. Throws ERR_INPUT_VALUE for a program whose
// parts do not fit.
std::shared_ptr<FusionTraining> fusion_training_create(const std::vector<std::string>& names,
                                                       const std::vector<int64_t>& integers,
                                                       const float* floats, size_t float_count,
                                                       const float* parameters, size_t parameter_count,
                                                       const float* constants, size_t constant_count);
// Sizes; contents are checked as they are used. Throws ERR_SHAPE, ERR_INPUT_VALUE.
void fusion_training_check(const FusionTraining& training, const TrainingData& data,
                           const TrainingSteps& steps);
// Runs all steps, or those before one that diverges. Throws ERR_INPUT_VALUE, ERR_INPUT_EMPTY for what a step
// cannot take, ERR_CANCELLED between steps: steps before are done and counted.
void fusion_training(FusionTraining& training, const TrainingData& data, const TrainingSteps& steps,
                     const TrainingReport& report, const Exec& exec);

// Makes the host's parameters and moments the newest. With `let_go` the device's are not kept: they are about
// to be changed here.
void training_to_host(FusionTraining& training, bool let_go);

// For the twins. What the optimiser does to a range in the step after `step`, but for clipping.
OptimizerParams training_update(const TrainingProgram& program, int64_t step, float rate,
                                const TrainingRange& range);
// Runs the step after `training.step` but for its update and says what in it is not finite: end[0], end[2] of
// a TrainingReport.
void fusion_training_locate(FusionTraining& training, const TrainingData& data, const int32_t* films,
                            int64_t rows, int32_t* end, const Exec& exec);
// The batch of some films; inputs themselves are read by training_input.
void training_batch(const FusionTraining& training, const TrainingData& data, const int32_t* films,
                    int64_t rows, TrainingBatch& batch);
// Of the trainer's batch: y (rows with the modality, [steps,] dim) <- (x - mean) * scale, averaged over the
// steps if asked.
void training_input(const FusionTraining& training, const TrainingData& data, int64_t modality, bool averaged,
                    const float* mean, const float* scale, float* y, const Exec& exec);

}  // namespace cinefuse
