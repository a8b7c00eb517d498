// What the LSTM's kernels share. A block takes some rows of one direction, longest first, and goes through
// their steps alone while the weights of a step are few; else every step is a launch of its own, whose blocks
// share out the units too.
#pragma once
#include "../../cuda/device.h"
#include "lstm_device.h"

namespace cinefuse::gpu {

constexpr int kLstmRows = 4;    // of a block
constexpr int kLstmUnits = 32;  // at a time: a warp's lanes
constexpr int kLstmSplits = 8;  // warps, which share out the terms of a sum
constexpr int kLstmThreads = kLstmUnits * kLstmSplits;
constexpr int kLstmStage = kLstmThreads;   // terms at a time
constexpr int64_t kLstmBlockHidden = 256;  // up to so many units one block has them all

// The sequences of a call, on the device.
struct LstmRows {
  int64_t batch, time, hidden, directions;
  const int64_t *lengths, *order;

  // Where step s of a row stands in (batch, time).
  __device__ __forceinline__ int64_t step_time(int64_t direction, int64_t length, int64_t s) const {
    return direction == 0 ? s : length - 1 - s;
  }
  __device__ __forceinline__ int64_t end(int64_t direction, int64_t row) const {
    return (direction * batch + row) * hidden;
  }
};

// A block's rows, in the registers of every thread; those past the batch have length -1.
struct LstmBlock {
  int64_t row[kLstmRows], length[kLstmRows];
  __device__ __forceinline__ LstmBlock(const LstmRows& p) {
#pragma unroll
    for (int r = 0; r < kLstmRows; ++r) {
      const int64_t i = int64_t{blockIdx.x} * kLstmRows + r;
      row[r] = i < p.batch ? p.order[i] : 0;
      length[r] = i < p.batch ? p.lengths[row[r]] : -1;
    }
  }
};

// Of (batch, time): launches(first, count) of steps, one block's or all.
template <class Launch>
void lstm_launches(int64_t hidden, int64_t steps, Launch&& launch) {
  if (hidden <= kLstmBlockHidden) {
    launch(int64_t{0}, steps, 1u);
    return;
  }
  const auto tiles = static_cast<unsigned>(blocks_of(hidden, kLstmUnits));
  for (int64_t s = 0; s < steps; ++s) launch(s, int64_t{1}, tiles);
}

inline dim3 lstm_grid(const LstmRows& p, unsigned tiles) {
  return dim3(static_cast<unsigned>(blocks_of(p.batch, kLstmRows)), static_cast<unsigned>(p.directions),
              tiles);
}

}  // namespace cinefuse::gpu
