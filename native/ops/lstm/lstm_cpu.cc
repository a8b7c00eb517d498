#include <algorithm>
#include <cstring>

#include "../../core/pool.h"
#include "lstm_rows.h"
#include "lstm_simd.h"

namespace cinefuse {
namespace {

size_t bytes_of(int64_t floats) { return sizeof(float) * static_cast<size_t>(floats); }

// One task: the inputs' products of some steps at once, then step by step the hidden ones and the gates.
struct Run {
  const Lstm& layer;
  const LstmSequence& q;
  const LstmResult& out;
  const LstmTask& task;
  const Exec& exec;  // for the product of the inputs

  const LstmShape& shape() const { return layer.shape; }
  int64_t length(int64_t r) const { return q.length(task.rows[r]); }
  // The rows, longest first, that have a step s.
  int64_t active(int64_t s, int64_t before) const {
    while (before > 0 && length(before - 1) <= s) --before;
    return before;
  }
  int64_t place(int64_t r, int64_t s) const {  // in (batch, time)
    return task.rows[r] * q.time + lstm_time(task.direction, length(r), s);
  }
  const float* weights_bias() const { return layer.bias.data() + task.direction * shape().gates(); }

  void run() const {
    const int64_t hidden = shape().hidden, gates = shape().gates(), input = shape().input;
    const int64_t longest = length(0);
    // Steps at once: as many as stay in L2, or as share each reading of the weights among enough rows.
    constexpr int64_t kFloats = 1 << 16, kRows = 96;
    const int64_t most = std::clamp<int64_t>(std::max(kFloats / std::max(gates, input), kRows) / task.count,
                                             1, std::max<int64_t>(longest, 1));
    const int64_t hidden_stride = lstm_stride(hidden), gates_stride = lstm_stride(gates);
    const int64_t state = task.count * hidden_stride;
    float* h = thread_scratch(kLstmScratch,
                              static_cast<size_t>(2 * state + task.count * most * (gates_stride + input)));
    float* c = h + state;
    float* a = c + state;
    float* x = a + task.count * most * gates_stride;
    for (int64_t r = 0; r < task.count; ++r) {
      begin(q.h0, r, h + r * hidden_stride);
      begin(q.c0, r, c + r * hidden_stride);
    }
    int64_t rows = task.count;
    for (int64_t first = 0; first < longest; first += most) {
      const int64_t end = std::min(longest, first + most);
      inputs(first, end, rows, x, a, gates_stride);
      const float* from = a;
      for (int64_t s = first; s < end; ++s) {
        exec.check_cancelled();
        rows = active(s, rows);
        float* const sums = a + (from - a);
        lstm_product(exec, rows, h, hidden_stride, layer.hidden[static_cast<size_t>(task.direction)], false,
                     sums, gates_stride);
        step(s, rows, sums, gates_stride, h, c, hidden_stride);
        from += rows * gates_stride;
      }
    }
    for (int64_t r = 0; r < task.count; ++r) {
      const int64_t at = (task.direction * q.batch + task.rows[r]) * hidden;
      std::memcpy(out.h + at, h + r * hidden_stride, bytes_of(hidden));
      std::memcpy(out.c + at, c + r * hidden_stride, bytes_of(hidden));
      clear(r);
    }
  }

  void begin(const float* from, int64_t r, float* to) const {
    const int64_t hidden = shape().hidden;
    if (from) {
      std::memcpy(to, from + (task.direction * q.batch + task.rows[r]) * hidden, bytes_of(hidden));
    } else {
      std::memset(to, 0, bytes_of(hidden));
    }
  }

  // a: bias + W_x x of steps [first, end), each step's active rows behind one another.
  void inputs(int64_t first, int64_t end, int64_t rows, float* x, float* a, int64_t gates_stride) const {
    const int64_t input = shape().input;
    int64_t count = 0;
    const float* from = x;
    if (task.count == 1 && task.direction == 0) {
      from = q.x + place(0, first) * input;
      count = end - first;
    } else {
      for (int64_t s = first; s < end; ++s) {
        rows = active(s, rows);
        for (int64_t r = 0; r < rows; ++r, ++count) {
          std::memcpy(x + count * input, q.x + place(r, s) * input, bytes_of(input));
        }
      }
    }
    gemm(exec, count, MatrixRows{from, input}, layer.input[static_cast<size_t>(task.direction)],
         Epilogue{weights_bias()}, a, gates_stride);
  }

  void step(int64_t s, int64_t rows, const float* a, int64_t gates_stride, float* h, float* c,
            int64_t stride) const {
    const LstmSimd& simd = lstm_simd(exec.isa);
    const int64_t hidden = shape().hidden;
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = place(r, s) * shape().directions + task.direction;
      simd.step(hidden, a + r * gates_stride, c + r * stride, h + r * stride, out.y + at * hidden,
                out.saved ? out.saved + at * 5 * hidden : nullptr);
    }
  }

  // What lies behind the row's length.
  void clear(int64_t r) const {
    const int64_t hidden = shape().hidden;
    for (int64_t t = length(r); t < q.time; ++t) {
      const int64_t at = (task.rows[r] * q.time + t) * shape().directions + task.direction;
      std::memset(out.y + at * hidden, 0, bytes_of(hidden));
      if (out.saved) std::memset(out.saved + at * 5 * hidden, 0, bytes_of(5 * hidden));
    }
  }
};

}  // namespace

void lstm_cpu(const Lstm& layer, const LstmSequence& q, const LstmResult& out, const Exec& exec) {
  const LstmTasks tasks(layer.shape, q, exec.threads);
  const size_t count = tasks.list().size();
  if (count == 1) {
    Run{layer, q, out, tasks.list()[0], exec}.run();
    return;
  }
  Exec alone = exec;
  alone.threads = 1;
  parallel_for(exec, static_cast<int>(count), [&](int i) {
    Run{layer, q, out, tasks.list()[static_cast<size_t>(i)], alone}.run();
  });
}

}  // namespace cinefuse
