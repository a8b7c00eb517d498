// What the CUDA library is told of an image transform; meaning as in frames.h and coefficients.h.
#pragma once
#include <stdint.h>

// One pass: output i of [0, n) is the weighted sum of count[i] samples from first[i].
struct cinefuse_frames_pass {
  int64_t n;
  int32_t taps, reserved;
  const int32_t *first, *count;
  const float* weights;  // (n, taps) for Rounding::kFloat, else null
  const int32_t* fixed;  // (n, taps) for Rounding::kUint8, else null
};

// What pictures of one size share. Of the picture only a part is needed: rows and columns count from its
// corner, which lies on an even row and on a column that 16 divides.
struct cinefuse_frames_geometry {
  int64_t y0, y1, x0, x1;  // the part of the output that shows the picture; beyond it is padding
  int32_t width, height;   // of the part
  struct cinefuse_frames_pass h, v;
};

struct cinefuse_frames_image {
  const uint8_t* plane[3];  // the part's first byte in each plane
  int32_t pitch[3];
  int32_t format, chroma;  // enum class PixelFormat, ChromaSiting
  int32_t geometry;
  float yuv[6];      // y, y_shift, rv, gu, gv, bu of YuvCoefficients
  int32_t fixed[6];  // iy, iy_shift, irv, igu, igv, ibu
  uint8_t background[4];
  int32_t reserved;
};

struct cinefuse_frames_params {
  int32_t rounding, output;  // enum class Rounding, FramesOutput
  int64_t images_count, geometries_count;
  int64_t h, w;
  float scale[3], shift[3];  // of values in 0..255
  const float* levels;       // (3, 256): the same of the 256 levels
  const struct cinefuse_frames_image* images;
  const struct cinefuse_frames_geometry* geometries;
  void* out;
};
