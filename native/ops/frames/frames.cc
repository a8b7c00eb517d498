#include "frames.h"

#include <algorithm>
#include <cmath>

namespace cinefuse {

void frames_cpu(const FramesParams& params, const Exec& exec);
void frames_device(const FramesParams& params, const Exec& exec);

namespace {

using ll = long long;

// Half of the difference, halves to the even neighbour, as Python's round().
int64_t half_to_even(int64_t difference) {
  const int64_t low = difference / 2;
  return difference % 2 == 0 ? low : low + (low & 1);
}

void check_choice(int value, int count, const char* field) {
  CINEFUSE_REQUIRE(value >= 0 && value < count, Code::kInputValue, field,
                   "Expected 0..%d for %s, received %d", count - 1, field, value);
}

void check_transform(const FramesTransform& t) {
  check_choice(static_cast<int>(t.filter), 5, "filter");
  check_choice(static_cast<int>(t.rounding), 2, "rounding");
  CINEFUSE_REQUIRE(t.resize_h >= 0 && t.resize_w >= 0 && t.resize_h <= kLargestSide &&
                       t.resize_w <= kLargestSide && (t.resize_h > 0 || t.resize_w == 0),
                   Code::kInputValue, "resize", "Expected sides of 1..%lld for resize, received %lld x %lld",
                   static_cast<ll>(kLargestSide), static_cast<ll>(t.resize_h), static_cast<ll>(t.resize_w));
  CINEFUSE_REQUIRE(t.crop_h >= 0 && t.crop_w >= 0 && t.crop_h <= kLargestSide && t.crop_w <= kLargestSide &&
                       (t.crop_h > 0) == (t.crop_w > 0),
                   Code::kInputValue, "crop", "Expected sides of 1..%lld for crop, received %lld x %lld",
                   static_cast<ll>(kLargestSide), static_cast<ll>(t.crop_h), static_cast<ll>(t.crop_w));
  CINEFUSE_REQUIRE(std::isfinite(t.scale), Code::kInputValue, "scale", "Expected a finite scale, received %g",
                   t.scale);
  for (int c = 0; c < 3; ++c) {
    CINEFUSE_REQUIRE(std::isfinite(t.mean[c]), Code::kInputValue, "mean",
                     "Expected finite numbers for mean, received %g for channel %d", t.mean[c], c);
    CINEFUSE_REQUIRE(std::isfinite(t.std[c]) && t.std[c] > 0, Code::kInputValue, "std",
                     "Expected positive numbers for std, received %g for channel %d", t.std[c], c);
  }
}

int64_t bytes_a_pixel(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb24:
      return 3;
    case PixelFormat::kRgba:
      return 4;
    default:
      return 1;
  }
}

void check_pitch(int64_t pitch, int64_t least, const std::string& field) {
  CINEFUSE_REQUIRE(pitch >= least, Code::kShape, field, "Expected at least %lld bytes for %s, received %lld",
                   static_cast<ll>(least), field.c_str(), static_cast<ll>(pitch));
}

void check_image(FrameImage& m, const std::string& name) {
  check_choice(static_cast<int>(m.format), 5, (name + ".format").c_str());
  check_choice(static_cast<int>(m.matrix), 2, (name + ".matrix").c_str());
  check_choice(static_cast<int>(m.range), 2, (name + ".range").c_str());
  check_choice(static_cast<int>(m.chroma), 3, (name + ".chroma").c_str());
  for (const auto& [value, side] : {std::pair{m.width, ".width"}, std::pair{m.height, ".height"}}) {
    CINEFUSE_REQUIRE(value >= 1 && value <= kLargestSide, Code::kInputValue, name + side,
                     "Expected 1..%lld for %s%s, received %d", static_cast<ll>(kLargestSide), name.c_str(),
                     side, value);
  }
  const bool yuv = m.format == PixelFormat::kNv12 || m.format == PixelFormat::kI420;
  const int64_t row = m.width * bytes_a_pixel(m.format);
  if (m.pitch == 0) m.pitch = static_cast<int32_t>(row);
  check_pitch(m.pitch, row, name + ".pitch");
  int64_t planes = int64_t{m.pitch} * (m.height - 1), last = row;
  if (yuv) {
    const int64_t half_w = (int64_t{m.width} + 1) / 2, half_h = (int64_t{m.height} + 1) / 2;
    const bool nv12 = m.format == PixelFormat::kNv12;
    const int64_t chroma_row = nv12 ? 2 * half_w : half_w;
    if (m.chroma_pitch == 0) {
      // A padded luma plane goes with equally padded chroma: all of it in NV12, half in I420.
      const int64_t from_luma = nv12 ? m.pitch + (m.pitch & 1) : (int64_t{m.pitch} + 1) / 2;
      m.chroma_pitch = static_cast<int32_t>(std::max(chroma_row, m.pitch == row ? chroma_row : from_luma));
    }
    check_pitch(m.chroma_pitch, chroma_row, name + ".chromaPitch");
    planes = int64_t{m.pitch} * m.height + int64_t{m.chroma_pitch} * ((nv12 ? 1 : 2) * half_h - 1);
    last = chroma_row;
  }
  // The last row may come with or without its padding.
  const int64_t least = planes + last;
  const int64_t most = planes + (yuv ? m.chroma_pitch : m.pitch);
  const int64_t got = static_cast<int64_t>(m.size);
  CINEFUSE_REQUIRE(got == least || got == most, Code::kShape, name + ".data",
                   "Expected %lld bytes for %s.data of %d x %d pixels, received %lld", static_cast<ll>(most),
                   name.c_str(), m.width, m.height, static_cast<ll>(got));
}

}  // namespace

FrameWindow frame_window(const FramesTransform& t, int64_t width, int64_t height, const char* image) {
  FrameWindow w{};
  w.resized_h = height;
  w.resized_w = width;
  if (t.resize_h > 0 && t.resize_w > 0) {
    w.resized_h = t.resize_h;
    w.resized_w = t.resize_w;
  } else if (t.resize_h > 0) {
    const int64_t shorter = std::min(width, height), longer = std::max(width, height);
    const int64_t long_side = static_cast<int64_t>(static_cast<double>(t.resize_h * longer) / shorter);
    w.resized_h = width <= height ? long_side : t.resize_h;
    w.resized_w = width <= height ? t.resize_h : long_side;
  }
  CINEFUSE_REQUIRE(
      w.resized_h <= kLargestSide && w.resized_w <= kLargestSide, Code::kShape, "resize",
      "Expected sides of at most %lld after resizing, received %lld x %lld for %s of %lld x %lld",
      static_cast<ll>(kLargestSide), static_cast<ll>(w.resized_w), static_cast<ll>(w.resized_h), image,
      static_cast<ll>(width), static_cast<ll>(height));
  w.h = t.crop_h > 0 ? t.crop_h : w.resized_h;
  w.w = t.crop_w > 0 ? t.crop_w : w.resized_w;
  w.top = w.h > w.resized_h ? -((w.h - w.resized_h) / 2) : half_to_even(w.resized_h - w.h);
  w.left = w.w > w.resized_w ? -((w.w - w.resized_w) / 2) : half_to_even(w.resized_w - w.w);
  return w;
}

void frames_check(FramesParams& p) {
  check_transform(p.transform);
  CINEFUSE_REQUIRE(!p.images.empty(), Code::kShape, "images", "Expected at least 1 image, received none");
  for (size_t i = 0; i < p.images.size(); ++i) {
    const std::string name = format("images[%zu]", i);
    check_image(p.images[i], name);
    const FrameWindow window = frame_window(p.transform, p.images[i].width, p.images[i].height, name.c_str());
    if (i == 0) {
      p.h = window.h;
      p.w = window.w;
    }
    CINEFUSE_REQUIRE(
        window.h == p.h && window.w == p.w, Code::kShape, name,
        "Expected every image to come out as %lld x %lld like images[0], received %lld x %lld for %s "
        "(set crop, or resize to [height, width])",
        static_cast<ll>(p.w), static_cast<ll>(p.h), static_cast<ll>(window.w), static_cast<ll>(window.h),
        name.c_str());
  }
}

void frames(const FramesParams& params, const Exec& exec) {
  exec.backend == Backend::kCpu ? frames_cpu(params, exec) : frames_device(params, exec);
}

}  // namespace cinefuse
