#include "../../native/ops/layer_norm/layer_norm.h"
#include "../../native/ops/linear/linear.h"
#include "../../native/ops/lstm/lstm_backward.h"
#include "verify.h"

namespace cinefuse::verify {
namespace {

void activations(Suite& suite) {
  Random random(1);
  for (int kind = 0; kind < kActivationCount; ++kind) {
    for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{
             {1, 1}, {3, 7}, {5, 32}, {2, 1023}, {3, 1025}, {70, 33}, {1, 40001}}) {
      if (suite.small() && rows * cols > 3000) continue;
      const std::vector<float> x = random.numbers(rows * cols, 20.f);
      suite.compare(format("activation %d (%lld, %lld)", kind, (long long)rows, (long long)cols), rows * cols,
                    2e-6f, true, [&](const Exec& exec, float* y) {
                      activation({static_cast<Activation>(kind), 0.01f, rows, cols, x.data(), y}, exec);
                    });
    }
  }
}

void layer_norms(Suite& suite) {
  Random random(2);
  for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {3, 5}, {4, 128}, {9, 129}, {2, 4096}, {1000, 768}, {3, 30001}}) {
    if (suite.small() && rows * cols > 3000) continue;
    std::vector<float> x = random.numbers(rows * cols);
    for (float& v : x) v += 1000.f;  // a mean that one pass in float32 would not survive
    const std::vector<float> gain = random.numbers(cols), bias = random.numbers(cols);
    for (bool affine : {false, true}) {
      suite.compare(
          format("layer_norm (%lld, %lld)%s", (long long)rows, (long long)cols, affine ? " affine" : ""),
          rows * cols, 1e-4f, true, [&](const Exec& exec, float* y) {
            layer_norm({rows, cols, 1e-5f, x.data(), affine ? gain.data() : nullptr,
                        affine ? bias.data() : nullptr, y},
                       exec);
          });
    }
  }
}

void linears(Suite& suite) {
  Random random(3);
  struct Shape {
    int64_t rows, in, out;
  };
  for (const Shape& s : std::vector<Shape>{{1, 1, 1},
                                           {1, 257, 129},
                                           {1, 4096, 512},
                                           {3, 100, 70},
                                           {8, 384, 128},
                                           {9, 65, 1},
                                           {16, 64, 64},
                                           {33, 130, 127},
                                           {128, 512, 256},
                                           {1000, 768, 300},
                                           {4096, 1024, 1024}}) {
    if (suite.small() && s.rows * s.in * s.out > 600000) continue;
    const std::vector<float> x = random.numbers(s.rows * s.in), w = random.numbers(s.in * s.out),
                             b = random.numbers(s.out);
    for (Activation f : {Activation::kNone, Activation::kGelu}) {
      const Linear layer = linear_prepare(
          {s.in, s.out, w.data(), f == Activation::kNone ? nullptr : b.data(), f, 0.01f}, Exec());
      suite.compare(format("linear (%lld, %lld) -> %lld %s", (long long)s.rows, (long long)s.in,
                           (long long)s.out, f == Activation::kNone ? "" : "gelu"),
                    s.rows * s.out, 5e-6f, false,
                    [&](const Exec& exec, float* y) { linear(layer, s.rows, x.data(), y, exec); });
    }
  }
}

void spoiled_rows(Suite& suite) {
  Random random(4);
  const int64_t rows = 40, in = 96, out = 72;
  const std::vector<float> w = random.numbers(in * out);
  const Linear layer = linear_prepare({in, out, w.data(), nullptr, Activation::kNone, 0.f}, Exec());
  std::vector<float> x = random.numbers(rows * in);
  x[3 * in + 7] = NAN;
  suite.compare("linear: NaN spoils its row alone", rows * out, 5e-6f, false,
                [&](const Exec& exec, float* y) { linear(layer, rows, x.data(), y, exec); });
}

// Few units, which one block has, and more, which several share; rows of no steps among them.
void lstms(Suite& suite) {
  struct Shape {
    int64_t batch, time, input, hidden;
    int directions;
  };
  for (const Shape& z : std::vector<Shape>{
           {1, 1, 1, 1, 1}, {5, 4, 3, 9, 2}, {2, 3, 7, 261, 1}, {37, 50, 80, 64, 2}, {64, 20, 300, 512, 1}}) {
    if (suite.small() && z.batch * z.time * z.hidden > 2000) continue;
    Random random(4);
    const LstmShape s{z.input, z.hidden, z.directions};
    const float scale = 1.f / std::sqrt(static_cast<float>(z.hidden));
    const int64_t steps = z.batch * z.time * s.width(), ends = z.batch * s.width();
    const auto gates = z.directions * s.gates();
    const std::vector<float> x = random.numbers(z.batch * z.time * z.input),
                             input = random.numbers(gates * z.input, scale),
                             hidden = random.numbers(gates * z.hidden, scale), bias = random.numbers(gates),
                             h0 = random.numbers(ends), c0 = random.numbers(ends), dy = random.numbers(steps),
                             dh = random.numbers(ends);
    auto lengths = std::make_shared<std::vector<int32_t>>();
    for (int64_t b = 0; b < z.batch; ++b) {
      lengths->push_back(static_cast<int32_t>(z.batch == 1 ? z.time : b * 3 % (z.time + 1)));
    }
    const LstmSequence q{z.batch, z.time, x.data(), lengths, h0.data(), c0.data()};
    const LstmWeights w{input.data(), hidden.data(), bias.data()};
    const std::string name = format("lstm %lld x %lld x %lld -> %d x %lld", (long long)z.batch,
                                    (long long)z.time, (long long)z.input, z.directions, (long long)z.hidden);
    const Lstm layer = lstm_prepare(s, w, Exec());
    suite.compare(name, steps + 2 * ends, 1e-5f, false, [&](const Exec& exec, float* out) {
      lstm(layer, q, {out, out + steps, out + steps + ends, nullptr}, exec);
    });
    const int64_t inputs = static_cast<int64_t>(x.size()), all = gates * (z.input + z.hidden + 1);
    suite.compare(name + " in training", inputs + all + 2 * ends, 2e-5f, true,
                  [&](const Exec& exec, float* out) {
                    std::vector<float> y(steps), h(ends), c(ends), saved(5 * steps);
                    lstm_forward(s, w, q, {y.data(), h.data(), c.data(), saved.data()}, exec);
                    float* const dinput = out + inputs;
                    float* const dhidden = dinput + gates * z.input;
                    float* const db = dhidden + gates * z.hidden;
                    lstm_backward(s, w, q,
                                  {y.data(), saved.data(), dy.data(), dh.data(), nullptr, out, dinput,
                                   dhidden, db, db + gates, db + gates + ends},
                                  exec);
                  });
  }
}

}  // namespace

void verify_layers(Suite& suite) {
  activations(suite);
  layer_norms(suite);
  linears(suite);
  lstms(suite);
  spoiled_rows(suite);
}

}  // namespace cinefuse::verify
