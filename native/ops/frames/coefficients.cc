#include "coefficients.h"

#include <algorithm>
#include <cmath>

// Pillow's weights must come out bit for bit before they are rounded: no fused multiply-add here.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

namespace cinefuse {
namespace {

constexpr double kPi = 3.14159265358979323846;

double triangle(double x) {
  x = std::fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}
double sinc(double x) { return x == 0.0 ? 1.0 : std::sin(x * kPi) / (x * kPi); }
double lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }
double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

struct Filter {
  double (*f)(double);
  double support;
};
constexpr Filter kFilters[] = {{triangle, 1.0}, {cubic, 2.0}, {lanczos, 3.0}, {box, 0.5}};

int32_t fixed_point(double w) {
  const double scaled = w * (1 << 22);
  return static_cast<int32_t>(w < 0 ? scaled - 0.5 : scaled + 0.5);
}

std::vector<int32_t> pack(const Coefficients& c) {
  const int64_t groups = (c.taps + 3) / 4;
  std::vector<int32_t> packed(static_cast<size_t>(c.n * groups * 4), 0);
  for (int64_t i = 0; i < c.n; ++i) {
    for (int t = 0; t < c.taps; ++t) {
      const int32_t w = c.fixed[i * c.taps + t];
      const uint32_t high = static_cast<uint32_t>(w >> 11) & 0xffffu, low = static_cast<uint32_t>(w) & 2047u;
      const int shift = t % 2 * 16;
      int32_t* group = packed.data() + (i * groups + t / 4) * 4 + t % 4 / 2;
      group[0] = static_cast<int32_t>(static_cast<uint32_t>(group[0]) | high << shift);
      group[2] = static_cast<int32_t>(static_cast<uint32_t>(group[2]) | low << shift);
    }
  }
  return packed;
}

}  // namespace

Coefficients make_coefficients(int64_t in, int64_t out, ResizeFilter filter, int64_t from, int64_t n,
                               Rounding rounding) {
  Coefficients c;
  c.n = n;
  if (n <= 0) return c;
  const bool noaa = filter == ResizeFilter::kBilinearNoaa;
  if (in == out) {
    c.identity = true;
    c.begin = from;
    c.end = from + n;
  }
  const Filter f = noaa ? kFilters[0] : kFilters[static_cast<int>(filter)];
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double filter_scale = c.identity || noaa ? 1.0 : std::max(scale, 1.0);
  const double support = f.support * filter_scale;
  const double inverse = 1.0 / filter_scale;
  c.taps = c.identity ? 1 : noaa ? 2 : static_cast<int>(std::min<double>(in, std::ceil(support) * 2 + 1));
  c.first.resize(n);
  c.count.resize(n);
  const size_t size = static_cast<size_t>(n) * c.taps;
  if (rounding == Rounding::kFloat) {
    c.weights.assign(size, 0.f);
  } else {
    c.fixed.assign(size, 0);
  }
  std::vector<double> row(c.taps);
  int64_t begin = in, end = 0;
  for (int64_t i = 0; i < n; ++i) {
    int64_t first = from + i, count = 1;
    row[0] = 1.0;
    if (noaa && !c.identity) {
      const double at = std::max(0.0, (from + i + 0.5) * in / out - 0.5);
      first = std::min<int64_t>(static_cast<int64_t>(at), in - 1);
      count = std::min<int64_t>(2, in - first);
      if (count == 2) {
        row[1] = at - static_cast<double>(first);
        row[0] = 1.0 - row[1];
      }
    } else if (!c.identity) {
      const double center = (from + i + 0.5) * scale;
      first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
      count = std::min<int64_t>(in, static_cast<int64_t>(center + support + 0.5)) - first;
      double sum = 0.0;
      for (int64_t t = 0; t < count; ++t) {
        row[t] = f.f((t + first - center + 0.5) * inverse);
        sum += row[t];
      }
      if (sum != 0.0) {
        for (int64_t t = 0; t < count; ++t) row[t] /= sum;
      }
    }
    c.first[i] = static_cast<int32_t>(first);
    c.count[i] = static_cast<int32_t>(count);
    begin = std::min(begin, first);
    end = std::max(end, first + count);
    for (int64_t t = 0; t < count; ++t) {
      const size_t at = static_cast<size_t>(i) * c.taps + t;
      if (rounding == Rounding::kFloat) {
        c.weights[at] = static_cast<float>(row[t]);
      } else {
        c.fixed[at] = fixed_point(row[t]);
      }
    }
  }
  c.begin = begin;
  c.end = end;
  if (rounding == Rounding::kUint8) c.packed = pack(c);
  for (int32_t& first : c.first) first -= static_cast<int32_t>(begin);
  return c;
}

FramePlan make_frame_plan(const FramesTransform& t, int32_t width, int32_t height) {
  const FrameWindow w = frame_window(t, width, height, "image");
  FramePlan p{};
  p.y0 = std::max<int64_t>(0, -w.top);
  p.y1 = std::min(w.h, w.resized_h - w.top);
  p.x0 = std::max<int64_t>(0, -w.left);
  p.x1 = std::min(w.w, w.resized_w - w.left);
  p.h = make_coefficients(width, w.resized_w, t.filter, w.left + p.x0, p.x1 - p.x0, t.rounding);
  p.v = make_coefficients(height, w.resized_h, t.filter, w.top + p.y0, p.y1 - p.y0, t.rounding);
  return p;
}

Normalisation make_normalisation(const FramesTransform& t) {
  Normalisation n{};
  for (int c = 0; c < 3; ++c) {
    const double scale = t.scale / t.std[c], shift = -t.mean[c] / t.std[c];
    n.scale[c] = static_cast<float>(scale);
    n.shift[c] = static_cast<float>(shift);
    n.exact_scale[c] = scale;
    n.exact_shift[c] = shift;
    for (int i = 0; i < 256; ++i) n.levels[c][i] = static_cast<float>(i * scale + shift);
  }
  return n;
}

}  // namespace cinefuse
