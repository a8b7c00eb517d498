#include <algorithm>
#include <cstring>

#include "../../core/pool.h"
#include "tensor_fusion.h"
#include "tensor_fusion_simd.h"

namespace cinefuse {
namespace {

// How the modes of one row, or of `lanes` rows side by side, lie in scratch memory: mode after mode, each
// with its 1 appended, every value `lanes` apart, `pad` zeros after each mode.
struct Layout {
  int modes;
  std::array<int, kMostFusionModes> d;  // with the appended 1
  int lanes, pad;

  Layout(const FusionDims& dims, int lanes_, int pad_)
      : modes(dims.modes), d(dims.d), lanes(lanes_), pad(pad_) {
    for (int& size : d) ++size;
  }
  size_t mode_floats(int m) const { return static_cast<size_t>(d[static_cast<size_t>(m)] * lanes + pad); }
  size_t floats() const {
    size_t n = 0;
    for (int m = 0; m < modes; ++m) n += mode_floats(m);
    return n;
  }
  void pointers(const float* at, const float** h) const {
    for (int m = 0; m < modes; at += mode_floats(m++)) h[m] = at;
  }
  // Row `row` of the inputs into zeroed memory; `at` is that of its lane. An absent mode stays zero, but for
  // its 1.
  void fill(const FusionInputs& in, int64_t row, float* at) const {
    for (int m = 0; m < modes; at += mode_floats(m++)) {
      const int n = d[static_cast<size_t>(m)] - 1;
      at[n * lanes] = 1.f;
      if (in.present && in.present[row * modes + m] == 0) continue;
      const float* h = in.h[static_cast<size_t>(m)] + row * n;
      for (int i = 0; i < n; ++i) at[i * lanes] = h[i];
    }
  }
};

// The rows of the outer product, formed as gemm asks for them.
class OuterRows final : public RowSource {
 public:
  OuterRows(const FusionDims& dims, const FusionInputs& in, int64_t first, const RowBlocks& blocks, Isa isa)
      : simd_(tensor_fusion_simd(isa)),
        layout_(dims, blocks.thin ? 1 : simd_.lanes, blocks.thin ? simd_.pad : 0) {
    const int64_t pieces = blocks.thin ? blocks.rows : blocks.count;
    const size_t floats = static_cast<size_t>(pieces) * layout_.floats();
    float* memory = thread_scratch(kFusionScratch, floats);
    std::memset(memory, 0, sizeof(float) * floats);
    for (int64_t r = 0; r < blocks.rows; ++r) {
      const int64_t piece = blocks.thin ? r : r / blocks.step, lane = blocks.thin ? 0 : r % blocks.step;
      layout_.fill(in, first + r, memory + piece * static_cast<int64_t>(layout_.floats()) + lane);
    }
    memory_ = memory;
  }

  void tile(const GemmSimd&, const RowBlocks&, int block, int64_t k0, int kc, int stride,
            float* tile) const override {
    const float* h[kMostTensorModes];
    layout_.pointers(memory_ + static_cast<size_t>(block) * layout_.floats(), h);
    simd_.tile(layout_.modes, layout_.d.data(), k0, kc, h, stride, tile);
  }

  void thin(const GemmSimd&, const RowBlocks& blocks, int64_t k0, int kc, float* scratch,
            const float** row) const override {
    for (int64_t r = 0; r < blocks.rows; ++r) {
      const float* h[kMostTensorModes];
      layout_.pointers(memory_ + static_cast<size_t>(r) * layout_.floats(), h);
      // Spills into the next row, which is written next.
      simd_.row(layout_.modes, layout_.d.data(), k0, kc, h, scratch + r * kBlock);
      row[r] = scratch + r * kBlock;
    }
  }

 private:
  const TensorFusionSimd& simd_;
  const Layout layout_;
  const float* memory_;
};

}  // namespace

void tensor_fusion_cpu(const TensorFusion& layer, const FusionInputs& in, float* y, const Exec& exec) {
  const Epilogue epilogue = activation_epilogue(layer.bias.empty() ? nullptr : layer.bias.data(),
                                                layer.activation, layer.slope, exec.isa);
  // The modes of so many rows are laid out at a time: some megabytes at most.
  constexpr int64_t kRowsAtOnce = 3072;
  for (int64_t first = 0; first < in.rows; first += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, in.rows - first);
    const OuterRows source(layer.dims, in, first, row_blocks(rows, exec.isa), exec.isa);
    gemm(exec, rows, source, layer.weight, epilogue, y + first * layer.weight.out(), layer.weight.out());
  }
}

void outer_product_cpu(const FusionDims& dims, const FusionInputs& in, float* z, const Exec& exec) {
  const TensorFusionSimd& simd = tensor_fusion_simd(exec.isa);
  const Layout layout(dims, 1, simd.pad);
  const int64_t width = dims.product();
  constexpr int64_t kPiece =
      4096;  // floats formed at a time: in a buffer, since whole vectors spill past its end
  constexpr int64_t kTask = 1 << 16;
  const int64_t rows_a_task = std::max<int64_t>(1, kTask / width),
                row_tasks = (in.rows + rows_a_task - 1) / rows_a_task;
  const int64_t width_a_task = std::min(width, kTask),
                width_tasks = (width + width_a_task - 1) / width_a_task;
  parallel_for(exec, static_cast<int>(row_tasks * width_tasks), [&](int task) {
    const int64_t r0 = task / width_tasks * rows_a_task, r1 = std::min(in.rows, r0 + rows_a_task);
    const int64_t k0 = task % width_tasks * width_a_task, k1 = std::min(width, k0 + width_a_task);
    float* memory = thread_scratch(kFusionScratch, layout.floats());
    float* buffer = thread_scratch(kGemmScratch, kPiece + 16);
    const float* h[kMostTensorModes];
    layout.pointers(memory, h);
    for (int64_t r = r0; r < r1; ++r) {
      std::memset(memory, 0, sizeof(float) * layout.floats());
      layout.fill(in, r, memory);
      for (int64_t k = k0; k < k1; k += kPiece) {
        const int n = static_cast<int>(std::min(kPiece, k1 - k));
        simd.row(layout.modes, layout.d.data(), k, n, h, buffer);
        std::memcpy(z + r * width + k, buffer, sizeof(float) * static_cast<size_t>(n));
      }
    }
  });
}

}  // namespace cinefuse
