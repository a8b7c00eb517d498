// Spectrograms of the usual lengths of transform, n_fft = R1 R2 with even R1, from samples to values in
// registers and one exchange through shared memory.
//
// With sample j + R2 i of a frame, i < R1, and k = k1 + R1 k2:
//   columns  Y[k1][j] = e^(-2 pi i j k1 / n_fft) sum_i w x[j + R2 i] e^(-2 pi i i k1 / R1)   one thread a
//   column rows     X[k1 + R1 k2] = sum_j Y[k1][j] e^(-2 pi i j k2 / R2)                            one
//   thread a row
// Real samples make row R1 - k1 the conjugate of row k1, so rows 1 .. R1/2 - 1 give bins k and n_fft - k
// without a further step. Rows 0 and R1/2 together are one real transform of 2 R2 points, of the sums over
// even and over odd i: row 0 of the exchange.
//
// In rows and behind, a lane is a frame: the energies lie (bins, F), and reads and writes of a warp meet no
// bank twice.
#include <algorithm>

#include "dft.cuh"
#include "mel_cuda.cuh"

namespace cinefuse::gpu {

// F frames an item, a thread a row of each.
template <int R1, int R2, int F>
struct FastShape {
  static constexpr int n_fft = R1 * R2, units = R1 / 2, bins = n_fft / 2 + 1;
  static constexpr int threads = units * F, warps = threads / 32;
  static constexpr int stride = n_fft / 2 + 2;     // of a frame's rows, in complex numbers: 16-byte reads of
                                                   // eight frames meet all banks
  static constexpr int exchange = 2 * stride * F;  // floats
  static constexpr int tile = bins * F;            // values follow the energies there
  static_assert(F <= 32 && 32 % F == 0 && F % 8 == 0 && threads % 32 == 0 && threads % R2 == 0 &&
                R2 % 2 == 0);
  static_assert((F * R2) % threads == 0 && stride % 4 == 2);
};

// The item a block is at. In shared memory, since what each thread keeps to itself costs registers.
struct Place {
  MelSpan clip;
  int64_t first, begin;  // frame; sample, a multiple of 4
  int item_clip, valid;  // frames
  int shift, count;      // of samples: before the first frame's, and with the frames' all
  bool silent;           // nothing but the zeros up to pad_to
};

template <int F>
__device__ __forceinline__ Place find_place(const MelTables& t, const MelWork& w, int64_t n) {
  const MelItem item = w.items[n];
  Place p;
  p.clip = w.clips[item.clip];
  p.item_clip = item.clip;
  p.first = static_cast<int64_t>(item.part) * F;
  p.valid = p.clip.n_frames - p.first < F ? static_cast<int>(p.clip.n_frames - p.first) : F;
  const int64_t start = mel_start(t, p.first);
  p.begin = start & ~int64_t{3};
  p.shift = static_cast<int>(start - p.begin);
  p.count = p.shift + (p.valid - 1) * t.hop_length + t.n_fft;
  p.silent = t.pad_to && start >= p.clip.n_samples && p.begin + p.count <= t.pad_to;
  return p;
}

// Samples of all frames of an item, from a multiple of 4 on; `count` of them are the frames', the rest zeros.
// Notes those that are not finite.
template <int kThreads>
__device__ __forceinline__ void load_samples(const MelTables& t, const Place& place, int room,
                                             const MelWork& w, float* to) {
  const MelSpan& clip = place.clip;
  const int64_t start = place.begin;
  const int count = place.count;
  const float* const samples = w.samples + clip.samples;
  float unfit = 0.f;  // becomes NaN
  const auto put = [&](int at, float4 v) {
    unfit += v.x * 0.f;
    unfit += v.y * 0.f;
    unfit += v.z * 0.f;
    unfit += v.w * 0.f;
    store4(to + at, v);
  };
  if (start >= 0 && start + room <= clip.n_samples) {
    constexpr int kFlight = 5;
    for (int q = 4 * threadIdx.x; q < room; q += kFlight * 4 * kThreads) {
      float4 v[kFlight];
#pragma unroll
      for (int i = 0; i < kFlight; ++i) {
        if (q + i * 4 * kThreads < room) v[i] = load4(samples + start + q + i * 4 * kThreads);
      }
#pragma unroll
      for (int i = 0; i < kFlight; ++i) {
        if (q + i * 4 * kThreads < room) put(q + i * 4 * kThreads, v[i]);
      }
    }
  } else {
    const int64_t length = t.pad_to ? t.pad_to : clip.n_samples;
    for (int q = 4 * threadIdx.x; q < room; q += 4 * kThreads) {
      const int64_t i = start + q;
      if (i >= 0 && i + 4 <= clip.n_samples) {
        put(q, load4(samples + i));
        continue;
      }
      float x[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        x[j] = q + j < count ? mel_sample(t.padding, samples, clip.n_samples, length, i + j) : 0.f;
      }
      put(q, make_float4(x[0], x[1], x[2], x[3]));
    }
  }
  if (unfit != 0.f) {
    const int64_t end = start + room < clip.n_samples ? start + room : clip.n_samples;
    mel_check(w, clip, start > 0 ? start : 0, end, 0, 1);
  }
  // What no frame reaches at the clip's end.
  if (place.first + place.valid == clip.n_frames) {
    mel_check(w, clip, start + count > 0 ? start + count : 0, clip.n_samples, threadIdx.x, kThreads);
  }
}

// What a thread needs for its column in every frame: in registers where these suffice.
template <int R1, int R2>
struct ColumnTables {
  static constexpr bool kWindow = R1 <= 32, kTwiddles = R1 <= 20;
  const float* windows;
  const float2* turns;
  float window_kept[kWindow ? R1 : 1];
  float2 twiddles_kept[kTwiddles ? R1 / 2 : 1];

  __device__ __forceinline__ ColumnTables(const MelTables& t, const MelFast& g, int j)
      : windows(t.window + j), turns(g.twiddles + j) {
#pragma unroll
    for (int i = 0; kWindow && i < R1; ++i) window_kept[i] = windows[i * R2];
#pragma unroll
    for (int k = 1; kTwiddles && k < R1 / 2; ++k) twiddles_kept[k] = turns[(k - 1) * R2];
  }
  __device__ __forceinline__ float window(int i) const { return kWindow ? window_kept[i] : windows[i * R2]; }
  __device__ __forceinline__ float2 twiddle(int k) const {
    return kTwiddles ? twiddles_kept[k] : turns[(k - 1) * R2];
  }
};

// Column j of a frame that begins at x: R1 windowed samples, their real transform, turned, to the rows.
template <int R1, int R2>
__device__ __forceinline__ void column(const MelTables& t, const ColumnTables<R1, R2>& tables, int j,
                                       const float* x, float mean, float* sums) {
  constexpr int kHalf = R1 / 2;
  float y[R1];
  if (t.kaldi_frames) {
#pragma unroll
    for (int i = 0; i < R1; ++i) {
      const int at = j + i * R2;
      y[i] = x[at] - mean - t.preemphasis * (x[at ? at - 1 : 0] - mean);
    }
  } else {
#pragma unroll
    for (int i = 0; i < R1; ++i) y[i] = x[j + i * R2];
  }
  float2 z[kHalf];
#pragma unroll
  for (int i = 0; i < kHalf; ++i) {
    z[i] = make_float2(y[2 * i] * tables.window(2 * i), y[2 * i + 1] * tables.window(2 * i + 1));
  }
  Dft<kHalf>::run(z);
  // Row 0: all sums over even i, then all over odd i; pairs of neighbours are its complex points.
  float2* const rows = reinterpret_cast<float2*>(sums);
  sums[j] = z[0].x;
  sums[R2 + j] = z[0].y;
#pragma unroll
  for (int k = 1; 2 * k <= kHalf; ++k) {
    float2 low, high;
    untangle<kHalf>(z[k], z[kHalf - k], k, &low, &high);
    rows[k * R2 + j] = times(low, tables.twiddle(k));
    if (2 * k == kHalf) continue;
    high.y = -high.y;
    rows[(kHalf - k) * R2 + j] = times(high, tables.twiddle(kHalf - k));
  }
}

// |X|^2 of row `unit` of frame f, from its points z.
template <int R1, int R2, int F>
__device__ __forceinline__ void row(int unit, int f, float2 (&z)[R2], float* energies) {
  const auto put = [&](int bin, float2 x) { energies[bin * F + f] = x.x * x.x + x.y * x.y; };
  Dft<R2>::run(z);
  if (unit == 0) {
    put(0, make_float2(2.f * (z[0].x + z[0].y), 0.f));
    put(R1 / 2 * R2, make_float2(2.f * (z[0].x - z[0].y), 0.f));
#pragma unroll
    for (int k = 1; 2 * k <= R2; ++k) {
      float2 low, high;
      untangle<R2>(z[k], z[R2 - k], k, &low, &high);
      put(R1 / 2 * k, low);
      if (2 * k < R2) put(R1 / 2 * (R2 - k), high);
    }
    return;
  }
#pragma unroll
  for (int k = 0; k < R2; ++k) {
    const int bin = unit + R1 * k;
    put(2 * k < R2 ? bin : R1 * R2 - bin, z[k]);
  }
}

// How values leave: four frames of a row at a time, or through a tile in shared memory, (rows, F) or
// (F, pitch), so that a warp writes neighbours; or, where the tile does not fit, one by one.
enum class Exit { kRowsByFour, kRowsTile, kFramesTile, kScattered };
template <int F>
__host__ __device__ constexpr int tile_pitch(int rows) {
  return rows + (32 / F - rows % 8 + 8) % 8;  // writes of a warp meet every bank once
}

// The curve of four frames of a row from f on, and their way out; returns the largest of those that there
// are.
template <int F>
__device__ __forceinline__ float put_four(const MelTables& t, const Place& place, float4 s, int m, int f,
                                          Exit way, float* tile, float* out) {
  const int pitch = tile_pitch<F>(t.rows), left = place.valid - f;
  float top = 0.f;
  if (left > 3) {
    top = fmaxf(fmaxf(s.x, s.y), fmaxf(s.z, s.w));
  } else {
    if (left > 0) top = fmaxf(top, s.x);
    if (left > 1) top = fmaxf(top, s.y);
    if (left > 2) top = fmaxf(top, s.z);
  }
  if (t.curve.logarithm) {
    s = make_float4(mel_curve(t.curve, s.x), mel_curve(t.curve, s.y), mel_curve(t.curve, s.z),
                    mel_curve(t.curve, s.w));
  }
  if (way == Exit::kRowsByFour) {
    if (left > 0) store4(out + m * place.clip.n_frames + place.first + f, s);
  } else if (way == Exit::kRowsTile) {
    store4(tile + m * F + f, s);
  } else {
    const float y[4] = {s.x, s.y, s.z, s.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (way == Exit::kFramesTile) {
        tile[(f + i) * pitch + m] = y[i];
      } else if (i < left) {
        const int64_t frame = place.first + f + i;
        out[t.frames_first ? frame * t.rows + m : m * place.clip.n_frames + frame] = y[i];
      }
    }
  }
  return top;
}

// Values of all rows from the energies (null: silence); returns the thread's largest before the curve. A
// thread has eight frames of a row; threads of odd rows take the second four first, or they would wait for
// the banks of their neighbours.
template <int F, int kThreads>
__device__ __forceinline__ float put_rows(const MelTables& t, const Place& place, const float* energies,
                                          Exit way, float* tile, float* results) {
  constexpr int kParts = F / 8;
  float* const out = results + place.clip.out;
  float top = 0.f;
  for (int m = threadIdx.x / kParts; m < t.rows; m += kThreads / kParts) {
    const int f = threadIdx.x % kParts * 8 + 4 * (m & 1), g = f ^ 4;
    float4 s = make_float4(0.f, 0.f, 0.f, 0.f), u = s;
    if (energies && t.n_mels) {
      const int4 band = t.bands[m];
      const float* p = energies + band.x * F;
      const float* w = t.bank_weights + band.z;
#pragma unroll 2
      for (int i = 0; i < band.y; ++i, ++w, p += F) {
        const float weight = *w;
        const float4 a = load4(p + f), b = load4(p + g);
        s.x += weight * a.x;
        s.y += weight * a.y;
        s.z += weight * a.z;
        s.w += weight * a.w;
        u.x += weight * b.x;
        u.y += weight * b.y;
        u.z += weight * b.z;
        u.w += weight * b.w;
      }
    } else if (energies) {
      s = load4(energies + m * F + f);
      u = load4(energies + m * F + g);
    }
    top = fmaxf(top, put_four<F>(t, place, s, m, f, way, tile, out));
    top = fmaxf(top, put_four<F>(t, place, u, m, g, way, tile, out));
  }
  if (way == Exit::kRowsByFour || way == Exit::kScattered) return top;
  __syncthreads();
  if (way == Exit::kRowsTile) {
    const int frame = threadIdx.x % F;
    for (int m = threadIdx.x / F; m < t.rows; m += kThreads / F) {
      if (frame < place.valid) out[m * place.clip.n_frames + place.first + frame] = tile[m * F + frame];
    }
    return top;
  }
  const int pitch = tile_pitch<F>(t.rows);
  for (int i = threadIdx.x / 32; i < place.valid; i += kThreads / 32) {
    for (int m = threadIdx.x % 32; m < t.rows; m += 32)
      out[(place.first + i) * t.rows + m] = tile[i * pitch + m];
  }
  return top;
}

// (samples) -> (rows, n_frames) or (n_frames, rows) of every clip; an item of work at a time.
template <int R1, int R2, int F, int kBlocks>
__global__ void __launch_bounds__(R1 / 2 * F, kBlocks) mel_fast_kernel(MelTables t, MelFast g, MelWork w) {
  using S = FastShape<R1, R2, F>;
  CINEFUSE_SHARED(Place, places, [1]);
  CINEFUSE_SHARED(float, means, [F]);
  CINEFUSE_DYNAMIC_SHARED(float, shared);
  const Place& place = places[0];
  float* const samples = shared + S::exchange;
  for (int64_t n = blockIdx.x; n < w.n_items; n += gridDim.x) {
    if (threadIdx.x == 0) places[0] = find_place<F>(t, w, n);
    __syncthreads();
    if (!place.silent) {
      load_samples<S::threads>(t, place, g.room, w, samples);
      __syncthreads();
      if (t.kaldi_frames) {
        for (int f = threadIdx.x / 32; f < F; f += S::warps) {
          const float* const x = samples + place.shift + f * t.hop_length;
          float sum = 0.f;
          for (int i = threadIdx.x & 31; i < t.win_length; i += 32) sum += x[i];
          sum = warp_sum(sum);
          if ((threadIdx.x & 31) == 0) means[f] = sum / static_cast<float>(t.win_length);
        }
        __syncthreads();
      }
      const ColumnTables<R1, R2> tables(t, g, threadIdx.x % R2);
      for (int f = threadIdx.x / R2; f < F; f += S::threads / R2) {
        column<R1, R2>(t, tables, threadIdx.x % R2, samples + place.shift + f * t.hop_length,
                       t.kaldi_frames ? means[f] : 0.f, shared + 2 * f * S::stride);
      }
      __syncthreads();
      const int unit = threadIdx.x / F, f = threadIdx.x % F;
      float2 z[R2];
      const float* const points = shared + 2 * (f * S::stride + unit * R2);
#pragma unroll
      for (int i = 0; i < R2 / 2; ++i) {
        const float4 v = load4(points + 4 * i);
        z[2 * i] = make_float2(v.x, v.y);
        z[2 * i + 1] = make_float2(v.z, v.w);
      }
      __syncthreads();
      row<R1, R2, F>(unit, f, z, shared);
      __syncthreads();
      if (t.power != 2.f) {
        for (int i = threadIdx.x; i < S::bins * F; i += S::threads) shared[i] = mel_raise(t.power, shared[i]);
        __syncthreads();
      }
    }
    const Exit way = t.frames_first                 ? (g.tiled ? Exit::kFramesTile : Exit::kScattered)
                     : place.clip.n_frames % 4 == 0 ? Exit::kRowsByFour
                     : g.tiled                      ? Exit::kRowsTile
                                                    : Exit::kScattered;
    const float top =
        put_rows<F, S::threads>(t, place, place.silent ? nullptr : shared, way, shared + S::tile, w.out);
    if (t.curve.needs_top) mel_raise_top(w.tops + place.item_clip, top);
    __syncthreads();
  }
}

template <int R1, int R2, int F, int kBlocks>
static void launch(Call& call, const MelTables& tables, const MelFastPlan& plan, const MelWork& work) {
  CINEFUSE_LAUNCH(call.stream(), (mel_fast_kernel<R1, R2, F, kBlocks>),
                  static_cast<unsigned>(std::min<int64_t>(work.n_items, int64_t{1} << 30)),
                  (FastShape<R1, R2, F>::threads), plan.shared_bytes, tables, plan.fast, work);
}

template <int R1, int R2, int F, int kBlocks>
static bool suits(const cinefuse_mel_description& d, size_t shared_bytes, MelFastPlan* plan) {
  using S = FastShape<R1, R2, F>;
  if (d.n_fft != S::n_fft || d.hop_length > d.n_fft) return false;
  const int64_t room = (int64_t{F - 1} * d.hop_length + S::n_fft + 6) / 4 * 4;
  const size_t bytes = sizeof(float) * (S::exchange + static_cast<size_t>(room));
  if (bytes + sizeof(float) * F + sizeof(Place) > shared_bytes) return false;
  const int rows = d.n_mels ? d.n_mels : S::bins;
  plan->frames = F;
  plan->r1 = R1;
  plan->r2 = R2;
  plan->shared_bytes = bytes;
  plan->fast.room = static_cast<int>(room);
  plan->fast.tiled = S::tile + (d.frames_first ? tile_pitch<F>(rows) : rows) * F <= S::exchange;
  plan->launch = launch<R1, R2, F, kBlocks>;
  return true;
}

bool mel_fast_plan(const cinefuse_mel_description& d, size_t shared_bytes, MelFastPlan* plan) {
  return suits<16, 16, 32, 3>(d, shared_bytes, plan) || suits<20, 20, 16, 4>(d, shared_bytes, plan) ||
         suits<16, 32, 16, 5>(d, shared_bytes, plan) || suits<32, 32, 16, 2>(d, shared_bytes, plan) ||
         suits<64, 32, 8, 2>(d, shared_bytes, plan);
}

}  // namespace cinefuse::gpu
