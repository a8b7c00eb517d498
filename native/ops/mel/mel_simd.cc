// Frames are handled W at a time, one a lane: every step below is plain arithmetic on whole vectors, whatever
// the length of the transform. Only the way in (samples of W frames) and out (tiles) transposes.
#include "mel_simd.h"

#include "../../core/simd.h"
#include "fft_simd.h"
#include "transpose_simd.h"

namespace {

using cinefuse::BankTables;
using cinefuse::SpectrumTables;

CINEFUSE_INLINE V vsqrt(V x) {
  V y;
  for (int i = 0; i < W; ++i) y[i] = __builtin_sqrtf(x[i]);
  return y;
}

long first_not_finite(long n, const float* x) {
  constexpr long kRun = 32 * W;
  long i = 0;
  for (; i + W <= n;) {
    VI bad = VI{};
    const long start = i;
    for (const long end = start + kRun < n - W ? start + kRun : n - W; i <= end; i += W) {
      const V v = load(x + i);
      bad |= (v - v) != V{};  // NaN for infinities and NaN, else 0
    }
    bool any = false;
    for (int k = 0; k < W; ++k) any |= bad[k] != 0;
    if (any) {
      i = start;
      break;
    }
  }
  for (; i < n; ++i) {
    if (!(x[i] - x[i] == 0.f)) return i;
  }
  return -1;
}

constexpr long kTileVectors = 8 * W;  // tiles of all legs of the first stage

// tile: (W samples, W frames) = window * samples `at` .. `at` + W of every row
CINEFUSE_INLINE void load_tile(const float* const* rows, const float* window, long at, float* tile) {
  V r[W];
  const V w = load(window + at);
  for (int f = 0; f < W; ++f) r[f] = load(rows[f] + at) * w;
  transpose(r);
  for (int n = 0; n < W; ++n) store(tile + n * W, r[n]);
}

// Windowed samples in natural order, one vector each, `step` vectors apart.
void load_frames(const SpectrumTables& t, const float* const* rows, float* z, int step, float* tile) {
  long n = 0;
  for (; n + W <= t.n_fft; n += W) {
    load_tile(rows, t.window, n, step == 1 ? z + n * W : tile);
    if (step == 1) continue;
    for (int i = 0; i < W; ++i) store(z + (n + i) * step * W, load(tile + i * W));
  }
  for (; n < t.n_fft; ++n) {
    for (int f = 0; f < W; ++f) z[n * step * W + f] = rows[f][n] * t.window[n];
  }
}

// The first stage of the transform of n_fft / 2 points, fed with tiles of the samples: they never go through
// the large buffer untransformed.
template <int R>
void first_stage(const SpectrumTables& t, const float* const* rows, float* z, float* tile) {
  constexpr long kPoints = W / 2;
  const long m = t.fft.n / R;
  const long part = static_cast<long>(t.fft.block_vectors) * W;
  for (long j = 0;;) {
    for (int i = 0; i < R; ++i) load_tile(rows, t.window, 2 * (j + i * m), tile + i * W * W);
    for (long k = 0; k < kPoints; ++k) {
      butterfly<R, true>(tile + k * 2 * W, W * W, z + (j + k) * 2 * W, part,
                         t.fft.twiddles[0] + (j + k) * 2 * (R - 1));
    }
    if (j + kPoints == m) break;
    j = j + 2 * kPoints <= m ? j + kPoints : m - kPoints;  // the last step may overlap the one before
  }
}

void first_stage_any(const SpectrumTables& t, const float* const* rows, float* z, float* tile) {
  switch (t.fft.radix[0]) {
    case 2:
      return first_stage<2>(t, rows, z, tile);
    case 3:
      return first_stage<3>(t, rows, z, tile);
    case 4:
      return first_stage<4>(t, rows, z, tile);
    case 5:
      return first_stage<5>(t, rows, z, tile);
    default:
      return first_stage<8>(t, rows, z, tile);
  }
}

// The transform of t.points points in z as a convolution of smooth length; result in z, natural order.
void bluestein(const SpectrumTables& t, float* z, float* y) {
  for (long k = 0; k < t.points; ++k) {
    store_c(z + k * 2 * W, times(load_c(z + k * 2 * W), t.chirp[2 * k], t.chirp[2 * k + 1]));
  }
  for (long k = 2L * t.points; k < 2L * t.fft.n; ++k) store(z + k * W, V{});
  fft(t.fft, z);
  for (long k = 0; k < t.fft.n; ++k) {
    const C a = times(load_c(z + t.fft.where[k] * W), t.filter[2 * k], t.filter[2 * k + 1]);
    store_c(y + k * 2 * W, {a.im, a.re});  // swapped parts turn the transform into its inverse
  }
  fft(t.fft, y);
  for (long k = 0; k < t.points; ++k) {
    const C a = load_c(y + t.fft.where[k] * W);
    store_c(z + k * 2 * W, times({a.im, a.re}, t.chirp[2 * k], t.chirp[2 * k + 1]));
  }
}

// |X|^2 of even frames from Z = FFT(x[2n] + i x[2n+1]), where x is halved:
//   X[k] = s + t, X[M-k] = conj(s - t), s = Z[k] + conj Z[M-k], t = -i e^(-2 pi i k/n_fft) (Z[k] - conj
//   Z[M-k])
void untangle(const SpectrumTables& t, const float* z, float* p) {
  const long m = t.points;
  const C zero = load_c(z + t.where[0] * W);
  const V sum = (zero.re + zero.im) * splat(2.f), difference = (zero.re - zero.im) * splat(2.f);
  store(p, sum * sum);
  store(p + m * W, difference * difference);
  for (long k = 1; 2 * k < m; ++k) {
    const C a = load_c(z + t.where[k] * W), b = load_c(z + t.where[m - k] * W);
    const V c = splat(t.untangle[2 * k]), s = splat(t.untangle[2 * k + 1]);
    const V even_re = a.re + b.re, even_im = a.im - b.im;
    const V odd_re = a.im + b.im, odd_im = b.re - a.re;
    const V turned_re = c * odd_re - s * odd_im, turned_im = c * odd_im + s * odd_re;
    const V low_re = even_re + turned_re, low_im = even_im + turned_im;
    const V high_re = even_re - turned_re, high_im = even_im - turned_im;
    store(p + k * W, low_re * low_re + low_im * low_im);
    store(p + (m - k) * W, high_re * high_re + high_im * high_im);
  }
  if (m % 2 == 0 && m > 0) {
    const C middle = load_c(z + t.where[m / 2] * W);
    store(p + m / 2 * W, (middle.re * middle.re + middle.im * middle.im) * splat(4.f));
  }
}

long spectrum_floats(const SpectrumTables& t) {
  const long buffers = t.chirp ? 2 : 1;
  return (buffers * t.fft.vectors + kTileVectors) * W;
}

void spectrum(const SpectrumTables& t, const float* const* rows, float* scratch, float* p) {
  float* tile = scratch;
  float* z = tile + kTileVectors * W;
  if (t.fused) {
    first_stage_any(t, rows, z, tile);
    fft_rest(t.fft, z);
  } else {
    load_frames(t, rows, z, t.even ? 1 : 2, tile);
    if (!t.even) {
      for (long n = 0; n < t.n_fft; ++n) store(z + (2 * n + 1) * W, V{});
    }
    if (t.chirp) {
      bluestein(t, z, z + static_cast<long>(t.fft.vectors) * W);
    } else {
      fft(t.fft, z);
    }
  }
  if (t.even) {
    untangle(t, z, p);
    return;
  }
  for (long k = 0; k < t.bins; ++k) {
    const C a = load_c(z + t.where[k] * W);
    store(p + k * W, a.re * a.re + a.im * a.im);
  }
}

void raise(long n, float power, float* p) {
  if (power == 2.f) return;
  for (long i = 0; i < n; i += W) {
    const V x = load(p + i);
    if (power == 1.f) {
      store(p + i, vsqrt(x));
    } else {
      // Below the smallest normal number the logarithm is not to be had: 0 it is.
      store(p + i, select(x < splat(1.17549435e-38f), V{}, vexp(splat(0.5f * power) * vlog(x))));
    }
  }
}

void bank(const BankTables& t, const float* p, float* tile) {
  const float* w = t.weights;
  for (int m = 0; m < t.n_mels; ++m) {
    const float* from = p + static_cast<long>(t.start[m]) * W;
    const long n = t.count[m];
    V a = V{}, b = V{};
    long i = 0;
    for (; i + 2 <= n; i += 2) {
      a += splat(w[i]) * load(from + i * W);
      b += splat(w[i + 1]) * load(from + (i + 1) * W);
    }
    if (i < n) a += splat(w[i]) * load(from + i * W);
    store(tile + static_cast<long>(m) * W, a + b);
    w += n;
  }
}

void kaldi_frame(long win_length, long n_fft, float preemphasis, const float* x, float* y) {
  V sums = V{};
  long i = 0;
  for (; i + W <= win_length; i += W) sums += load(x + i);
  float sum = hsum(sums);
  for (; i < win_length; ++i) sum += x[i];
  const float mean = sum / static_cast<float>(win_length);
  y[0] = (x[0] - mean) - preemphasis * (x[0] - mean);
  for (i = 1; i + W <= win_length; i += W) {
    store(y + i, (load(x + i) - splat(mean)) - splat(preemphasis) * (load(x + i - 1) - splat(mean)));
  }
  for (; i < win_length; ++i) y[i] = (x[i] - mean) - preemphasis * (x[i - 1] - mean);
  for (; i < n_fft; ++i) y[i] = 0.f;
}

CINEFUSE_INLINE V log_of(V s, V offset, V amin, V factor, V shift, V floor) {
  return vmax(factor * vlog(vmax(s + offset, amin)) + shift, floor);
}

void logarithm(long n, const float* s, float* y, float offset, float amin, float factor, float shift,
               float floor) {
  const V o = splat(offset), a = splat(amin), k = splat(factor), b = splat(shift), f = splat(floor);
  long i = 0;
  for (; i + W <= n; i += W) store(y + i, log_of(load(s + i), o, a, k, b, f));
  const int tail = static_cast<int>(n - i);
  if (tail) store_tail(y + i, log_of(load_tail(s + i, tail), o, a, k, b, f), tail);
}

float maximum(long n, const float* s) {
  V top[4] = {};
  long i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    for (int k = 0; k < 4; ++k) top[k] = vmax(top[k], load(s + i + k * W));
  }
  float most = hmax(vmax(vmax(top[0], top[1]), vmax(top[2], top[3])));
  for (; i < n; ++i) most = s[i] > most ? s[i] : most;
  return most;
}

void emit(long rows, long frames, const float* tile, float* out, long row_step, long frame_step) {
  if (frame_step == 1) {
    for (long r = 0; r < rows; ++r) {
      if (frames == W) {
        store(out + r * row_step, load(tile + r * W));
      } else {
        store_tail(out + r * row_step, load(tile + r * W), static_cast<int>(frames));
      }
    }
    return;
  }
  long r = 0;
  for (; r + W <= rows; r += W) {
    V v[W];
    for (int i = 0; i < W; ++i) v[i] = load(tile + (r + i) * W);
    transpose(v);
    for (int f = 0; f < W; ++f) {
      if (f < frames) store(out + f * frame_step + r, v[f]);
    }
  }
  for (; r < rows; ++r) {
    for (long f = 0; f < frames; ++f) out[f * frame_step + r] = tile[r * W + f];
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(MelSimd, mel_simd) = {W,    first_not_finite, spectrum,  spectrum_floats, raise,
                                           bank, kaldi_frame,      logarithm, maximum,         emit};
}
