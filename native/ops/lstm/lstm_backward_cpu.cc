#include <algorithm>
#include <cstring>

#include "../../core/gemm/multiply.h"
#include "../../core/pool.h"
#include "../linear/linear_backward.h"
#include "lstm_backward.h"
#include "lstm_rows.h"
#include "lstm_simd.h"

namespace cinefuse {
namespace {

size_t bytes_of(int64_t floats) { return sizeof(float) * static_cast<size_t>(floats); }
std::unique_ptr<float[]> floats(int64_t count) {
  return std::unique_ptr<float[]>(new float[static_cast<size_t>(std::max<int64_t>(count, 1))]);
}

// The steps that rows have, without what lies behind their lengths: row b's begin at first[b].
struct Steps {
  std::vector<int64_t> first;
  int64_t count = 0;
  explicit Steps(const LstmSequence& q) {
    for (int64_t b = 0; b < q.batch; ++b) {
      first.push_back(count);
      count += q.length(b);
    }
  }
};

// One task: from the last step back, da of every step and what flows into the step before.
struct Run {
  const LstmShape& shape;
  const LstmSequence& q;
  const LstmGradients& g;
  const PackedMatrix& turned;  // W_hᵀ of the direction
  const Steps& steps;
  const LstmTask& task;
  float* da;  // (steps, directions, 4 hidden)
  const Exec& exec;

  int64_t length(int64_t r) const { return q.length(task.rows[r]); }
  int64_t end_of(int64_t r) const { return (task.direction * q.batch + task.rows[r]) * shape.hidden; }

  void run() const {
    const int64_t hidden = shape.hidden, stride = lstm_stride(hidden), wide = lstm_stride(shape.gates());
    float* dh = thread_scratch(kLstmScratch, static_cast<size_t>(task.count * (2 * stride + wide)));
    float* dc = dh + task.count * stride;
    float* line = dc + task.count * stride;
    for (int64_t r = 0; r < task.count; ++r) {
      begin(g.dh, r, dh + r * stride);
      begin(g.dc, r, dc + r * stride);
    }
    int64_t rows = 0;
    for (int64_t s = length(0) - 1; s >= 0; --s) {
      exec.check_cancelled();
      while (rows < task.count && length(rows) > s) ++rows;
      for (int64_t r = 0; r < rows; ++r) step(r, s, dh + r * stride, dc + r * stride, line + r * wide);
      lstm_product(exec, rows, line, wide, turned, true, dh, stride);
    }
    for (int64_t r = 0; r < task.count; ++r) {
      std::memcpy(g.dh0 + end_of(r), dh + r * stride, bytes_of(hidden));
      std::memcpy(g.dc0 + end_of(r), dc + r * stride, bytes_of(hidden));
    }
  }

  void begin(const float* from, int64_t r, float* to) const {
    if (from) {
      std::memcpy(to, from + end_of(r), bytes_of(shape.hidden));
    } else {
      std::memset(to, 0, bytes_of(shape.hidden));
    }
  }

  void step(int64_t r, int64_t s, const float* dh, float* dc, float* line) const {
    const int64_t hidden = shape.hidden, t = lstm_time(task.direction, length(r), s);
    const int64_t at = (task.rows[r] * q.time + t) * shape.directions + task.direction;
    const int64_t before = at + (task.direction == 0 ? -1 : 1) * shape.directions;
    const float* c_before = s > 0 ? g.saved + (before * 5 + 4) * hidden : q.c0 ? q.c0 + end_of(r) : nullptr;
    lstm_simd(exec.isa).gradients(hidden, g.saved + at * 5 * hidden, c_before,
                                  g.dy ? g.dy + at * hidden : nullptr, dh, dc, line);
    const int64_t n = steps.first[static_cast<size_t>(task.rows[r])] + t;
    std::memcpy(da + (n * shape.directions + task.direction) * shape.gates(), line, bytes_of(shape.gates()));
  }
};

// h before every step of a direction, (steps, hidden).
void hidden_before(const LstmShape& shape, const LstmSequence& q, const LstmGradients& g, const Steps& steps,
                   int d, float* to, const Exec& exec) {
  const int64_t hidden = shape.hidden;
  parallel_for(exec, static_cast<int>(q.batch), [&](int b) {
    const int64_t length = q.length(b);
    float* row = to + steps.first[static_cast<size_t>(b)] * hidden;
    for (int64_t t = 0; t < length; ++t, row += hidden) {
      const int64_t before = d == 0 ? t - 1 : t + 1;
      if (before >= 0 && before < length) {
        std::memcpy(row, g.y + (b * q.time + before) * shape.width() + d * hidden, bytes_of(hidden));
      } else if (q.h0) {
        std::memcpy(row, q.h0 + (d * q.batch + b) * hidden, bytes_of(hidden));
      } else {
        std::memset(row, 0, bytes_of(hidden));
      }
    }
  });
}

// Rows' own steps of x, (steps, input), or back into dx, (batch, time, input), zeros behind the lengths.
void gather(const LstmShape& shape, const LstmSequence& q, const Steps& steps, float* to) {
  for (int64_t b = 0; b < q.batch; ++b) {
    std::memcpy(to + steps.first[static_cast<size_t>(b)] * shape.input, q.x + b * q.time * shape.input,
                bytes_of(q.length(b) * shape.input));
  }
}
void scatter(const LstmShape& shape, const LstmSequence& q, const Steps& steps, const float* from,
             float* dx) {
  for (int64_t b = 0; b < q.batch; ++b) {
    const int64_t own = q.length(b) * shape.input;
    float* row = dx + b * q.time * shape.input;
    std::memcpy(row, from + steps.first[static_cast<size_t>(b)] * shape.input, bytes_of(own));
    std::memset(row + own, 0, bytes_of(q.time * shape.input - own));
  }
}

}  // namespace

void lstm_backward_cpu(const LstmShape& shape, const LstmWeights& weights, const LstmSequence& q,
                       const LstmGradients& g, const Exec& exec) {
  const Steps steps(q);
  const int64_t gates = shape.gates(), hidden = shape.hidden, all = shape.directions * gates;
  const auto da = floats(steps.count * all);

  std::vector<PackedMatrix> turned;
  for (int d = 0; d < shape.directions; ++d) {
    turned.emplace_back(gates, hidden);
    turned.back().fill(0, hidden, weights.hidden + d * gates * hidden, 1, hidden);
  }
  const LstmTasks tasks(shape, q, exec.threads);
  const auto run = [&](size_t i, const Exec& of_task) {
    const LstmTask& task = tasks.list()[i];
    Run{shape, q, g, turned[static_cast<size_t>(task.direction)], steps, task, da.get(), of_task}.run();
  };
  if (tasks.list().size() == 1) {
    run(0, exec);
  } else {
    Exec alone = exec;
    alone.threads = 1;
    parallel_for(exec, static_cast<int>(tasks.list().size()),
                 [&](int i) { run(static_cast<size_t>(i), alone); });
  }

  // The inputs' half is a linear layer of all steps; so is the hidden one, direction by direction.
  const bool whole = steps.count == q.batch * q.time;
  const auto x = floats(whole ? 0 : steps.count * shape.input);
  const auto dx = floats(whole || !g.dx ? 0 : steps.count * shape.input);
  if (!whole) gather(shape, q, steps, x.get());
  linear_backward({steps.count, shape.input, all},
                  {whole ? q.x : x.get(), weights.input, da.get(),
                   !g.dx   ? nullptr
                   : whole ? g.dx
                           : dx.get(),
                   g.dinput, g.db},
                  exec);
  if (!whole && g.dx) scatter(shape, q, steps, dx.get(), g.dx);
  const auto before = floats(steps.count * hidden);
  for (int d = 0; d < shape.directions; ++d) {
    hidden_before(shape, q, g, steps, d, before.get(), exec);
    multiply(exec, gates, hidden, steps.count, {da.get() + d * gates, all, true},
             {before.get(), hidden, false}, nullptr, g.dhidden + d * gates * hidden, hidden);
  }
}

}  // namespace cinefuse
