#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "../../core/pool.h"
#include "mel_plan.h"
#include "mel_simd.h"

namespace cinefuse {
namespace {

constexpr int64_t kChunk = 16384;                      // values a task of the elementwise second pass
constexpr double kPerDecade = 0.43429448190325182765;  // log10 x = kPerDecade ln x
constexpr float kLowest = -std::numeric_limits<float>::infinity();

int64_t padding_of(const MelParams& p) { return p.padding == FramePadding::kNone ? 0 : p.bank.n_fft / 2; }

// The sample that stands at `i`, which may lie outside [0, length) once centred frames are padded.
float padded_sample(const MelParams& p, const MelClip& clip, int64_t length, int64_t i) {
  if (i < 0 || i >= length) {
    switch (p.padding) {
      case FramePadding::kReflect: {
        const int64_t period = std::max<int64_t>(1, 2 * (length - 1));
        i = ((i % period) + period) % period;
        if (i >= length) i = period - i;
        break;
      }
      case FramePadding::kEdge:
        i = i < 0 ? 0 : length - 1;
        break;
      default:
        return 0.f;
    }
  }
  return i < clip.n_samples ? clip.samples[i] : 0.f;  // beyond it there are the zeros up to pad_to
}

struct Worker {
  const MelPlan& plan;
  const MelSimd& simd;
  float* frames;   // (W, n_fft) copies of frames that the samples do not hold as they are
  float* scratch;  // of the transform
  float* bins;     // (bins, W)
  float* tile;     // (n_mels, W)

  Worker(const MelPlan& p, const MelSimd& s) : plan(p), simd(s) {
    const size_t w = s.lanes;
    const size_t size[] = {w * p.params.bank.n_fft, static_cast<size_t>(s.spectrum_floats(p.spectrum)),
                           w * p.bins(), w * p.rows()};
    float** const part[] = {&frames, &scratch, &bins, &tile};
    size_t total = 0;
    for (size_t n : size) total += (n + 15) / 16 * 16;
    float* at = thread_scratch(0, total);
    for (int i = 0; i < 4; ++i) {
      *part[i] = at;
      at += (size[i] + 15) / 16 * 16;
    }
  }

  // n_fft samples of frame f: in place where they lie whole in the clip, else copied to `copy`.
  const float* frame(const MelClip& clip, int64_t length, int64_t f, float* copy) const {
    const MelParams& p = plan.params;
    const int n_fft = p.bank.n_fft;
    const int64_t start = f * p.hop_length - padding_of(p);
    if (p.kaldi_frames) {
      simd.kaldi_frame(p.win_length, n_fft, static_cast<float>(p.preemphasis), clip.samples + start, copy);
      return copy;
    }
    if (start >= 0 && start + n_fft <= clip.n_samples) return clip.samples + start;
    const int64_t inner = std::clamp<int64_t>(-start, 0, n_fft);  // where the samples begin,
    const int64_t zeros =
        std::clamp<int64_t>(clip.n_samples - start, inner, n_fft);            // the zeros up to pad_to,
    const int64_t outer = std::clamp<int64_t>(length - start, zeros, n_fft);  // and the padding after them
    for (int64_t i = 0; i < inner; ++i) copy[i] = padded_sample(p, clip, length, start + i);
    if (zeros > inner)
      std::memcpy(copy + inner, clip.samples + start + inner, sizeof(float) * (zeros - inner));
    std::memset(copy + zeros, 0, sizeof(float) * (outer - zeros));
    for (int64_t i = outer; i < n_fft; ++i) copy[i] = padded_sample(p, clip, length, start + i);
    return copy;
  }

  // W frames from f0 on, all the way into clip.out. Lanes beyond the last frame repeat it, and are not
  // written. Returns the largest value.
  float block(const MelClip& clip, int64_t f0) const {
    const MelParams& p = plan.params;
    const int64_t length = p.pad_to ? p.pad_to : clip.n_samples;
    const int lanes = simd.lanes, n_fft = p.bank.n_fft;
    const int valid = static_cast<int>(std::min<int64_t>(lanes, clip.n_frames - f0));
    const int64_t start = f0 * p.hop_length - padding_of(p);
    if (start >= clip.n_samples && start + (valid - 1) * p.hop_length + n_fft <= length) {
      std::memset(bins, 0, sizeof(float) * plan.bins() * lanes);  // nothing but the zeros up to pad_to
    } else {
      const float* rows[kMaxLanes];
      for (int i = 0; i < lanes; ++i) {
        rows[i] =
            i < valid ? frame(clip, length, f0 + i, frames + static_cast<int64_t>(i) * n_fft) : rows[i - 1];
      }
      simd.spectrum(plan.spectrum, rows, scratch, bins);
      simd.raise(static_cast<long>(plan.bins()) * lanes, static_cast<float>(p.power), bins);
    }
    float* result = bins;
    if (p.bank.n_mels != kNoMels) {
      simd.bank(plan.bank, bins, tile);
      result = tile;
    }
    const int64_t n_rows = plan.rows(), n = n_rows * lanes;
    float top = 0;
    if (plan.needs_top()) {
      top = simd.maximum(n, result);
    } else if (p.scaling == MelScaling::kLog) {
      simd.logarithm(n, result, result, static_cast<float>(p.offset), static_cast<float>(p.amin),
                     static_cast<float>(p.log_factor), 0.f, kLowest);
    } else if (p.scaling == MelScaling::kDecibel) {
      simd.logarithm(n, result, result, 0.f, static_cast<float>(p.amin), static_cast<float>(10 * kPerDecade),
                     static_cast<float>(-10 * std::log10(std::max(p.amin, p.ref))), kLowest);
    }
    if (p.frames_first) {
      simd.emit(n_rows, valid, result, clip.out + f0 * n_rows, 1, n_rows);
    } else {
      simd.emit(n_rows, valid, result, clip.out + f0, clip.n_frames, 1);
    }
    return top;
  }
};

// factor * ln(max(s, amin)) + shift, at least floor: the second pass of the scalings that need a maximum
struct Curve {
  float amin, factor, shift, floor;
};

Curve decibel_curve(double ref, double amin, double top_db, double top) {
  const double least = static_cast<float>(amin);
  const double shift = -10 * std::log10(std::max(least, ref == 0 ? top : ref));
  const double highest = 10 * std::log10(std::max(least, top)) + shift;
  return {static_cast<float>(amin), static_cast<float>(10 * kPerDecade), static_cast<float>(shift),
          static_cast<float>(highest - top_db)};
}

Curve whisper_curve(double amin, double top) {
  const double highest = std::log10(std::max<double>(static_cast<float>(amin), top));
  return {static_cast<float>(amin), static_cast<float>(kPerDecade / 4), 1.f,
          static_cast<float>((highest - 8 + 4) / 4)};
}

// Raises a shared maximum. Values >= 0, whose bits order as integers do.
void raise_top(std::atomic<float>& top, float value) {
  float seen = top.load(std::memory_order_relaxed);
  while (seen < value && !top.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

// The first of all samples that is not finite, whichever task met one.
[[noreturn]] void refuse_not_finite(const MelSimd& simd, const std::vector<MelClip>& clips) {
  for (size_t i = 0; i < clips.size(); ++i) {
    const long index = simd.first_not_finite(clips[i].n_samples, clips[i].samples);
    if (index < 0) continue;
    const std::string field = clips.size() == 1 ? "samples" : format("samples[%zu]", i);
    throw Error(Code::kInputValue, field,
                format("Expected finite numbers for %s, received %g at index %ld", field.c_str(),
                       static_cast<double>(clips[i].samples[index]), index));
  }
  throw Error(Code::kInternal, "samples", "The samples changed while they were read");
}

}  // namespace

void mel_cpu(const MelPlan& plan, std::vector<MelClip>& clips, const Exec& exec) {
  const MelSimd& simd = mel_simd(exec.isa);
  int64_t blocks = 0;
  for (const MelClip& clip : clips) blocks += (clip.n_frames + simd.lanes - 1) / simd.lanes;
  // A block is some tens of microseconds; tasks of several, as long as every thread still gets a few.
  const int64_t blocks_a_task = std::clamp<int64_t>(blocks / (4 * exec.threads), 1, 8);
  const int64_t frames_a_task = blocks_a_task * simd.lanes;
  int tasks = 0;
  for (MelClip& clip : clips) {
    clip.first_task = tasks;
    tasks += static_cast<int>((clip.n_frames + frames_a_task - 1) / frames_a_task);
  }
  const auto owner = [&](int task) {
    const auto after = std::upper_bound(clips.begin(), clips.end(), task,
                                        [](int t, const MelClip& clip) { return t < clip.first_task; });
    return static_cast<size_t>(after - clips.begin()) - 1;
  };

  parallel_for(exec, tasks, [&](int task) {
    MelClip& clip = clips[owner(task)];
    const int64_t begin = (task - clip.first_task) * frames_a_task;
    const int64_t end = std::min(clip.n_frames, begin + frames_a_task);
    // Every sample is looked at, the task's share of them just before use.
    const auto share = [&](int64_t f) {
      return f == clip.n_frames ? clip.n_samples : std::min(clip.n_samples, f * plan.params.hop_length);
    };
    if (simd.first_not_finite(share(end) - share(begin), clip.samples + share(begin)) >= 0) {
      refuse_not_finite(simd, clips);
    }
    const Worker worker(plan, simd);
    float top = 0;
    for (int64_t f = begin; f < end; f += simd.lanes) top = std::max(top, worker.block(clip, f));
    raise_top(clip.top, top);
  });
  if (!plan.needs_top()) return;

  const MelParams& p = plan.params;
  tasks = 0;
  for (MelClip& clip : clips) {
    clip.first_task = tasks;
    tasks += static_cast<int>((clip.n_frames * plan.rows() + kChunk - 1) / kChunk);
  }
  parallel_for(exec, tasks, [&](int task) {
    const MelClip& clip = clips[owner(task)];
    const double top = clip.top.load(std::memory_order_relaxed);
    const Curve curve = p.scaling == MelScaling::kWhisper ? whisper_curve(p.amin, top)
                                                          : decibel_curve(p.ref, p.amin, p.top_db, top);
    const int64_t begin = (task - clip.first_task) * kChunk;
    const int64_t n = std::min(kChunk, clip.n_frames * plan.rows() - begin);
    float* values = clip.out + begin;
    simd.logarithm(n, values, values, 0.f, curve.amin, curve.factor, curve.shift, curve.floor);
  });
}

void power_to_db_cpu(const DecibelParams& p, const Exec& exec) {
  const MelSimd& simd = mel_simd(exec.isa);
  const int tasks = static_cast<int>((p.n + kChunk - 1) / kChunk);
  std::atomic<float> top{0.f};
  const auto length = [&](int task) { return std::min(kChunk, p.n - task * kChunk); };
  parallel_for(exec, tasks,
               [&](int task) { raise_top(top, simd.maximum(length(task), p.s + task * kChunk)); });
  const Curve curve = decibel_curve(p.ref, p.amin, p.top_db, top.load());
  parallel_for(exec, tasks, [&](int task) {
    simd.logarithm(length(task), p.s + task * kChunk, p.y + task * kChunk, 0.f, curve.amin, curve.factor,
                   curve.shift, curve.floor);
  });
}

}  // namespace cinefuse
