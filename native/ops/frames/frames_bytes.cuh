// Pixels to bytes R, G and B: the integers of frames_simd.cc's chroma and yuv_u8, exactly.
#pragma once
#include "frames_pixels.cuh"

namespace cinefuse::gpu {

// Where the bytes of two rows go: `channel` bytes from R to G to B, `pitch` from row to row.
struct ByteRows {
  uint8_t* at;
  int32_t channel, pitch;
  __device__ __forceinline__ void put(int row, int c, uint32_t low, uint32_t high) const {
    store2(reinterpret_cast<uint32_t*>(at + c * channel + row * pitch), make_uint2(low, high));
  }
};

// What chroma adds to four pixels, with the luma's shift and the half to round.
struct YuvTerms {
  int32_t r[4], g[4], b[4];
};

__device__ __forceinline__ void yuv_bytes(uint32_t luma, int32_t iy, const YuvTerms& t, uint32_t& r,
                                          uint32_t& g, uint32_t& b) {
  int32_t y[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) y[k] = static_cast<int32_t>(luma >> 8 * k & 255u) * iy;
  r = pack_levels((y[0] + t.r[0]) >> 20, (y[1] + t.r[1]) >> 20, (y[2] + t.r[2]) >> 20, (y[3] + t.r[3]) >> 20);
  g = pack_levels((y[0] + t.g[0]) >> 20, (y[1] + t.g[1]) >> 20, (y[2] + t.g[2]) >> 20, (y[3] + t.g[3]) >> 20);
  b = pack_levels((y[0] + t.b[0]) >> 20, (y[1] + t.b[1]) >> 20, (y[2] + t.b[2]) >> 20, (y[3] + t.b[3]) >> 20);
}

// A picture's conversion in integers, of kChromaUnit times U and V: 2^20 levels each.
struct alignas(16) FixedYuv {
  int32_t y, rv, gu, gv, bu, r, g, b;

  // fixed: iy, iy_shift, irv, igu, igv, ibu, for 16 times the chroma less 128.
  __device__ __forceinline__ void set(const int32_t* fixed, int unit) {
    y = fixed[0];
    rv = fixed[2] * (16 / unit);
    gu = fixed[3] * (16 / unit);
    gv = fixed[4] * (16 / unit);
    bu = fixed[5] * (16 / unit);
    r = fixed[1] - 128 * unit * rv;
    g = fixed[1] - 128 * unit * (gu + gv);
    b = fixed[1] - 128 * unit * bu;
  }
  __device__ __forceinline__ void add(int32_t u, int32_t v, YuvTerms& t, int k) const {
    t.r[k] = v * rv + r;
    t.g[k] = u * gu + v * gv + g;
    t.b[k] = u * bu + b;
  }
};

__device__ __forceinline__ void to_bytes(const PixelSource<kPixelsRgb24>&, const FixedYuv&, int32_t, int32_t,
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

__device__ __forceinline__ void to_bytes(const PixelSource<kPixelsRgba>& p, const FixedYuv&, int32_t, int32_t,
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

__device__ __forceinline__ void to_bytes(const PixelSource<kPixelsGray>&, const FixedYuv&, int32_t, int32_t,
                                         const RawPixels<kPixelsGray>& raw, const ByteRows& out) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
#pragma unroll
    for (int c = 0; c < 3; ++c) out.put(row, c, raw.w[2 * row], raw.w[2 * row + 1]);
  }
}

template <int kKind>
__device__ __forceinline__ void to_bytes(const PixelSource<kKind>& p, const FixedYuv& shared, int32_t y,
                                         int32_t x, const RawPixels<kKind>& raw, const ByteRows& out) {
  const FixedYuv k = shared;
  if constexpr (kKind == kPixelsNearest) {
    (void)p, (void)y, (void)x;
    YuvTerms terms[2];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const uint32_t uv = raw.w[4 + i / 4] >> 16 * (i / 2 % 2);
      k.add(static_cast<int32_t>(uv & 255u), static_cast<int32_t>(uv >> 8 & 255u), terms[i / 4], i % 4);
    }
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      uint32_t w[3][2];
#pragma unroll
      for (int i = 0; i < 2; ++i) yuv_bytes(raw.w[2 * row + i], k.y, terms[i], w[0][i], w[1][i], w[2][i]);
#pragma unroll
      for (int c = 0; c < 3; ++c) out.put(row, c, w[c][0], w[c][1]);
    }
  } else {
    RawEdges edges;
    load_edges(p, y, x, edges);
    uint32_t near[6];
    spread_chroma(raw.w + 6, edges.w[1], x >> 1, p.last_sample, near);
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      uint32_t far[6], uv[8], w[3][2];
      spread_chroma(raw.w + 4 + 4 * row, edges.w[2 * row], x >> 1, p.last_sample, far);
      mix_chroma<kKind>(near, far, uv);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        YuvTerms terms;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const uint32_t both = uv[4 * i + j];
          k.add(static_cast<int32_t>(both & 0xffffu), static_cast<int32_t>(both >> 16), terms, j);
        }
        yuv_bytes(raw.w[2 * row + i], k.y, terms, w[0][i], w[1][i], w[2][i]);
      }
#pragma unroll
      for (int c = 0; c < 3; ++c) out.put(row, c, w[c][0], w[c][1]);
    }
  }
}

}  // namespace cinefuse::gpu
