// The CPU twins of low_rank_fusion_backward.h. The P_m of all ranks lie side by side, column r * out + o;
// they and their gradients are worked on in panels of kPanel columns, whatever the rank that a column belongs
// to.
#include <algorithm>
#include <cstring>

#include "../../core/gemm/gemm.h"
#include "../../core/pool.h"
#include "../tensor_fusion/fusion_lanes.h"
#include "low_rank_fusion_backward.h"
#include "low_rank_fusion_simd.h"

namespace cinefuse {

void low_rank_fusion_forward_cpu(const LowRankShape& shape, const FusionInputs& inputs,
                                 const LowRankWeights& weights, float* y, float* saved, const Exec& exec);
void low_rank_fusion_backward_cpu(const LowRankShape& shape, const FusionInputs& inputs,
                                  const LowRankWeights& weights, const float* saved,
                                  const LowRankGradients& gradients, const Exec& exec);

namespace {

constexpr int kTaskScratch = kGemmScratch;  // of a task
constexpr int64_t kRowsAtOnce = kBlock;     // films whose layouts are in memory at a time
constexpr float kZeros[kPanel] = {};

int64_t share(int64_t count, int64_t parts) { return (count + parts - 1) / parts; }

// Columns [c, c + n) that belong to one rank.
struct Piece {
  int64_t r, o;
  int at, n;  // in the panel
};

// Calls body(piece) for the ranks that columns [c0, c0 + n) touch.
template <class Body>
void pieces(int64_t out, int64_t c0, int64_t n, Body&& body) {
  for (int64_t at = 0; at < n;) {
    const int64_t r = (c0 + at) / out, o = (c0 + at) % out;
    const int64_t count = std::min(n - at, out - o);
    body(Piece{r, o, static_cast<int>(at), static_cast<int>(count)});
    at += count;
  }
}

bool absent(const FusionInputs& in, int modes, int64_t row, int m) {
  return in.present && in.present[row * modes + m] == 0;
}

struct Shape {
  const LowRankShape& shape;
  const FusionInputs& in;
  int64_t first, rows;  // of the batch
  const GemmSimd& gemm;

  int modes() const { return shape.dims.modes; }
  int64_t d(int m) const { return shape.dims.d[static_cast<size_t>(m)]; }
  int64_t columns() const { return shape.rank * shape.out; }
  // Where the factor of value k of mode m lies for column r * out + o.
  int64_t factor(int m, int64_t r, int64_t k, int64_t o) const {
    return (r * (d(m) + 1) + k) * shape.out + o;
  }
};

// P_m of one panel of columns: from h in tiles of rows, (tile, d_m, tile_rows).
void project(const Shape& s, int m, const float* h, const float* factors, int64_t c0, float* p) {
  const int cols = static_cast<int>(std::min<int64_t>(kPanel, s.columns() - c0));
  const int64_t tall = s.gemm.tile_rows, d = s.d(m);
  float* panel = thread_scratch(kTaskScratch, kBlock * kPanel + kPanel);
  float* ones = panel + kBlock * kPanel;
  pieces(s.shape.out, c0, cols, [&](const Piece& piece) {
    std::memcpy(ones + piece.at, factors + s.factor(m, piece.r, d, piece.o),
                sizeof(float) * static_cast<size_t>(piece.n));
  });
  std::memset(panel, 0, sizeof(float) * kBlock * kPanel);
  for (int64_t k0 = 0; k0 < d; k0 += kBlock) {
    const int kc = static_cast<int>(std::min<int64_t>(kBlock, d - k0));
    pieces(s.shape.out, c0, cols, [&](const Piece& piece) {
      const float* from = factors + s.factor(m, piece.r, k0, piece.o);
      for (int k = 0; k < kc; ++k, from += s.shape.out) {
        std::memcpy(panel + k * kPanel + piece.at, from, sizeof(float) * static_cast<size_t>(piece.n));
      }
    });
    for (int64_t r = 0; r < s.rows; r += tall) {
      s.gemm.tile(static_cast<int>(std::min(tall, s.rows - r)), cols, kc, h + r * d + k0 * tall, panel,
                  k0 == 0 ? ones : nullptr, p + r * s.columns() + c0, s.columns());
    }
  }
}

// Everything that backward derives from the columns of one part, into places of its own.
struct Gradients {
  const Shape& s;
  const LowRankFusionSimd& simd;
  const FusionLanesSimd& lanes;
  const ModeLanes& modes;
  const LowRankWeights& weights;
  const LowRankGradients& out;
  const float* p;  // P_m of the batch's first row, p_stride apart
  int64_t p_stride;
  const float* h;  // mode after mode, (tile of values, rows, tile_rows), with the 1
  float* totals;   // (columns): sum over the rows of dy times the whole product

  int64_t tiles(int m) const { return share(s.d(m) + 1, s.gemm.tile_rows) * s.gemm.tile_rows * s.rows; }

  // dP_m of panel c0, (mode, rows, kPanel), `stride` from mode to mode.
  void products(int64_t c0, int cols, float* dp, int64_t stride) const {
    const int64_t out_size = s.shape.out;
    float w[kPanel], line[kPanel];
    pieces(out_size, c0, cols, [&](const Piece& piece) {
      const float value = weights.rank_weights ? weights.rank_weights[piece.r] : 1.f;
      std::fill_n(w + piece.at, piece.n, value);
    });
    const bool whole = c0 % out_size + cols <= out_size;
    for (int64_t r = 0; r < s.rows; ++r) {
      const float* dy = out.dy + (s.first + r) * out_size;
      if (!whole) {
        pieces(out_size, c0, cols, [&](const Piece& piece) {
          std::memcpy(line + piece.at, dy + piece.o, sizeof(float) * static_cast<size_t>(piece.n));
        });
      }
      simd.gradients(s.modes(), cols, whole ? dy + c0 % out_size : line, w, p + r * s.columns() + c0,
                     p_stride, dp + r * kPanel, stride, totals + c0);
    }
  }

  // Rows of dF_m, all of its values, of panel c0. Batches after the first add to it.
  void factor_gradient(int m, int64_t c0, int cols, const float* tiles_of_h, const float* dp) const {
    float* to = out.dfactors[static_cast<size_t>(m)];
    const bool first = s.first == 0, whole = c0 % s.shape.out + cols <= s.shape.out;
    const int64_t tall = s.gemm.tile_rows, values = s.d(m) + 1;
    float sums[12 * kPanel];
    for (int64_t k = 0; k < values; k += tall) {
      const int n = static_cast<int>(std::min(tall, values - k));
      const float* a = tiles_of_h + k * s.rows;
      if (whole) {
        s.gemm.tile(n, cols, static_cast<int>(s.rows), a, dp, first ? kZeros : nullptr,
                    to + s.factor(m, c0 / s.shape.out, k, c0 % s.shape.out), s.shape.out);
        continue;
      }
      s.gemm.tile(n, cols, static_cast<int>(s.rows), a, dp, kZeros, sums, kPanel);
      pieces(s.shape.out, c0, cols, [&](const Piece& piece) {
        for (int i = 0; i < n; ++i) {
          float* row = to + s.factor(m, piece.r, k + i, piece.o);
          const float* from = sums + i * kPanel + piece.at;
          for (int c = 0; c < piece.n; ++c) row[c] = first ? from[c] : row[c] + from[c];
        }
      });
    }
  }

  // Adds columns [c0, c0 + count) of dP_m, panel after panel in dp, to dh_m (group, modes.floats).
  void input_gradient(int m, int64_t c0, int64_t count, const float* dp, float* turned, float* dh) const {
    const FilmGroups films{s.first, s.rows};
    const int64_t panels = share(count, kPanel);
    for (int g = 0; g < films.count(); ++g) {
      for (int64_t q = 0; q < panels; ++q) {
        s.gemm.transpose(films.lanes(g), kPanel, dp + (q * s.rows + int64_t{g} * kFilms) * kPanel, kPanel,
                         turned + q * kPanel * kFilms, kFilms);
      }
      float* at[kMostFusionModes];
      modes.pointers(dh + g * modes.floats, at);
      pieces(s.shape.out, c0, count, [&](const Piece& piece) {
        lanes.project(s.d(m), 1, piece.n,
                      weights.factors[static_cast<size_t>(m)] + s.factor(m, piece.r, 0, piece.o), s.shape.out,
                      turned + piece.at * kFilms, nullptr, films.lanes(g), at[m]);
      });
    }
  }

  // Columns [begin, end), multiples of kPanel but for the last.
  void run(int64_t begin, int64_t end, float* dh) const {
    const FilmGroups films{s.first, s.rows};
    if (dh) std::memset(dh, 0, sizeof(float) * static_cast<size_t>(films.count() * modes.floats));
    // As many columns at a time as keep dP in L2.
    const int64_t most = std::clamp<int64_t>(32768 / s.modes() / s.rows / kPanel, 1, 8) * kPanel;
    const int64_t stride = s.rows * most;
    float* dp = thread_scratch(kTaskScratch, static_cast<size_t>(s.modes() * stride + most * kFilms));
    float* turned = dp + s.modes() * stride;
    std::memset(dp, 0, sizeof(float) * static_cast<size_t>(s.modes() * stride + most * kFilms));
    for (int64_t c0 = begin; c0 < end; c0 += most) {
      const int64_t count = std::min(most, end - c0);
      for (int64_t q = 0; q < count; q += kPanel) {
        products(c0 + q, static_cast<int>(std::min<int64_t>(kPanel, count - q)), dp + q * s.rows, stride);
      }
      const float* tiles_of_h = h;
      for (int m = 0; m < s.modes(); tiles_of_h += tiles(m++)) {
        const float* mine = dp + m * stride;
        for (int64_t q = 0; out.dfactors[static_cast<size_t>(m)] && q < count; q += kPanel) {
          factor_gradient(m, c0 + q, static_cast<int>(std::min<int64_t>(kPanel, count - q)), tiles_of_h,
                          mine + q * s.rows);
        }
        if (dh && out.dh[static_cast<size_t>(m)]) input_gradient(m, c0, count, mine, turned, dh);
      }
    }
  }
};

// The modes' values in tiles of values, each with its 1: the left-hand side of dF.
void cut_values(const Shape& s, const FusionLanesSimd& lanes, float* line, float* to) {
  const int64_t tall = s.gemm.tile_rows;
  for (int m = 0; m < s.modes(); ++m) {
    const int64_t d = s.d(m);
    for (int64_t r = 0; r < s.rows; ++r) {
      float* row = line + r * (d + 1);
      row[d] = 1.f;
      if (absent(s.in, s.modes(), s.first + r, m)) {
        std::memset(row, 0, sizeof(float) * static_cast<size_t>(d));
      } else {
        std::memcpy(row, s.in.h[static_cast<size_t>(m)] + (s.first + r) * d,
                    sizeof(float) * static_cast<size_t>(d));
      }
    }
    lanes.cut(s.rows, static_cast<int>(d + 1), line, d + 1, static_cast<int>(tall), to);
    to += share(d + 1, tall) * tall * s.rows;
  }
}

void batch_gradients(const Shape& s, const LowRankWeights& weights, const float* saved,
                     const LowRankGradients& g, float* totals, const Exec& exec) {
  const ModeLanes modes(s.shape.dims);
  const FusionLanesSimd& lanes = fusion_lanes_simd(exec.isa);
  const FilmGroups films{s.first, s.rows};
  const int64_t panels = share(s.columns(), kPanel);
  // The columns are shared out by the shape alone: every part has a dh of its own, summed in order.
  const int64_t parts = std::min<int64_t>(share(panels, 2), 8), part = films.count() * modes.floats;
  const bool inputs = std::any_of(g.dh.begin(), g.dh.end(), [](const float* p) { return p != nullptr; });
  Gradients task{s,
                 low_rank_fusion_simd(exec.isa),
                 lanes,
                 modes,
                 weights,
                 g,
                 saved + s.first * s.columns(),
                 s.in.rows * s.columns(),
                 nullptr,
                 totals};
  int64_t cut = 0, line = 0;
  for (int m = 0; m < s.modes(); ++m) {
    cut += task.tiles(m);
    line = std::max(line, s.rows * (s.d(m) + 1));
  }
  const int64_t sums = inputs ? parts * part : 0;
  float* h = thread_scratch(kFusionScratch, static_cast<size_t>(cut + std::max(line, sums)));
  cut_values(s, lanes, h + cut, h);
  float* dh = h + cut;
  task.h = h;
  parallel_for(exec, static_cast<int>(parts), [&](int i) {
    task.run(panels * i / parts * kPanel, std::min(s.columns(), panels * (i + 1) / parts * kPanel),
             inputs ? dh + i * part : nullptr);
  });
  if (!inputs) return;
  for (int64_t i = 1; i < parts; ++i) s.gemm.add(part, dh + i * part, dh);
  for (int i = 0; i < films.count(); ++i) modes.scatter(s.in, films, i, dh + i * modes.floats, g.dh);
}

}  // namespace

void low_rank_fusion_forward_cpu(const LowRankShape& shape, const FusionInputs& in,
                                 const LowRankWeights& weights, float* y, float* saved, const Exec& exec) {
  const GemmSimd& gemm = gemm_simd(exec.isa);
  const LowRankFusionSimd& simd = low_rank_fusion_simd(exec.isa);
  const int64_t columns = shape.rank * shape.out, panels = share(columns, kPanel), tall = gemm.tile_rows;
  const int modes = shape.dims.modes;
  for (int64_t first = 0; first < in.rows; first += kRowsAtOnce) {
    const Shape s{shape, in, first, std::min(kRowsAtOnce, in.rows - first), gemm};
    const int64_t tall_rows = share(s.rows, tall) * tall;
    int64_t floats = 0;
    for (int m = 0; m < modes; ++m) floats += tall_rows * s.d(m);
    float* tiles = thread_scratch(kFusionScratch, static_cast<size_t>(floats));
    std::array<const float*, kMostFusionModes> h{};
    for (int m = 0; m < modes; ++m) {
      h[static_cast<size_t>(m)] = tiles;
      for (int64_t r = 0; r < s.rows; ++r) {
        const int64_t d = s.d(m);
        float* to = tiles + r / tall * tall * d + r % tall;
        if (absent(in, modes, first + r, m)) {
          for (int64_t k = 0; k < d; ++k) to[k * tall] = 0.f;
        } else {
          gemm.transpose(1, static_cast<int>(d), in.h[static_cast<size_t>(m)] + (first + r) * d, d, to, tall);
        }
      }
      tiles += tall_rows * s.d(m);
    }
    parallel_for(exec, static_cast<int>(modes * panels), [&](int i) {
      const int m = static_cast<int>(i / panels);
      project(s, m, h[static_cast<size_t>(m)], weights.factors[static_cast<size_t>(m)], i % panels * kPanel,
              saved + (m * in.rows + first) * columns);
    });
  }
  // Rank weights and bias as the inner loop wants them, also where there are none.
  const size_t rank = static_cast<size_t>(shape.rank), out = static_cast<size_t>(shape.out);
  float* constants = thread_scratch(kFusionScratch, rank + out);
  float* bias = constants + rank;
  for (size_t r = 0; r < rank; ++r) constants[r] = weights.rank_weights ? weights.rank_weights[r] : 1.f;
  for (size_t o = 0; o < out; ++o) bias[o] = weights.bias ? weights.bias[o] : 0.f;
  const int64_t rows_a_task = std::max<int64_t>(1, (1 << 15) / (columns * modes));
  parallel_for(exec, static_cast<int>(share(in.rows, rows_a_task)), [&](int i) {
    for (int64_t r = i * rows_a_task; r < std::min(in.rows, (i + 1) * rows_a_task); ++r) {
      simd.combine(modes, shape.rank, shape.out, saved + r * columns, in.rows * columns, constants, bias,
                   y + r * shape.out);
    }
  });
}

void low_rank_fusion_backward_cpu(const LowRankShape& shape, const FusionInputs& in,
                                  const LowRankWeights& weights, const float* saved,
                                  const LowRankGradients& g, const Exec& exec) {
  const GemmSimd& gemm = gemm_simd(exec.isa);
  const int64_t columns = shape.rank * shape.out;
  std::vector<float> totals(static_cast<size_t>(columns), 0.f);
  for (int m = 0; in.rows == 0 && m < shape.dims.modes; ++m) {
    const size_t i = static_cast<size_t>(m);
    const size_t floats = static_cast<size_t>(columns * (shape.dims.d[i] + 1));
    if (g.dfactors[i]) std::memset(g.dfactors[i], 0, sizeof(float) * floats);
  }
  for (int64_t first = 0; first < in.rows; first += kRowsAtOnce) {
    const Shape s{shape, in, first, std::min(kRowsAtOnce, in.rows - first), gemm};
    batch_gradients(s, weights, saved, g, totals.data(), exec);
  }
  for (int64_t r = 0; g.drank_weights && r < shape.rank; ++r) {
    float sum = 0.f;
    for (int64_t o = 0; o < shape.out; ++o) sum += totals[static_cast<size_t>(r * shape.out + o)];
    g.drank_weights[r] = sum;
  }
  if (!g.dbias) return;
  std::memset(g.dbias, 0, sizeof(float) * static_cast<size_t>(shape.out));
  for (int64_t r = 0; r < in.rows; ++r) gemm.add(shape.out, g.dy + r * shape.out, g.dbias);
}

}  // namespace cinefuse
