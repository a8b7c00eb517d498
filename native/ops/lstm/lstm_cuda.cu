#include "../../cuda/gemm.h"
#include "../../cuda/multiply.h"
#include "../../cuda/operators.h"
#include "lstm_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kEasyThreads = 256;

struct LstmSteps {
  LstmRows rows;
  const float* a;        // (batch, time, directions, 4, hidden): W_x x + b
  const float* weights;  // (directions, hidden of h, hidden, 4)
  const float *h0, *c0;  // or null
  float* state;          // (2, directions, batch, hidden): h before even and odd steps
  float *y, *h, *c;
  float* saved;  // or null
};

// to[d][k][u][gate] = from[d][gate][u][k]; n: the four gates' together
__global__ void __launch_bounds__(kEasyThreads)
    lstm_turn_kernel(int64_t n, int64_t hidden, const float* from, float* to) {
  for (int64_t i = int64_t{blockIdx.x} * kEasyThreads + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * kEasyThreads) {
    const int64_t u = i % hidden, k = i / hidden % hidden, d = i / hidden / hidden, gate = hidden * hidden;
    const float* const w = from + 4 * d * gate + u * hidden + k;
    store4(to + 4 * i, make_float4(w[0], w[gate], w[2 * gate], w[3 * gate]));
  }
}

// The states before the first step, which are the last ones of rows without steps; zeros behind the lengths.
__global__ void __launch_bounds__(kEasyThreads) lstm_begin_kernel(LstmSteps p) {
  const LstmRows& q = p.rows;
  const int64_t ends = q.directions * q.batch * q.hidden, steps = ends * q.time;
  const int64_t first = int64_t{blockIdx.x} * kEasyThreads + threadIdx.x,
                stride = int64_t{gridDim.x} * kEasyThreads;
  for (int64_t i = first; i < ends; i += stride) {
    const float h = p.h0 ? p.h0[i] : 0.f;
    p.state[i] = h;
    p.h[i] = h;
    p.c[i] = p.c0 ? p.c0[i] : 0.f;
  }
  for (int64_t i = first; i < steps; i += stride) {
    const int64_t at = i / q.hidden / q.directions;
    if (at % q.time < q.lengths[at / q.time]) continue;
    p.y[i] = 0.f;
    if (!p.saved) continue;
    for (int j = 0; j < 5; ++j) p.saved[(i / q.hidden * 5 + j) * q.hidden + i % q.hidden] = 0.f;
  }
}

__device__ __forceinline__ float lstm_sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

// Step s of one unit of a row, from the sums of its gates.
__device__ __forceinline__ void lstm_unit(const LstmSteps& p, int64_t d, int64_t row, int64_t length,
                                          int64_t s, int64_t u, const float (&sum)[4]) {
  const LstmRows& q = p.rows;
  const int64_t t = q.step_time(d, length, s), at = (row * q.time + t) * q.directions + d;
  const float* const a = p.a + at * 4 * q.hidden + u;
  const float i = lstm_sigmoid(a[0] + sum[0]), f = lstm_sigmoid(a[q.hidden] + sum[1]);
  const float g = tanhf(a[2 * q.hidden] + sum[2]), o = lstm_sigmoid(a[3 * q.hidden] + sum[3]);
  const int64_t end = q.end(d, row) + u;
  const float c = f * p.c[end] + i * g, h = o * tanhf(c);
  p.c[end] = c;
  p.y[at * q.hidden + u] = h;
  p.state[((s + 1) & 1) * q.directions * q.batch * q.hidden + end] = h;
  if (s + 1 == length) p.h[end] = h;
  if (!p.saved) return;
  float* const to = p.saved + at * 5 * q.hidden + u;
  to[0] = i;
  to[q.hidden] = f;
  to[2 * q.hidden] = g;
  to[3 * q.hidden] = o;
  to[4 * q.hidden] = c;
}

// Steps [first, first + count) of the block's rows: h (rows, hidden) times the weights, some units at a time,
// and their gates. count > 1 only where the grid has one layer: the steps' states pass between its blocks.
__global__ void __launch_bounds__(kLstmThreads) lstm_steps_kernel(LstmSteps p, int64_t first, int64_t count) {
  CINEFUSE_SHARED(float, held, [kLstmRows][kLstmStage]);
  CINEFUSE_SHARED(float, parts, [kLstmSplits][kLstmRows * 4][kLstmUnits]);
  const LstmRows& q = p.rows;
  const LstmBlock block(q);
  const int unit = static_cast<int>(threadIdx.x) % kLstmUnits,
            split = static_cast<int>(threadIdx.x) / kLstmUnits;
  const int64_t d = blockIdx.y, last = min(first + count, block.length[0]);
  const float* const weights = p.weights + d * q.hidden * q.hidden * 4;
  for (int64_t s = first; s < last; ++s) {
    const float* const from = p.state + (s & 1) * q.directions * q.batch * q.hidden;
    for (int64_t u0 = int64_t{blockIdx.z} * kLstmUnits; u0 < q.hidden;
         u0 += int64_t{gridDim.z} * kLstmUnits) {
      const int64_t u = u0 + unit;
      float sum[kLstmRows][4] = {};
      for (int64_t k0 = 0; k0 < q.hidden; k0 += kLstmStage) {
        const int64_t k = k0 + threadIdx.x;
        __syncthreads();  // after the terms before, and the states that the step before has stored
#pragma unroll
        for (int r = 0; r < kLstmRows; ++r) {
          held[r][threadIdx.x] = s < block.length[r] && k < q.hidden ? from[q.end(d, block.row[r]) + k] : 0.f;
        }
        __syncthreads();
        const int terms = static_cast<int>(min(int64_t{kLstmStage}, q.hidden - k0));
        if (u < q.hidden) {
#pragma unroll 4
          for (int j = split; j < terms; j += kLstmSplits) {
            const float4 w = load4(weights + ((k0 + j) * q.hidden + u) * 4);
#pragma unroll
            for (int r = 0; r < kLstmRows; ++r) {
              const float h = held[r][j];
              sum[r][0] += w.x * h;
              sum[r][1] += w.y * h;
              sum[r][2] += w.z * h;
              sum[r][3] += w.w * h;
            }
          }
        }
      }
#pragma unroll
      for (int i = 0; i < kLstmRows * 4; ++i) parts[split][i][unit] = sum[i / 4][i % 4];
      __syncthreads();
#pragma unroll
      for (int r = 0; r < kLstmRows; ++r) {
        if (split != r || s >= block.length[r] || u >= q.hidden) continue;
        float gates[4] = {};
        for (int i = 0; i < kLstmSplits; ++i) {
#pragma unroll
          for (int gate = 0; gate < 4; ++gate) gates[gate] += parts[i][r * 4 + gate][unit];
        }
        lstm_unit(p, d, block.row[r], block.length[r], s, u, gates);
      }
    }
  }
}

static void lstm_turn(Call& call, int64_t directions, int64_t hidden, const float* from, float* to) {
  const int64_t n = directions * hidden * hidden;
  CINEFUSE_LAUNCH(call.stream(), lstm_turn_kernel,
                  static_cast<unsigned>(std::min<int64_t>(blocks_of(n, kEasyThreads), 4096)), kEasyThreads, 0,
                  n, hidden, from, to);
}

static void lstm_run(Call& call, const LstmSteps& p, int64_t longest) {
  const LstmRows& q = p.rows;
  const int64_t n = q.directions * q.batch * q.hidden * std::max<int64_t>(q.time, 1);
  CINEFUSE_LAUNCH(call.stream(), lstm_begin_kernel,
                  static_cast<unsigned>(std::min<int64_t>(blocks_of(n, kEasyThreads), 4096)), kEasyThreads, 0,
                  p);
  if (longest == 0) return;
  lstm_launches(q.hidden, longest, [&](int64_t first, int64_t count, unsigned tiles) {
    CINEFUSE_LAUNCH(call.stream(), lstm_steps_kernel, lstm_grid(q, tiles), kLstmThreads, 0, p, first, count);
  });
}

struct LstmObject final : Object {
  int64_t hidden, directions;
  GemmWeights input;
  Array<float> turned;
};

static std::unique_ptr<LstmObject> lstm_create(Call& call, const cinefuse_lstm_description& d) {
  auto object = std::make_unique<LstmObject>();
  object->hidden = d.hidden;
  object->directions = d.directions;
  object->input = GemmWeights(call, d.weight_input, d.bias, d.directions * 4 * d.hidden, d.input);
  const int64_t n = d.directions * 4 * d.hidden * d.hidden;
  object->turned = Array<float>(call.device(), n);
  float* const raw = call.scratch<float>(n);
  call.upload(raw, d.weight_hidden, sizeof(float) * static_cast<size_t>(n));
  lstm_turn(call, d.directions, d.hidden, raw, object->turned.get());
  return object;
}

// What both forms of the operator send up, and have come down.
struct LstmCall {
  In<float> x, h0, c0;
  In<int64_t> lengths, order;
  Out<float> y, h, c;
  int64_t batch, time, hidden, directions, longest;

  LstmCall(Call& call, const cinefuse_lstm_sequence& q, int64_t input, int64_t hidden, int64_t directions,
           float* y_to, float* h_to, float* c_to)
      : batch(q.batch), time(q.time), hidden(hidden), directions(directions), longest(q.longest) {
    const int64_t ends = directions * batch * hidden;
    x = call.in(q.x, batch * time * input);
    h0 = call.in(q.h0, ends);
    c0 = call.in(q.c0, ends);
    lengths = call.in(q.lengths, batch);
    order = call.in(q.order, batch);
    y = call.out(y_to, ends * time);
    h = call.out(h_to, ends);
    c = call.out(c_to, ends);
  }
  LstmSteps steps(Call& call, const float* a, const float* turned) const {
    const LstmRows rows{batch, time, hidden, directions, lengths.get(), order.get()};
    float* const state = call.scratch<float>(2 * directions * batch * hidden);
    return {rows, a, turned, h0.get(), c0.get(), state, y.get(), h.get(), c.get(), nullptr};
  }
};

static void lstm_cuda(Call& call, const LstmObject& layer, const cinefuse_lstm_params& p) {
  if (p.sequence.batch == 0) return;
  const LstmCall q(call, p.sequence, layer.input.in(), layer.hidden, layer.directions, p.y, p.h, p.c);
  call.send();
  call.compute([&] {
    float* const a = call.scratch<float>(q.batch * q.time * layer.input.out());
    gemm(call, q.batch * q.time, q.x.get(), layer.input.in(), layer.input, 0, 0.f, a, layer.input.out());
    lstm_run(call, q.steps(call, a, layer.turned.get()), q.longest);
  });
  call.receive();
}

static void lstm_forward_cuda(Call& call, const cinefuse_lstm_forward_params& p) {
  if (p.sequence.batch == 0) return;
  const cinefuse_lstm_description& layer = p.layer;
  const int64_t gates = layer.directions * 4 * layer.hidden;
  const LstmCall q(call, p.sequence, layer.input, layer.hidden, layer.directions, p.y, p.h, p.c);
  const In<float> input = call.in(layer.weight_input, gates * layer.input),
                  hidden = call.in(layer.weight_hidden, gates * layer.hidden),
                  bias = call.in(layer.bias, gates);
  const Out<float> saved = call.out(p.saved, 5 * q.batch * q.time * layer.directions * layer.hidden);
  call.send();
  call.compute([&] {
    float* const a = call.scratch<float>(q.batch * q.time * gates);
    float* const turned = call.scratch<float>(gates * layer.hidden);
    multiply(q.batch * q.time, gates, layer.input, {q.x.get(), layer.input, false},
             {input.get(), layer.input, true}, bias.get(), a, gates, call);
    lstm_turn(call, layer.directions, layer.hidden, hidden.get(), turned);
    LstmSteps steps = q.steps(call, a, turned);
    steps.saved = saved.get();
    lstm_run(call, steps, q.longest);
  });
  call.receive();
}

const Operator kLstmOperator =
    prepared_operator<LstmObject, cinefuse_lstm_description, cinefuse_lstm_params, lstm_create, lstm_cuda>();
const Operator kLstmForwardOperator = plain_operator<cinefuse_lstm_forward_params, lstm_forward_cuda>();

}  // namespace cinefuse::gpu
