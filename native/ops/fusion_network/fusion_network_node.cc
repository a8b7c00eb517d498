#include "../../node/boundary.h"
#include "fusion_network.h"

namespace cinefuse {
namespace {

constexpr HandleTag kNetworkTag = {"fusion network"};

}  // namespace

// createFusionNetwork(names, description, weights) -> handle. On the calling thread: packs every weight once.
Napi::Value create_fusion_network_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const Napi::Value list = call.argument(2);
  CINEFUSE_REQUIRE(list.IsArray(), Code::kInputType, "names", "Expected an array of strings for names");
  const Napi::Array array = list.As<Napi::Array>();
  std::vector<std::string> names;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    CINEFUSE_REQUIRE(array.Get(i).IsString(), Code::kInputType, "names", "Expected strings in names");
    names.push_back(array.Get(i).As<Napi::String>().Utf8Value());
  }
  std::vector<NetworkWeight> weights;
  for (const Span<const float>& span : call.f32_list(4, "weights")) weights.push_back({span.data, span.size});
  const std::shared_ptr<const FusionNetwork> network =
      fusion_network_build(names, call.integers(3, "description"), weights);
  const int64_t bytes = network->bytes;
  return make_handle(call.env(), kNetworkTag, std::const_pointer_cast<FusionNetwork>(network), bytes);
}

// fusionNetwork(exec, cancel, handle, batch, present, inputs, steps, lengths?, sequenceWeights, out?)
//   inputs: Float32Array[], an empty one for a modality that is absent everywhere; steps: integers, one a
//   modality; lengths: Int32Array (modalities, batch); sequenceWeights: whether to give out the weights of
//   the sequences
// -> [heads, modalityWeights (empty when the kind has none), weights of all sequences given, one after the
// other]
Napi::Value fusion_network_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto network = open_handle<FusionNetwork>(call.argument(2), kNetworkTag, "network");
  const size_t count = network->modalities.size();
  FusionNetworkParams params{};
  params.batch = call.integer(3, "batch");
  const Span<const uint8_t> present = call.u8(4, "present");
  params.present = present.data;
  params.present_size = present.size;
  const std::vector<Span<const float>> arrays = call.f32_list(5, "inputs");
  const std::vector<int64_t> steps = call.integers(6, "steps");
  const Span<const int32_t> lengths = call.i32_optional(7, "lengths");
  const bool give_weights = call.boolean(8, "sequenceWeights");
  CINEFUSE_REQUIRE(arrays.size() == count && steps.size() == count, Code::kShape, "inputs",
                   "Expected %zu inputs, received %zu with %zu steps", count, arrays.size(), steps.size());
  CINEFUSE_REQUIRE(!lengths.data || lengths.size == count * static_cast<size_t>(params.batch), Code::kShape,
                   "lengths", "Expected lengths of shape (modalities, batch), received %zu", lengths.size);
  auto inputs = std::make_shared<std::vector<NetworkInput>>(count);
  for (size_t i = 0; i < count; ++i) {
    NetworkInput& input = (*inputs)[i];
    if (arrays[i].size == 0) continue;
    input.x = arrays[i].data;
    input.size = arrays[i].size;
    input.steps = steps[i];
    if (lengths.data && network->modalities[i].pooling != Pooling::kNone) {
      input.lengths = lengths.data + i * static_cast<size_t>(params.batch);
    }
  }
  params.inputs = inputs->data();
  fusion_network_check(*network, params);
  const size_t batch = static_cast<size_t>(params.batch);
  params.heads = call.out_f32(9, "out", batch * static_cast<size_t>(network->outputs)).data;
  params.modality_weights =
      call.out_f32(10, "modalityWeights", network->has_weights() ? batch * count : 0).data;
  size_t sequence_weights = 0;
  for (size_t i = 0; give_weights && i < count; ++i) {
    if (network->modalities[i].pooling != Pooling::kNone && (*inputs)[i].x) {
      sequence_weights += batch * static_cast<size_t>((*inputs)[i].steps);
    }
  }
  float* weights = call.out_f32(11, "sequenceWeights", sequence_weights).data;
  for (size_t i = 0; give_weights && i < count; ++i) {
    NetworkInput& input = (*inputs)[i];
    if (network->modalities[i].pooling == Pooling::kNone || !input.x) continue;
    input.weights = weights;
    weights += batch * static_cast<size_t>(input.steps);
  }
  if (!network->has_weights()) params.modality_weights = nullptr;
  return call.run([params, network, inputs](const Exec& exec) { fusion_network(*network, params, exec); });
}

}  // namespace cinefuse
