#include <algorithm>
#include <cstring>

#include "../../core/attend_simd.h"
#include "../../core/pool.h"
#include "../layer_norm/layer_norm.h"
#include "fusion_network.h"

namespace cinefuse {
namespace {

constexpr int64_t kMostRows = 64;  // of one task: the weights are read once for all of them
constexpr int kScratch = 1;
constexpr float kEps = 1e-5f;

void zero(float* p, int64_t n) { std::memset(p, 0, sizeof(float) * static_cast<size_t>(n)); }
void copy(const float* from, int64_t n, float* to) {
  std::memcpy(to, from, sizeof(float) * static_cast<size_t>(n));
}

// Scratch of one task, cut from one piece of memory.
struct Buffers {
  float *x, *z;            // one modality's inputs and its h, present rows only
  float* h;                // all h: (rows, columns), or for products one modality after the other
  float *steps, *scores;   // attention over time: standardised steps of some rows, their scores
  float* pooling;          // its hidden layer
  float* weights;          // (rows, modalities)
  float* feature_weights;  // of attention's feature form, (rows, modalities, d)
  float* fusion;           // inside the fusion
  float* fused;            // (rows, fused)
  float* layers[2];        // of a trunk, by turns
  float* y;                // (rows, outputs)
};

// Sets the pointers and returns the floats they take.
size_t cut(const FusionNetwork& n, const FusionNetworkParams& p, int64_t rows, float* base, Buffers& b) {
  size_t total = 0;
  const auto take = [&](int64_t floats) {
    float* const at = base ? base + total : nullptr;
    total += static_cast<size_t>((floats + 15) / 16 * 16);
    return at;
  };
  int64_t dim = 1, out = 1, steps = 0, longest = 0, hidden = 0;
  const int64_t count = static_cast<int64_t>(n.modalities.size());
  for (int64_t i = 0; i < count; ++i) {
    const NetworkModality& m = n.modalities[static_cast<size_t>(i)];
    dim = std::max(dim, m.dim);
    out = std::max(out, m.projection.out);
    if (m.pooling == Pooling::kNone || !p.inputs[i].x) continue;
    const int64_t block = std::max(kAdditiveBlock, p.inputs[i].steps);
    longest = std::max(longest, block);
    if (m.pooling != Pooling::kAttention) continue;
    steps = std::max(steps, block * m.dim);
    hidden = std::max(hidden, static_cast<int64_t>(additive_scratch(m.attention)));
  }
  b.x = take(rows * dim);
  b.z = take(rows * out);
  const bool kept = n.kind != FusionKind::kLate && n.kind != FusionKind::kKernel;
  b.h = take(kept ? rows * n.columns : 0);
  b.steps = take(steps);
  b.scores = take(longest);
  b.pooling = take(hidden);
  b.weights = take(n.has_weights() ? rows * count : 0);
  const bool feature = n.kind == FusionKind::kAttention && n.attention.form == AttentionForm::kFeature;
  b.feature_weights = take(feature && p.modality_weights ? rows * n.columns : 0);
  b.fusion = take(n.kind == FusionKind::kAttention
                      ? static_cast<int64_t>(modality_attention_scratch(n.attention, rows, count))
                  : n.kind == FusionKind::kCrossModal
                      ? static_cast<int64_t>(cross_modal_scratch(n.cross, rows, count))
                      : 0);
  b.fused = take(rows * n.fused);
  b.layers[0] = take(rows * n.widest);
  b.layers[1] = take(rows * n.widest);
  b.y = take(n.kind == FusionKind::kLate || n.kind == FusionKind::kHybrid ? rows * n.outputs : 0);
  return total;
}

// Rows [first, first + rows) of a batch, from inputs to heads.
class Task {
 public:
  Task(const FusionNetwork& network, const FusionNetworkParams& params, int64_t first, int64_t rows,
       const Buffers& buffers, const Exec& exec)
      : n_(network),
        p_(params),
        first_(first),
        rows_(rows),
        b_(buffers),
        exec_(exec),
        simd_(attend_simd(exec.isa)) {}

  void run() {
    const int64_t count = static_cast<int64_t>(n_.modalities.size());
    float* const heads = p_.heads + first_ * n_.outputs;
    const bool late = n_.kind == FusionKind::kLate || n_.kind == FusionKind::kHybrid;
    if (late) zero(heads, rows_ * n_.outputs);
    if (n_.kind == FusionKind::kKernel) {
      std::fill_n(b_.fused, rows_ * n_.fused, n_.combine == KernelCombine::kSum ? 0.f : 1.f);
    }
    weigh();
    for (int64_t i = 0; i < count; ++i) {
      exec_.check_cancelled();
      const NetworkModality& m = n_.modalities[static_cast<size_t>(i)];
      const Vectors x = gather(m, i);
      if (n_.kind == FusionKind::kKernel) {
        compare(m, i, x.rows);
        continue;
      }
      if (x.rows == rows_ && n_.kind != FusionKind::kLate && !m.is_late()) {
        project(m, i, x, place(m), n_.multiplies() ? m.projection.out : n_.columns);
        continue;
      }
      project(m, i, x, b_.z, m.projection.out);
      if (late && m.is_late()) add_late(m, i, x.rows, heads);
      if (n_.kind != FusionKind::kLate) scatter(m, i);
    }
    exec_.check_cancelled();
    switch (n_.kind) {
      case FusionKind::kConcat:
        apply(n_.stack, rows_, b_.h, n_.fused, heads);
        break;
      case FusionKind::kLate:
        break;
      case FusionKind::kKernel:
        apply(n_.stack, rows_, b_.fused, n_.fused, heads);
        break;
      case FusionKind::kHybrid:
        apply(n_.stack, rows_, b_.h, n_.columns, b_.y);
        for (int64_t r = 0; r < rows_; ++r) {
          simd_.axpy(n_.outputs, share(r), b_.y + r * n_.outputs, heads + r * n_.outputs);
        }
        break;
      default:
        fuse();
        apply(n_.stack, rows_, b_.fused, n_.fused, heads);
    }
  }

 private:
  const uint8_t* present(int64_t row) const { return p_.present + (first_ + row) * count(); }
  int64_t count() const { return static_cast<int64_t>(n_.modalities.size()); }

  // Modality weights that come from logits alone.
  void weigh() {
    if (n_.logits.empty()) return;
    for (int64_t r = 0; r < rows_; ++r) {
      float* const weights = b_.weights + r * count();
      copy(n_.logits.data(), count(), weights);
      uint8_t there[kMaxNetworkModalities];
      for (int64_t i = 0; i < count(); ++i) {
        const NetworkModality& m = n_.modalities[static_cast<size_t>(i)];
        there[i] = present(r)[i] && (n_.kind != FusionKind::kHybrid || m.is_late());
      }
      simd_.softmax(count(), there, weights);
    }
    give_weights(b_.weights);
  }

  // Of the early side of hybrid in a row: all or nothing where the other or this one has no modality there.
  float share(int64_t row) const {
    if (n_.kind != FusionKind::kHybrid) return 0.f;
    bool early = false, late = false;
    for (int64_t i = 0; i < count(); ++i) {
      const NetworkModality& m = n_.modalities[static_cast<size_t>(i)];
      if (!present(row)[i]) continue;
      early = early || m.early();
      late = late || m.is_late();
    }
    return !late ? 1.f : !early ? 0.f : n_.gate;
  }

  void give_weights(const float* weights) {
    if (p_.modality_weights) copy(weights, rows_ * count(), p_.modality_weights + first_ * count());
  }

  // One vector for each row where a modality is present, beside each other.
  struct Vectors {
    const float* x;
    int64_t rows;
  };

  // In the input itself where nothing has to be done to it, else in b.x.
  Vectors gather(const NetworkModality& m, int64_t i) {
    const NetworkInput& input = p_.inputs[i];
    if (input.weights) zero(input.weights + first_ * input.steps, rows_ * input.steps);
    if (m.pooling == Pooling::kAttention && input.x) return {b_.x, gather_attended(m, i)};
    int64_t n = 0;
    for (int64_t r = 0; r < rows_; ++r) n += present(r)[i] != 0;
    if (n == rows_ && m.plain && m.pooling == Pooling::kNone) return {input.x + first_ * m.dim, n};
    float* to = b_.x;
    for (int64_t r = 0; r < rows_; ++r) {
      if (!present(r)[i]) continue;
      const float* const x = input.x + (first_ + r) * input.steps * m.dim;
      const int64_t length = steps_of(input, r);
      if (n_.kind == FusionKind::kKernel) require_finite(m, x, length, r);
      if (m.pooling == Pooling::kNone) {
        scale(m, x, to);
      } else {
        std::fill(b_.scores, b_.scores + length, 1.f / static_cast<float>(length));
        simd_.weighted_sum(length, m.dim, b_.scores, x, m.dim, to);
        if (!m.plain) scale(m, to, to);
        if (input.weights) copy(b_.scores, length, input.weights + (first_ + r) * input.steps);
      }
      to += m.dim;
    }
    return {b_.x, n};
  }

  void scale(const NetworkModality& m, const float* x, float* to) const {
    if (m.plain) return copy(x, m.dim, to);
    simd_.standardise(m.dim, x, m.mean.data(), m.scale.data(), to);
  }

  // As gather, for attention over time: the steps of several rows are scored in one product. Steps that need
  // no scaling and lie beside each other are read where they lie.
  int64_t gather_attended(const NetworkModality& m, int64_t i) {
    const NetworkInput& input = p_.inputs[i];
    int64_t n = 0, r = 0;
    while (r < rows_) {
      int64_t steps = 0, waiting = 0;
      int64_t rows[kMostRows];
      const float* first = b_.steps;
      for (; r < rows_; ++r) {
        if (!present(r)[i]) continue;
        const int64_t length = steps_of(input, r);
        const float* const x = input.x + (first_ + r) * input.steps * m.dim;
        if (waiting && (steps + length > kAdditiveBlock || (m.plain && x != first + steps * m.dim))) break;
        if (!m.plain) {
          for (int64_t t = 0; t < length; ++t) scale(m, x + t * m.dim, b_.steps + (steps + t) * m.dim);
        } else if (!waiting) {
          first = x;
        }
        steps += length;
        rows[waiting++] = r;
      }
      if (waiting) score(m, input, steps, first, rows);
      float* scores = b_.scores;
      const float* x = first;
      for (int64_t j = 0; j < waiting; ++j) {
        const int64_t length = steps_of(input, rows[j]);
        simd_.softmax(length, nullptr, scores);
        simd_.weighted_sum(length, m.dim, scores, x, m.dim, b_.x + n++ * m.dim);
        if (input.weights) copy(scores, length, input.weights + (first_ + rows[j]) * input.steps);
        scores += length;
        x += length * m.dim;
      }
    }
    return n;
  }

  // b.scores <- those of the steps at x, which are all the steps of `rows`.
  void score(const NetworkModality& m, const NetworkInput& input, int64_t steps, const float* x,
             const int64_t* rows) {
    const AdditiveAttention& layer = m.attention;
    int64_t before = 0;  // steps of the rows before rows[0]
    for (int64_t t = 0; t < steps; t += kAdditiveBlock) {
      const int64_t block = std::min(kAdditiveBlock, steps - t);
      gemm(exec_, block, {x + t * m.dim, m.dim}, layer.W, {layer.b.data()}, b_.pooling, layer.k);
      for (int64_t j = 0; j < block; ++j) {
        if (is_finite(b_.pooling[j * layer.k])) continue;
        for (; before + steps_of(input, *rows) <= t + j; ++rows) before += steps_of(input, *rows);
        require_finite(m, input.x + (first_ + *rows) * input.steps * m.dim, steps_of(input, *rows), *rows);
      }
      simd_.tanh_scores(block, layer.k, layer.w.data(), b_.pooling, layer.k, b_.scores + t);
    }
  }

  // y (x.rows, out), rows ldy apart <- h of the rows where modality i is present.
  void project(const NetworkModality& m, int64_t i, const Vectors& x, float* y, int64_t ldy) const {
    const NetworkLayer& layer = m.projection;
    if (x.rows == 0) return;
    gemm(exec_, x.rows, {x.x, m.dim}, layer.W, {layer.bias.data()}, y, ldy);
    const float* z = y;
    for (int64_t r = 0; r < rows_; ++r) {
      if (!present(r)[i]) continue;
      if (!is_finite(*z)) {
        const NetworkInput& input = p_.inputs[i];
        require_finite(m, input.x + (first_ + r) * input.steps * m.dim, steps_of(input, r), r);
      }
      z += ldy;
    }
    finish(layer, x.rows, y, ldy);
  }

  int64_t steps_of(const NetworkInput& input, int64_t row) const {
    return input.lengths ? input.lengths[first_ + row] : input.steps;
  }

  // What is not finite in x makes every element of W x so: one of them tells whether x has to be looked at. A
  // product that overflows by itself is no error.
  static bool is_finite(float z) { return z - z == 0.f; }

  void require_finite(const NetworkModality& m, const float* x, int64_t steps, int64_t row) const {
    const int64_t at = simd_.first_non_finite(steps * m.dim, x);
    if (at >= 0) throw_not_finite(m, first_ + row, at, x[at]);
  }

  // y (rows, out) <- act(LN(W x + b)); x rows ldx apart
  void apply(const NetworkLayer& layer, int64_t rows, const float* x, int64_t ldx, float* y) const {
    if (rows == 0) return;
    if (!layer.norm) {
      gemm(exec_, rows, {x, ldx}, layer.W,
           activation_epilogue(layer.bias.data(), layer.activation, kNetworkSlope, exec_.isa), y, layer.out);
      return;
    }
    gemm(exec_, rows, {x, ldx}, layer.W, {layer.bias.data()}, y, layer.out);
    finish(layer, rows, y, layer.out);
  }

  // y <- act(LN(y)), rows ldy apart
  void finish(const NetworkLayer& layer, int64_t rows, float* y, int64_t ldy) const {
    if (!layer.norm && layer.activation == Activation::kNone) return;
    for (int64_t r = 0; r < rows; ++r, y += ldy) {
      if (layer.norm) layer_norm_row(layer.out, kEps, y, layer.gain.data(), layer.shift.data(), y, exec_.isa);
      activation_apply(layer.activation, kNetworkSlope, layer.out, y, y, exec_.isa);
    }
  }

  void apply(const NetworkStack& stack, int64_t rows, const float* x, int64_t ldx, float* y) const {
    int turn = 0;
    for (const NetworkLayer& layer : stack.trunk) {
      apply(layer, rows, x, ldx, b_.layers[turn]);
      x = b_.layers[turn];
      ldx = layer.out;
      turn ^= 1;
    }
    if (rows) gemm(exec_, rows, {x, ldx}, stack.heads, {stack.heads_bias.data()}, y, n_.outputs);
  }

  // heads += (1 - g) a_i y_i, g = 0 for late
  void add_late(const NetworkModality& m, int64_t i, int64_t rows, float* heads) {
    apply(m.late, rows, b_.z, m.projection.out, b_.y);
    const float* y = b_.y;
    for (int64_t r = 0; r < rows_; ++r) {
      if (!present(r)[i]) continue;
      simd_.axpy(n_.outputs, (1.f - share(r)) * b_.weights[r * count() + i], y, heads + r * n_.outputs);
      y += n_.outputs;
    }
  }

  // F <- what modality i says of how alike the rows are to the landmarks
  void compare(const NetworkModality& m, int64_t i, int64_t rows) {
    if (rows) kernel_rows(m.kernel, rows, {b_.x, m.dim}, b_.z, exec_);
    const float* k = b_.z;
    for (int64_t r = 0; r < rows_; ++r) {
      const bool has = present(r)[i] != 0;
      kernel_combine(n_.combine, n_.constant, n_.fused, has ? k : nullptr, b_.fused + r * n_.fused,
                     exec_.isa);
      if (has) k += n_.fused;
    }
  }

  // Of its h in b.h; products want each modality's rows together.
  float* place(const NetworkModality& m) const {
    return n_.multiplies() ? b_.h + m.column * rows_ : b_.h + m.column;
  }

  // h <- z at the rows where modality i is present; the learned vector or zeros elsewhere
  void scatter(const NetworkModality& m, int64_t i) {
    const int64_t out = m.projection.out;
    const float* z = b_.z;
    for (int64_t r = 0; r < rows_; ++r) {
      float* const to = place(m) + r * (n_.multiplies() ? out : n_.columns);
      if (present(r)[i]) {
        copy(z, out, to);
        z += out;
      } else if (!m.absent.empty()) {
        copy(m.absent.data(), out, to);
      } else {
        zero(to, out);
      }
    }
  }

  void fuse() {
    const int64_t d = n_.fused;
    switch (n_.kind) {
      case FusionKind::kWeightedSum:
        for (int64_t r = 0; r < rows_; ++r) {
          simd_.weighted_sum(count(), d, b_.weights + r * count(), b_.h + r * n_.columns, d,
                             b_.fused + r * d);
        }
        break;
      case FusionKind::kAttention:
        attend();
        break;
      case FusionKind::kCrossModal:
        cross_modal_rows(n_.cross, rows_, count(), b_.h, present(0), b_.fused, b_.fusion, exec_);
        break;
      default:
        multiply();
    }
  }

  void multiply() {
    FusionInputs inputs{};
    inputs.rows = rows_;
    inputs.present = present(0);
    for (int64_t i = 0; i < count(); ++i) {
      inputs.h[static_cast<size_t>(i)] = b_.h + n_.modalities[static_cast<size_t>(i)].column * rows_;
    }
    if (n_.kind == FusionKind::kTensor) {
      tensor_fusion(n_.tensor, inputs, b_.fused, exec_);
    } else {
      low_rank_fusion(n_.low_rank, inputs, b_.fused, exec_);
    }
  }

  void attend() {
    const int64_t d = n_.fused;
    const bool feature = n_.attention.form == AttentionForm::kFeature;
    float* const weights = !feature ? b_.weights : p_.modality_weights ? b_.feature_weights : nullptr;
    modality_attention_rows(n_.attention, rows_, count(), b_.h, present(0), b_.fused, weights, b_.fusion,
                            exec_);
    for (int64_t j = 0; feature && weights && j < rows_ * count(); ++j) {
      b_.weights[j] = simd_.sum(d, weights + j * d) / static_cast<float>(d);
    }
    give_weights(b_.weights);
  }

  const FusionNetwork& n_;
  const FusionNetworkParams& p_;
  const int64_t first_, rows_;
  const Buffers b_;
  const Exec exec_;
  const AttendSimd& simd_;
};

}  // namespace

void fusion_network_cpu(const FusionNetwork& network, const FusionNetworkParams& params, const Exec& exec) {
  const int64_t rows_a_task =
      std::clamp<int64_t>((params.batch + exec.threads - 1) / exec.threads, 1, kMostRows);
  const int64_t tasks = (params.batch + rows_a_task - 1) / rows_a_task;
  // With one task the products inside share out their own work; with several each runs on its thread.
  Exec inner = exec;
  if (tasks > 1) inner.threads = 1;
  parallel_for(exec, static_cast<int>(tasks), [&](int task) {
    const int64_t first = task * rows_a_task;
    const int64_t rows = std::min(rows_a_task, params.batch - first);
    Buffers buffers{};
    const size_t floats = cut(network, params, rows, nullptr, buffers);
    cut(network, params, rows, thread_scratch(kScratch, floats), buffers);
    Task(network, params, first, rows, buffers, inner).run();
  });
}

}  // namespace cinefuse
