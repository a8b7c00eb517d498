#include <algorithm>

#include "../../node/boundary.h"
#include "fusion_training.h"

namespace cinefuse {
namespace {

constexpr HandleTag kTrainingTag = {"fusion trainer"};

// parameters, first moments, second moments
std::vector<float>& array_of(FusionTraining& training, int64_t which, bool changes) {
  CINEFUSE_REQUIRE(which >= 0 && which <= 2, Code::kInputValue, "which", "Expected 0..2, received %lld",
                   static_cast<long long>(which));
  CINEFUSE_REQUIRE(!training.busy, Code::kInternal, "trainer", "These weights are being trained");
  training_to_host(training, changes);
  return which == 0 ? training.parameters : which == 1 ? training.first : training.second;
}

}  // namespace

// createFusionTrainer(exec, cancel, names, integers, floats, parameters, constants) -> handle. On the calling
// thread: copies all of them. names: of the modalities, then of the targets.
Napi::Value create_fusion_trainer_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const Napi::Value list = call.argument(2);
  CINEFUSE_REQUIRE(list.IsArray(), Code::kInputType, "names", "Expected an array of strings for names");
  std::vector<std::string> names;
  for (uint32_t i = 0; i < list.As<Napi::Array>().Length(); ++i) {
    const Napi::Value name = list.As<Napi::Array>().Get(i);
    CINEFUSE_REQUIRE(name.IsString(), Code::kInputType, "names", "Expected strings in names");
    names.push_back(name.As<Napi::String>().Utf8Value());
  }
  const std::vector<int64_t> integers = call.integers(3, "program");
  const Span<const float> floats = call.f32(4, "numbers"), parameters = call.f32(5, "parameters"),
                          constants = call.f32(6, "constants");
  const std::shared_ptr<FusionTraining> training =
      fusion_training_create(names, integers, floats.data, floats.size, parameters.data, parameters.size,
                             constants.data, constants.size);
  return make_handle(call.env(), kTrainingTag, training, training->bytes());
}

// fusionTrainerRun(exec, cancel, handle, films, values, shapes, lengths?, targets, weights?, present,
//   variants?, rows, batch, rates)
//   values: Float32Array[], an empty one for a modality that is absent everywhere; shapes: steps and variants
//   of each; lengths: Int32Array (modalities, films)
// -> [losses, losses of each head, norms, end], as TrainingReport
Napi::Value fusion_trainer_run_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto training = open_handle<FusionTraining>(call.argument(2), kTrainingTag, "trainer");
  TrainingData data{};
  data.films = call.integer(3, "films");
  const std::vector<Span<const float>> values = call.f32_list(4, "modalities");
  const std::vector<int64_t> shapes = call.integers(5, "shapes");
  const Span<const int32_t> lengths = call.i32_optional(6, "lengths");
  CINEFUSE_REQUIRE(shapes.size() == 2 * values.size(), Code::kShape, "shapes",
                   "Expected %zu numbers for shapes, received %zu", 2 * values.size(), shapes.size());
  CINEFUSE_REQUIRE(!lengths.data || lengths.size == values.size() * static_cast<size_t>(data.films),
                   Code::kShape, "lengths", "Expected lengths of shape (modalities, films), received %zu",
                   lengths.size);
  for (size_t m = 0; m < values.size(); ++m) {
    TrainingData::Modality modality;
    if (values[m].size) modality.values = values[m].data;
    modality.size = values[m].size;
    modality.steps = shapes[2 * m];
    modality.variants = shapes[2 * m + 1];
    if (lengths.data) {
      modality.lengths = lengths.data + m * static_cast<size_t>(data.films);
      modality.lengths_size = static_cast<size_t>(data.films);
    }
    data.modalities.push_back(modality);
  }
  for (const Span<const float>& target : call.f32_list(7, "targets")) {
    data.targets.push_back({target.data, target.size});
  }
  const Span<const float> weights = call.f32_optional(8, "weights");
  data.weights = weights.data;
  data.weights_size = weights.size;
  const Span<const uint8_t> present = call.u8(9, "present");
  data.present = present.data;
  data.present_size = present.size;
  if (!call.absent(10)) {
    const Span<const uint8_t> variants = call.u8(10, "variants");
    data.variants = variants.data;
    data.variants_size = variants.size;
  }
  const Span<const int32_t> rows = call.i32(11, "rows");
  const Span<const float> rates = call.f32(13, "learningRates");
  const TrainingSteps steps{rows.data, rows.size, call.integer(12, "batchSize"), rates.data, rates.size};
  fusion_training_check(*training, data, steps);
  TrainingReport report{};
  const size_t count = rates.size;
  report.losses = call.out_f32(14, "losses", count).data;
  report.each = call.out_f32(15, "headLosses", count * training->program.losses.size()).data;
  report.norms = call.out_f32(16, "gradientNorms", count).data;
  report.end = call.out_i32(17, "end", 3).data;
  return call.run([training, data, steps, report](const Exec& exec) {
    fusion_training(*training, data, steps, report, exec);
  });
}

// fusionTrainerRead(handle, which) -> a copy: of parameters 0, first moments 1, second moments 2
Napi::Value fusion_trainer_read_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto training = open_handle<FusionTraining>(call.argument(2), kTrainingTag, "trainer");
  const std::vector<float>& from = array_of(*training, call.integer(3, "which"), false);
  const Span<float> out = call.out_f32(4, "out", from.size());
  std::copy(from.begin(), from.end(), out.data);
  return call.run([](const Exec&) {});
}

// fusionTrainerWrite(handle, which, values)
Napi::Value fusion_trainer_write_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto training = open_handle<FusionTraining>(call.argument(2), kTrainingTag, "trainer");
  std::vector<float>& to = array_of(*training, call.integer(3, "which"), true);
  const Span<const float> from = call.f32(4, "values");
  CINEFUSE_REQUIRE(from.size == to.size(), Code::kShape, "values", "Expected %zu elements, received %zu",
                   to.size(), from.size);
  std::copy(from.data, from.data + from.size, to.begin());
  return call.env().Undefined();
}

// fusionTrainerStep(handle, step?) -> steps done, after setting them
Napi::Value fusion_trainer_step_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto training = open_handle<FusionTraining>(call.argument(2), kTrainingTag, "trainer");
  if (!call.absent(3)) {
    array_of(*training, 0, true);
    const int64_t step = call.integer(3, "step");
    CINEFUSE_REQUIRE(step >= 0, Code::kInputValue, "step", "Expected a step of 0 or more, received %lld",
                     static_cast<long long>(step));
    training->step = step;
  }
  return Napi::Number::New(call.env(), static_cast<double>(training->step));
}

}  // namespace cinefuse
