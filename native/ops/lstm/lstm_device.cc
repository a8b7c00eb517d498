#include "lstm_device.h"

#include "../../core/device.h"
#include "lstm_backward.h"

namespace cinefuse {
namespace {

// A call's sequences, with the tables that the kernels want of them.
struct Sequence {
  std::vector<int64_t> lengths, order, first;
  int64_t steps = 0;
  cinefuse_lstm_sequence told{};

  explicit Sequence(const LstmSequence& q) : order(lstm_longest_first(q)) {
    for (int64_t b = 0; b < q.batch; ++b) {
      lengths.push_back(q.length(b));
      first.push_back(steps);
      steps += q.length(b);
    }
    const int64_t longest = order.empty() ? 0 : q.length(order[0]);
    told = {q.batch, q.time, longest, q.x, lengths.data(), order.data(), q.h0, q.c0};
  }
};

cinefuse_lstm_description described(const LstmShape& s, const LstmWeights& w) {
  return {s.input, s.hidden, s.directions, w.input, w.hidden, w.bias};
}

}  // namespace

void lstm_device(const Lstm& layer, const LstmSequence& q, const LstmResult& out, const Exec& exec) {
  const LstmShape& s = layer.shape;
  const auto twin = layer.twins.get(exec, [&] {
    std::vector<float> input(static_cast<size_t>(s.directions * s.gates() * s.input));
    std::vector<float> hidden(static_cast<size_t>(s.directions * s.gates() * s.hidden));
    for (int d = 0; d < s.directions; ++d) {
      layer.input[static_cast<size_t>(d)].unpack(input.data() + d * s.gates() * s.input);
      layer.hidden[static_cast<size_t>(d)].unpack(hidden.data() + d * s.gates() * s.hidden);
    }
    return create_on_device(exec, CINEFUSE_LSTM,
                            described(s, {input.data(), hidden.data(), layer.bias.data()}));
  });
  const Sequence sequence(q);
  run_on_device(exec, CINEFUSE_LSTM, *twin, cinefuse_lstm_params{sequence.told, out.y, out.h, out.c});
}

void lstm_forward_device(const LstmShape& s, const LstmWeights& w, const LstmSequence& q,
                         const LstmResult& out, const Exec& exec) {
  const Sequence sequence(q);
  run_on_device(exec, CINEFUSE_LSTM_FORWARD,
                cinefuse_lstm_forward_params{described(s, w), sequence.told, out.y, out.h, out.c, out.saved});
}

void lstm_backward_device(const LstmShape& s, const LstmWeights& w, const LstmSequence& q,
                          const LstmGradients& g, const Exec& exec) {
  const Sequence sequence(q);
  run_on_device(exec, CINEFUSE_LSTM_BACKWARD,
                cinefuse_lstm_backward_params{described(s, w), sequence.told, sequence.steps,
                                              sequence.first.data(), g.y, g.saved, g.dy, g.dh, g.dc, g.dx,
                                              g.dinput, g.dhidden, g.db, g.dh0, g.dc0});
}

}  // namespace cinefuse
