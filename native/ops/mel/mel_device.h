// What the CUDA library is told of spectrograms and decibels; conventions as in mel.h.
#pragma once
#include <stdint.h>

// y = factor * ln(max(s + offset, amin)) + shift of energies s. With needs_top, z being this y of the clip's
// largest s: y less z where ref_is_top, then raised to the largest y - below_top.
struct cinefuse_mel_curve {
  int32_t logarithm;  // 0: y = s
  int32_t needs_top;
  int32_t ref_is_top;
  float factor, offset, amin, shift;
  float below_top;  // may be infinite
};

// Tables are float32 of float64 results; pairs are real and imaginary parts.
struct cinefuse_mel_description {
  int32_t n_fft, win_length, hop_length;
  int32_t n_mels;   // 0: no bank, the bins are the rows
  int32_t padding;  // enum class FramePadding
  int32_t kaldi_frames, frames_first;
  float preemphasis, power;
  int32_t reserved;
  cinefuse_mel_curve curve;
  int64_t pad_to;
  const float* window;  // (n_fft), halved for even n_fft
  const float* roots;   // (n_fft) pairs e^(-2 pi i k / n_fft)
  // Bluestein's algorithm, where the transform's length has large prime factors: a smooth length, its roots,
  // chirp of n_fft / 2 (even) or n_fft pairs, filter of `length` pairs. Else 0 and null.
  int64_t length;
  const float* long_roots;
  const float* chirp;
  const float* filter;
  const int32_t* bank_start;  // (n_mels)
  const int32_t* bank_count;  // (n_mels)
  const float* bank_weights;  // of all bands end to end
};

struct cinefuse_mel_clip {
  const float* samples;
  int64_t n_samples, n_frames;
  float* out;
};

struct cinefuse_mel_params {
  int64_t n_clips;
  const cinefuse_mel_clip* clips;
};

struct cinefuse_power_to_db_params {
  cinefuse_mel_curve curve;
  int64_t n;
  const float* s;
  float* y;
};
