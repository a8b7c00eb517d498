// What the kernels of a spectrogram share: its tables on the device, the clips of a call, and the way in and
// out of every frame.
#pragma once
#include "../../cuda/device.h"
#include "mel_device.h"

namespace cinefuse::gpu {

constexpr int kMelMostStages = 24;
constexpr int kMelMostFrames = 32;  // of an item

struct MelTables {
  int n_fft, bins, rows, n_mels;  // n_mels 0: the bins are the rows
  int win_length, hop_length;
  int padding;  // enum class FramePadding
  int pad;      // samples on either side of the clip
  bool kaldi_frames, frames_first, even;
  float preemphasis, power;
  cinefuse_mel_curve curve;
  int64_t pad_to;
  const float* window;  // (n_fft)
  const float2* roots;  // (n_fft)
  const int4* bands;    // (n_mels) first bin, bins, and where the weights begin
  const float* bank_weights;
};

// Offsets in floats from the first clip's samples and results.
struct MelSpan {
  int64_t samples, n_samples, n_frames, out;
};
// What a block does at a time: frames of one clip from part * frames_an_item on.
struct MelItem {
  int clip, part;
};
struct MelWork {
  const MelSpan* clips;
  const MelItem* items;
  int64_t n_items;
  const float* samples;
  float* out;
  unsigned* tops;           // (clips) bits of the largest energy, if the curve needs it
  unsigned long long* bad;  // the least offset of a sample that is not finite
};

// frames_log: log2 of the frames an item holds at most.
struct MelGeneral {
  int frames_log;
  int points;  // n_fft / 2 of even frames, n_fft
  int length;  // of the transform: points, or more for Bluestein's algorithm
  int stages;
  int radix[kMelMostStages];
  int root_step;        // roots of `length` are every so many of `roots`
  const float2* roots;  // of `length` where there is a chirp, else the tables'
  const float2 *chirp, *filter;
  int stride;      // complex numbers from one frame to the next in a buffer
  bool in_shared;  // memory: shared, or (blocks, 2, stride) where that is too small
  float2* memory;
};

// The usual lengths of transform: n_fft = r1 r2.
struct MelFast {
  const float2* twiddles;  // (r1 / 2 - 1, r2): e^(-2 pi i j k / n_fft), k from 1 on
  int room;                // samples of an item in shared memory
  bool tiled;              // values fit behind the energies
};
struct MelFastPlan {
  int frames;  // an item holds; 0: not one of these lengths
  int r1, r2;
  size_t shared_bytes;
  MelFast fast;
  void (*launch)(Call&, const MelTables&, const MelFastPlan&, const MelWork&);
};

// False when the length, or the hop for the memory there is, is not for it.
bool mel_fast_plan(const cinefuse_mel_description& d, size_t shared_bytes, MelFastPlan* plan);
void mel_general_plan(const cinefuse_mel_description& d, size_t shared_bytes, MelGeneral* general);
void mel_general(Call& call, const MelTables& tables, MelGeneral general, const MelWork& work);
// Second pass of curves that need the clip's largest energy.
void mel_scale(Call& call, const MelTables& tables, int frames_an_item, const MelWork& work);

// The curve without what needs the top. The logarithm is the hardware's: within 2^-22 of its own size, or
// of 1, that is 3e-5 dB, for a fifth of the instructions.
__device__ __forceinline__ float mel_curve(const cinefuse_mel_curve& c, float s) {
  return c.logarithm ? c.factor * __logf(fmaxf(s + c.offset, c.amin)) + c.shift : s;
}
// The same by the exact logarithm.
__device__ __forceinline__ float mel_curve_exact(const cinefuse_mel_curve& c, float s) {
  return c.factor * logf(fmaxf(s, c.amin)) + c.shift;
}

// |X|^power from |X|^2.
__device__ __forceinline__ float mel_raise(float power, float p) {
  if (power == 2.f) return p;
  if (power == 1.f) return sqrtf(p);
  // As on the CPU: 0 below the smallest normal number.
  return p < 1.17549435e-38f ? 0.f : expf(0.5f * power * logf(p));
}

// The sample that stands at `i`, which may lie outside [0, length) once frames are padded.
__device__ __forceinline__ float mel_sample(int padding, const float* samples, int64_t n_samples,
                                            int64_t length, int64_t i) {
  if (i < 0 || i >= length) {
    if (padding == 2) {
      const int64_t period = length > 1 ? 2 * (length - 1) : 1;
      if (i < 0) i = -i;
      if (i >= period) i %= period;
      if (i >= length) i = period - i;
    } else if (padding == 3) {
      i = i < 0 ? 0 : length - 1;
    } else {
      return 0.f;
    }
  }
  return i < n_samples ? samples[i] : 0.f;  // beyond it there are the zeros up to pad_to
}

__device__ __forceinline__ bool mel_finite(float x) { return x - x == 0.f; }

// Notes samples of [from, to) that are not finite: those from + thread, and every `threads` on.
__device__ __forceinline__ void mel_check(const MelWork& w, const MelSpan& clip, int64_t from, int64_t to,
                                          int thread, int threads) {
  for (int64_t i = from + thread; i < to; i += threads) {
    const int64_t at = clip.samples + i;
    if (!mel_finite(w.samples[at])) atomicMin(w.bad, static_cast<unsigned long long>(at));
  }
}

// A frame of n_fft samples begins here; negative in the padding before the clip.
__device__ __forceinline__ int64_t mel_start(const MelTables& t, int64_t frame) {
  return frame * t.hop_length - t.pad;
}
// Samples that a frame answers for: the frames of a clip together look at each of them.
__device__ __forceinline__ int64_t mel_share(const MelTables& t, const MelSpan& clip, int64_t frame) {
  const int64_t end = frame * t.hop_length;
  return frame >= clip.n_frames || end > clip.n_samples ? clip.n_samples : end;
}

// All threads of whole warps call it. Energies are >= 0, whose bits order as integers do.
__device__ __forceinline__ void mel_raise_top(unsigned* top, float s) {
  s = warp_max(s);
  if ((threadIdx.x & 31) == 0 && s > 0.f) atomicMax(top, float_to_bits(s));
}

}  // namespace cinefuse::gpu
