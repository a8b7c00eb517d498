// Scalings that need a maximum: the second pass of a spectrogram, and decibels of given energies.
#include <algorithm>

#include "../../cuda/operators.h"
#include "mel_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kScaleThreads = 256;

// y + shift, at least floor: what is left of a curve once that of the largest energy is known.
struct TopShift {
  float shift, floor;
};
__device__ __forceinline__ TopShift top_shift(const cinefuse_mel_curve& c, float highest) {
  return c.ref_is_top ? TopShift{-highest, -c.below_top} : TopShift{0.f, highest - c.below_top};
}
__device__ __forceinline__ float4 each(float4 v, TopShift s) {
  return make_float4(fmaxf(v.x + s.shift, s.floor), fmaxf(v.y + s.shift, s.floor),
                     fmaxf(v.z + s.shift, s.floor), fmaxf(v.w + s.shift, s.floor));
}

// Every item's share of its clip's values, in place: frames_an_item * rows of them, from a multiple of 4 on.
__global__ void __launch_bounds__(kScaleThreads)
    mel_scale_kernel(cinefuse_mel_curve curve, int rows, int frames_an_item, MelWork w) {
  for (int64_t n = blockIdx.x; n < w.n_items; n += gridDim.x) {
    const MelItem item = w.items[n];
    const MelSpan clip = w.clips[item.clip];
    const TopShift by = top_shift(curve, mel_curve(curve, bits_to_float(w.tops[item.clip])));
    const int64_t all = clip.n_frames * rows, share = static_cast<int64_t>(frames_an_item) * rows;
    const int64_t from = (item.part * share + 3) / 4 * 4;
    int64_t to = ((item.part + 1) * share + 3) / 4 * 4;
    if (to > all) to = all;
    float* const y = w.out + clip.out;
    for (int64_t i = from + 4 * threadIdx.x; i < to; i += 4 * kScaleThreads) {
      if (i + 4 <= to) {
        store4(y + i, each(load4(y + i), by));
      } else {
        for (int64_t j = i; j < to; ++j) y[j] = fmaxf(y[j] + by.shift, by.floor);
      }
    }
  }
}

void mel_scale(Call& call, const MelTables& t, int frames_an_item, const MelWork& work) {
  CINEFUSE_LAUNCH(call.stream(), mel_scale_kernel,
                  static_cast<unsigned>(std::min<int64_t>(work.n_items, int64_t{1} << 30)), kScaleThreads, 0,
                  t.curve, t.rows, frames_an_item, work);
}

// top = bits of max(s, 0)
__global__ void __launch_bounds__(kScaleThreads) largest_kernel(int64_t n, const float* s, unsigned* top) {
  const int64_t stride = int64_t{4} * gridDim.x * kScaleThreads;
  float largest = 0.f;
  for (int64_t i = 4 * (int64_t{blockIdx.x} * kScaleThreads + threadIdx.x); i < n; i += stride) {
    if (i + 4 <= n) {
      const float4 v = load4(s + i);
      largest = fmaxf(fmaxf(fmaxf(largest, v.x), fmaxf(v.y, v.z)), v.w);
    } else {
      for (int64_t j = i; j < n; ++j) largest = fmaxf(largest, s[j]);
    }
  }
  mel_raise_top(top, largest);
}

// y = the curve of s; top: null where the curve does not need it.
__global__ void __launch_bounds__(kScaleThreads)
    decibel_kernel(cinefuse_mel_curve curve, int64_t n, const float* s, const unsigned* top, float* y) {
  const TopShift by =
      top ? top_shift(curve, mel_curve_exact(curve, bits_to_float(*top))) : TopShift{0.f, -INFINITY};
  const int64_t stride = int64_t{4} * gridDim.x * kScaleThreads;
  for (int64_t i = 4 * (int64_t{blockIdx.x} * kScaleThreads + threadIdx.x); i < n; i += stride) {
    if (i + 4 <= n) {
      const float4 v = load4(s + i);
      store4(y + i, each(make_float4(mel_curve_exact(curve, v.x), mel_curve_exact(curve, v.y),
                                     mel_curve_exact(curve, v.z), mel_curve_exact(curve, v.w)),
                         by));
    } else {
      for (int64_t j = i; j < n; ++j) y[j] = fmaxf(mel_curve_exact(curve, s[j]) + by.shift, by.floor);
    }
  }
}

static void power_to_db_cuda(Call& call, const cinefuse_power_to_db_params& p) {
  const In<float> s = call.in(p.s, p.n);
  const Out<float> y = call.out(p.y, p.n);
  if (p.n == 0) return;
  call.send();
  call.compute([&] {
    const unsigned blocks = static_cast<unsigned>(
        std::min<int64_t>(blocks_of(p.n, 4 * kScaleThreads), int64_t{8} * call.device().multiprocessors()));
    unsigned* top = nullptr;
    if (p.curve.needs_top) {
      top = call.scratch<unsigned>(1);
      CINEFUSE_CUDA(cudaMemsetAsync(top, 0, sizeof *top, call.stream()));
      CINEFUSE_LAUNCH(call.stream(), largest_kernel, blocks, kScaleThreads, 0, p.n, s.get(), top);
    }
    CINEFUSE_LAUNCH(call.stream(), decibel_kernel, blocks, kScaleThreads, 0, p.curve, p.n, s.get(), top,
                    y.get());
  });
  call.receive();
}

const Operator kPowerToDbOperator = plain_operator<cinefuse_power_to_db_params, power_to_db_cuda>();

}  // namespace cinefuse::gpu
