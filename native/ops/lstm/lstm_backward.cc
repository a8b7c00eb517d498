#include "lstm_backward.h"

namespace cinefuse {

void lstm_backward_cpu(const LstmShape& shape, const LstmWeights& weights, const LstmSequence& sequence,
                       const LstmGradients& gradients, const Exec& exec);
void lstm_forward_device(const LstmShape& shape, const LstmWeights& weights, const LstmSequence& sequence,
                         const LstmResult& result, const Exec& exec);
void lstm_backward_device(const LstmShape& shape, const LstmWeights& weights, const LstmSequence& sequence,
                          const LstmGradients& gradients, const Exec& exec);

void lstm_backward_check(const LstmShape& s, const LstmSequence& q, const LstmGradientSizes& sizes) {
  const int64_t steps = q.batch * q.time * s.width(), ends = q.batch * s.width();
  const auto require = [](int64_t size, int64_t expected, const char* field, const char* shape) {
    CINEFUSE_REQUIRE(size == -1 || size == expected, Code::kShape, field,
                     "Expected %lld elements for %s of shape %s, received %lld",
                     static_cast<long long>(expected), field, shape, static_cast<long long>(size));
  };
  require(static_cast<int64_t>(sizes.y), steps, "y", "(batch, time, directions * hiddenSize)");
  require(static_cast<int64_t>(sizes.saved), 5 * steps, "saved", "(batch, time, directions, 5, hiddenSize)");
  require(sizes.dy, steps, "dy", "(batch, time, directions * hiddenSize)");
  require(sizes.dh, ends, "dh", "(directions, batch, hiddenSize)");
  require(sizes.dc, ends, "dc", "(directions, batch, hiddenSize)");
}

void lstm_forward(const LstmShape& shape, const LstmWeights& weights, const LstmSequence& sequence,
                  const LstmResult& result, const Exec& exec) {
  if (exec.backend != Backend::kCpu) return lstm_forward_device(shape, weights, sequence, result, exec);
  // Packing the weights costs about as much as one more row of one step.
  lstm(lstm_prepare(shape, weights, exec), sequence, result, exec);
}

void lstm_backward(const LstmShape& shape, const LstmWeights& weights, const LstmSequence& sequence,
                   const LstmGradients& gradients, const Exec& exec) {
  if (exec.backend != Backend::kCpu) {
    return lstm_backward_device(shape, weights, sequence, gradients, exec);
  }
  lstm_backward_cpu(shape, weights, sequence, gradients, exec);
}

}  // namespace cinefuse
