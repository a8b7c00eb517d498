#include "frames_simd.h"

#include "../../core/simd.h"

namespace {

using cinefuse::YuvCoefficients;

typedef float V4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint8_t B __attribute__((vector_size(CINEFUSE_W), aligned(1), may_alias));
typedef int16_t H __attribute__((vector_size(CINEFUSE_W * 2), aligned(2), may_alias));

CINEFUSE_INLINE VI widen(const uint8_t* p) {
  return __builtin_convertvector(*reinterpret_cast<const B*>(p), VI);
}
CINEFUSE_INLINE VI widen(const int16_t* p) {
  return __builtin_convertvector(*reinterpret_cast<const H*>(p), VI);
}
CINEFUSE_INLINE V to_float(VI v) { return __builtin_convertvector(v, V); }

// out = Σ_t weights[t] * rows[t], four vectors at a time: the sums stay in registers.
void gather_u8(const uint8_t* const* rows, const float* weights, int taps, long n, float* out) {
  for (long j = 0; j < n; j += 4 * W) {
    V a0 = V{}, a1 = V{}, a2 = V{}, a3 = V{};
    for (int t = 0; t < taps; ++t) {
      const uint8_t* row = rows[t] + j;
      const V w = splat(weights[t]);
      a0 += w * to_float(widen(row));
      a1 += w * to_float(widen(row + W));
      a2 += w * to_float(widen(row + 2 * W));
      a3 += w * to_float(widen(row + 3 * W));
    }
    store(out + j, a0);
    store(out + j + W, a1);
    store(out + j + 2 * W, a2);
    store(out + j + 3 * W, a3);
  }
}

CINEFUSE_INLINE void store_pixels(float* out, V r, V g, V b) {
  float planes[3][W];
  store(planes[0], r);
  store(planes[1], g);
  store(planes[2], b);
  for (int i = 0; i < W; ++i)
    *reinterpret_cast<V4*>(out + 4 * i) = V4{planes[0][i], planes[1][i], planes[2][i], 0.f};
}

void gather_planes(const float* const* rows, long plane, const float* weights, int taps, long n, float* out) {
  for (long j = 0; j < n; j += W) {
    V r = V{}, g = V{}, b = V{};
    for (int t = 0; t < taps; ++t) {
      const float* row = rows[t] + j;
      const V w = splat(weights[t]);
      r += w * load(row);
      g += w * load(row + plane);
      b += w * load(row + 2 * plane);
    }
    store_pixels(out + 4 * j, r, g, b);
  }
}

template <int Stride>
CINEFUSE_INLINE void contract_by(const float* row, const int32_t* first, long from, const int32_t* count,
                                 const float* weights, int taps, long n, V4 scale, V4 shift,
                                 float* const* planes) {
  for (long i = 0; i < n; ++i) {
    const float* p = row + (first[i] - from) * Stride;
    const float* w = weights + i * taps;
    V4 a = V4{}, b = V4{};
    int t = 0;
    for (; t + 2 <= count[i]; t += 2) {
      a += *reinterpret_cast<const V4*>(p + t * Stride) * w[t];
      b += *reinterpret_cast<const V4*>(p + (t + 1) * Stride) * w[t + 1];
    }
    if (t < count[i]) a += *reinterpret_cast<const V4*>(p + t * Stride) * w[t];
    const V4 y = (a + b) * scale + shift;
    planes[0][i] = y[0];
    planes[1][i] = y[1];
    planes[2][i] = y[2];
  }
}

void contract(const float* row, int stride, long from, const int32_t* first, const int32_t* count,
              const float* weights, int taps, long n, const float* scale, const float* shift,
              float* const* planes) {
  const V4 a = {scale[0], scale[1], scale[2], 0.f}, b = {shift[0], shift[1], shift[2], 0.f};
  if (stride == 3) {
    contract_by<3>(row, first, from, count, weights, taps, n, a, b, planes);
  } else {
    contract_by<4>(row, first, from, count, weights, taps, n, a, b, planes);
  }
}

CINEFUSE_INLINE int mix(const uint8_t* row0, const uint8_t* row1, int wy0, int wy1, int step, long i) {
  return wy0 * row0[i * step] + wy1 * row1[i * step] - 512;
}

void chroma(const uint8_t* row0, const uint8_t* row1, int wy0, int wy1, int step, long samples, int siting,
            long x0, long n, int16_t* out) {
  const long last = samples - 1;
  for (long j = 0; j < n; ++j) {
    const long x = x0 + j, i = x >> 1;
    int value;
    if (siting == 0) {
      value = 4 * mix(row0, row1, wy0, wy1, step, i);
    } else if (siting == 1) {
      value = x & 1 ? 2 * (mix(row0, row1, wy0, wy1, step, i) +
                           mix(row0, row1, wy0, wy1, step, i < last ? i + 1 : last))
                    : 4 * mix(row0, row1, wy0, wy1, step, i);
    } else {
      const long other = x & 1 ? (i < last ? i + 1 : last) : (i > 0 ? i - 1 : 0);
      value = 3 * mix(row0, row1, wy0, wy1, step, i) + mix(row0, row1, wy0, wy1, step, other);
    }
    out[j] = static_cast<int16_t>(value);
  }
}

void yuv_f32(const uint8_t* y, const int16_t* u, const int16_t* v, const YuvCoefficients* k, long n,
             float* out, long plane) {
  const V lowest = V{}, highest = splat(255.f);
  for (long j = 0; j < n; j += W) {
    const V cb = to_float(widen(u + j)), cr = to_float(widen(v + j));
    const V luma = to_float(widen(y + j)) * splat(k->y) + splat(k->y_shift);
    store(out + j, vmin(vmax(luma + cr * splat(k->rv), lowest), highest));
    store(out + j + plane, vmin(vmax(luma + cb * splat(k->gu) + cr * splat(k->gv), lowest), highest));
    store(out + j + 2 * plane, vmin(vmax(luma + cb * splat(k->bu), lowest), highest));
  }
}

CINEFUSE_INLINE uint8_t clamp_u8(int32_t x) { return static_cast<uint8_t>(x < 0 ? 0 : x > 255 ? 255 : x); }

void yuv_u8(const uint8_t* y, const int16_t* u, const int16_t* v, const YuvCoefficients* k, long n,
            uint8_t* out) {
  for (long j = 0; j < n; ++j) {
    const int32_t luma = y[j] * k->iy + k->iy_shift;
    out[3 * j] = clamp_u8((luma + v[j] * k->irv) >> 20);
    out[3 * j + 1] = clamp_u8((luma + u[j] * k->igu + v[j] * k->igv) >> 20);
    out[3 * j + 2] = clamp_u8((luma + u[j] * k->ibu) >> 20);
  }
}

void pass_rows(const uint8_t* const* rows, int n_rows, const int32_t* first, const int32_t* count,
               const int32_t* fixed, int taps, long n, uint8_t* const* out) {
  for (int r = 0; r < n_rows; ++r) {
    for (long i = 0; i < n; ++i) {
      const uint8_t* p = rows[r] + 3 * first[i];
      const int32_t* w = fixed + i * taps;
      int32_t a = 1 << 21, b = 1 << 21, c = 1 << 21;
      for (int t = 0; t < count[i]; ++t) {
        a += w[t] * p[3 * t];
        b += w[t] * p[3 * t + 1];
        c += w[t] * p[3 * t + 2];
      }
      out[r][3 * i] = clamp_u8(a >> 22);
      out[r][3 * i + 1] = clamp_u8(b >> 22);
      out[r][3 * i + 2] = clamp_u8(c >> 22);
    }
  }
}

void pass_column(const uint8_t* const* rows, const int32_t* fixed, int taps, long n, uint8_t* out) {
  for (long j = 0; j < n; j += 2 * W) {
    VI a = splat_i(1 << 21), b = a;
    for (int t = 0; t < taps; ++t) {
      const VI w = splat_i(fixed[t]);
      a += w * widen(rows[t] + j);
      b += w * widen(rows[t] + j + W);
    }
    a >>= 22;
    b >>= 22;
    const VI zero = VI{}, top = splat_i(255);
    a = a < zero ? zero : a;
    a = a > top ? top : a;
    b = b < zero ? zero : b;
    b = b > top ? top : b;
    *reinterpret_cast<B*>(out + j) = __builtin_convertvector(a, B);
    *reinterpret_cast<B*>(out + j + W) = __builtin_convertvector(b, B);
  }
}

void to_half(long n, const float* x, uint16_t* y) {
  for (long i = 0; i < n; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, 4);
    const uint32_t sign = bits >> 16 & 0x8000u, a = bits & 0x7fffffffu;
    uint32_t h;
    if (a >= 0x7f800000u) {
      h = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
    } else if (a >= 0x477ff000u) {  // rounds to 65536 or more
      h = 0x7c00u;
    } else if (a >= 0x38800000u) {  // normal
      h = (a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13;
    } else {
      // Subnormal: adding 1/2 leaves the value in units of 2^-24, rounded to even, in the low bits.
      float f;
      __builtin_memcpy(&f, &a, 4);
      f += 0.5f;
      __builtin_memcpy(&h, &f, 4);
      h -= 0x3f000000u;
    }
    y[i] = static_cast<uint16_t>(sign | h);
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(FramesSimd, frames_simd) = {gather_u8, gather_planes, contract,    chroma, yuv_f32,
                                                 yuv_u8,    pass_rows,     pass_column, to_half};
}
