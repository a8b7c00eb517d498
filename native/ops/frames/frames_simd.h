#pragma once
#include <stdint.h>

namespace cinefuse {

// Every `out` may be written up to kFramesPad elements beyond its end, every input row read as far (its
// surplus does not show).
constexpr int kFramesPad = 64;

// Levels 0..255 of R, G and B as linear functions of luma and chroma (yuv_coefficients in rows.cc).
struct YuvCoefficients {
  float y, y_shift, rv, gu, gv, bu;          // on 16 times the chroma, centred on 0
  int32_t iy, iy_shift, irv, igu, igv, ibu;  // the same times 2^20, iy_shift with the half to round
};

// A group of rows: pixel by pixel, group_rows pixels of 4 floats R, G, B, 0, one of each row.
constexpr int kMostGroupRows = 4;

struct FramesSimd {
  int group_rows;  // as many as fill a vector, 1, 2 or 4
  // out[j] = Σ_t weights[t] * rows[t][j], j < n
  void (*gather_u8)(const uint8_t* const* rows, const float* weights, int taps, long n, float* out);
  // The same of three planes `plane` floats apart; out: one row of a group.
  void (*gather_planes)(const float* const* rows, long plane, const float* weights, int taps, long n,
                        float* out);
  // One step of a vertical pass in which every row counts for two output rows at most:
  //   rgb_t = clamp(scale * luma[t][at...] + terms[t]), out = carry + Σ_t falling[t] * rgb_t, carry = Σ_t
  //   rising[t] * rgb_t
  // terms, carry: three planes; out: one row of a group
  void (*blend_yuv)(const uint8_t* const* luma, long at, const float* const* terms, long plane,
                    const float* falling, const float* rising, int rows, float scale, long n, float* carry,
                    long carry_plane, float* out);
  // planes[c][i] = shift[c] + scale[c] * Σ_t weights[i * taps + t] * row[3(first[i] - from + t) + c], i < n
  void (*contract)(const float* row, long from, const int32_t* first, const int32_t* count,
                   const float* weights, int taps, long n, const float* scale, const float* shift,
                   float* const* planes);
  // The same for the first `rows` rows of a group at once; planes[3r + c].
  void (*contract_rows)(const float* group, long from, const int32_t* first, const int32_t* count,
                        const float* weights, int taps, long n, const float* scale, const float* shift,
                        int rows, float* const* planes);
  // out[2i], out[2i + 1] = 16 * (chroma - 128) at the luma columns over samples first + i, i < n. row0, row1:
  // chroma rows to mix wy0 : wy1 (sum 4), `step` bytes from sample to sample, `samples` of them. siting as
  // enum class ChromaSiting
  void (*chroma)(const uint8_t* row0, const uint8_t* row1, int wy0, int wy1, int step, long samples,
                 int siting, long first, long n, int16_t* out);
  // What chroma adds to R, G and B, with the luma's shift, into three planes.
  void (*yuv_terms)(const int16_t* u, const int16_t* v, const YuvCoefficients* k, long n, float* out,
                    long plane);
  // The same for ChromaSiting::kNearest straight from n samples of each, `step` bytes apart (2: v follows u):
  // 2n columns.
  void (*yuv_terms_nearest)(const uint8_t* u, const uint8_t* v, int step, const YuvCoefficients* k, long n,
                            float* out, long plane);
  // R, G, B in 0..255 into three planes, `plane` floats apart.
  void (*yuv_f32)(const uint8_t* y, const int16_t* u, const int16_t* v, const YuvCoefficients* k, long n,
                  float* out, long plane);
  // R, G, B bytes, interleaved.
  void (*yuv_u8)(const uint8_t* y, const int16_t* u, const int16_t* v, const YuvCoefficients* k, long n,
                 uint8_t* out);
  // Pillow's horizontal pass of `count` rows (1..4): out[r][3i + c] = clamp((2^21 + Σ_t fixed[i * taps + t] *
  // rows[r][3(first[i] + t) + c]) >> 22), i < n
  void (*pass_rows)(const uint8_t* const* rows, int n_rows, const int32_t* first, const int32_t* count,
                    const int32_t* fixed, const int32_t* packed, int taps, long n, uint8_t* const* out);
  // Pillow's vertical pass of one output row: out[j] = clamp((2^21 + Σ_t fixed[t] * rows[t][j]) >> 22), j < n
  void (*pass_column)(const uint8_t* const* rows, const int32_t* fixed, int taps, long n, uint8_t* out);
  // IEEE half-precision bits, rounded to nearest even.
  void (*to_half)(long n, const float* x, uint16_t* y);
};

}  // namespace cinefuse

#ifndef CINEFUSE_ISA
#include "../../core/simd_pick.h"
namespace cinefuse {
CINEFUSE_SIMD_DECLARE(FramesSimd, frames_simd)
}
#endif
