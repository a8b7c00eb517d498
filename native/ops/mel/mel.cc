#include "mel.h"

#include <cfloat>
#include <cmath>

#include "mel_plan.h"

namespace cinefuse {

void mel_cpu(const MelPlan& plan, std::vector<MelClip>& clips, const Exec& exec);
void mel_device(const MelPlan& plan, std::vector<MelClip>& clips, const Exec& exec);
void power_to_db_cpu(const DecibelParams& params, const Exec& exec);
void power_to_db_device(const DecibelParams& params, const Exec& exec);

namespace {

constexpr int kMostNFft = 1 << 16;
constexpr int kMostMels = 16384;
constexpr int64_t kMostSamples = int64_t{1} << 40;

void check_enum(int value, int count, const char* field) {
  CINEFUSE_REQUIRE(value >= 0 && value < count, Code::kInputValue, field, "Expected %s 0..%d, received %d",
                   field, count - 1, value);
}

void check_amin(double amin) {
  CINEFUSE_REQUIRE(amin >= FLT_MIN && amin <= FLT_MAX, Code::kInputValue, "amin",
                   "Expected amin from 1.2e-38 to 3.4e38, received %g", amin);
}

void check_decibel(double ref, double amin, double top_db) {
  check_amin(amin);
  CINEFUSE_REQUIRE(ref >= 0 && std::isfinite(ref), Code::kInputValue, "ref",
                   "Expected 'max' or a positive number for ref, received %g", ref);
  CINEFUSE_REQUIRE(top_db >= 0, Code::kInputValue, "topDb",
                   "Expected a number from 0 for topDb, or null for none, received %g", top_db);
}

void check_bank(const MelBankParams& p) {
  CINEFUSE_REQUIRE(p.n_fft >= 2 && p.n_fft <= kMostNFft, Code::kInputValue, "nFft",
                   "Expected an integer from 2 to %d for nFft, received %d", kMostNFft, p.n_fft);
  if (p.n_mels == kNoMels) return;
  CINEFUSE_REQUIRE(p.sample_rate > 0 && p.sample_rate <= 1e9, Code::kInputValue, "sampleRate",
                   "Expected a positive number of Hz for sampleRate, received %g", p.sample_rate);
  CINEFUSE_REQUIRE(p.n_mels >= 1 && p.n_mels <= kMostMels, Code::kInputValue, "nMels",
                   "Expected an integer from 1 to %d for nMels, received %d", kMostMels, p.n_mels);
  check_enum(static_cast<int>(p.scale), 3, "melScale");
  CINEFUSE_REQUIRE(p.f_min >= 0 && p.f_min < p.f_max && p.f_max <= p.sample_rate / 2, Code::kInputValue,
                   p.f_min >= 0 && p.f_min < p.sample_rate / 2 ? "fMax" : "fMin",
                   "Expected 0 <= fMin < fMax <= sampleRate / 2 = %g, received fMin %g and fMax %g",
                   p.sample_rate / 2, p.f_min, p.f_max);
}

void check(const MelParams& p) {
  check_bank(p.bank);
  CINEFUSE_REQUIRE(p.win_length >= 1 && p.win_length <= p.bank.n_fft, Code::kInputValue, "winLength",
                   "Expected an integer from 1 to nFft = %d for winLength, received %d", p.bank.n_fft,
                   p.win_length);
  CINEFUSE_REQUIRE(p.hop_length >= 1, Code::kInputValue, "hopLength",
                   "Expected an integer from 1 for hopLength, received %d", p.hop_length);
  check_enum(static_cast<int>(p.window), 5, "window");
  check_enum(static_cast<int>(p.padding), 4, "padMode");
  check_enum(static_cast<int>(p.scaling), 4, "scaling");
  CINEFUSE_REQUIRE(p.power > 0 && p.power <= 16, Code::kInputValue, "power",
                   "Expected a number above 0, at most 16, for power, received %g", p.power);
  CINEFUSE_REQUIRE(std::fabs(p.preemphasis) <= 1, Code::kInputValue, "preemphasis",
                   "Expected a number from -1 to 1 for preemphasis, received %g", p.preemphasis);
  CINEFUSE_REQUIRE(!p.kaldi_frames || (p.padding == FramePadding::kNone && p.pad_to == 0), Code::kInputValue,
                   "padMode", "Kaldi's frames are not padded");
  CINEFUSE_REQUIRE(p.pad_to >= 0 && p.pad_to <= kMostSamples, Code::kInputValue, "padTo",
                   "Expected a number of samples for padTo, received %lld", static_cast<long long>(p.pad_to));
  if (p.scaling == MelScaling::kDecibel) check_decibel(p.ref, p.amin, p.top_db);
  if (p.scaling == MelScaling::kWhisper) check_amin(p.amin);
  if (p.scaling == MelScaling::kLog) {
    check_amin(p.amin);
    CINEFUSE_REQUIRE(p.offset >= 0 && p.offset <= FLT_MAX, Code::kInputValue, "offset",
                     "Expected a number from 0 for offset, received %g", p.offset);
    CINEFUSE_REQUIRE(std::isfinite(p.log_factor), Code::kInputValue, "scaling",
                     "Expected a finite factor of the logarithm, received %g", p.log_factor);
  }
}

}  // namespace

std::shared_ptr<const MelPlan> mel_plan(const MelParams& params) {
  check(params);
  return std::make_shared<const MelPlan>(params);
}

MelBank mel_filterbank(const MelBankParams& params) {
  check_bank(params);
  return mel_bank(params);
}

int mel_rows(const MelPlan& plan) { return plan.rows(); }
size_t mel_plan_bytes(const MelPlan& plan) { return plan.bytes(); }

int64_t mel_frames(const MelPlan& plan, int64_t n_samples, int clip) {
  const MelParams& p = plan.params;
  const std::string field = clip < 0 ? "samples" : format("samples[%d]", clip);
  const auto fail = [&](int64_t least) {
    throw Error(Code::kShape, field,
                format("Expected at least %lld samples for %s, received %lld", static_cast<long long>(least),
                       field.c_str(), static_cast<long long>(n_samples)));
  };
  if (n_samples < 1) fail(1);
  CINEFUSE_REQUIRE(n_samples <= (p.pad_to ? p.pad_to : kMostSamples), Code::kShape, field,
                   "Expected at most %lld samples for %s, received %lld",
                   static_cast<long long>(p.pad_to ? p.pad_to : kMostSamples), field.c_str(),
                   static_cast<long long>(n_samples));
  const int64_t length = p.pad_to ? p.pad_to : n_samples;
  const int64_t pad = p.padding == FramePadding::kNone ? 0 : p.bank.n_fft / 2;
  const int64_t frame = p.kaldi_frames ? p.win_length : p.bank.n_fft;
  const int64_t dropped = p.drop_last ? 1 : 0;
  const int64_t least = frame - 2 * pad + dropped * p.hop_length;
  if (length < least) fail(least);
  return 1 + (length + 2 * pad - frame) / p.hop_length - dropped;
}

void mel(const MelPlan& plan, std::vector<MelClip>& clips, const Exec& exec) {
  exec.backend == Backend::kCpu ? mel_cpu(plan, clips, exec) : mel_device(plan, clips, exec);
}

void power_to_db(const DecibelParams& params, const Exec& exec) {
  check_decibel(params.ref, params.amin, params.top_db);
  exec.backend == Backend::kCpu ? power_to_db_cpu(params, exec) : power_to_db_device(params, exec);
}

}  // namespace cinefuse
