#include <algorithm>

#include "../../cuda/multiply.h"
#include "../../cuda/operators.h"
#include "../linear/linear_backward_cuda.cuh"
#include "lstm_cuda.cuh"

namespace cinefuse::gpu {

constexpr int kCopyThreads = 256;

struct LstmBackSteps {
  LstmRows rows;
  const int64_t* first;  // (batch): where a row's steps begin among all
  const float* weights;  // (directions, 4 hidden, hidden)
  const float *saved, *c0, *dy, *dh, *dc;
  float* da;  // (steps, directions, 4 hidden)
  float *dh0, *dc0;
};

// Step s of one unit of a row: dh that comes from the steps after it -> da, and dc for the step before.
__device__ __forceinline__ void lstm_unit_back(const LstmBackSteps& p, int64_t d, int64_t row, int64_t length,
                                               int64_t s, int64_t u, float dh) {
  const LstmRows& q = p.rows;
  const int64_t end = q.end(d, row) + u;
  const float dc = s + 1 < length ? p.dc0[end] : p.dc ? p.dc[end] : 0.f;
  if (s < 0) {
    p.dh0[end] = dh;
    p.dc0[end] = dc;
    return;
  }
  const int64_t t = q.step_time(d, length, s), at = (row * q.time + t) * q.directions + d;
  const float* const saved = p.saved + at * 5 * q.hidden + u;
  const float i = saved[0], f = saved[q.hidden], g = saved[2 * q.hidden], o = saved[3 * q.hidden];
  const float tanh_c = tanhf(saved[4 * q.hidden]);
  const int64_t before = at + (d == 0 ? -1 : 1) * q.directions;
  const float c_before = s > 0 ? p.saved[(before * 5 + 4) * q.hidden + u] : p.c0 ? p.c0[end] : 0.f;
  if (p.dy) dh += p.dy[at * q.hidden + u];
  const float cell = dc + dh * o * ((1.f - tanh_c) * (1.f + tanh_c));
  float* const da = p.da + ((p.first[row] + t) * q.directions + d) * 4 * q.hidden + u;
  da[0] = cell * g * (i * (1.f - i));
  da[q.hidden] = cell * c_before * (f * (1.f - f));
  da[2 * q.hidden] = cell * i * ((1.f - g) * (1.f + g));
  da[3 * q.hidden] = dh * tanh_c * (o * (1.f - o));
  p.dc0[end] = cell * f;
}

// Steps top, top - 1, ..., down to top - count + 1, where step -1 is what comes out before the first: da of
// the step after times the weights, some units at a time. count > 1 as in lstm_steps_kernel.
__global__ void __launch_bounds__(kLstmThreads)
    lstm_back_steps_kernel(LstmBackSteps p, int64_t top, int64_t count) {
  CINEFUSE_SHARED(float, held, [kLstmRows][kLstmStage]);
  CINEFUSE_SHARED(float, parts, [kLstmSplits][kLstmRows][kLstmUnits]);
  const LstmRows& q = p.rows;
  const LstmBlock block(q);
  const int unit = static_cast<int>(threadIdx.x) % kLstmUnits,
            split = static_cast<int>(threadIdx.x) / kLstmUnits;
  const int64_t d = blockIdx.y, gates = 4 * q.hidden;
  const float* const weights = p.weights + d * gates * q.hidden;
  for (int64_t s = min(top, block.length[0] - 1); s > top - count; --s) {
    for (int64_t u0 = int64_t{blockIdx.z} * kLstmUnits; u0 < q.hidden;
         u0 += int64_t{gridDim.z} * kLstmUnits) {
      const int64_t u = u0 + unit;
      float sum[kLstmRows] = {};
      for (int64_t j0 = 0; j0 < gates; j0 += kLstmStage) {
        const int64_t j = j0 + threadIdx.x;
        __syncthreads();  // after the terms before, and da that the step after has stored
#pragma unroll
        for (int r = 0; r < kLstmRows; ++r) {
          float v = 0.f;
          if (s + 1 < block.length[r] && j < gates) {
            const int64_t n = p.first[block.row[r]] + q.step_time(d, block.length[r], s + 1);
            v = p.da[(n * q.directions + d) * gates + j];
          }
          held[r][threadIdx.x] = v;
        }
        __syncthreads();
        const int terms = static_cast<int>(min(int64_t{kLstmStage}, gates - j0));
        if (u < q.hidden) {
#pragma unroll 4
          for (int i = split; i < terms; i += kLstmSplits) {
            const float w = weights[(j0 + i) * q.hidden + u];
#pragma unroll
            for (int r = 0; r < kLstmRows; ++r) sum[r] += w * held[r][i];
          }
        }
      }
#pragma unroll
      for (int r = 0; r < kLstmRows; ++r) parts[split][r][unit] = sum[r];
      __syncthreads();
#pragma unroll
      for (int r = 0; r < kLstmRows; ++r) {
        if (split != r || s >= block.length[r] || u >= q.hidden) continue;
        float dh = 0.f;
        if (s + 1 < block.length[r]) {
          for (int i = 0; i < kLstmSplits; ++i) dh += parts[i][r][unit];
        } else if (p.dh) {
          dh = p.dh[q.end(d, block.row[r]) + u];
        }
        lstm_unit_back(p, d, block.row[r], block.length[r], s, u, dh);
      }
    }
  }
}

// Row b's own steps, `width` numbers each, side by side with those of the other rows; or, where `back`, from
// there to their places, zeros behind them.
__global__ void __launch_bounds__(kCopyThreads)
    lstm_own_steps_kernel(LstmRows q, const int64_t* first, int64_t width, bool back, const float* from,
                          float* to) {
  for (int64_t b = blockIdx.x; b < q.batch; b += gridDim.x) {
    const int64_t own = q.lengths[b] * width, place = b * q.time * width, packed = first[b] * width;
    for (int64_t i = threadIdx.x; i < (back ? q.time * width : own); i += kCopyThreads) {
      if (back) {
        to[place + i] = i < own ? from[packed + i] : 0.f;
      } else {
        to[packed + i] = from[place + i];
      }
    }
  }
}

// h before every step of direction d, (steps, hidden).
__global__ void __launch_bounds__(kCopyThreads)
    lstm_before_kernel(LstmRows q, const int64_t* first, int64_t d, const float* y, const float* h0,
                       float* to) {
  for (int64_t b = blockIdx.x; b < q.batch; b += gridDim.x) {
    const int64_t length = q.lengths[b], packed = first[b] * q.hidden;
    for (int64_t i = threadIdx.x; i < length * q.hidden; i += kCopyThreads) {
      const int64_t t = i / q.hidden, u = i % q.hidden, before = d == 0 ? t - 1 : t + 1;
      const bool inside = before >= 0 && before < length;
      to[packed + i] = inside ? y[((b * q.time + before) * q.directions + d) * q.hidden + u]
                       : h0   ? h0[q.end(d, b) + u]
                              : 0.f;
    }
  }
}

static void lstm_backward_cuda(Call& call, const cinefuse_lstm_backward_params& p) {
  const cinefuse_lstm_description& layer = p.layer;
  const cinefuse_lstm_sequence& q = p.sequence;
  const int64_t hidden = layer.hidden, all = layer.directions * 4 * hidden;
  const int64_t ends = layer.directions * q.batch * hidden, inputs = q.batch * q.time * layer.input;
  const In<float> input = call.in(layer.weight_input, all * layer.input),
                  weights = call.in(layer.weight_hidden, all * hidden), x = call.in(q.x, inputs),
                  h0 = call.in(q.h0, ends), c0 = call.in(q.c0, ends), y = call.in(p.y, ends * q.time),
                  saved = call.in(p.saved, 5 * ends * q.time), dy = call.in(p.dy, ends * q.time),
                  dh = call.in(p.dh, ends), dc = call.in(p.dc, ends);
  const In<int64_t> lengths = call.in(q.lengths, q.batch), order = call.in(q.order, q.batch),
                    first = call.in(p.first, q.batch);
  const Out<float> dx = call.out(p.dx, inputs), dinput = call.out(p.dinput, all * layer.input),
                   dhidden = call.out(p.dhidden, all * hidden), db = call.out(p.db, all),
                   dh0 = call.out(p.dh0, ends), dc0 = call.out(p.dc0, ends);
  call.send();
  call.compute([&] {
    const LstmRows rows{q.batch, q.time, hidden, layer.directions, lengths.get(), order.get()};
    float* const da = call.scratch<float>(p.steps * all);
    const LstmBackSteps back{rows,     first.get(), weights.get(), saved.get(), c0.get(), dy.get(), dh.get(),
                             dc.get(), da,          dh0.get(),     dc0.get()};
    const auto copies = static_cast<unsigned>(std::min<int64_t>(q.batch, 65535));
    if (q.batch > 0) {
      lstm_launches(hidden, q.longest + 1, [&](int64_t s, int64_t count, unsigned tiles) {
        CINEFUSE_LAUNCH(call.stream(), lstm_back_steps_kernel, lstm_grid(rows, tiles), kLstmThreads, 0, back,
                        q.longest - 1 - s, count);
      });
    }
    const bool whole = p.steps == q.batch * q.time;
    const auto own_steps = [&](bool to_places, const float* from, float* to) {
      CINEFUSE_LAUNCH(call.stream(), lstm_own_steps_kernel, copies, kCopyThreads, 0, rows, first.get(),
                      layer.input, to_places, from, to);
    };
    float* const own_x = whole ? nullptr : call.scratch<float>(p.steps * layer.input);
    float* const own_dx = whole || !p.dx ? nullptr : call.scratch<float>(p.steps * layer.input);
    if (!whole) own_steps(false, x.get(), own_x);
    linear_backward(
        {p.steps, layer.input, all},
        {whole ? x.get() : own_x, input.get(), da, own_dx ? own_dx : dx.get(), dinput.get(), db.get()}, call);
    if (own_dx) own_steps(true, own_dx, dx.get());
    float* const before = call.scratch<float>(p.steps * hidden);
    for (int64_t d = 0; d < layer.directions; ++d) {
      if (q.batch > 0) {
        CINEFUSE_LAUNCH(call.stream(), lstm_before_kernel, copies, kCopyThreads, 0, rows, first.get(), d,
                        y.get(), h0.get(), before);
      }
      multiply(4 * hidden, hidden, p.steps, {da + d * 4 * hidden, all, true}, {before, hidden, false},
               nullptr, dhidden.get() + d * 4 * hidden * hidden, hidden, call);
    }
  });
  call.receive();
}

const Operator kLstmBackwardOperator = plain_operator<cinefuse_lstm_backward_params, lstm_backward_cuda>();

}  // namespace cinefuse::gpu
