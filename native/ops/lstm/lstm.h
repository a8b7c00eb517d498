// Long short-term memory over the rows of a batch, in one or two directions:
//
//   a = W_x x_t + W_h h_{t-1} + b,   i, f, g, o = σ(a_i), σ(a_f), tanh(a_g), σ(a_o)
//   c_t = f c_{t-1} + i g,           h_t = o tanh(c_t)
//
// x: (batch, time, input), W_x: (directions, 4 hidden, input), W_h: (directions, 4 hidden, hidden), b:
// (directions, 4 hidden) or none, gates in the order i, f, g, o; y: (batch, time, directions * hidden), h, c:
// (directions, batch, hidden), float32, row-major. Direction 1 runs from each row's own end to its beginning.
// Row b has lengths[b] steps; what lies behind them in x is not read, y is 0 there. h0, c0: as h and c, or
// none (0). A row of no steps ends as it began.
//
// Rows do not touch each other: the same bits alone or in any batch, on any number of threads. NaN and
// infinity stay in their row and direction. Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000;
// torch.nn.LSTM.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "../../core/device.h"
#include "../../core/gemm/gemm.h"

namespace cinefuse {

struct LstmShape {
  int64_t input, hidden;
  int directions;
  int64_t gates() const { return 4 * hidden; }
  int64_t width() const { return directions * hidden; }  // of a step of y
};
struct LstmWeights {
  const float *input, *hidden;
  const float* bias;  // or null
};
struct LstmSequence {
  int64_t batch, time;
  const float* x;
  std::shared_ptr<const std::vector<int32_t>> lengths;  // null: all of them `time`
  const float *h0, *c0;                                 // or null
  int64_t length(int64_t row) const { return lengths ? (*lengths)[static_cast<size_t>(row)] : time; }
};
// saved: (batch, time, directions, 5, hidden), i, f, g, o and c of every step, which backward wants; or null.
struct LstmResult {
  float *y, *h, *c, *saved;
};

// The rows of a batch, longest first: those that have a step are then always the first ones.
std::vector<int64_t> lstm_longest_first(const LstmSequence& sequence);

// Weights made ready once. Immutable: any number of calls may run on it at a time.
struct Lstm {
  LstmShape shape{};
  std::vector<PackedMatrix> input, hidden;  // one a direction
  std::vector<float> bias;                  // (directions, 4 hidden), zeros where none was given
  DeviceTwins twins;

  size_t bytes() const;
};

// Throw ERR_SHAPE, ERR_INPUT_VALUE; cheap, for the JS thread. bias_size is -1 where none is given, as are the
// sizes of h0 and c0.
void lstm_check(const LstmShape& shape, size_t input_size, size_t hidden_size, int64_t bias_size);
void lstm_check_sequence(const LstmShape& shape, const LstmSequence& sequence, size_t x_size, int64_t h0_size,
                         int64_t c0_size);
Lstm lstm_prepare(const LstmShape& shape, const LstmWeights& weights, const Exec& exec);
void lstm(const Lstm& layer, const LstmSequence& sequence, const LstmResult& result, const Exec& exec);

}  // namespace cinefuse
