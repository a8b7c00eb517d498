#include "../../node/boundary.h"
#include "lstm_backward.h"

namespace cinefuse {
namespace {

const HandleTag kLstmTag = {"Lstm"};

int64_t size_or_none(const Call& call, size_t index, size_t size) {
  return call.absent(index) ? -1 : static_cast<int64_t>(size);
}

// inputSize, hiddenSize, directions, weightInput, weightHidden, bias? from argument 2 on
LstmShape read_layer(Call& call, LstmWeights& weights) {
  const LstmShape shape{call.integer(2, "inputSize"), call.integer(3, "hiddenSize"),
                        call.int32(4, "directions")};
  const Span<const float> input = call.f32(5, "weightInput"), hidden = call.f32(6, "weightHidden"),
                          bias = call.f32_optional(7, "bias");
  lstm_check(shape, input.size, hidden.size, size_or_none(call, 7, bias.size));
  weights = {input.data, hidden.data, bias.data};
  return shape;
}

// batch, time, x, lengths?, h0?, c0? from argument `first` on
struct Sequence {
  LstmSequence q{};
  Span<const float> x, h0, c0;
};
Sequence read_sequence(Call& call, size_t first, const LstmShape& shape) {
  Sequence s;
  s.q.batch = call.integer(first, "batch");
  s.q.time = call.integer(first + 1, "time");
  s.x = call.f32(first + 2, "x");
  const Span<const int32_t> lengths = call.i32_optional(first + 3, "lengths");
  s.h0 = call.f32_optional(first + 4, "h0");
  s.c0 = call.f32_optional(first + 5, "c0");
  // A copy: what the check has seen is what the work uses, whatever JavaScript writes meanwhile.
  if (!call.absent(first + 3)) {
    s.q.lengths = std::make_shared<const std::vector<int32_t>>(lengths.data, lengths.data + lengths.size);
  }
  lstm_check_sequence(shape, s.q, s.x.size, size_or_none(call, first + 4, s.h0.size),
                      size_or_none(call, first + 5, s.c0.size));
  s.q.x = s.x.data;
  s.q.h0 = s.h0.data;
  s.q.c0 = s.c0.data;
  return s;
}

LstmResult results(Call& call, size_t out, const LstmShape& shape, const Sequence& s) {
  const size_t steps = static_cast<size_t>(s.q.batch * s.q.time * shape.width());
  const size_t ends = static_cast<size_t>(s.q.batch * shape.width());
  const Span<float> y = call.out_f32(out, "out", steps);
  for (const Span<const float>& from : {s.x, s.h0, s.c0}) {
    require_apart(from.data, from.size, y.data, y.size);
  }
  return {y.data, call.out_f32(SIZE_MAX, "h", ends).data, call.out_f32(SIZE_MAX, "c", ends).data, nullptr};
}

}  // namespace

// lstmPrepare(exec, cancel, inputSize, hiddenSize, directions, weightInput, weightHidden, bias?) -> handle
Napi::Value lstm_prepare_node(const Napi::CallbackInfo& info) {
  Call call(info);
  LstmWeights weights{};
  const LstmShape shape = read_layer(call, weights);
  const auto layer = std::make_shared<Lstm>();
  return call.run(
      [=](const Exec& exec) { *layer = lstm_prepare(shape, weights, exec); },
      [=](Napi::Env env) { return make_handle(env, kLstmTag, layer, static_cast<int64_t>(layer->bytes())); });
}

// lstmRun(exec, cancel, handle, batch, time, x, lengths?, h0?, c0?, out?) -> [y, h, c]
Napi::Value lstm_run_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto layer = open_handle<Lstm>(call.argument(2), kLstmTag, "handle");
  const Sequence s = read_sequence(call, 3, layer->shape);
  const LstmResult result = results(call, 9, layer->shape, s);
  return call.run([=](const Exec& exec) { lstm(*layer, s.q, result, exec); });
}

// lstmForward(exec, cancel, inputSize, hiddenSize, directions, weightInput, weightHidden, bias?, batch, time,
// x, lengths?, h0?, c0?) -> [y, h, c, saved]
Napi::Value lstm_forward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  LstmWeights weights{};
  const LstmShape shape = read_layer(call, weights);
  const Sequence s = read_sequence(call, 8, shape);
  LstmResult result = results(call, SIZE_MAX, shape, s);
  const size_t steps = static_cast<size_t>(s.q.batch * s.q.time * shape.width());
  result.saved = call.out_f32(SIZE_MAX, "saved", 5 * steps).data;
  return call.run([=](const Exec& exec) { lstm_forward(shape, weights, s.q, result, exec); });
}

// lstmBackward(exec, cancel, inputSize, hiddenSize, directions, weightInput, weightHidden, undefined, batch,
// time, x, lengths?, h0?, c0?, y, saved, dy?, dh?, dc?, inputGradient)
//   -> [dx (empty), dWeightInput, dWeightHidden, dBias, dh0, dc0]
Napi::Value lstm_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  LstmWeights weights{};
  const LstmShape shape = read_layer(call, weights);
  const Sequence s = read_sequence(call, 8, shape);
  const Span<const float> y = call.f32(14, "y"), saved = call.f32(15, "saved"),
                          dy = call.f32_optional(16, "dy"), dh = call.f32_optional(17, "dh"),
                          dc = call.f32_optional(18, "dc");
  lstm_backward_check(shape, s.q,
                      {y.size, saved.size, size_or_none(call, 16, dy.size), size_or_none(call, 17, dh.size),
                       size_or_none(call, 18, dc.size)});
  const bool give_dx = call.boolean(19, "inputGradient");
  const size_t gates = static_cast<size_t>(shape.directions * shape.gates());
  const size_t ends = static_cast<size_t>(s.q.batch * shape.width());
  LstmGradients g{};
  g.y = y.data;
  g.saved = saved.data;
  g.dy = dy.data;
  g.dh = dh.data;
  g.dc = dc.data;
  float* const dx = call.out_f32(SIZE_MAX, "dx", give_dx ? s.x.size : 0).data;
  g.dx = give_dx ? dx : nullptr;
  g.dinput = call.out_f32(SIZE_MAX, "dWeightInput", gates * static_cast<size_t>(shape.input)).data;
  g.dhidden = call.out_f32(SIZE_MAX, "dWeightHidden", gates * static_cast<size_t>(shape.hidden)).data;
  g.db = call.out_f32(SIZE_MAX, "dBias", gates).data;
  g.dh0 = call.out_f32(SIZE_MAX, "dh0", ends).data;
  g.dc0 = call.out_f32(SIZE_MAX, "dc0", ends).data;
  return call.run([=](const Exec& exec) { lstm_backward(shape, weights, s.q, g, exec); });
}

}  // namespace cinefuse
