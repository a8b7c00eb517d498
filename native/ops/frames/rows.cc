#include "rows.h"

#include <cmath>

namespace cinefuse {

YuvCoefficients yuv_coefficients(YuvMatrix matrix, YuvRange range) {
  const bool bt601 = matrix == YuvMatrix::kBt601, limited = range == YuvRange::kLimited;
  const double kr = bt601 ? 0.299 : 0.2126, kb = bt601 ? 0.114 : 0.0722, kg = 1 - kr - kb;
  const double y = limited ? 255.0 / 219 : 1.0, c = (limited ? 255.0 / 224 : 1.0) / 16;
  const double rv = 2 * (1 - kr) * c, bu = 2 * (1 - kb) * c;
  const double gv = -2 * (1 - kr) * kr / kg * c, gu = -2 * (1 - kb) * kb / kg * c;
  const auto fixed = [](double x) { return static_cast<int32_t>(std::lround(x * (1 << 20))); };
  YuvCoefficients k{};
  k.y = static_cast<float>(y);
  k.y_shift = static_cast<float>(limited ? -16 * y : 0);
  k.rv = static_cast<float>(rv);
  k.gu = static_cast<float>(gu);
  k.gv = static_cast<float>(gv);
  k.bu = static_cast<float>(bu);
  k.iy = fixed(y);
  k.iy_shift = (limited ? -16 * k.iy : 0) + (1 << 19);
  k.irv = fixed(rv);
  k.igu = fixed(gu);
  k.igv = fixed(gv);
  k.ibu = fixed(bu);
  return k;
}

Rows::Rows(const FrameImage& image, const FramesSimd& simd, Carver& carver, int64_t most_columns, int slots,
           RowKind kind)
    : image_(image), simd_(simd), slots_(slots) {
  const bool yuv = is_yuv(image.format);
  // Whole vectors are written, so a plane has room for the last one.
  plane_ = (most_columns + kFramesPad + 15) / 16 * 16;
  slot_bytes_ = kind == RowKind::kLuma  ? 0
                : kind == RowKind::kRgb ? 3 * plane_
                                        : 3 * plane_ * int64_t{sizeof(float)};
  if (yuv) yuv_ = yuv_coefficients(image.matrix, image.range);
  tags_ = carver.take<int64_t>(slots);
  ring_ = carver.take<uint8_t>(slot_bytes_ * slots + kFramesPad);
  tails_ = carver.take<uint8_t>(yuv ? plane_ * slots : 0);
  u_ = carver.take<int16_t>(yuv ? plane_ : 0);
  v_ = carver.take<int16_t>(yuv ? plane_ : 0);
}

void Rows::columns(int64_t x0, int64_t n) {
  // Chroma is made for pairs of columns, so YUV begins at an even one.
  lead_ = is_yuv(image_.format) ? x0 & 1 : 0;
  x0_ = x0 - lead_;
  n_ = n + lead_;
  chroma_key_ = -1;
  std::fill_n(tags_, slots_, int64_t{-1});
}

const uint8_t* Rows::luma(int64_t y) {
  const uint8_t* row = image_.data + y * image_.pitch + x0_;
  if (image_.data + image_.size - row >= n_ + kFramesPad) return row + lead_;
  uint8_t* copy = tails_ + y % slots_ * plane_;
  std::memcpy(copy, row, static_cast<size_t>(n_));
  return copy + lead_;
}

Rows::ChromaRows Rows::chroma_rows(int64_t y) const {
  const int64_t rows = (int64_t{image_.height} + 1) / 2, near = y >> 1;
  const bool nearest = image_.chroma == ChromaSiting::kNearest, nv12 = image_.format == PixelFormat::kNv12;
  // Bilinear: row y lies a quarter of a chroma row above or below row y/2.
  const int64_t other = y & 1 ? std::min(near + 1, rows - 1) : std::max<int64_t>(near - 1, 0);
  const uint8_t* u = image_.data + int64_t{image_.pitch} * image_.height;
  const uint8_t* v = nv12 ? u + 1 : u + int64_t{image_.chroma_pitch} * rows;
  const int64_t at = near * image_.chroma_pitch;
  return {u + at, v + at, nearest ? 0 : (other - near) * image_.chroma_pitch, nv12 ? 2 : 1, nearest ? 4 : 3};
}

// u_ and v_ of n columns of row y from the even column x.
void Rows::chroma(int64_t y, int64_t x, int64_t n) {
  const ChromaRows c = chroma_rows(y);
  const int64_t samples = (int64_t{image_.width} + 1) / 2;
  const int siting = static_cast<int>(image_.chroma), far_weight = 4 - c.near_weight;
  simd_.chroma(c.u, c.u + c.far, c.near_weight, far_weight, c.step, samples, siting, x / 2, (n + 1) / 2, u_);
  simd_.chroma(c.v, c.v + c.far, c.near_weight, far_weight, c.step, samples, siting, x / 2, (n + 1) / 2, v_);
}

// u_ and v_ of the columns of the ring, unless they hold them already.
void Rows::own_chroma(int64_t y) {
  if (chroma_key_ == terms_key(y)) return;
  chroma_key_ = terms_key(y);
  chroma(y, x0_, n_);
}

void Rows::terms(int64_t y, int64_t x, int64_t n, float* out, int64_t plane) {
  const ChromaRows c = chroma_rows(y);
  const uint8_t *u = c.u + c.step * (x / 2), *v = c.v + c.step * (x / 2);
  const int64_t samples = (n + 1) / 2;
  if (image_.chroma == ChromaSiting::kNearest &&
      image_.data + image_.size - std::max(u, v) >= c.step * samples + kFramesPad) {
    simd_.yuv_terms_nearest(u, v, c.step, &yuv_, samples, out, plane);
    return;
  }
  chroma(y, x, n);
  simd_.yuv_terms(u_, v_, &yuv_, n, out, plane);
}

const uint8_t* Rows::rgb(int64_t y) {
  const int slot = static_cast<int>(y % slots_);
  uint8_t* out = ring_ + slot * slot_bytes_;
  if (image_.format == PixelFormat::kRgb24) {
    const uint8_t* row = image_.data + y * image_.pitch + 3 * x0_;
    if (image_.data + image_.size - row >= 3 * n_ + kFramesPad) return row;
    if (tags_[slot] != y) std::memcpy(out, row, static_cast<size_t>(3 * n_));
  }
  if (tags_[slot] == y) return out + 3 * lead_;
  tags_[slot] = y;
  const uint8_t* row = image_.data + y * image_.pitch;
  switch (image_.format) {
    case PixelFormat::kRgb24:
      break;
    case PixelFormat::kRgba:
      row += 4 * x0_;
      for (int64_t i = 0; i < n_; ++i) {
        const int alpha = row[4 * i + 3];
        for (int c = 0; c < 3; ++c) {
          const int mixed = row[4 * i + c] * alpha + image_.background[c] * (255 - alpha);
          out[3 * i + c] = static_cast<uint8_t>((2 * mixed + 255) / 510);
        }
      }
      break;
    case PixelFormat::kGray:
      for (int64_t i = 0; i < n_; ++i) std::memset(out + 3 * i, row[x0_ + i], 3);
      break;
    default:
      own_chroma(y);
      simd_.yuv_u8(luma(y) - lead_, u_, v_, &yuv_, n_, out);
  }
  return out + 3 * lead_;
}

const float* Rows::planar(int64_t y) {
  const int slot = static_cast<int>(y % slots_);
  float* out = reinterpret_cast<float*>(ring_ + slot * slot_bytes_);
  if (tags_[slot] != y) {
    tags_[slot] = y;
    own_chroma(y);
    simd_.yuv_f32(luma(y) - lead_, u_, v_, &yuv_, n_, out, plane_);
  }
  return out + lead_;
}

}  // namespace cinefuse
