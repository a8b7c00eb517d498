#include <cstring>

#include "../../core/attend_backward_simd.h"
#include "../../core/attend_simd.h"
#include "../../core/pool.h"
#include "../sequence_attention/cross_lines.h"
#include "cross_modal.h"

namespace cinefuse {
namespace {

constexpr int kScratch = 2;  // of the calling thread; the products inside use others

// What forward leaves: of each block the vectors that went in, and what it leaves itself; at last those that
// came out.
struct Blocks {
  std::vector<float*> x;
  std::vector<CrossSaved> saved;
  size_t floats = 0;

  Blocks(const CrossModalWeights& w, int64_t vectors, int64_t modalities, float* base) {
    const size_t line = static_cast<size_t>(vectors * w.d);
    for (int64_t i = 0; i <= w.blocks; ++i) {
      x.push_back(base ? base + floats : nullptr);
      floats += line;
      if (i == w.blocks) break;
      saved.emplace_back(w.block[i], vectors, vectors, modalities, base ? base + floats : nullptr);
      floats += saved.back().floats;
    }
  }
};

}  // namespace

size_t cross_modal_saved(const CrossModalWeights& w, int64_t batch, int64_t modalities) {
  return Blocks(w, batch * modalities, modalities, nullptr).floats;
}

void cross_modal_forward(const CrossModalWeights& w, int64_t batch, int64_t m, const float* h,
                         const uint8_t* mask, float* c, float* memory, const Exec& exec) {
  const AttendSimd& simd = attend_simd(exec.isa);
  const int64_t d = w.d;
  const PresentRows present(batch, m, mask);
  const Blocks blocks(w, batch * m, m, memory);
  const float* const first = present.gather(d, h, blocks.x[0], exec);
  if (first == h) {
    std::memcpy(blocks.x[0], h, sizeof(float) * static_cast<size_t>(present.all() * d));
  }
  const CrossLines lines{batch, present, present, m, true};
  for (size_t i = 0; i < blocks.saved.size(); ++i) {
    cross_lines_forward(w.block[i], lines, blocks.x[i], blocks.x[i], blocks.saved[i], blocks.x[i + 1], exec);
  }
  present.for_chunks(exec, [&](int, int64_t row, int64_t end) {
    for (; row < end; ++row) {
      const int64_t count = present.count(row);
      float weights[kMaxAttendedModalities];
      for (int64_t i = 0; i < count; ++i) weights[i] = 1.f / static_cast<float>(count);
      simd.weighted_sum(count, d, weights, blocks.x.back() + present.start(row) * d, d, c + row * d);
    }
  });
}

void cross_modal_backward(const CrossModalWeights& w, int64_t batch, int64_t m, const float*,
                          const uint8_t* mask, const float* memory, const CrossModalGradients& g,
                          const Exec& exec) {
  const int64_t d = w.d;
  const PresentRows present(batch, m, mask);
  const Blocks blocks(w, batch * m, m, const_cast<float*>(memory));
  const CrossLines lines{batch, present, present, m, true};
  const int64_t n = present.all();
  size_t inside = 0;
  for (int64_t i = 0; i < w.blocks; ++i) inside = std::max(inside, cross_lines_scratch(w.block[i], n, n));
  float* const dy = thread_scratch(kScratch, static_cast<size_t>(3 * n * d) + inside);
  float* const dx = dy + n * d;
  float* const dctx = dx + n * d;
  present.for_chunks(exec, [&](int, int64_t row, int64_t end) {
    for (; row < end; ++row) {
      const int64_t count = present.count(row);
      for (int64_t i = 0; i < count; ++i) {
        attend_backward_simd(exec.isa).scale(d, 1.f / static_cast<float>(count), g.dc + row * d,
                                             dy + (present.start(row) + i) * d);
      }
    }
  });
  for (size_t i = blocks.saved.size(); i-- > 0;) {
    CrossGradients in_lines = g.block[i];
    const bool wanted = i > 0 || g.dh;
    in_lines.dy = dy;
    in_lines.dx = wanted ? dx : nullptr;
    in_lines.dctx = wanted ? dctx : nullptr;
    cross_lines_backward(w.block[i], lines, blocks.x[i], blocks.x[i], blocks.saved[i], in_lines, dctx + n * d,
                         exec);
    if (!wanted) break;
    std::memcpy(dy, dx, sizeof(float) * static_cast<size_t>(n * d));
    attend_simd(exec.isa).axpy(n * d, 1.f, dctx, dy);
  }
  if (g.dh) present.scatter(d, dy, g.dh, exec);
}

}  // namespace cinefuse
