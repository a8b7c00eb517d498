#include "lstm.h"

#include <algorithm>
#include <numeric>

namespace cinefuse {

void lstm_cpu(const Lstm& layer, const LstmSequence& sequence, const LstmResult& result, const Exec& exec);
void lstm_device(const Lstm& layer, const LstmSequence& sequence, const LstmResult& result, const Exec& exec);

std::vector<int64_t> lstm_longest_first(const LstmSequence& q) {
  std::vector<int64_t> order(static_cast<size_t>(q.batch));
  std::iota(order.begin(), order.end(), int64_t{0});
  if (q.lengths) {
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return q.length(a) > q.length(b); });
  }
  return order;
}

size_t Lstm::bytes() const {
  size_t bytes = bias.size() * sizeof(float);
  for (const PackedMatrix& w : input) bytes += w.bytes();
  for (const PackedMatrix& w : hidden) bytes += w.bytes();
  return bytes;
}

namespace {

// A size, or -1 for an array that was not given and need not be.
void require_size(int64_t size, int64_t expected, const char* field, const char* shape) {
  CINEFUSE_REQUIRE(size == -1 || size == expected, Code::kShape, field,
                   "Expected %lld elements for %s of shape %s, received %lld",
                   static_cast<long long>(expected), field, shape, static_cast<long long>(size));
}

}  // namespace

void lstm_check(const LstmShape& s, size_t input_size, size_t hidden_size, int64_t bias_size) {
  constexpr int64_t kMostInput = int64_t{1} << 20, kMostHidden = int64_t{1} << 14;
  CINEFUSE_REQUIRE(s.input >= 1 && s.input <= kMostInput, Code::kShape, "inputSize",
                   "Expected 1..2^20 for inputSize, received %lld", static_cast<long long>(s.input));
  CINEFUSE_REQUIRE(s.hidden >= 1 && s.hidden <= kMostHidden, Code::kShape, "hiddenSize",
                   "Expected 1..2^14 for hiddenSize, received %lld", static_cast<long long>(s.hidden));
  CINEFUSE_REQUIRE(s.directions == 1 || s.directions == 2, Code::kShape, "directions",
                   "Expected 1 or 2 for directions, received %d", s.directions);
  require_size(static_cast<int64_t>(input_size), s.directions * s.gates() * s.input, "weightInput",
               "(directions, 4 hiddenSize, inputSize)");
  require_size(static_cast<int64_t>(hidden_size), s.directions * s.gates() * s.hidden, "weightHidden",
               "(directions, 4 hiddenSize, hiddenSize)");
  require_size(bias_size, s.directions * s.gates(), "bias", "(directions, 4 hiddenSize)");
}

void lstm_check_sequence(const LstmShape& s, const LstmSequence& q, size_t x_size, int64_t h0_size,
                         int64_t c0_size) {
  constexpr int64_t kMost = int64_t{1} << 40;  // elements of any array here
  CINEFUSE_REQUIRE(q.time >= 0 && q.time < (int64_t{1} << 31), Code::kShape, "time",
                   "Expected 0..2^31-1 for time, received %lld", static_cast<long long>(q.time));
  CINEFUSE_REQUIRE(q.batch >= 0 && q.batch < (int64_t{1} << 31) &&
                       q.batch <= kMost / (std::max<int64_t>(q.time, 1) * (s.input + 10 * s.hidden)),
                   Code::kShape, "batch", "Expected a batch whose arrays stay below 2^40, received %lld",
                   static_cast<long long>(q.batch));
  CINEFUSE_REQUIRE(static_cast<size_t>(q.batch * q.time * s.input) == x_size, Code::kShape, "x",
                   "Expected %lld elements for x of shape (%lld, %lld, %lld), received %zu",
                   static_cast<long long>(q.batch * q.time * s.input), static_cast<long long>(q.batch),
                   static_cast<long long>(q.time), static_cast<long long>(s.input), x_size);
  require_size(h0_size, s.directions * q.batch * s.hidden, "h0", "(directions, batch, hiddenSize)");
  require_size(c0_size, s.directions * q.batch * s.hidden, "c0", "(directions, batch, hiddenSize)");
  if (!q.lengths) return;
  CINEFUSE_REQUIRE(q.lengths->size() == static_cast<size_t>(q.batch), Code::kShape, "lengths",
                   "Expected %lld lengths, received %zu", static_cast<long long>(q.batch), q.lengths->size());
  for (size_t b = 0; b < q.lengths->size(); ++b) {
    const int32_t length = (*q.lengths)[b];
    CINEFUSE_REQUIRE(length >= 0 && length <= q.time, Code::kInputValue, format("lengths[%zu]", b),
                     "Expected 0..%lld for lengths[%zu], received %d", static_cast<long long>(q.time), b,
                     length);
  }
}

Lstm lstm_prepare(const LstmShape& s, const LstmWeights& weights, const Exec& exec) {
  Lstm layer;
  layer.shape = s;
  for (int d = 0; d < s.directions; ++d) {
    layer.input.push_back(
        PackedMatrix::pack(exec, weights.input + d * s.gates() * s.input, s.gates(), s.input));
    layer.hidden.push_back(
        PackedMatrix::pack(exec, weights.hidden + d * s.gates() * s.hidden, s.gates(), s.hidden));
  }
  layer.bias.assign(static_cast<size_t>(s.directions * s.gates()), 0.f);
  if (weights.bias) layer.bias.assign(weights.bias, weights.bias + s.directions * s.gates());
  return layer;
}

void lstm(const Lstm& layer, const LstmSequence& sequence, const LstmResult& result, const Exec& exec) {
  if (exec.backend != Backend::kCpu) return lstm_device(layer, sequence, result, exec);
  lstm_cpu(layer, sequence, result, exec);
}

}  // namespace cinefuse
