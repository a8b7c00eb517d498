#include <algorithm>

#include "../../core/pool.h"
#include "frames_target.h"
#include "rows.h"

namespace cinefuse {
namespace {

constexpr int kTogether = 2;  // input rows of one call of the horizontal pass

void pass(const PlanarSimd& planar, const PlanarView& view, const uint8_t* const* rows, int count,
          uint8_t* const* out, Ahead ahead) {
  planar.pass_u8(&view, rows, count, out, ahead);
}
void pass(const PlanarSimd& planar, const PlanarView& view, const uint8_t* const* rows, int count,
          float* const* out, Ahead ahead) {
  planar.pass_f32(&view, rows, count, out, ahead);
}

// Completes row y out of `taps` rows of three planes.
struct Column {
  const CpuPlan& plan;
  const Target& target;
  const PlanarSimd& planar;
  int64_t plane, n;
  void* scratch;

  void put(int64_t y, int taps, const uint8_t* const* rows) const {
    const uint8_t* result = rows[0];
    if (!plan.v.identity) {
      uint8_t* mixed = static_cast<uint8_t*>(scratch);
      planar.column_u8(rows, plan.v.fixed.data() + (y - plan.y0) * plan.v.taps, taps, 3 * plane, mixed);
      result = mixed;
    }
    target.put_planes(y, plan.x0, n, result, plane, planar);
  }
  void put(int64_t y, int taps, const float* const* rows) const {
    const bool half = target.kind == FramesOutput::kFloat16;
    float scale[3], *to[3];
    for (int c = 0; c < 3; ++c) {
      scale[c] = target.scale[c] * plan.planar.unit();
      to[c] = half ? static_cast<float*>(scratch) + c * plane : target.at<float>(c, y, plan.x0);
    }
    planar.column_f32(rows, plan.v.weights.data() + (y - plan.y0) * plan.v.taps, taps, plane, n, scale,
                      target.shift, to);
    if (!half) return;
    for (int c = 0; c < 3; ++c) target.simd->to_half(n, to[c], target.at<uint16_t>(c, y, plan.x0));
  }
};

template <class T>
void band(const FrameImage& image, const CpuPlan& plan, const Target& target, int64_t row0, int64_t row1) {
  const PlanarSimd& planar = planar_simd(Isa::kAvx512);
  const PlanarView view = plan.planar.view();
  const int64_t columns = plan.h.end - plan.h.begin, n = plan.x1 - plan.x0;
  const int64_t bytes_plane = (columns + 63) / 64 * 64 + 192, plane = (n + 15) / 16 * 16;
  const int slots = plan.v.taps + kTogether;
  const int64_t last = plan.v.begin + plan.v.first[row1 - 1 - plan.y0] + plan.v.count[row1 - 1 - plan.y0];

  uint8_t* memory = nullptr;
  for (;;) {
    Carver carver(memory);
    Rows rows(image, *target.simd, carver, columns, kTogether, RowKind::kRgb);
    uint8_t* split = carver.take<uint8_t>(3 * bytes_plane * kTogether);
    const int64_t slot = 3 * plane + kFramesPad;
    T* ring = carver.take<T>(slot * slots);
    const T** list = carver.take<const T*>(plan.v.taps);
    void* scratch = carver.take<T>(slot);
    if (!memory) {
      memory =
          reinterpret_cast<uint8_t*>(thread_scratch(0, static_cast<size_t>(carver.bytes()) / sizeof(float)));
      continue;
    }
    const Column column{plan, target, planar, plane, n, scratch};
    rows.columns(plan.h.begin, columns);
    int64_t done = plan.v.begin + plan.v.first[row0 - plan.y0];  // rows before it have passed horizontally
    for (int64_t y = row0; y < row1; ++y) {
      const int64_t i = y - plan.y0;
      const int taps = plan.v.count[i];
      const int64_t first = plan.v.begin + plan.v.first[i];
      done = std::max(done, first);
      // Ahead of need only where the next output row goes on without a gap.
      const bool gapless = y + 1 < row1 && plan.v.first[i + 1] <= plan.v.first[i] + taps;
      const int64_t bound = gapless ? last : first + taps;
      while (done < first + taps) {
        const int together = static_cast<int>(std::min<int64_t>(kTogether, bound - done));
        const uint8_t* from[3 * kTogether];
        T* to[3 * kTogether];
        for (int r = 0; r < together; ++r) {
          planar.split(rows.rgb(done + r), columns, bytes_plane, split + 3 * r * bytes_plane);
          for (int c = 0; c < 3; ++c) {
            from[3 * r + c] = split + (3 * r + c) * bytes_plane;
            to[3 * r + c] = ring + (done + r) % slots * slot + c * plane;
          }
        }
        done += together;
        const bool more = image.format == PixelFormat::kRgb24 && done < bound;
        const Ahead next{image.data + done * image.pitch, more ? long{kTogether} * image.pitch : 0};
        pass(planar, view, from, 3 * together, to, next);
      }
      for (int t = 0; t < taps; ++t) list[t] = ring + (first + t) % slots * slot;
      column.put(y, taps, list);
    }
    return;
  }
}

}  // namespace

void planar_band(const FrameImage& image, const CpuPlan& plan, const Target& target, int64_t row0,
                 int64_t row1, bool whole) {
  whole ? band<uint8_t>(image, plan, target, row0, row1) : band<float>(image, plan, target, row0, row1);
}

}  // namespace cinefuse
