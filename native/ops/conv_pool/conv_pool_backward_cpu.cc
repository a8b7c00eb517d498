#include <algorithm>
#include <cstring>

#include "../../core/pool.h"
#include "conv_pool_backward.h"
#include "conv_pool_simd.h"

namespace cinefuse {
namespace {

constexpr int64_t kFiltersATask = 16;  // share one pass over x

float slope(Activation activation, float y) {
  if (activation == Activation::kRelu) return y <= 0.f ? 0.f : 1.f;
  return activation == Activation::kTanh ? 1.f - y * y : 1.f;
}

// How many floats of a window at any of its places lie in a row: the rest is padding.
int64_t inputs_in_row(const ConvPoolParams& p, const ConvWindow& window, const ConvPoolRows& rows,
                      int64_t b) {
  return std::min(window.size, rows.length(b)) * p.dim;
}

}  // namespace

void conv_pool_backward_cpu(const ConvPoolParams& p, const ConvPoolRows& rows, const ConvPoolBackward& back,
                            const Exec& exec) {
  const ConvPoolSimd& simd = conv_pool_simd(exec.isa);
  const int64_t filters = p.filters();
  std::vector<float> g(static_cast<size_t>(rows.batch * filters));
  for (size_t i = 0; i < g.size(); ++i) g[i] = back.dy[i] * slope(p.activation, back.y[i]);

  struct Part {
    size_t window;
    int64_t at, first, end;  // at: the window's first column
  };
  std::vector<Part> parts;
  int64_t at = 0;
  for (size_t w = 0; w < p.windows.size(); at += p.windows[w++].filters) {
    for (int64_t f = 0; f < p.windows[w].filters; f += kFiltersATask) {
      parts.push_back({w, at, f, std::min(p.windows[w].filters, f + kFiltersATask)});
    }
  }
  parallel_for(exec, static_cast<int>(parts.size()), [&](int task) {
    const Part& part = parts[static_cast<size_t>(task)];
    const ConvWindow& window = p.windows[part.window];
    const int64_t inputs = window.size * p.dim;
    float* const dw = back.dweight[part.window];
    float* const db = back.dbias[part.window];
    std::memset(dw + part.first * inputs, 0,
                sizeof(float) * static_cast<size_t>((part.end - part.first) * inputs));
    std::fill(db + part.first, db + part.end, 0.f);
    for (int64_t b = 0; b < rows.batch; ++b) {
      const float* x = rows.x + b * rows.steps * p.dim;
      const int64_t count = inputs_in_row(p, window, rows, b);
      for (int64_t f = part.first; f < part.end; ++f) {
        const int64_t column = b * filters + part.at + f;
        const float gradient = g[static_cast<size_t>(column)];
        if (gradient == 0.f) continue;
        db[f] += gradient;
        simd.add_scaled(count, gradient, x + back.argmax[column] * p.dim, dw + f * inputs);
      }
    }
  });
  if (!back.dx) return;
  parallel_for(exec, static_cast<int>(rows.batch), [&](int b) {
    float* const dx = back.dx + b * rows.steps * p.dim;
    std::memset(dx, 0, sizeof(float) * static_cast<size_t>(rows.steps * p.dim));
    int64_t column = b * filters;
    for (const ConvWindow& window : p.windows) {
      const int64_t count = inputs_in_row(p, window, rows, b);
      for (int64_t f = 0; f < window.filters; ++f, ++column) {
        const float gradient = g[static_cast<size_t>(column)];
        if (gradient == 0.f) continue;
        simd.add_scaled(count, gradient, window.weight + f * window.size * p.dim,
                        dx + back.argmax[column] * p.dim);
      }
    }
  });
}

}  // namespace cinefuse
