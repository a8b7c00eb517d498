// LSTM in training, where the weights change every step and nothing is packed beforehand. Shapes as in
// lstm.h; from y and what forward saved:
//
//   do = dh tanh(c),  dc += dh o (1 - tanh² c),  di = dc g,  df = dc c_{t-1},  dg = dc i,  dc_{t-1} = dc f
//   da = those times σ' or tanh',  dh_{t-1} = dy_{t-1} + W_hᵀ da
//   dx = W_xᵀ da,  dW_x = Σ da xᵀ,  dW_h = Σ da h_{t-1}ᵀ,  db = Σ da
//
// Results are overwritten, never added to. The same bits on every number of threads of one instruction set.
#pragma once
#include "lstm.h"

namespace cinefuse {

struct LstmGradients {
  const float *y, *saved;        // of forward
  const float *dy, *dh, *dc;     // dL/d(y, h, c), each or null (0)
  float* dx;                     // or null: not wanted
  float *dinput, *dhidden, *db;  // of the weights and the bias
  float *dh0, *dc0;              // (directions, batch, hidden)
};
struct LstmGradientSizes {
  size_t y, saved;
  int64_t dy, dh, dc;  // -1: not given
};

void lstm_backward_check(const LstmShape& shape, const LstmSequence& sequence,
                         const LstmGradientSizes& sizes);
void lstm_forward(const LstmShape& shape, const LstmWeights& weights, const LstmSequence& sequence,
                  const LstmResult& result, const Exec& exec);
void lstm_backward(const LstmShape& shape, const LstmWeights& weights, const LstmSequence& sequence,
                   const LstmGradients& gradients, const Exec& exec);

}  // namespace cinefuse
