#include <algorithm>
#include <cmath>
#include <vector>

#include "../../core/pool.h"
#include "loss.h"

namespace cinefuse {
namespace {

struct Part {
  double loss = 0., weight = 0.;
};

// Loss and slope of one element. e = x - target; softplus without overflow.
Part element(const LossParams& p, double x, double target) {
  const double e = x - target;
  switch (p.kind) {
    case LossKind::kMse:
      return {e * e, 2. * e};
    case LossKind::kMae:
      return {std::fabs(e), e > 0. ? 1. : e < 0. ? -1. : e};
    case LossKind::kHuber: {
      const double delta = static_cast<double>(p.delta);
      if (std::fabs(e) <= delta) return {0.5 * e * e, e};
      return {delta * (std::fabs(e) - 0.5 * delta), e > 0. ? delta : e < 0. ? -delta : e};
    }
    default: {
      const double small = std::exp(-std::fabs(x)), log1p = std::log1p(small);
      const double sigmoid = (x < 0. ? small : 1.) / (1. + small);
      // max(x, 0) - target x, without infinity less infinity
      const double straight = x > 0.         ? (target == 1. ? 0. : (1. - target) * x)
                              : target == 0. ? 0.
                                             : -target * x;
      return {(x != x ? x : straight) + log1p, sigmoid - target};
    }
  }
}

double row_weight(const LossParams& p, int64_t row) {
  return p.row_weights ? static_cast<double>(p.row_weights[row]) : 1.;
}

// A task's rows: losses to where they are wanted, slopes times weights to dx.
Part elements(const LossParams& p, int64_t first, int64_t end) {
  Part sum;
  for (int64_t r = first; r < end; ++r) {
    const double w = row_weight(p, r);
    for (int64_t i = r * p.cols; i < (r + 1) * p.cols; ++i) {
      Part one;
      const float target = p.target[i];
      if (w != 0. && target == target) {
        one = element(p, static_cast<double>(p.x[i]), static_cast<double>(target));
        sum.loss += w * one.loss;
        sum.weight += w;
      }
      if (p.dx) p.dx[i] = static_cast<float>(w * one.weight);
      if (p.reduction == Reduction::kNone) p.loss[i] = static_cast<float>(w * one.loss);
    }
  }
  return sum;
}

Part classes(const LossParams& p, int64_t first, int64_t end) {
  Part sum;
  const int64_t n = p.cols;
  const double smoothing = static_cast<double>(p.smoothing), each = smoothing / static_cast<double>(n);
  const auto class_weight = [&](int64_t c) {
    return p.class_weights ? static_cast<double>(p.class_weights[c]) : 1.;
  };
  double smooth_weights = 0.;  // Σ_c t_c w_c of the part that is spread
  for (int64_t c = 0; c < n; ++c) smooth_weights += each * class_weight(c);
  for (int64_t r = first; r < end; ++r) {
    const double w = row_weight(p, r);
    const float* x = p.x + r * n;
    float* dx = p.dx ? p.dx + r * n : nullptr;
    const bool known = w != 0. && p.target[r] == p.target[r];
    double loss = 0.;
    if (!known) {
      if (dx) std::fill_n(dx, n, 0.f);
    } else {
      const int64_t target = static_cast<int64_t>(p.target[r]);
      double top = static_cast<double>(x[0]), total = 0.;
      for (int64_t c = 1; c < n; ++c) top = std::max(top, static_cast<double>(x[c]));
      for (int64_t c = 0; c < n; ++c) total += std::exp(static_cast<double>(x[c]) - top);
      const double log_total = top + std::log(total);
      const double hard = (1. - smoothing) * class_weight(target);
      loss = hard * (log_total - static_cast<double>(x[target]));
      if (smoothing > 0.) {
        for (int64_t c = 0; c < n; ++c) {
          loss += each * class_weight(c) * (log_total - static_cast<double>(x[c]));
        }
      }
      if (dx) {
        for (int64_t c = 0; c < n; ++c) {
          const double wanted = (c == target ? hard : 0.) + (smoothing > 0. ? each * class_weight(c) : 0.);
          const double softmax = std::exp(static_cast<double>(x[c]) - log_total);
          dx[c] = static_cast<float>(w * (softmax * (hard + smooth_weights) - wanted));
        }
      }
      sum.loss += w * loss;
      sum.weight += w * class_weight(target);
    }
    if (p.reduction == Reduction::kNone) p.loss[r] = static_cast<float>(w * loss);
  }
  return sum;
}

}  // namespace

void loss_cpu(const LossParams& p, const Exec& exec) {
  const int64_t rows_a_task = std::max<int64_t>(1, 2048 / p.cols);
  std::vector<Part> parts(static_cast<size_t>((p.rows + rows_a_task - 1) / rows_a_task));
  parallel_for(exec, static_cast<int>(parts.size()), [&](int task) {
    const int64_t first = task * rows_a_task, end = std::min(p.rows, first + rows_a_task);
    parts[static_cast<size_t>(task)] =
        p.kind == LossKind::kCrossEntropy ? classes(p, first, end) : elements(p, first, end);
  });
  if (p.reduction == Reduction::kNone) return;
  Part sum;
  for (const Part& part : parts) {
    sum.loss += part.loss;
    sum.weight += part.weight;
  }
  if (p.reduction == Reduction::kSum) {
    *p.loss = static_cast<float>(sum.loss);
    return;
  }
  const double scale = sum.weight > 0. ? 1. / sum.weight : 0.;
  *p.loss = static_cast<float>(sum.weight > 0. ? sum.loss * scale : 0.);
  if (!p.dx) return;
  parallel_for(exec, static_cast<int>(parts.size()), [&](int task) {
    const int64_t begin = task * rows_a_task * p.cols;
    const int64_t end = std::min(p.rows * p.cols, begin + rows_a_task * p.cols);
    for (int64_t i = begin; i < end; ++i) {
      p.dx[i] = static_cast<float>(static_cast<double>(p.dx[i]) * scale);
    }
  });
}

}  // namespace cinefuse
