#include "mel_device.h"

#include <algorithm>
#include <cmath>

#include "../../core/device.h"
#include "mel_plan.h"

namespace cinefuse {
namespace {

constexpr double kPerDecade = 0.43429448190325182765;  // log10 x = kPerDecade ln x

cinefuse_mel_curve decibel_curve(double ref, double amin, double top_db) {
  cinefuse_mel_curve c{};
  c.logarithm = 1;
  c.needs_top = ref == 0 || std::isfinite(top_db);
  c.ref_is_top = ref == 0;
  c.factor = static_cast<float>(10 * kPerDecade);
  c.amin = static_cast<float>(amin);
  c.shift = ref == 0 ? 0.f : static_cast<float>(-10 * std::log10(std::max<double>(c.amin, ref)));
  c.below_top = static_cast<float>(top_db);
  return c;
}

cinefuse_mel_curve curve_of(const MelParams& p) {
  cinefuse_mel_curve c{};
  switch (p.scaling) {
    case MelScaling::kPower:
      break;
    case MelScaling::kLog:
      c.logarithm = 1;
      c.factor = static_cast<float>(p.log_factor);
      c.offset = static_cast<float>(p.offset);
      c.amin = static_cast<float>(p.amin);
      break;
    case MelScaling::kDecibel:
      return decibel_curve(p.ref, p.amin, p.top_db);
    case MelScaling::kWhisper:
      c.logarithm = c.needs_top = 1;
      c.factor = static_cast<float>(kPerDecade / 4);
      c.amin = static_cast<float>(p.amin);
      c.shift = 1.f;
      c.below_top = 2.f;
      break;
  }
  return c;
}

std::vector<float> roots_of_unity(int64_t n) {
  std::vector<float> pairs(2 * n);
  for (int64_t k = 0; k < n; ++k) {
    const std::complex<double> w = unit_root(k, n);
    pairs[2 * k] = static_cast<float>(w.real());
    pairs[2 * k + 1] = static_cast<float>(w.imag());
  }
  return pairs;
}

std::shared_ptr<DeviceObject> create(const MelPlan& plan, const Exec& exec) {
  const MelParams& p = plan.params;
  const SpectrumTables& t = plan.spectrum;
  const std::vector<float> roots = roots_of_unity(t.n_fft);
  const std::vector<float> long_roots = roots_of_unity(t.chirp ? t.fft.n : 0);
  cinefuse_mel_description d{};
  d.n_fft = t.n_fft;
  d.win_length = p.win_length;
  d.hop_length = p.hop_length;
  d.n_mels = plan.bank.n_mels;
  d.padding = static_cast<int32_t>(p.padding);
  d.kaldi_frames = p.kaldi_frames;
  d.frames_first = p.frames_first;
  d.preemphasis = static_cast<float>(p.preemphasis);
  d.power = static_cast<float>(p.power);
  d.curve = curve_of(p);
  d.pad_to = p.pad_to;
  d.window = t.window;
  d.roots = roots.data();
  d.length = t.chirp ? t.fft.n : 0;
  d.long_roots = long_roots.data();
  d.chirp = t.chirp;
  d.filter = t.filter;
  d.bank_start = plan.bank.start;
  d.bank_count = plan.bank.count;
  d.bank_weights = plan.bank.weights;
  return create_on_device(exec, CINEFUSE_MEL, d);
}

}  // namespace

void mel_device(const MelPlan& plan, std::vector<MelClip>& clips, const Exec& exec) {
  const auto twin = plan.twins.get(exec, [&] { return create(plan, exec); });
  std::vector<cinefuse_mel_clip> list;
  list.reserve(clips.size());
  for (const MelClip& c : clips) list.push_back({c.samples, c.n_samples, c.n_frames, c.out});
  run_on_device(exec, CINEFUSE_MEL, *twin,
                cinefuse_mel_params{static_cast<int64_t>(list.size()), list.data()});
}

void power_to_db_device(const DecibelParams& p, const Exec& exec) {
  run_on_device(exec, CINEFUSE_POWER_TO_DB,
                cinefuse_power_to_db_params{decibel_curve(p.ref, p.amin, p.top_db), p.n, p.s, p.y});
}

}  // namespace cinefuse
