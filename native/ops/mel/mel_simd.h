#pragma once
#include <stdint.h>

namespace cinefuse {

constexpr int kMaxLanes = 16;
constexpr int kMaxFftStages = 24;
constexpr int kMaxRadix = 31;  // largest prime with a butterfly of its own; beyond it Bluestein's algorithm

// An in-place transform of n complex points over W frames at once: point k is two vectors of W floats, the
// real and the imaginary parts of all frames. Decimation in frequency: natural order in, result k at
// where[k].
struct FftTables {
  int n;
  int stages;
  int radix[kMaxFftStages];
  const float* twiddles[kMaxFftStages];  // stage of length l, radix r: (l / r, r - 1) pairs re, im
  const float* roots[kMaxFftStages];     // (r) pairs e^(-2 pi i k / r) for radices without code of their own
  int block_vectors;     // vectors from one first-stage block to the next: 2 n / radix[0] and some padding
  int vectors;           // in all
  const int32_t* where;  // (n) number of the vector with the real part; the imaginary part follows
};

struct SpectrumTables {
  int n_fft, bins;
  bool even;              // n_fft / 2 complex points hold an even frame
  bool fused;             // first stage straight from the samples
  const float* window;    // (n_fft), halved for even frames
  FftTables fft;          // of n_fft / 2 (even) or n_fft points
  const float* untangle;  // (fft.n / 2 + 1) pairs e^(-2 pi i k / n_fft), even frames
  // Bluestein: fft is of a longer, smooth length; chirp (points) pairs, filter (fft.n) pairs in natural order
  int points;            // n_fft / 2 or n_fft
  const int32_t* where;  // (points) where the transform's results lie: fft.where, or 2 k after Bluestein
  const float* chirp;    // null: the transform is fft itself
  const float* filter;
};

struct BankTables {
  int n_mels;
  const int32_t* start;
  const int32_t* count;
  const float* weights;
};

struct MelSimd {
  int lanes;
  // Number of the first value of x that is not finite, or -1.
  long (*first_not_finite)(long n, const float* x);
  // p: (bins, W) = |FFT(window * row)|^2. rows: W pointers to n_fft samples. scratch: spectrum_floats()
  // floats.
  void (*spectrum)(const SpectrumTables& tables, const float* const* rows, float* scratch, float* p);
  long (*spectrum_floats)(const SpectrumTables& tables);
  void (*raise)(long n, float power, float* p);  // p = p^(power / 2), n multiple of W
  // tile: (n_mels, W) from p: (bins, W).
  void (*bank)(const BankTables& tables, const float* p, float* tile);
  // One Kaldi frame: y = x - mean, then pre-emphasis; zeros from win_length to n_fft.
  void (*kaldi_frame)(long win_length, long n_fft, float preemphasis, const float* x, float* y);
  // y = max(factor * ln(max(s + offset, amin)) + shift, floor)
  void (*logarithm)(long n, const float* s, float* y, float offset, float amin, float factor, float shift,
                    float floor);
  float (*maximum)(long n, const float* s);  // of values >= 0; 0 for none
  // The first `frames` lanes of a (rows, W) tile to out[row * row_step + frame * frame_step], one step
  // being 1.
  void (*emit)(long rows, long frames, const float* tile, float* out, long row_step, long frame_step);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(MelSimd, mel_simd)
}
#endif
