// What the CUDA library is told of an LSTM; fields as in lstm.h and lstm_backward.h.
#pragma once
#include <stdint.h>

struct cinefuse_lstm_description {
  int64_t input, hidden, directions;
  const float* weight_input;   // (directions, 4 hidden, input)
  const float* weight_hidden;  // (directions, 4 hidden, hidden)
  const float* bias;           // (directions, 4 hidden)
};

struct cinefuse_lstm_sequence {
  int64_t batch, time, longest;
  const float* x;
  const int64_t* lengths;  // (batch)
  const int64_t* order;    // (batch): the rows, longest first
  const float *h0, *c0;    // or null
};
struct cinefuse_lstm_params {
  struct cinefuse_lstm_sequence sequence;
  float *y, *h, *c;
};

// In training.
struct cinefuse_lstm_forward_params {
  struct cinefuse_lstm_description layer;
  struct cinefuse_lstm_sequence sequence;
  float *y, *h, *c, *saved;
};
struct cinefuse_lstm_backward_params {
  struct cinefuse_lstm_description layer;
  struct cinefuse_lstm_sequence sequence;
  int64_t steps;         // that the rows have, all together
  const int64_t* first;  // (batch): those of the rows before
  const float *y, *saved;
  const float *dy, *dh, *dc;     // or null
  float* dx;                     // or null
  float *dinput, *dhidden, *db;  // of the weights and the bias
  float *dh0, *dc0;
};
