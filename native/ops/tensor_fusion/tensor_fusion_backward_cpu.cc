// The CPU twins of tensor_fusion_backward.h. All three products go over W once, in the order in which it
// lies:
//
//   forward   the last modes ("tail") of z are the right-hand side, 32 films wide; W's rows of them are read
//             where they lie and the leading modes are multiplied in afterwards: z never exists
//   dW        a block of columns of z at a time, films by columns
//   dh        a block of rows of dzᵀ at a time, from W cut into tiles, contracted while it is in cache
#include <algorithm>
#include <cstring>

#include "../../core/gemm/gemm.h"
#include "../../core/pool.h"
#include "fusion_lanes.h"
#include "tensor_fusion_backward.h"
#include "tensor_fusion_simd.h"

namespace cinefuse {

void tensor_fusion_forward_cpu(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                               const float* W, const float* b, float* y, const Exec& exec);
void tensor_fusion_backward_cpu(const FusionDims& dims, int64_t out, const FusionInputs& inputs,
                                const TensorFusionGradients& gradients, const Exec& exec);
void outer_product_backward_cpu(const FusionDims& dims, const FusionInputs& inputs, const float* dz,
                                const std::array<float*, kMostFusionModes>& dh, const Exec& exec);

namespace {

constexpr int kTaskScratch = kGemmScratch;          // of a task
constexpr int64_t kRowsAtOnce = kBlock;             // films whose layouts are in memory at a time
constexpr int64_t kWeightsInL2 = int64_t{1} << 16;  // floats
constexpr float kZeros[kPanel] = {};

int64_t share(int64_t count, int64_t parts) { return (count + parts - 1) / parts; }

bool any(const std::array<float*, kMostFusionModes>& dh) {
  return std::any_of(dh.begin(), dh.end(), [](const float* p) { return p != nullptr; });
}

// z in two parts: `lead` modes, (L, films), and the others, the tail, (K, films).
struct Split {
  int lead;
  int64_t L, K;

  explicit Split(const ModeLanes& modes) : lead(modes.modes), L(1), K(1) {
    constexpr int64_t kShortest = 24;  // multiply-adds a weight row, against one for its lead
    while (lead > 0 && K < kShortest) K *= modes.d[static_cast<size_t>(--lead)];
    for (int m = 0; m < lead; ++m) L *= modes.d[static_cast<size_t>(m)];
  }
};

struct Forward {
  const FusionLanesSimd& simd;
  const ModeLanes modes;
  const Split split;
  const FilmGroups films;
  const float* h;  // (group, modes.floats)
  int64_t out;
  const float *W, *b;
  float* y;

  const float* group(int g) const { return h + g * modes.floats; }

  void lead(int g, int64_t l0, int64_t count, float* to) const {
    const float* at[kMostTensorModes];
    modes.pointers(group(g), at);
    simd.outer(split.lead, modes.d.data(), l0, static_cast<int>(count), at, films.lanes(g), to);
  }
  void tail(int g, int64_t k0, int kc, float* to) const {
    const float* at[kMostTensorModes];
    modes.pointers(group(g), at);
    simd.outer(modes.modes - split.lead, modes.d.data() + split.lead, k0, kc, at + split.lead, films.lanes(g),
               to);
  }

  // Outputs [o0, o1) of groups [g0, g1).
  void run(int64_t o0, int64_t o1, int g0, int g1) const {
    const int64_t groups = g1 - g0, width = split.L * split.K;
    // A window of leads, of so many weights that they stay in L2 while all groups go over them. It must not
    // depend on how the work is shared out.
    const int64_t most = std::max<int64_t>(1, std::min(kWeightsInL2 / (films.count() * kFilms),
                                                       kWeightsInL2 / std::min<int64_t>(split.K, kBlock)));
    const int64_t window = share(split.L, share(split.L, most));
    const int64_t outputs = window < split.L ? 1 : std::clamp<int64_t>(most / split.L, 1, o1 - o0);
    const int64_t tail_stride = std::min<int64_t>(split.K, kBlock) * kFilms, lead_stride = window * kFilms;
    const int64_t tail_floats = groups * tail_stride, lead_floats = groups * lead_stride;
    float* tails = thread_scratch(
        kTaskScratch, static_cast<size_t>(tail_floats + lead_floats + groups * (o1 - o0) * kFilms));
    float *leads = tails + tail_floats, *sums = leads + lead_floats;
    std::memset(sums, 0, sizeof(float) * static_cast<size_t>(groups * (o1 - o0) * kFilms));
    for (int64_t k0 = 0; k0 < split.K; k0 += kBlock) {
      const int kc = static_cast<int>(std::min<int64_t>(kBlock, split.K - k0));
      for (int g = g0; g < g1; ++g) tail(g, k0, kc, tails + (g - g0) * tail_stride);
      for (int64_t l0 = 0; l0 < split.L; l0 += window) {
        const int64_t count = std::min(window, split.L - l0);
        if (split.lead > 0) {
          for (int g = g0; g < g1; ++g) lead(g, l0, count, leads + (g - g0) * lead_stride);
        }
        for (int64_t o = o0; o < o1; o += outputs) {
          const int64_t rows = std::min(outputs, o1 - o) * count;
          const float* w = W + o * width + l0 * split.K + k0;
          for (int g = g0; g < g1; ++g) {
            simd.project(rows, count, kc, w, split.K, tails + (g - g0) * tail_stride,
                         split.lead > 0 ? leads + (g - g0) * lead_stride : nullptr, films.lanes(g),
                         sums + ((g - g0) * (o1 - o0) + o - o0) * kFilms);
          }
        }
      }
    }
    for (int g = g0; g < g1; ++g) {
      const float* from = sums + (g - g0) * (o1 - o0) * kFilms;
      for (int lane = 0; lane < films.lanes(g); ++lane) {
        float* to = y + (films.first + int64_t{g} * kFilms + lane) * out;
        for (int64_t o = o0; o < o1; ++o) to[o] = from[(o - o0) * kFilms + lane] + (b ? b[o] : 0.f);
      }
    }
  }
};

// dW of one batch of rows, columns [k0, k0 + kc): the films' z by columns, times dy.
struct WeightGradient {
  const GemmSimd& gemm;
  const TensorFusionSimd& simd;
  const ModeLanes modes;
  int64_t rows, out, width;
  const float* h;    // (rows, mode after mode, each with its 1 and simd.pad zeros)
  const float* dyt;  // (tiles of outputs, rows, gemm.tile_rows)
  float* dW;
  bool first;  // of the batches: overwrites

  int64_t row_floats() const { return modes.floats / kFilms + int64_t{modes.modes} * simd.pad; }

  void columns(int64_t k0, int kc) const {
    const int panels = static_cast<int>(share(kc, kPanel));
    float* z = thread_scratch(kTaskScratch, static_cast<size_t>(panels * rows * kPanel + kBlock + kPanel));
    float* line = z + panels * rows * kPanel;
    for (int64_t r = 0; r < rows; ++r) {
      const float* at[kMostTensorModes];
      const float* p = h + r * row_floats();
      for (int m = 0; m < modes.modes; ++m) {
        at[m] = p;
        p += modes.d[static_cast<size_t>(m)] + simd.pad;
      }
      simd.row(modes.modes, modes.d.data(), k0, kc, at, line);
      for (int q = 0; q < panels; ++q) {
        std::memcpy(z + (q * rows + r) * kPanel, line + q * kPanel, sizeof(float) * kPanel);
      }
    }
    // Outputs outside: few rows of dW are written at a time, each of them as one stretch.
    for (int64_t o = 0; o < out; o += gemm.tile_rows) {
      const int tall = static_cast<int>(std::min<int64_t>(gemm.tile_rows, out - o));
      for (int q = 0; q < panels; ++q) {
        gemm.tile(tall, std::min(kPanel, kc - q * kPanel), static_cast<int>(rows), dyt + o * rows,
                  z + q * rows * kPanel, first ? kZeros : nullptr, dW + o * width + k0 + q * kPanel, width);
      }
    }
  }
};

// dh of one batch of rows: dzᵀ = Wᵀ dyᵀ, a block of its rows at a time, contracted at once.
struct InputGradient {
  const GemmSimd& gemm;
  const FusionLanesSimd& simd;
  const ModeLanes modes;
  const FilmGroups films;
  int64_t out, width;
  const float* h;    // (group, modes.floats)
  const float* dyl;  // (group, out, kFilms)
  const float* W;

  // Of columns [begin, end) of W, into dh (group, modes.floats), which is overwritten.
  void columns(int64_t begin, int64_t end, float* dh) const {
    std::memset(dh, 0, sizeof(float) * static_cast<size_t>(films.count() * modes.floats));
    const int64_t tall = gemm.tile_rows;
    const int64_t most = std::clamp<int64_t>(kWeightsInL2 / out / 12 * 12, 48, 192);
    float* tiles = thread_scratch(kTaskScratch, static_cast<size_t>(out * most + most * kFilms));
    float* dz = tiles + out * most;
    for (int64_t k0 = begin; k0 < end; k0 += most) {
      const int kc = static_cast<int>(std::min(most, end - k0));
      simd.cut(out, kc, W + k0, width, static_cast<int>(tall), tiles);
      for (int g = 0; g < films.count(); ++g) {
        for (int64_t k = 0; k < kc; k += tall) {
          gemm.tile(static_cast<int>(std::min<int64_t>(tall, kc - k)), films.wide(g), static_cast<int>(out),
                    tiles + k * out, dyl + g * out * kFilms, kZeros, dz + k * kFilms, kFilms);
        }
        contract(k0, kc, g, dz, dh);
      }
    }
  }

  void contract(int64_t k0, int kc, int g, const float* dz, float* dh) const {
    const float* from[kMostTensorModes];
    float* to[kMostTensorModes];
    modes.pointers(h + g * modes.floats, from);
    modes.pointers(dh + g * modes.floats, to);
    simd.contract(modes.modes, modes.d.data(), k0, kc, from, films.lanes(g), dz, to);
  }
};

// Into how many parts the columns of W are shared out for dh, each with a dh of its own: by shapes alone, so
// that the sum over the parts is the same on any number of threads, and not so many that they need more
// memory than a small part of z would.
int64_t parts(const ModeLanes& modes, int64_t width) {
  return std::clamp<int64_t>(width / (4 * modes.floats / kFilms), 1, 16);
}

// The sum of `count` arrays of n floats, the first of which takes it.
void sum_parts(const GemmSimd& gemm, int64_t count, int64_t n, float* arrays) {
  for (int64_t i = 1; i < count; ++i) gemm.add(n, arrays + i * n, arrays);
}

void bias_gradient(int64_t rows, int64_t out, const float* dy, float* db, const GemmSimd& gemm) {
  std::memset(db, 0, sizeof(float) * static_cast<size_t>(out));
  for (int64_t r = 0; r < rows; ++r) gemm.add(out, dy + r * out, db);
}

void weight_gradient(const FusionDims& dims, int64_t out, const FusionInputs& in, int64_t first, int64_t rows,
                     const TensorFusionGradients& g, const Exec& exec) {
  const GemmSimd& gemm = gemm_simd(exec.isa);
  const FusionLanesSimd& lanes = fusion_lanes_simd(exec.isa);
  WeightGradient task{gemm,
                      tensor_fusion_simd(exec.isa),
                      ModeLanes(dims),
                      rows,
                      out,
                      dims.product(),
                      nullptr,
                      nullptr,
                      g.dW,
                      first == 0};
  const int64_t row_floats = task.row_floats(), tall = gemm.tile_rows;
  float* h =
      thread_scratch(kFusionScratch, static_cast<size_t>(rows * row_floats + share(out, tall) * tall * rows));
  float* dyt = h + rows * row_floats;
  std::memset(h, 0, sizeof(float) * static_cast<size_t>(rows * row_floats));
  for (int64_t r = 0; r < rows; ++r) {
    float* at = h + r * row_floats;
    for (int m = 0; m < dims.modes; ++m) {
      const int d = dims.d[static_cast<size_t>(m)];
      const bool here = !in.present || in.present[(first + r) * dims.modes + m] != 0;
      if (here)
        std::memcpy(at, in.h[static_cast<size_t>(m)] + (first + r) * d,
                    sizeof(float) * static_cast<size_t>(d));
      at[d] = 1.f;
      at += d + 1 + task.simd.pad;
    }
  }
  lanes.cut(rows, static_cast<int>(out), g.dy + first * out, out, static_cast<int>(tall), dyt);
  task.h = h;
  task.dyt = dyt;
  const int64_t most = std::clamp<int64_t>(24576 / rows / kPanel * kPanel, kPanel, kBlock);
  parallel_for(exec, static_cast<int>(share(task.width, most)), [&](int i) {
    const int64_t k0 = i * most;
    task.columns(k0, static_cast<int>(std::min(most, task.width - k0)));
  });
}

void input_gradient(const FusionDims& dims, int64_t out, const FusionInputs& in, int64_t first, int64_t rows,
                    const TensorFusionGradients& g, const Exec& exec) {
  const GemmSimd& gemm = gemm_simd(exec.isa);
  const FilmGroups films{first, rows};
  InputGradient task{
      gemm, fusion_lanes_simd(exec.isa), ModeLanes(dims), films, out, dims.product(), nullptr, nullptr, g.W};
  const int64_t count = parts(task.modes, task.width), part = films.count() * task.modes.floats;
  float* h =
      thread_scratch(kFusionScratch, static_cast<size_t>((count + 1) * part + films.count() * out * kFilms));
  float *dh = h + part, *dyl = dh + count * part;
  for (int i = 0; i < films.count(); ++i) task.modes.fill(in, films, i, h + i * task.modes.floats);
  lanes_of_rows(films, g.dy, out, dyl);
  task.h = h;
  task.dyl = dyl;
  parallel_for(exec, static_cast<int>(count), [&](int i) {
    task.columns(task.width * i / count, task.width * (i + 1) / count, dh + i * part);
  });
  sum_parts(gemm, count, part, dh);
  for (int i = 0; i < films.count(); ++i) {
    task.modes.scatter(in, films, i, dh + i * task.modes.floats, g.dh);
  }
}

}  // namespace

void tensor_fusion_forward_cpu(const FusionDims& dims, int64_t out, const FusionInputs& in, const float* W,
                               const float* b, float* y, const Exec& exec) {
  const ModeLanes modes(dims);
  for (int64_t first = 0; first < in.rows; first += kRowsAtOnce) {
    const FilmGroups films{first, std::min(kRowsAtOnce, in.rows - first)};
    float* h = thread_scratch(kFusionScratch, static_cast<size_t>(films.count() * modes.floats));
    for (int g = 0; g < films.count(); ++g) modes.fill(in, films, g, h + g * modes.floats);
    const Forward task{fusion_lanes_simd(exec.isa), modes, Split(modes), films, h, out, W, b, y};
    const int64_t columns = std::min<int64_t>(out, exec.threads);
    const int64_t groups = std::min<int64_t>(films.count(), share(exec.threads, columns));
    parallel_for(exec, static_cast<int>(columns * groups), [&](int i) {
      const int64_t o = i / groups, g = i % groups;
      task.run(out * o / columns, out * (o + 1) / columns, static_cast<int>(films.count() * g / groups),
               static_cast<int>(films.count() * (g + 1) / groups));
    });
  }
}

void tensor_fusion_backward_cpu(const FusionDims& dims, int64_t out, const FusionInputs& in,
                                const TensorFusionGradients& g, const Exec& exec) {
  if (g.db) bias_gradient(in.rows, out, g.dy, g.db, gemm_simd(exec.isa));
  if (g.dW && in.rows == 0) {
    std::memset(g.dW, 0, sizeof(float) * static_cast<size_t>(out * dims.product()));
  }
  const bool inputs = any(g.dh);
  for (int64_t first = 0; first < in.rows; first += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, in.rows - first);
    if (g.dW) weight_gradient(dims, out, in, first, rows, g, exec);
    if (inputs) input_gradient(dims, out, in, first, rows, g, exec);
  }
}

void outer_product_backward_cpu(const FusionDims& dims, const FusionInputs& in, const float* dz,
                                const std::array<float*, kMostFusionModes>& dh, const Exec& exec) {
  if (!any(dh)) return;
  const GemmSimd& gemm = gemm_simd(exec.isa);
  const ModeLanes modes(dims);
  const int64_t width = dims.product();
  parallel_for(exec, static_cast<int>(share(in.rows, kFilms)), [&](int group) {
    const int64_t first = int64_t{group} * kFilms;
    const FilmGroups films{first, std::min<int64_t>(kFilms, in.rows - first)};
    float* memory = thread_scratch(kTaskScratch, static_cast<size_t>(2 * modes.floats + kBlock * kFilms));
    float *sums = memory + modes.floats, *block = sums + modes.floats;
    modes.fill(in, films, 0, memory);
    std::memset(sums, 0, sizeof(float) * static_cast<size_t>(modes.floats));
    std::memset(block, 0, sizeof(float) * kBlock * kFilms);
    const InputGradient task{gemm,   fusion_lanes_simd(exec.isa), modes, films, 0, width, memory, nullptr,
                             nullptr};
    for (int64_t k0 = 0; k0 < width; k0 += kBlock) {
      const int kc = static_cast<int>(std::min<int64_t>(kBlock, width - k0));
      gemm.transpose(static_cast<int>(films.rows), kc, dz + first * width + k0, width, block, kFilms);
      task.contract(k0, kc, 0, block, sums);
    }
    modes.scatter(in, films, 0, sums, dh);
  });
}

}  // namespace cinefuse
