#include "frames_device.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "../../core/device.h"
#include "../../core/pool.h"
#include "coefficients.h"
#include "frames.h"
#include "rows.h"

namespace cinefuse {
namespace {

// Pictures of one size.
struct Geometry {
  int32_t width, height;
  FramePlan plan;
  int64_t left, top;  // where the part that is needed begins
  cinefuse_frames_geometry described;
};

cinefuse_frames_pass describe(const Coefficients& c) {
  return {c.n,
          c.taps,
          0,
          c.first.data(),
          c.count.data(),
          c.weights.empty() ? nullptr : c.weights.data(),
          c.fixed.empty() ? nullptr : c.fixed.data()};
}

void fill(Geometry& g, const FramesTransform& t) {
  g.plan = make_frame_plan(t, g.width, g.height);
  // Two more rows and columns about them for the chroma samples beside the outermost.
  g.left = std::max<int64_t>(0, g.plan.h.begin - 2) / 16 * 16;
  g.top = std::max<int64_t>(0, g.plan.v.begin - 2) / 2 * 2;
  for (int32_t& first : g.plan.h.first) first += static_cast<int32_t>(g.plan.h.begin - g.left);
  for (int32_t& first : g.plan.v.first) first += static_cast<int32_t>(g.plan.v.begin - g.top);
  cinefuse_frames_geometry& d = g.described;
  d.y0 = g.plan.y0;
  d.y1 = g.plan.y1;
  d.x0 = g.plan.x0;
  d.x1 = g.plan.x1;
  d.width = static_cast<int32_t>(std::min<int64_t>(g.width, g.plan.h.end + 2) - g.left);
  d.height = static_cast<int32_t>(std::min<int64_t>(g.height, g.plan.v.end + 2) - g.top);
  d.h = describe(g.plan.h);
  d.v = describe(g.plan.v);
}

cinefuse_frames_image describe(const FrameImage& image, const Geometry& g, int index) {
  cinefuse_frames_image d{};
  d.format = static_cast<int32_t>(image.format);
  d.chroma = static_cast<int32_t>(image.chroma);
  d.geometry = index;
  std::copy_n(image.background, 3, d.background);
  const int64_t bytes = image.format == PixelFormat::kRgb24 ? 3 : image.format == PixelFormat::kRgba ? 4 : 1;
  d.plane[0] = image.data + g.top * image.pitch + g.left * bytes;
  d.pitch[0] = image.pitch;
  if (!is_yuv(image.format)) return d;
  const bool nv12 = image.format == PixelFormat::kNv12;
  const uint8_t* const chroma = image.data + int64_t{image.pitch} * image.height;
  const int64_t rows = (int64_t{image.height} + 1) / 2;
  d.plane[1] = chroma + g.top / 2 * image.chroma_pitch + (nv12 ? g.left : g.left / 2);
  d.plane[2] = nv12 ? nullptr : d.plane[1] + rows * image.chroma_pitch;
  d.pitch[1] = d.pitch[2] = image.chroma_pitch;
  const YuvCoefficients k = yuv_coefficients(image.matrix, image.range);
  const float floats[6] = {k.y, k.y_shift, k.rv, k.gu, k.gv, k.bu};
  const int32_t integers[6] = {k.iy, k.iy_shift, k.irv, k.igu, k.igv, k.ibu};
  std::copy_n(floats, 6, d.yuv);
  std::copy_n(integers, 6, d.fixed);
  return d;
}

}  // namespace

void frames_device(const FramesParams& p, const Exec& exec) {
  std::map<std::pair<int32_t, int32_t>, int> known;
  std::vector<Geometry> geometries;
  std::vector<int> geometry_of(p.images.size());
  for (size_t i = 0; i < p.images.size(); ++i) {
    const FrameImage& image = p.images[i];
    const auto [found, fresh] =
        known.try_emplace({image.width, image.height}, static_cast<int>(geometries.size()));
    if (fresh) {
      geometries.emplace_back();
      geometries.back().width = image.width;
      geometries.back().height = image.height;
    }
    geometry_of[i] = found->second;
  }
  parallel_for(exec, static_cast<int>(geometries.size()), [&](int i) { fill(geometries[i], p.transform); });

  std::vector<cinefuse_frames_geometry> described;
  for (const Geometry& g : geometries) described.push_back(g.described);
  std::vector<cinefuse_frames_image> images;
  for (size_t i = 0; i < p.images.size(); ++i) {
    images.push_back(describe(p.images[i], geometries[geometry_of[i]], geometry_of[i]));
  }
  cinefuse_frames_params d{};
  d.rounding = static_cast<int32_t>(p.transform.rounding);
  d.output = static_cast<int32_t>(p.output);
  d.images_count = static_cast<int64_t>(images.size());
  d.geometries_count = static_cast<int64_t>(described.size());
  d.h = p.h;
  d.w = p.w;
  const Normalisation normalisation = make_normalisation(p.transform);
  std::copy_n(normalisation.scale, 3, d.scale);
  std::copy_n(normalisation.shift, 3, d.shift);
  d.levels = normalisation.levels[0];
  d.images = images.data();
  d.geometries = described.data();
  d.out = p.out;
  run_on_device(exec, CINEFUSE_FRAMES, d);
}

}  // namespace cinefuse
