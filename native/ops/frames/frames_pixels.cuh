// Pixels in device memory to R, G and B: the integers of frames_simd.cc's chroma and yuv_u8, exactly, and the
// same in float32.
#pragma once
#include "../../cuda/portable.h"
#include "frames_cuda.cuh"

namespace cinefuse::gpu {

// What a kernel is compiled for.
enum : int32_t { kPixelsRgb24 = 0, kPixelsRgba, kPixelsGray, kPixelsNearest, kPixelsBilinear };
constexpr int kPixelKinds = 5;

inline int32_t pixels_of(int32_t format, int32_t chroma) {
  if (format < kFormatNv12) return format;
  return chroma == kChromaNearest ? kPixelsNearest : kPixelsBilinear;
}

// One picture in the registers of a thread.
template <int kKind>
struct PixelSource {
  static constexpr bool kYuv = kKind == kPixelsNearest || kKind == kPixelsBilinear;
  static constexpr float kUnit = kYuv ? 255.f : 1.f;  // levels in what load_row makes 1
  const uint8_t *first, *second, *third;
  int32_t pitch, chroma_pitch;
  int32_t last_row, last_sample;  // of luma; of a row of chroma
  bool interleaved, centered;
  uint32_t background;

  __device__ __forceinline__ PixelSource(const uint8_t* base, const FramesPicture& p) {
    first = base + p.plane[0];
    pitch = p.pitch[0];
    last_row = p.height - 1;
    background = p.background;
    if (kYuv) {
      second = base + p.plane[1];
      third = base + p.plane[2];
      chroma_pitch = p.pitch[1];
      last_sample = (p.width - 1) >> 1;
      interleaved = p.format == kFormatNv12;
      centered = p.chroma == kChromaCenter;
    }
  }
  __device__ __forceinline__ const uint8_t* row(int32_t y) const {
    return first + int64_t{pitch} * min(y, last_row);
  }
};

// Two rows of eight columns from an even row and a column that 8 divides, as they lie in memory. YUV: four
// words of luma, then chroma with U and V by turns: kPixelsNearest two words (four samples); kPixelsBilinear,
// for the rows above, at and below these two, two words and one with the samples before and after them.
template <int kKind>
struct RawPixels {
  static constexpr int kWords = kKind == kPixelsRgb24     ? 12
                                : kKind == kPixelsRgba    ? 16
                                : kKind == kPixelsGray    ? 4
                                : kKind == kPixelsNearest ? 6
                                                          : 13;
  uint32_t w[kWords];
};

__device__ __forceinline__ const uint32_t* words_at(const uint8_t* p) {
  return reinterpret_cast<const uint32_t*>(p);
}
__device__ __forceinline__ void load_words(const uint8_t* p, int n, uint32_t* w) {
#pragma unroll
  for (int i = 0; i < n; i += 2) {
    const uint2 two = stream2(words_at(p) + i);
    w[i] = two.x;
    w[i + 1] = two.y;
  }
}

// Four chroma samples from sample s of a row, which 4 divides.
template <int kKind>
__device__ __forceinline__ void load_chroma(const PixelSource<kKind>& p, int32_t row, int32_t s,
                                            uint32_t* w) {
  const int64_t at = int64_t{p.chroma_pitch} * min(row, p.last_row >> 1);
  if (p.interleaved) {
    load_words(p.second + at + 2 * s, 2, w);
  } else {
    const uint32_t u = *words_at(p.second + at + s), v = *words_at(p.third + at + s);
    w[0] = __byte_perm(u, v, 0x5140);
    w[1] = __byte_perm(u, v, 0x7362);
  }
}
// U and V of one sample.
template <int kKind>
__device__ __forceinline__ uint32_t load_sample(const PixelSource<kKind>& p, int32_t row, int32_t s) {
  const int64_t at = int64_t{p.chroma_pitch} * row;
  if (p.interleaved) return *reinterpret_cast<const uint16_t*>(p.second + at + 2 * s);
  return p.second[at + s] | uint32_t{p.third[at + s]} << 8;
}

template <int kKind>
__device__ __forceinline__ void load_pixels(const PixelSource<kKind>& p, int32_t y, int32_t x,
                                            RawPixels<kKind>& raw) {
  constexpr int kBytes = kKind == kPixelsRgb24 ? 3 : kKind == kPixelsRgba ? 4 : 1;
  load_words(p.row(y) + kBytes * x, 2 * kBytes, raw.w);
  load_words(p.row(y + 1) + kBytes * x, 2 * kBytes, raw.w + 2 * kBytes);
  if (kKind == kPixelsNearest) load_chroma(p, y >> 1, x >> 1, raw.w + 4);
  if (kKind == kPixelsBilinear) {
    const int32_t near = y >> 1, s = x >> 1, before = max(s - 1, 0), after = min(s + 4, p.last_sample);
#pragma unroll
    for (int i = 0; i < 3; ++i) {
      const int32_t row = min(max(near + i - 1, 0), p.last_row >> 1);
      load_chroma(p, row, s, raw.w + 4 + 3 * i);
      raw.w[6 + 3 * i] = load_sample(p, row, before) | load_sample(p, row, after) << 16;
    }
  }
}

// Where the bytes of two rows go: `channel` bytes from R to G to B, `pitch` from row to row.
struct ByteRows {
  uint8_t* at;
  int32_t channel, pitch;
  __device__ __forceinline__ void put(int row, int c, uint32_t low, uint32_t high) const {
    store2(reinterpret_cast<uint32_t*>(at + c * channel + row * pitch), make_uint2(low, high));
  }
};

__device__ __forceinline__ void to_bytes(const PixelSource<kPixelsRgb24>&, const int32_t*, int32_t,
                                         const RawPixels<kPixelsRgb24>& raw, const ByteRows& out) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    uint32_t w[3][2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint32_t* const from = raw.w + 6 * row + 3 * i;
      const uint32_t a = from[0], b = from[1], c = from[2];
      w[0][i] = __byte_perm(__byte_perm(a, b, 0x0630), c, 0x5210);
      w[1][i] = __byte_perm(__byte_perm(a, b, 0x0741), c, 0x6210);
      w[2][i] = __byte_perm(__byte_perm(a, b, 0x0052), c, 0x7410);
    }
#pragma unroll
    for (int c = 0; c < 3; ++c) out.put(row, c, w[c][0], w[c][1]);
  }
}

// A level laid over the background's, rounded.
__device__ __forceinline__ uint32_t over(uint32_t level, uint32_t background, uint32_t alpha) {
  return (2u * (level * alpha + background * (255u - alpha)) + 255u) / 510u;
}

__device__ __forceinline__ void to_bytes(const PixelSource<kPixelsRgba>& p, const int32_t*, int32_t,
                                         const RawPixels<kPixelsRgba>& raw, const ByteRows& out) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const uint32_t under = p.background >> 8 * c & 255u;
      uint32_t w[2] = {};
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        const uint32_t pixel = raw.w[8 * row + k];
        w[k / 4] |= over(pixel >> 8 * c & 255u, under, pixel >> 24) << 8 * (k % 4);
      }
      out.put(row, c, w[0], w[1]);
    }
  }
}

__device__ __forceinline__ void to_bytes(const PixelSource<kPixelsGray>&, const int32_t*, int32_t,
                                         const RawPixels<kPixelsGray>& raw, const ByteRows& out) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
#pragma unroll
    for (int c = 0; c < 3; ++c) out.put(row, c, raw.w[2 * row], raw.w[2 * row + 1]);
  }
}

// Four pixels of one row; tr, tg, tb: what chroma adds to them, with the luma's shift and the half to round.
__device__ __forceinline__ void yuv_bytes(uint32_t luma, int32_t iy, const int32_t (&tr)[4],
                                          const int32_t (&tg)[4], const int32_t (&tb)[4], uint32_t& r,
                                          uint32_t& g, uint32_t& b) {
  int32_t y[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) y[k] = static_cast<int32_t>(luma >> 8 * k & 255u) * iy;
  r = pack_levels((y[0] + tr[0]) >> 20, (y[1] + tr[1]) >> 20, (y[2] + tr[2]) >> 20, (y[3] + tr[3]) >> 20);
  g = pack_levels((y[0] + tg[0]) >> 20, (y[1] + tg[1]) >> 20, (y[2] + tg[2]) >> 20, (y[3] + tg[3]) >> 20);
  b = pack_levels((y[0] + tb[0]) >> 20, (y[1] + tb[1]) >> 20, (y[2] + tb[2]) >> 20, (y[3] + tb[3]) >> 20);
}

// fixed: iy, iy_shift, irv, igu, igv, ibu, for 16 times the chroma less 2048.
__device__ __forceinline__ void to_bytes(const PixelSource<kPixelsNearest>&, const int32_t* fixed, int32_t,
                                         const RawPixels<kPixelsNearest>& raw, const ByteRows& out) {
  const int32_t rv = fixed[2], gu = fixed[3], gv = fixed[4], bu = fixed[5];
  const int32_t sr = fixed[1] - 2048 * rv, sg = fixed[1] - 2048 * (gu + gv), sb = fixed[1] - 2048 * bu;
  int32_t tr[2][4], tg[2][4], tb[2][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int32_t u = static_cast<int32_t>(raw.w[4 + i / 2] >> 16 * (i % 2) & 255u);
    const int32_t v = static_cast<int32_t>(raw.w[4 + i / 2] >> (16 * (i % 2) + 8) & 255u);
    const int at = 2 * (i % 2);
    tr[i / 2][at] = tr[i / 2][at + 1] = v * (16 * rv) + sr;
    tg[i / 2][at] = tg[i / 2][at + 1] = u * (16 * gu) + v * (16 * gv) + sg;
    tb[i / 2][at] = tb[i / 2][at + 1] = u * (16 * bu) + sb;
  }
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    uint32_t w[3][2];
#pragma unroll
    for (int i = 0; i < 2; ++i)
      yuv_bytes(raw.w[2 * row + i], fixed[0], tr[i], tg[i], tb[i], w[0][i], w[1][i], w[2][i]);
#pragma unroll
    for (int c = 0; c < 3; ++c) out.put(row, c, w[c][0], w[c][1]);
  }
}

// U and V of six samples in the halves of words: the one before the eight columns, the four of them and the
// one after; s: the first of the four.
__device__ __forceinline__ void spread_chroma(const uint32_t* raw, int32_t s, int32_t last_sample,
                                              uint32_t (&m)[6]) {
  m[0] = __byte_perm(raw[2], 0u, 0x4140);
  m[1] = __byte_perm(raw[0], 0u, 0x4140);
  m[2] = __byte_perm(raw[0], 0u, 0x4342);
  m[3] = __byte_perm(raw[1], 0u, 0x4140);
  m[4] = __byte_perm(raw[1], 0u, 0x4342);
  m[5] = __byte_perm(raw[2], 0u, 0x4342);
  if (s + 3 > last_sample) {  // the edge is among the four: beyond it the last one goes on
#pragma unroll
    for (int k = 2; k < 6; ++k) m[k] = s + k - 1 > last_sample ? m[k - 1] : m[k];
  }
}

// 16 times U and V of eight columns of row `row` of the two, in the halves of words.
__device__ __forceinline__ void mix_chroma(const uint32_t (&near)[6], const uint32_t (&far)[6], bool centered,
                                           uint32_t (&uv)[8]) {
  uint32_t m[6];
#pragma unroll
  for (int k = 0; k < 6; ++k) m[k] = 3u * near[k] + far[k];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uv[2 * k] = centered ? 3u * m[k + 1] + m[k] : 4u * m[k + 1];
    uv[2 * k + 1] = centered ? 3u * m[k + 1] + m[k + 2] : 2u * (m[k + 1] + m[k + 2]);
  }
}

__device__ __forceinline__ void to_bytes(const PixelSource<kPixelsBilinear>& p, const int32_t* fixed,
                                         int32_t x, const RawPixels<kPixelsBilinear>& raw,
                                         const ByteRows& out) {
  const int32_t rv = fixed[2], gu = fixed[3], gv = fixed[4], bu = fixed[5];
  const int32_t sr = fixed[1] - 2048 * rv, sg = fixed[1] - 2048 * (gu + gv), sb = fixed[1] - 2048 * bu;
  uint32_t near[6];
  spread_chroma(raw.w + 7, x >> 1, p.last_sample, near);
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    uint32_t far[6], uv[8], w[3][2];
    spread_chroma(raw.w + 4 + 6 * row, x >> 1, p.last_sample, far);
    mix_chroma(near, far, p.centered, uv);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int32_t tr[4], tg[4], tb[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const int32_t u = static_cast<int32_t>(uv[4 * i + k] & 0xffffu);
        const int32_t v = static_cast<int32_t>(uv[4 * i + k] >> 16);
        tr[k] = v * rv + sr;
        tg[k] = u * gu + v * gv + sg;
        tb[k] = u * bu + sb;
      }
      yuv_bytes(raw.w[2 * row + i], fixed[0], tr, tg, tb, w[0][i], w[1][i], w[2][i]);
    }
#pragma unroll
    for (int c = 0; c < 3; ++c) out.put(row, c, w[c][0], w[c][1]);
  }
}

// R, G and B of eight columns of row y from a column that 8 divides: YUV as 0..1, others as 0..255. yuv: y,
// y_shift, rv, gu, gv, bu for levels.
template <int kKind>
__device__ __forceinline__ void load_row(const PixelSource<kKind>& p, const float* yuv, int32_t y, int32_t x,
                                         float (&rgb)[3][8]) {
  const uint8_t* const row = p.row(y);
  if (kKind == kPixelsRgb24) {
    uint32_t w[6];
    load_words(row + 3 * x, 6, w);
#pragma unroll
    for (int i = 0; i < 24; ++i) rgb[i % 3][i / 3] = static_cast<float>(w[i / 4] >> i % 4 * 8 & 255u);
  } else if (kKind == kPixelsRgba) {
    uint32_t w[8];
    load_words(row + 4 * x, 8, w);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const uint32_t alpha = w[i] >> 24;
#pragma unroll
      for (int c = 0; c < 3; ++c)
        rgb[c][i] = static_cast<float>(over(w[i] >> 8 * c & 255u, p.background >> 8 * c & 255u, alpha));
    }
  } else if (kKind == kPixelsGray) {
    uint32_t w[2];
    load_words(row + x, 2, w);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      rgb[0][i] = rgb[1][i] = rgb[2][i] = static_cast<float>(w[i / 4] >> i % 4 * 8 & 255u);
  } else {
    constexpr float kUnit = 1.f / 255.f;
    uint32_t luma[2], uv[8];
    load_words(row + x, 2, luma);
    const int32_t s = x >> 1, near = min(y, p.last_row) >> 1;
    if (kKind == kPixelsNearest) {
      uint32_t w[2];
      load_chroma(p, near, s, w);
#pragma unroll
      for (int i = 0; i < 4; ++i)
        uv[2 * i] = uv[2 * i + 1] = 16u * __byte_perm(w[i / 2], 0u, i % 2 ? 0x4342 : 0x4140);
    } else {
      const int32_t far = y & 1 ? min(near + 1, p.last_row >> 1) : max(near - 1, 0);
      const int32_t before = max(s - 1, 0), after = min(s + 4, p.last_sample);
      uint32_t w[3], near_uv[6], far_uv[6];
      load_chroma(p, near, s, w);
      w[2] = load_sample(p, near, before) | load_sample(p, near, after) << 16;
      spread_chroma(w, s, p.last_sample, near_uv);
      load_chroma(p, far, s, w);
      w[2] = load_sample(p, far, before) | load_sample(p, far, after) << 16;
      spread_chroma(w, s, p.last_sample, far_uv);
      mix_chroma(near_uv, far_uv, p.centered, uv);
    }
    const float scale = yuv[0] * kUnit, shift = yuv[1] * kUnit, rv = yuv[2] * kUnit, gu = yuv[3] * kUnit,
                gv = yuv[4] * kUnit, bu = yuv[5] * kUnit;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float l = static_cast<float>(luma[i / 4] >> i % 4 * 8 & 255u) * scale + shift;
      const float u = static_cast<float>(static_cast<int32_t>(uv[i] & 0xffffu) - 2048);
      const float v = static_cast<float>(static_cast<int32_t>(uv[i] >> 16) - 2048);
      rgb[0][i] = __saturatef(l + v * rv);
      rgb[1][i] = __saturatef(l + u * gu + v * gv);
      rgb[2][i] = __saturatef(l + u * bu);
    }
  }
}

}  // namespace cinefuse::gpu
