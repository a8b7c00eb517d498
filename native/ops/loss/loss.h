// Losses and their gradients. e = x - target.
//
//   mse    e²                     mae  |e|, slope 0 where equal
//   huber  |e| <= δ ? e²/2 : δ(|e| - δ/2)
//   bce    ln(1 + e^x) - target x, target in [0, 1]
//   cross_entropy  of each row, -Σ_c t_c ln softmax(x)_c w_c, t = (1-ε) onehot + ε/C; class weights w or 1;
//                  the mean divides by the sum of the targets' class weights
//
// x (rows, cols); target (rows, cols), for cross_entropy (rows) class numbers as floats. A NaN target is
// unknown: its loss is 0, its gradient is 0, and means leave it out. row_weights (rows) multiply each row's
// loss, and means divide by the sum of the weights of the known elements (nothing known: loss and gradients
// are 0; a row of weight 0 counts as unknown). Arithmetic and sums are in float64 and a fixed order. Source:
// the PyTorch definitions (there, row weights aside).
#pragma once
#include <cstdint>

#include "../../core/exec.h"

namespace cinefuse {

enum class LossKind : int { kMse = 0, kMae, kHuber, kBce, kCrossEntropy };
enum class Reduction : int { kNone = 0, kMean, kSum };

struct LossParams {
  LossKind kind;
  Reduction reduction;
  int64_t rows, cols;
  float delta;      // of huber, > 0
  float smoothing;  // of cross_entropy, [0, 1)
  const float *x, *target;
  const float* class_weights;  // (cols) or null
  const float* row_weights;    // (rows) or null
  float* loss;                 // one number; with kNone (rows, cols), for cross_entropy (rows)
  float* dx;                   // (rows, cols) or null: gradient of the reduced loss (of the sum for kNone)
};
void loss_check(const LossParams& params, size_t x, size_t target, int64_t class_weights,
                int64_t row_weights);
// Throws ERR_INPUT_VALUE for a class number that is none, a bce target beyond [0, 1], a negative or
// non-finite weight. Reads the arrays; loss() does it itself.
void loss_check_values(const LossParams& params);
void loss(const LossParams& params, const Exec& exec);

}  // namespace cinefuse
