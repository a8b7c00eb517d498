// Spectrograms of mono clips, with or without a mel filterbank.
//
//   S[m, t] = sum_k B[m, k] * |sum_n w[n] x[t * hop + n - pad] e^(-2 pi i k n / n_fft)|^power
//
// B is the (n_mels, bins) triangular filterbank, bins = n_fft / 2 + 1; without it the bins themselves are the
// rows. pad = n_fft / 2 on both sides for centred frames, else 0. The window stands in the middle of the
// frame, except Kaldi's (at its start, with mean removal and pre-emphasis of every frame before it).
//
// Scalings of S:
//   power    as it is
//   log      factor * ln(max(S + offset, amin))
//   decibel  10 log10(max(S, amin)) - 10 log10(max(ref, amin)), then raised to its maximum - top_db
//   whisper  g = log10(max(S, amin)), raised to its maximum - 8, then (g + 4) / 4
// Maxima are over one clip. Samples float32, finite; all tables are made in float64. Sources: librosa 0.11
// (librosa.feature.melspectrogram, power_to_db), openai/whisper audio.py, Kaldi feature-fbank.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "../../core/exec.h"

namespace cinefuse {

enum class Window : int { kHann = 0, kHamming, kBlackman, kRectangular, kPovey };
enum class FramePadding : int { kNone = 0, kZero, kReflect, kEdge };
// kKaldi: mel = 1127 ln(1 + f/700), the triangles' sides straight in mel instead of Hz, no Nyquist bin.
enum class MelScale : int { kSlaney = 0, kHtk, kKaldi };
enum class MelScaling : int { kPower = 0, kLog, kDecibel, kWhisper };

constexpr int kNoMels = INT32_MIN;

struct MelBankParams {
  double sample_rate;  // Hz
  int n_fft;
  int n_mels;           // or kNoMels: no bank, sampleRate and what follows unused
  double f_min, f_max;  // Hz
  MelScale scale;
  bool area_norm;  // times 2 / (width of the band in Hz)
};

struct MelParams {
  MelBankParams bank;
  int win_length, hop_length;  // samples
  Window window;
  bool periodic;  // window of win_length + 1 without its last value
  FramePadding padding;
  bool kaldi_frames;   // window at the frame's start, mean removal, pre-emphasis; no padding, no pad_to
  double preemphasis;  // of Kaldi frames
  double power;        // > 0; 1 magnitude, 2 power
  MelScaling scaling;
  double log_factor, offset;  // kLog
  double amin;                // > 0; kLog, kDecibel, kWhisper
  double ref;                 // kDecibel; 0: the clip's maximum
  double top_db;              // kDecibel; infinity: none
  bool frames_first;          // result (n_frames, rows) instead of (rows, n_frames)
  bool drop_last;             // without the last frame
  int64_t pad_to;             // shorter clips are followed by zeros up to this many samples; 0: as they are
};

// Rows of the sparse filterbank: row i holds count[i] weights from bin start[i], end to end in `weights`.
struct MelBank {
  std::vector<int32_t> start, count;
  std::vector<double> weights;
};
MelBank mel_bank(const MelBankParams& params);        // unchecked
MelBank mel_filterbank(const MelBankParams& params);  // the front door to it

class MelPlan;                                                     // mel_plan.h
std::shared_ptr<const MelPlan> mel_plan(const MelParams& params);  // checks and builds all tables
int mel_rows(const MelPlan& plan);                                 // n_mels, or the bins without a bank
size_t mel_plan_bytes(const MelPlan& plan);
// Frames of a clip. Throws ERR_SHAPE for one that is too short or too long; `clip` < 0: the only one.
int64_t mel_frames(const MelPlan& plan, int64_t n_samples, int clip);

struct MelClip {
  const float* samples;
  int64_t n_samples;
  int64_t n_frames;
  float* out;          // (rows, n_frames) or (n_frames, rows)
  int first_task = 0;  // the rest is the operator's own
  std::atomic<float> top{0};
};
// Clips of any lengths. Throws ERR_INPUT_VALUE with clip and index for a sample that is not finite.
void mel(const MelPlan& plan, std::vector<MelClip>& clips, const Exec& exec);

// y = decibel scaling of s as above, of n values >= 0 that share one maximum; y may be s.
struct DecibelParams {
  double ref, amin, top_db;
  int64_t n;
  const float* s;  // not NaN
  float* y;
};
void power_to_db(const DecibelParams& params, const Exec& exec);

}  // namespace cinefuse
