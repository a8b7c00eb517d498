// Spectrograms of any length of transform: a block takes a few frames from samples to values, through two
// buffers in shared memory, or in global memory where that is too small.
#include <algorithm>

#include "dft.cuh"
#include "mel_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kGeneralThreads = 256;
constexpr size_t kGeneralShared = 48 * 1024;  // several frames share a block up to here

// Where number i of a buffer in shared memory lies: a gap every 16 keeps strided accesses off one bank.
__host__ __device__ __forceinline__ constexpr int padded(int i) { return i + (i >> 4); }
template <bool kShared>
__device__ __forceinline__ int spot(int i) {
  return kShared ? padded(i) : i;
}

struct Frames {
  int count, n, stride;  // transforms of n points, `stride` apart
};

// One Stockham stage of radix R: out[q + s (R p + k)] = w^(p k s) sum_i e^(-2 pi i k i / R) x[b + i n / R],
// b = p s + q.
template <int R, bool kShared>
__device__ __forceinline__ void stage(Frames f, int s, const float2* roots, int step, const float2* from,
                                      float2* to) {
  const int m = f.n / R;
  for (int e = threadIdx.x; e < f.count * m; e += kGeneralThreads) {
    const int frame = e / m, b = e - frame * m;
    const int p = b / s, q = b - p * s;
    const float2* const in = from + frame * f.stride;
    float2* const out = to + frame * f.stride;
    float2 x[R];
#pragma unroll
    for (int i = 0; i < R; ++i) x[i] = in[spot<kShared>(b + i * m)];
    Dft<R>::run(x);
#pragma unroll
    for (int k = 0; k < R; ++k) {
      const float2 w = roots[static_cast<int64_t>(step) * (p * s * k)];
      out[spot<kShared>(q + s * (R * p + k))] = k ? times(x[k], w) : x[0];
    }
  }
}

// The same for any odd radix; each thread makes results k and r - k, from all r points.
template <bool kShared>
__device__ __forceinline__ void stage_any(int r, Frames f, int s, const float2* roots, int step,
                                          const float2* from, float2* to) {
  const int m = f.n / r, half = r / 2 + 1;
  for (int e = threadIdx.x; e < f.count * m * half; e += kGeneralThreads) {
    const int k = e % half, rest = e / half;
    const int frame = rest / m, b = rest - frame * m;
    const int p = b / s, q = b - p * s;
    const float2* const in = from + frame * f.stride;
    float2* const out = to + frame * f.stride;
    const float2 first = in[spot<kShared>(b)];
    float2 even = first, odd = make_float2(0.f, 0.f);
    int at = 0;  // i * k mod r
    for (int i = 1; 2 * i < r; ++i) {
      at += k;
      if (at >= r) at -= r;
      const float2 x = in[spot<kShared>(b + i * m)], y = in[spot<kShared>(b + (r - i) * m)];
      const float2 w = roots[static_cast<int64_t>(step) * (at * m)];
      even.x += w.x * (x.x + y.x);
      even.y += w.x * (x.y + y.y);
      odd.x -= w.y * (x.x - y.x);
      odd.y -= w.y * (x.y - y.y);
    }
    const int base = q + s * r * p;
    if (k == 0) {
      out[spot<kShared>(base)] = even;
      continue;
    }
    out[spot<kShared>(base + s * k)] =
        times(minus_i(even, odd), roots[static_cast<int64_t>(step) * (p * s * k)]);
    out[spot<kShared>(base + s * (r - k))] =
        times(plus_i(even, odd), roots[static_cast<int64_t>(step) * (p * s * (r - k))]);
  }
}

// Transforms of all frames; `from` and `to` change places at every stage, and `from` ends as the result.
template <bool kShared>
__device__ __forceinline__ void transform(const MelGeneral& g, Frames f, const float2* roots, float2*& from,
                                          float2*& to) {
  int s = 1;
  for (int i = 0; i < g.stages; ++i) {
    const int r = g.radix[i];
    switch (r) {
      case 2:
        stage<2, kShared>(f, s, roots, g.root_step, from, to);
        break;
      case 3:
        stage<3, kShared>(f, s, roots, g.root_step, from, to);
        break;
      case 4:
        stage<4, kShared>(f, s, roots, g.root_step, from, to);
        break;
      case 5:
        stage<5, kShared>(f, s, roots, g.root_step, from, to);
        break;
      case 8:
        stage<8, kShared>(f, s, roots, g.root_step, from, to);
        break;
      default:
        stage_any<kShared>(r, f, s, roots, g.root_step, from, to);
    }
    s *= r;
    float2* const other = from;
    from = to;
    to = other;
    __syncthreads();
  }
}

// Samples i of the frames, windowed, each frame from its own place on: pairs of an even frame make one
// complex number.
template <bool kShared>
__device__ void load_frames(const MelTables& t, const MelGeneral& g, const MelSpan& clip, int64_t first,
                            int valid, const float* samples, const float* means, float2* to) {
  const int frames = 1 << g.frames_log;
  const int64_t length = t.pad_to ? t.pad_to : clip.n_samples;
  for (int e = threadIdx.x; e < frames * g.length; e += kGeneralThreads) {
    const int f = e / g.length, n = e - f * g.length;
    float2 x = make_float2(0.f, 0.f);
    if (f < valid && n < g.points) {
      const int64_t start = mel_start(t, first + f);
      const auto sample = [&](int i) {
        if (t.kaldi_frames) {
          if (i >= t.win_length) return 0.f;
          const float before = samples[start + (i ? i - 1 : 0)] - means[f];
          return (samples[start + i] - means[f] - t.preemphasis * before) * t.window[i];
        }
        return mel_sample(t.padding, samples, clip.n_samples, length, start + i) * t.window[i];
      };
      x = t.even ? make_float2(sample(2 * n), sample(2 * n + 1)) : make_float2(sample(n), 0.f);
      if (g.chirp) x = times(x, g.chirp[n]);
    }
    to[f * g.stride + spot<kShared>(n)] = x;
  }
}

// A convolution of smooth length in place of a transform: x has been multiplied by the chirp.
template <bool kShared>
__device__ void convolve(const MelGeneral& g, Frames f, const float2* roots, float2*& from, float2*& to) {
  transform<kShared>(g, f, roots, from, to);
  for (int e = threadIdx.x; e < f.count * f.n; e += kGeneralThreads) {
    const int frame = e / f.n, k = e - frame * f.n;
    float2& x = from[frame * f.stride + spot<kShared>(k)];
    const float2 y = times(x, g.filter[k]);
    x = make_float2(y.y, y.x);  // swapped parts turn the transform into its inverse
  }
  __syncthreads();
  transform<kShared>(g, f, roots, from, to);
  for (int e = threadIdx.x; e < f.count * g.points; e += kGeneralThreads) {
    const int frame = e / g.points, k = e - frame * g.points;
    float2& x = from[frame * f.stride + spot<kShared>(k)];
    x = times(make_float2(x.y, x.x), g.chirp[k]);
  }
  __syncthreads();
}

// energies[bin][frame] = |X|^power of the transforms z. Even frames, halved by their window, come from
// Z = FFT(x[2n] + i x[2n+1]): X[k] = s + t, X[M-k] = conj(s - t), s = Z[k] + conj Z[M-k],
// t = -i e^(-2 pi i k/n_fft) (Z[k] - conj Z[M-k]).
template <bool kShared>
__device__ void power_of(const MelTables& t, const MelGeneral& g, const float2* z, float* energies) {
  const int frames = 1 << g.frames_log, m = g.points;
  const int per_frame = t.even ? m / 2 + 1 : t.bins;
  for (int e = threadIdx.x; e < per_frame << g.frames_log; e += kGeneralThreads) {
    const int f = e & (frames - 1), k = e >> g.frames_log;
    const float2* const of = z + f * g.stride;
    const float2 a = of[spot<kShared>(k)];
    if (!t.even) {
      energies[k * frames + f] = mel_raise(t.power, a.x * a.x + a.y * a.y);
      continue;
    }
    const float2 b = of[spot<kShared>(k ? m - k : 0)];
    const float2 even = make_float2(a.x + b.x, a.y - b.y), odd = make_float2(a.y + b.y, b.x - a.x);
    const float2 turned = times(odd, t.roots[k]);
    const float2 low = add(even, turned), high = sub(even, turned);
    energies[k * frames + f] = mel_raise(t.power, low.x * low.x + low.y * low.y);
    if (2 * k != m) energies[(m - k) * frames + f] = mel_raise(t.power, high.x * high.x + high.y * high.y);
  }
}

// Values of all rows and frames from the energies; returns the thread's largest before the curve.
__device__ float put_values(const MelTables& t, const MelGeneral& g, const MelSpan& clip, int64_t first,
                            int valid, const float* energies, float* out) {
  const int frames = 1 << g.frames_log;
  float top = 0.f;
  for (int e = threadIdx.x; e < t.rows << g.frames_log; e += kGeneralThreads) {
    const int row = t.frames_first ? e % t.rows : e >> g.frames_log;
    const int f = t.frames_first ? e / t.rows : e & (frames - 1);
    if (f >= valid) continue;
    float s = 0.f;
    if (energies && t.n_mels) {
      const int4 band = t.bands[row];
      const float* const weights = t.bank_weights + band.z;
      const float* const p = energies + band.x * frames + f;
      for (int i = 0; i < band.y; ++i) s += weights[i] * p[i * frames];
    } else if (energies) {
      s = energies[row * frames + f];
    }
    top = fmaxf(top, s);
    const int64_t at = t.frames_first ? (first + f) * t.rows + row : row * clip.n_frames + first + f;
    out[at] = mel_curve(t.curve, s);
  }
  return top;
}

// (samples) -> (rows, n_frames) or (n_frames, rows) of every clip: frames, window, transform, power, bank,
// curve. One item of work at a time.
template <bool kShared>
__global__ void __launch_bounds__(kGeneralThreads, 3)
    mel_general_kernel(MelTables t, MelGeneral g, MelWork w) {
  CINEFUSE_SHARED(float, means, [kMelMostFrames]);
  CINEFUSE_DYNAMIC_SHARED(float2, shared);
  const int frames = 1 << g.frames_log, buffer = g.stride << g.frames_log;
  float2* const memory = kShared ? shared : g.memory + int64_t{2} * buffer * blockIdx.x;
  for (int64_t n = blockIdx.x; n < w.n_items; n += gridDim.x) {
    const MelItem item = w.items[n];
    const MelSpan clip = w.clips[item.clip];
    const float* const samples = w.samples + clip.samples;
    const int64_t first = static_cast<int64_t>(item.part) << g.frames_log;
    const int64_t left = clip.n_frames - first;
    const int valid = left < frames ? static_cast<int>(left) : frames;
    mel_check(w, clip, mel_share(t, clip, first), mel_share(t, clip, first + valid), threadIdx.x,
              kGeneralThreads);

    float2 *from = memory, *to = memory + buffer;
    // Nothing but the zeros up to pad_to?
    const bool silent = mel_start(t, first) >= clip.n_samples && t.pad_to &&
                        mel_start(t, first + valid - 1) + t.n_fft <= t.pad_to;
    if (!silent) {
      if (t.kaldi_frames) {
        for (int f = threadIdx.x / 32; f < valid; f += kGeneralThreads / 32) {
          const float* const x = samples + mel_start(t, first + f);
          float sum = 0.f;
          for (int i = threadIdx.x & 31; i < t.win_length; i += 32) sum += x[i];
          sum = warp_sum(sum);
          if ((threadIdx.x & 31) == 0) means[f] = sum / static_cast<float>(t.win_length);
        }
        __syncthreads();
      }
      load_frames<kShared>(t, g, clip, first, valid, samples, means, from);
      __syncthreads();
      const Frames all{frames, g.length, g.stride};
      if (g.chirp) {
        convolve<kShared>(g, all, g.roots, from, to);
      } else {
        transform<kShared>(g, all, g.roots, from, to);
      }
      power_of<kShared>(t, g, from, reinterpret_cast<float*>(to));
      __syncthreads();
    }
    const float top = put_values(t, g, clip, first, valid, silent ? nullptr : reinterpret_cast<float*>(to),
                                 w.out + clip.out);
    if (t.curve.needs_top) mel_raise_top(w.tops + item.clip, top);
    __syncthreads();
  }
}

static int push(MelGeneral* g, int n, int factor) {
  for (; n % factor == 0; n /= factor) g->radix[g->stages++] = factor;
  return n;
}

void mel_general_plan(const cinefuse_mel_description& d, size_t shared_bytes, MelGeneral* g) {
  const bool even = d.n_fft % 2 == 0;
  g->points = even ? d.n_fft / 2 : d.n_fft;
  g->length = d.length ? static_cast<int>(d.length) : g->points;
  g->root_step = d.length || !even ? 1 : 2;
  g->stages = 0;
  int n = push(g, g->length, 8);
  n = push(g, n, 4);
  n = push(g, n, 2);
  for (int factor = 3; n > 1; factor += 2) n = push(g, n, factor);

  // A frame's buffer also holds its energies: bins floats.
  const size_t frame_bytes = 2 * sizeof(float2) * static_cast<size_t>(padded(g->length) + 1);
  const bool fits = frame_bytes <= shared_bytes;
  g->in_shared = fits;
  g->stride = fits ? padded(g->length) + 1 : g->length + 1;
  g->frames_log = 0;
  while (fits && (frame_bytes << (g->frames_log + 1)) <= kGeneralShared &&
         (2 << g->frames_log) <= kMelMostFrames)
    ++g->frames_log;
  g->memory = nullptr;
}

void mel_general(Call& call, const MelTables& tables, MelGeneral general, const MelWork& work) {
  if (general.in_shared) {
    const size_t bytes = (2 * sizeof(float2) * static_cast<size_t>(general.stride)) << general.frames_log;
    const int64_t many = int64_t{1} << 30;
    CINEFUSE_LAUNCH(call.stream(), mel_general_kernel<true>,
                    static_cast<unsigned>(std::min(work.n_items, many)), kGeneralThreads, bytes, tables,
                    general, work);
    return;
  }
  const int64_t blocks = std::min<int64_t>(work.n_items, int64_t{2} * call.device().multiprocessors());
  general.memory = call.scratch<float2>(blocks * 2 * general.stride);
  CINEFUSE_LAUNCH(call.stream(), mel_general_kernel<false>, static_cast<unsigned>(blocks), kGeneralThreads, 0,
                  tables, general, work);
}

}  // namespace cinefuse::gpu
