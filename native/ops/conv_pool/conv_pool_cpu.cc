// The CPU twin of conv_pool.h. A window over consecutive steps is `size * dim` consecutive floats, and the
// next place lies `dim` further: one matrix product reads the overlapping rows where they lie, and its rows
// are folded into their largest.
#include <algorithm>
#include <cstring>

#include "../../core/pool.h"
#include "conv_pool.h"
#include "conv_pool_simd.h"

namespace cinefuse {
namespace {

constexpr int kSums = 0, kPadded = 1;              // thread_scratch slots
constexpr int64_t kSumsAtOnce = int64_t{1} << 15;  // floats: within L2 beside the weights
constexpr int64_t kProductsATask = int64_t{1} << 21;

void window_row(const ConvPool& layer, const ConvPool::Window& window, const ConvPoolRows& rows, int64_t b,
                float* y, int32_t* argmax, const Exec& exec) {
  const ConvPoolSimd& simd = conv_pool_simd(exec.isa);
  const int64_t length = rows.length(b), places = conv_places(length, window.size);
  const int64_t inputs = window.size * layer.dim, filters = window.filters;
  const float* x = rows.x + b * rows.steps * layer.dim;
  if (length < window.size) {
    float* const padded = thread_scratch(kPadded, static_cast<size_t>(inputs));
    std::memcpy(padded, x, sizeof(float) * static_cast<size_t>(length * layer.dim));
    std::memset(padded + length * layer.dim, 0,
                sizeof(float) * static_cast<size_t>((window.size - length) * layer.dim));
    x = padded;
  }
  const int64_t most = std::max<int64_t>(48, kSumsAtOnce / filters / 48 * 48);
  float* const sums = thread_scratch(kSums, static_cast<size_t>(std::min(most, places) * filters));
  float* const to = y + b * layer.filters + window.at;
  int32_t* const where = argmax ? argmax + b * layer.filters + window.at : nullptr;
  for (int64_t t = 0; t < places; t += most) {
    const int64_t count = std::min(most, places - t);
    gemm(exec, count, MatrixRows{x + t * layer.dim, layer.dim}, window.weight, Epilogue{window.bias.data()},
         sums, filters);
    simd.largest(count, filters, sums, static_cast<int32_t>(t), to, where);
  }
  activation_apply(layer.activation, 0.f, filters, to, to, exec.isa);
}

}  // namespace

void conv_pool_cpu(const ConvPool& layer, const ConvPoolRows& rows, float* y, int32_t* argmax,
                   const Exec& exec) {
  // Tasks of one window each, so that its weights stay in a core's cache from row to row.
  struct Part {
    const ConvPool::Window* window;
    int64_t first, end;
  };
  std::vector<Part> parts;
  const auto work = [&](const ConvPool::Window& window) {
    return conv_places(rows.steps, window.size) * window.size * layer.dim * window.filters;
  };
  for (const ConvPool::Window& window : layer.windows) {
    const int64_t share = std::max<int64_t>(1, kProductsATask / work(window));
    for (int64_t b = 0; b < rows.batch; b += share) {
      parts.push_back({&window, b, std::min(rows.batch, b + share)});
    }
  }
  // The longest first: the others even out where there are few.
  std::stable_sort(parts.begin(), parts.end(),
                   [&](const Part& a, const Part& b) { return work(*a.window) > work(*b.window); });
  Exec alone = exec;
  // One row and one window: the product itself uses the threads.
  if (parts.size() > 1) alone.threads = 1;
  parallel_for(exec, static_cast<int>(parts.size()), [&](int task) {
    const Part& part = parts[static_cast<size_t>(task)];
    for (int64_t b = part.first; b < part.end; ++b) {
      window_row(layer, *part.window, rows, b, y, argmax, alone);
    }
  });
}

}  // namespace cinefuse
