#include <algorithm>

#include "../../node/boundary.h"
#include "mel.h"

namespace cinefuse {
namespace {

const HandleTag kPlanTag = {"MelSpectrogram"};
// An open handle holds the plan alive.
struct Prepared {
  std::shared_ptr<const MelPlan> plan;
};

MelBankParams bank_params(const Call& call, size_t at) {
  MelBankParams p{};
  p.sample_rate = call.number(at, "sampleRate");
  p.n_fft = call.int32(at + 1, "nFft");
  p.n_mels = call.absent(at + 2) ? kNoMels : call.int32(at + 2, "nMels");
  p.f_min = call.number(at + 3, "fMin");
  p.f_max = call.number(at + 4, "fMax");
  p.scale = static_cast<MelScale>(call.int32(at + 5, "melScale"));
  p.area_norm = call.boolean(at + 6, "norm");
  return p;
}

}  // namespace

// melPlan(exec, cancel, sampleRate, nFft, nMels, fMin, fMax, melScale, areaNorm, winLength, hopLength,
// window, periodic, padding, kaldiFrames, preemphasis, power, scaling, logFactor, offset, amin, ref, topDb,
// framesFirst, dropLast, padTo) -> handle
Napi::Value mel_plan_node(const Napi::CallbackInfo& info) {
  Call call(info);
  MelParams p{};
  p.bank = bank_params(call, 2);
  p.win_length = call.int32(9, "winLength");
  p.hop_length = call.int32(10, "hopLength");
  p.window = static_cast<Window>(call.int32(11, "window"));
  p.periodic = call.boolean(12, "periodic");
  p.padding = static_cast<FramePadding>(call.int32(13, "padMode"));
  p.kaldi_frames = call.boolean(14, "kaldiFrames");
  p.preemphasis = call.number(15, "preemphasis");
  p.power = call.number(16, "power");
  p.scaling = static_cast<MelScaling>(call.int32(17, "scaling"));
  p.log_factor = call.number(18, "logFactor");
  p.offset = call.number(19, "offset");
  p.amin = call.number(20, "amin");
  p.ref = call.number(21, "ref");
  p.top_db = call.number(22, "topDb");
  p.frames_first = call.boolean(23, "framesFirst");
  p.drop_last = call.boolean(24, "dropLast");
  p.pad_to = call.integer(25, "padTo");
  auto prepared = std::make_shared<Prepared>();
  return call.run([=](const Exec&) { prepared->plan = mel_plan(p); },
                  [=](Napi::Env env) {
                    return make_handle(env, kPlanTag, prepared,
                                       static_cast<int64_t>(mel_plan_bytes(*prepared->plan)));
                  });
}

// melFrames(exec, cancel, plan, nSamples) -> frames of a clip
Napi::Value mel_frames_node(const Napi::CallbackInfo& info) {
  const Call call(info);
  const auto prepared = open_handle<Prepared>(call.argument(2), kPlanTag, "plan");
  const int64_t frames = mel_frames(*prepared->plan, call.integer(3, "nSamples"), -1);
  return Napi::Number::New(info.Env(), static_cast<double>(frames));
}

// mel(exec, cancel, plan, samples[], out?) -> [values of all clips end to end, frames of each clip]
Napi::Value mel_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto prepared = open_handle<Prepared>(call.argument(2), kPlanTag, "plan");
  const std::vector<Span<const float>> samples = call.f32_list(3, "samples");
  const bool one = samples.size() == 1;
  auto clips = std::make_shared<std::vector<MelClip>>(samples.size());
  int64_t frames = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    MelClip& clip = (*clips)[i];
    clip.samples = samples[i].data;
    clip.n_samples = static_cast<int64_t>(samples[i].size);
    clip.n_frames = mel_frames(*prepared->plan, clip.n_samples, one ? -1 : static_cast<int>(i));
    frames += clip.n_frames;
  }
  const int64_t rows = mel_rows(*prepared->plan);
  float* out = call.out_f32(4, "out", static_cast<size_t>(frames * rows)).data;
  int32_t* counts = call.out_i32(5, "nFrames", samples.size()).data;
  const float* const begin = out;
  const float* const end = out + frames * rows;
  for (size_t i = 0; i < clips->size(); ++i) {
    MelClip& clip = (*clips)[i];
    CINEFUSE_REQUIRE(clip.samples + clip.n_samples <= begin || clip.samples >= end, Code::kInputValue, "out",
                     "Expected memory of its own for out, received some that overlaps the samples");
    clip.out = out;
    out += clip.n_frames * rows;
    counts[i] = static_cast<int32_t>(clip.n_frames);
  }
  call.keep(prepared);
  return call.run([prepared, clips](const Exec& exec) { mel(*prepared->plan, *clips, exec); });
}

// melFilterbank(exec, cancel, sampleRate, nFft, nMels, fMin, fMax, melScale, areaNorm)
//   -> {start: Int32Array, count: Int32Array, weights: Float64Array}
Napi::Value mel_filterbank_node(const Napi::CallbackInfo& info) {
  const Call call(info);
  const MelBank bank = mel_filterbank(bank_params(call, 2));
  const Napi::Env env = info.Env();
  Napi::Int32Array start = Napi::Int32Array::New(env, bank.start.size());
  Napi::Int32Array count = Napi::Int32Array::New(env, bank.count.size());
  Napi::Float64Array weights = Napi::Float64Array::New(env, bank.weights.size());
  std::copy(bank.start.begin(), bank.start.end(), start.Data());
  std::copy(bank.count.begin(), bank.count.end(), count.Data());
  std::copy(bank.weights.begin(), bank.weights.end(), weights.Data());
  Napi::Object result = Napi::Object::New(env);
  result.Set("start", start);
  result.Set("count", count);
  result.Set("weights", weights);
  return result;
}

// powerToDb(exec, cancel, ref, amin, topDb, s, out?) -> y
Napi::Value power_to_db_node(const Napi::CallbackInfo& info) {
  Call call(info);
  DecibelParams p{};
  p.ref = call.number(2, "ref");
  p.amin = call.number(3, "amin");
  p.top_db = call.number(4, "topDb");
  const Span<const float> s = call.f32(5, "s");
  p.n = static_cast<int64_t>(s.size);
  p.s = s.data;
  p.y = call.out_f32(6, "out", s.size).data;
  return call.run([p](const Exec& exec) { power_to_db(p, exec); });
}

}  // namespace cinefuse
