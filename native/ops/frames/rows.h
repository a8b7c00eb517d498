// The rows of one picture as RGB, converted when first asked for and kept in a ring.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "frames.h"
#include "frames_simd.h"

namespace cinefuse {

// Cuts one block of scratch into arrays of 64-byte alignment. Used twice: without memory to add up the size,
// then with.
class Carver {
 public:
  explicit Carver(void* memory) : memory_(static_cast<uint8_t*>(memory)) {}
  template <class T>
  T* take(int64_t n) {
    T* p = memory_ ? reinterpret_cast<T*>(memory_ + used_) : nullptr;
    used_ += (n * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return p;
  }
  int64_t bytes() const { return used_; }

 private:
  uint8_t* memory_;
  int64_t used_ = 0;
};

inline bool is_yuv(PixelFormat format) {
  return format == PixelFormat::kNv12 || format == PixelFormat::kI420;
}
YuvCoefficients yuv_coefficients(YuvMatrix matrix, YuvRange range);

enum class RowKind {
  kRgb,     // pixels of 3 bytes
  kPlanar,  // YUV only: three float planes R, G, B in 0..255
  kLuma     // YUV only: luma and terms alone, which need no ring
};

// Columns [x0, x0 + n) of the picture's rows; a ring of `slots` rows, so that the last `slots` rows asked for
// stay valid as long as rows are asked for in ascending windows. kFramesPad elements beyond n may be read.
class Rows {
 public:
  Rows(const FrameImage& image, const FramesSimd& simd, Carver& carver, int64_t most_columns, int slots,
       RowKind kind);
  void columns(int64_t x0, int64_t n);  // and forget what was converted
  const uint8_t* rgb(int64_t y);
  const float* planar(int64_t y);
  const uint8_t* luma(int64_t y);  // YUV only
  // YUV only: what chroma adds to R, G and B (FramesSimd::yuv_terms) of columns [x, x + n) of row y, x even,
  // n at most the columns that were announced. Rows of one terms_key have it in common.
  void terms(int64_t y, int64_t x, int64_t n, float* out, int64_t plane);
  int64_t terms_key(int64_t y) const { return image_.chroma == ChromaSiting::kNearest ? y >> 1 : y; }
  int64_t plane() const { return plane_; }  // floats from plane to plane
  const YuvCoefficients& yuv() const { return yuv_; }

 private:
  struct ChromaRows {
    const uint8_t *u, *v;  // the row that counts more; `far` bytes from it the other
    int64_t far;
    int step, near_weight;
  };
  ChromaRows chroma_rows(int64_t y) const;
  void chroma(int64_t y, int64_t x, int64_t n);
  void own_chroma(int64_t y);

  const FrameImage& image_;
  const FramesSimd& simd_;
  YuvCoefficients yuv_{};
  int slots_;
  int64_t x0_ = 0, n_ = 0, lead_ = 0, plane_ = 0, slot_bytes_ = 0;
  int64_t chroma_key_ = -1;  // the row that u_ and v_ hold
  int64_t* tags_;            // which row a slot holds, -1 none
  uint8_t* ring_;
  uint8_t* tails_;  // copies of luma rows that end too near to the end of the picture's memory
  int16_t *u_, *v_;
};

}  // namespace cinefuse
