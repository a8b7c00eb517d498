// What training does on a device beside the operators: moving rows between films and those that have a
// modality, the gate, losses' columns, and the update, which waits for no host.
#pragma once
#include "../../cuda/device.h"

namespace cinefuse::gpu {

// y[r][column + j] = place[r] < 0 ? absent[j] (0 without) : x[place[r]][j], of rows of `cols`, j < width
struct ScatterRows {
  int64_t rows, cols, column, width;
  const int32_t* place;  // (rows)
};
void scatter_rows(Call& call, const ScatterRows& run, const float* x, const float* absent, float* y);
// dx[place[r]] = dy[r], dabsent = sum of the others; either may be null.
void scatter_rows_backward(Call& call, const ScatterRows& run, const float* dy, float* dx, float* dabsent);

// c = sum_m alpha_m h_m, alpha = softmax of the logits over the modalities there; as logit_sum_forward of
// modality_attention_backward.h. h: (rows, modalities, d); alpha: (rows, modalities).
struct LogitRows {
  int64_t rows, d;
  int modalities;
  const uint8_t* there;
  const float *h, *logits;
  float* alpha;
};
void logit_rows(Call& call, const LogitRows& run, float* c);
// dh may be null.
void logit_rows_backward(Call& call, const LogitRows& run, const float* dc, float* dh, float* dlogits);

// y = a early + (1 - a) late, a = sigmoid(gate), but all or nothing where a row has no modality of one side.
struct GateRows {
  int64_t rows, cols;
  const uint8_t *early_there, *late_there;  // (rows, early_count), (rows, late_count)
  int early_count, late_count;
  const float *early, *late, *gate;
};
void gate_rows(Call& call, const GateRows& run, float* y);
void gate_rows_backward(Call& call, const GateRows& run, const float* dy, float* dearly, float* dlate,
                        float* dgate);

// y[r][j] = x[r][column + j], j < cols, of rows of `all`
void take_columns(Call& call, int64_t rows, int64_t all, int64_t column, int64_t cols, const float* x,
                  float* y);
// y[r][column + j] += factor * x[r][j]
void add_columns(Call& call, int64_t rows, int64_t all, int64_t column, int64_t cols, float factor,
                 const float* x, float* y);
void fill_zeros(Call& call, int64_t n, float* y);
void add_to(Call& call, int64_t n, const float* x, float* y);

// Mean of o + |t - y| e^-o over the numbers known; weights (rows) or null.
struct SpreadRows {
  int64_t rows, cols;
  const float *o, *y, *target, *weights;
};
void spread_rows(Call& call, const SpreadRows& run, float* loss, float* d);

// Of a step: norm <- root of the sum of `squares`; clip <- the factor of its gradients, or NaN, from then on,
// once a loss (the sum of each * factor) or a norm was not finite.
struct StepJudge {
  int64_t ranges, losses;
  const double* squares;
  const float *each, *factor;
  float clip_norm;  // 0: none
  float *norm, *clip;
};
void judge_step(Call& call, const StepJudge& judge);

}  // namespace cinefuse::gpu
