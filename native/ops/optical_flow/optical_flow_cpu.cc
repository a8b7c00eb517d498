#include <algorithm>
#include <cstdint>
#include <vector>

#include "../../core/pool.h"
#include "optical_flow.h"
#include "optical_flow_simd.h"

namespace cinefuse {
namespace {

constexpr int64_t kRowsABand = 32;
constexpr int kBandScratch = 2;

// Where -radius..size + radius lies when reflected at the edges, however small the size.
int64_t reflect(int64_t i, int64_t size) {
  if (i < 0) i = -i;
  if (i < size) return i;
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1);
  if (i >= period) i %= period;
  return i < size ? i : period - i;
}

struct Level {
  int64_t height, width, stride, offset;
  int64_t floats() const { return height * stride; }
};

// body(first row, end) on the call's threads.
template <class Body>
void in_bands(const Exec& exec, int64_t height, Body&& body) {
  parallel_for(exec, static_cast<int>((height + kRowsABand - 1) / kRowsABand),
               [&](int band) { body(band * kRowsABand, std::min(height, (band + 1) * kRowsABand)); });
}

// Reflects `radius` floats to either side of row[0, width).
void pad_row(float* row, int64_t width, int radius) {
  for (int k = 1; k <= radius; ++k) {
    row[-k] = row[reflect(-k, width)];
    row[width - 1 + k] = row[reflect(width - 1 + k, width)];
  }
}

// Zeros that begin with a cache line, as then does every row of a plane: a vector is read from one line, not
// two.
class AlignedFloats {
 public:
  explicit AlignedFloats(int64_t n) : floats_(static_cast<size_t>(n) + 15) {
    const size_t past = reinterpret_cast<uintptr_t>(floats_.data()) / sizeof(float) % 16;
    data_ = floats_.data() + (16 - past) % 16;
  }
  AlignedFloats(const AlignedFloats&) = delete;
  float* data() const { return data_; }

 private:
  std::vector<float> floats_;
  float* data_;
};

class FlowRun {
 public:
  FlowRun(const OpticalFlowParams& p, const Exec& exec)
      : p_(p),
        simd_(optical_flow_simd(exec.isa)),
        presmooth_(flow_taps(kFlowPresmooth)),
        local_(flow_taps(kFlowLocal)),
        window_(flow_taps(p.window)) {
    for (const FlowSize& size : flow_sizes(p)) {
      const int64_t stride = (size.width + 15) / 16 * 16;
      levels_.push_back({size.height, size.width, stride, pyramid_floats_});
      pyramid_floats_ += size.height * stride;
    }
  }

  int64_t pyramid_floats() const { return pyramid_floats_; }
  // For either of the two steps.
  int64_t scratch_floats() const { return (4 + kFlowSums) * levels_[0].floats(); }

  // Local contrast of every level of a frame.
  void pyramid(int64_t frame, float* to, float* scratch, const Exec& exec) const {
    const int64_t plane = levels_[0].floats();
    float *raw = scratch, *next = raw + plane, *smooth = next + plane, *across = smooth + plane;
    const Level& finest = levels_[0];
    in_bands(exec, finest.height, [&](int64_t first, int64_t end) {
      for (int64_t y = first; y < end; ++y) {
        const int64_t at = (frame * finest.height + y) * finest.width;
        float* const row = raw + y * finest.stride;
        if (p_.bytes) {
          simd_.widen(finest.width, p_.bytes + at, row);
        } else {
          std::copy(p_.floats + at, p_.floats + at + finest.width, row);
        }
      }
    });
    for (size_t l = 0; l < levels_.size(); ++l) {
      const Level& level = levels_[l];
      if (l > 0) {
        halve(levels_[l - 1], level, raw, next, exec);
        std::swap(raw, next);
      }
      float* const own = to + level.offset;
      blur(level, presmooth_, raw, across, smooth, exec, kPlain);
      blur(level, local_, smooth, across, own, exec, kCentred);
      blur(level, local_, own, across, smooth, exec, kContrast);
      std::copy(smooth, smooth + level.floats(), own);
    }
  }

  void pair(const float* first, const float* second, int64_t index, float* scratch, const Exec& exec) const {
    const int64_t plane = levels_[0].floats();
    float *u = scratch, *v = u + plane, *other_u = v + plane, *other_v = other_u + plane;
    float* sums[kFlowSums];
    for (int k = 0; k < kFlowSums; ++k) sums[k] = other_v + (1 + k) * plane;
    for (size_t l = levels_.size(); l-- > 0;) {
      const Level& level = levels_[l];
      if (l + 1 == levels_.size()) {
        std::fill_n(u, level.floats(), 0.f);
        std::fill_n(v, level.floats(), 0.f);
      } else {
        grow(levels_[l + 1], level, u, other_u, exec);
        grow(levels_[l + 1], level, v, other_v, exec);
        std::swap(u, other_u);
        std::swap(v, other_v);
      }
      for (int i = 0; i < p_.iterations; ++i) {
        gather_sums(level, first + level.offset, second + level.offset, u, v, sums, exec);
        solve(level, sums, u, v, exec);
      }
      median(level, u, other_u, exec);
      median(level, v, other_v, exec);
      std::swap(u, other_u);
      std::swap(v, other_v);
    }
    const Level& finest = levels_[0];
    in_bands(exec, finest.height, [&](int64_t begin, int64_t end) {
      for (int64_t y = begin; y < end; ++y) {
        simd_.interleave(finest.width, u + y * finest.stride, v + y * finest.stride,
                         p_.flow + 2 * (index * finest.height + y) * finest.width);
      }
    });
  }

 private:
  enum Blur { kPlain, kCentred, kContrast };

  void halve(const Level& fine, const Level& coarse, const float* from, float* to, const Exec& exec) const {
    in_bands(exec, coarse.height, [&](int64_t first, int64_t end) {
      for (int64_t y = first; y < end; ++y) {
        simd_.halve(fine.width, from + 2 * y * fine.stride,
                    from + std::min(2 * y + 1, fine.height - 1) * fine.stride, to + y * coarse.stride);
      }
    });
  }

  // kPlain: to = G * x; kCentred: to = x - G * x; kContrast: to = x / sqrt(G * x² + floor²).
  void blur(const Level& level, const FlowTaps& taps, const float* x, float* across, float* to,
            const Exec& exec, Blur kind) const {
    const int radius = taps.radius;
    in_bands(exec, level.height, [&](int64_t first, int64_t end) {
      float* const padded = thread_scratch(kBandScratch, static_cast<size_t>(level.stride + 2 * radius));
      std::fill_n(padded + level.width, level.stride + 2 * radius - level.width, 0.f);
      for (int64_t y = first; y < end; ++y) {
        std::copy_n(x + y * level.stride, level.width, padded + radius);
        pad_row(padded + radius, level.width, radius);
        simd_.blur_across(level.stride, radius, taps.weight, padded, kind == kContrast,
                          across + y * level.stride);
      }
    });
    in_bands(exec, level.height, [&](int64_t first, int64_t end) {
      const float* rows[2 * kMostFlowRadius + 1];
      float* const sum = thread_scratch(kBandScratch, static_cast<size_t>(level.stride));
      for (int64_t y = first; y < end; ++y) {
        rows_about(level, across, y, radius, rows);
        float* const row = to + y * level.stride;
        simd_.blur_down(level.stride, radius, taps.weight, rows, kind == kPlain ? row : sum);
        const float* const own = x + y * level.stride;
        if (kind == kCentred) simd_.subtract(level.stride, own, sum, row);
        if (kind == kContrast) simd_.contrast(level.stride, kFlowContrastFloor, own, sum, row);
      }
    });
  }

  void rows_about(const Level& level, const float* plane, int64_t y, int radius, const float** rows) const {
    for (int k = -radius; k <= radius; ++k) {
      rows[k + radius] = plane + reflect(y + k, level.height) * level.stride;
    }
  }

  // The five products of every pixel, summed across.
  void gather_sums(const Level& level, const float* first, const float* second, const float* u,
                   const float* v, float* const* sums, const Exec& exec) const {
    const int radius = window_.radius;
    const int64_t stride = level.stride, row_floats = stride + 16, padded_floats = stride + 2 * radius;
    in_bands(exec, level.height, [&](int64_t begin, int64_t end) {
      constexpr int kRing = 5;  // rows of the mean about y, row y + k in place (y + k) % 5
      float* const scratch = thread_scratch(
          kBandScratch, static_cast<size_t>(2 * kRing * row_floats + kFlowSums * padded_floats));
      std::fill_n(scratch, 2 * kRing * row_floats + kFlowSums * padded_floats, 0.f);
      float* products[kFlowSums];
      for (int k = 0; k < kFlowSums; ++k) {
        products[k] = scratch + 2 * kRing * row_floats + k * padded_floats + radius;
      }
      const auto place = [&](int64_t row) { return scratch + (row + kRing) % kRing * 2 * row_floats; };
      const auto warp = [&](int64_t row) {
        const int64_t y = reflect(row, level.height), at = y * stride;
        float* const mean = place(row) + 2;
        simd_.warp(stride, level.width, level.height, stride, y, first + at, second, u + at, v + at, mean,
                   place(row) + row_floats);
        pad_row(mean, level.width, 2);
      };
      for (int64_t row = begin - 2; row < begin + 2; ++row) warp(row);
      for (int64_t y = begin; y < end; ++y) {
        warp(y + 2);
        const float* mean[kRing];
        for (int k = 0; k < kRing; ++k) mean[k] = place(y + k - 2) + 2;
        simd_.products(stride, level.width, level.height, y, kFlowRobust, p_.regularization, mean,
                       place(y) + row_floats, u + y * stride, v + y * stride, products);
        for (int k = 0; k < kFlowSums; ++k) {
          pad_row(products[k], level.width, radius);
          simd_.blur_across(stride, radius, window_.weight, products[k] - radius, false,
                            sums[k] + y * stride);
        }
      }
    });
  }

  void solve(const Level& level, const float* const* sums, float* u, float* v, const Exec& exec) const {
    const int radius = window_.radius;
    in_bands(exec, level.height, [&](int64_t first, int64_t end) {
      float* const scratch = thread_scratch(kBandScratch, static_cast<size_t>(kFlowSums * level.stride));
      const float* rows[2 * kMostFlowRadius + 1];
      const float* whole[kFlowSums];
      for (int64_t y = first; y < end; ++y) {
        for (int k = 0; k < kFlowSums; ++k) {
          rows_about(level, sums[k], y, radius, rows);
          simd_.blur_down(level.stride, radius, window_.weight, rows, scratch + k * level.stride);
          whole[k] = scratch + k * level.stride;
        }
        simd_.solve(level.stride, p_.regularization, whole, u + y * level.stride, v + y * level.stride);
      }
    });
  }

  void median(const Level& level, const float* from, float* to, const Exec& exec) const {
    const int64_t row_floats = level.stride + 2;
    in_bands(exec, level.height, [&](int64_t first, int64_t end) {
      float* const scratch = thread_scratch(kBandScratch, static_cast<size_t>(3 * row_floats));
      std::fill_n(scratch, 3 * row_floats, 0.f);
      const float* rows[3];
      for (int64_t y = first; y < end; ++y) {
        for (int k = 0; k < 3; ++k) {
          float* const row = scratch + k * row_floats;
          std::copy_n(from + reflect(y + k - 1, level.height) * level.stride, level.width, row + 1);
          pad_row(row + 1, level.width, 1);
          rows[k] = row + 1;
        }
        simd_.median(level.stride, rows, to + y * level.stride);
      }
    });
  }

  void grow(const Level& coarse, const Level& fine, const float* from, float* to, const Exec& exec) const {
    in_bands(exec, fine.height, [&](int64_t first, int64_t end) {
      for (int64_t y = first; y < end; ++y) {
        const int64_t near = y / 2, far = std::clamp<int64_t>(near + (y % 2 ? 1 : -1), 0, coarse.height - 1);
        simd_.grow(fine.width, coarse.width, from + near * coarse.stride, from + far * coarse.stride,
                   to + y * fine.stride);
      }
    });
  }

  const OpticalFlowParams& p_;
  const OpticalFlowSimd& simd_;
  const FlowTaps presmooth_, local_, window_;
  std::vector<Level> levels_;
  int64_t pyramid_floats_ = 0;
};

}  // namespace

void optical_flow_cpu(const OpticalFlowParams& p, const Exec& exec) {
  const FlowRun run(p, exec);
  const int64_t pairs = p.n - 1, abreast = std::min<int64_t>(pairs, exec.threads);
  // With a pair for every thread each goes its way alone; else the threads share the rows of one.
  const bool apart = pairs >= exec.threads;
  Exec inner = exec;
  if (apart) inner.threads = 1;
  AlignedFloats pyramids((abreast + 1) * run.pyramid_floats());
  AlignedFloats scratch((apart ? abreast : 1) * run.scratch_floats());
  // The pyramid of a frame lies at its number modulo one more than the pairs abreast.
  const auto pyramid = [&](int64_t frame) {
    return pyramids.data() + frame % (abreast + 1) * run.pyramid_floats();
  };
  const auto each = [&](int64_t count, auto&& body) {
    if (apart) {
      parallel_for(exec, static_cast<int>(count),
                   [&](int task) { body(task, scratch.data() + task * run.scratch_floats()); });
    } else {
      for (int64_t task = 0; task < count; ++task) body(task, scratch.data());
    }
  };
  each(1, [&](int64_t, float* own) { run.pyramid(0, pyramid(0), own, inner); });
  for (int64_t first = 0; first < pairs; first += abreast) {
    const int64_t count = std::min(abreast, pairs - first);
    each(count,
         [&](int64_t i, float* own) { run.pyramid(first + i + 1, pyramid(first + i + 1), own, inner); });
    each(count, [&](int64_t i, float* own) {
      run.pair(pyramid(first + i), pyramid(first + i + 1), first + i, own, inner);
    });
  }
}

}  // namespace cinefuse
