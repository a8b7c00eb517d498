// Pixels in device memory, as the kernels read them, and chroma as it is between its samples.
#pragma once
#include "../../cuda/portable.h"
#include "frames_cuda.cuh"

namespace cinefuse::gpu {

// What a kernel is compiled for: formats, and of YUV where chroma lies.
enum : int32_t { kPixelsRgb24 = 0, kPixelsRgba, kPixelsGray, kPixelsNearest, kPixelsLeft, kPixelsCenter };
constexpr int kPixelKinds = 6;

inline int32_t pixels_of(int32_t format, int32_t chroma) {
  return format < kFormatNv12 ? format : kPixelsNearest + chroma;
}

// One picture in the registers of a thread.
template <int kKind>
struct PixelSource {
  static constexpr bool kYuv = kKind >= kPixelsNearest;
  static constexpr bool kBilinear = kKind == kPixelsLeft || kKind == kPixelsCenter;
  static constexpr float kUnit = kYuv ? 255.f : 1.f;  // levels in what the float kernels take for 1
  const uint8_t *first, *second, *third;
  int32_t pitch, chroma_pitch;
  int32_t last_row, last_sample;  // of luma; of a row of chroma
  bool interleaved;
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
    }
  }
  __device__ __forceinline__ const uint8_t* row(int32_t y) const {
    return first + int64_t{pitch} * min(y, last_row);
  }
};

// Two rows of eight columns from an even row and a column that 8 divides, as they lie in memory. YUV: four
// words of luma, then two words a row of chroma, four samples, U and V by turns: the row at these two, or
// (bilinear) those above, at and below them.
template <int kKind>
struct RawPixels {
  static constexpr int kWords = kKind == kPixelsRgb24     ? 12
                                : kKind == kPixelsRgba    ? 16
                                : kKind == kPixelsGray    ? 4
                                : kKind == kPixelsNearest ? 6
                                                          : 10;
  uint32_t w[kWords];
};
// And for each row of chroma the samples before and after the four, in the halves of a word; kPixelsLeft
// needs but the latter.
struct RawEdges {
  uint32_t w[3];
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

// A level laid over the background's, rounded.
__device__ __forceinline__ uint32_t over(uint32_t level, uint32_t background, uint32_t alpha) {
  return (2u * (level * alpha + background * (255u - alpha)) + 255u) / 510u;
}

// Four chroma samples from sample s of a row, which 4 divides; rows beyond the edges are those at them.
template <int kKind>
__device__ __forceinline__ void load_chroma(const PixelSource<kKind>& p, int32_t row, int32_t s,
                                            uint32_t* w) {
  const int64_t at = int64_t{p.chroma_pitch} * min(max(row, 0), p.last_row >> 1);
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
__device__ __forceinline__ uint32_t load_sample(const PixelSource<kKind>& p, int64_t at, int32_t s) {
  if (p.interleaved) return *reinterpret_cast<const uint16_t*>(p.second + at + 2 * s);
  return p.second[at + s] | uint32_t{p.third[at + s]} << 8;
}
template <int kKind>
__device__ __forceinline__ uint32_t load_edge(const PixelSource<kKind>& p, int32_t row, int32_t s) {
  const int64_t at = int64_t{p.chroma_pitch} * min(max(row, 0), p.last_row >> 1);
  const uint32_t after = load_sample(p, at, min(s + 4, p.last_sample)) << 16;
  return kKind == kPixelsLeft ? after : after | load_sample(p, at, max(s - 1, 0));
}

template <int kKind>
__device__ __forceinline__ void load_pixels(const PixelSource<kKind>& p, int32_t y, int32_t x,
                                            RawPixels<kKind>& raw) {
  constexpr int kBytes = kKind == kPixelsRgb24 ? 3 : kKind == kPixelsRgba ? 4 : 1;
  load_words(p.row(y) + kBytes * x, 2 * kBytes, raw.w);
  load_words(p.row(y + 1) + kBytes * x, 2 * kBytes, raw.w + 2 * kBytes);
  if constexpr (kKind == kPixelsNearest) load_chroma(p, y >> 1, x >> 1, raw.w + 4);
  if constexpr (PixelSource<kKind>::kBilinear) {
#pragma unroll
    for (int i = 0; i < 3; ++i) load_chroma(p, (y >> 1) + i - 1, x >> 1, raw.w + 4 + 2 * i);
  }
}
template <int kKind>
__device__ __forceinline__ void load_edges(const PixelSource<kKind>& p, int32_t y, int32_t x,
                                           RawEdges& edges) {
#pragma unroll
  for (int i = 0; i < 3; ++i) edges.w[i] = load_edge(p, (y >> 1) + i - 1, x >> 1);
}

// U and V of six samples in the halves of words: the one before the eight columns, the four of them from
// sample s and the one after.
__device__ __forceinline__ void spread_chroma(const uint32_t* four, uint32_t edge, int32_t s,
                                              int32_t last_sample, uint32_t (&m)[6]) {
  m[0] = __byte_perm(edge, 0u, 0x4140);
  m[1] = __byte_perm(four[0], 0u, 0x4140);
  m[2] = __byte_perm(four[0], 0u, 0x4342);
  m[3] = __byte_perm(four[1], 0u, 0x4140);
  m[4] = __byte_perm(four[1], 0u, 0x4342);
  m[5] = __byte_perm(edge, 0u, 0x4342);
  if (s + 3 > last_sample) {  // the edge is among the four: beyond it the last one goes on
#pragma unroll
    for (int k = 2; k < 6; ++k) m[k] = s + k - 1 > last_sample ? m[k - 1] : m[k];
  }
}

// U and V of eight columns, the nearer row of chroma counting three times, in the halves of words: 16 times
// them, or 8 times (kPixelsLeft).
template <int kKind>
__device__ __forceinline__ void mix_chroma(const uint32_t (&near)[6], const uint32_t (&far)[6],
                                           uint32_t (&uv)[8]) {
  uint32_t m[6];
#pragma unroll
  for (int k = 0; k < 6; ++k) m[k] = 3u * near[k] + far[k];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uv[2 * k] = kKind == kPixelsLeft ? 2u * m[k + 1] : 3u * m[k + 1] + m[k];
    uv[2 * k + 1] = kKind == kPixelsLeft ? m[k + 1] + m[k + 2] : 3u * m[k + 1] + m[k + 2];
  }
}
template <int kKind>
constexpr int kChromaUnit = kKind == kPixelsLeft     ? 8
                            : kKind == kPixelsCenter ? 16
                                                     : 1;

}  // namespace cinefuse::gpu
