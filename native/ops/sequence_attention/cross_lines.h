// Multi-head attention and its block in training, on the vectors that are there alone: those of one row of
// the batch lie behind those of the one before ("in a line"). What cross_backward.. and cross_modal share.
#pragma once
#include "../../core/present_rows.h"
#include "sequence_attention_backward.h"

namespace cinefuse {

// Which vectors attend to which: row r's queries to row r's keys, with `others` each to all but itself
// (queries and keys are the same line then).
struct CrossLines {
  int64_t batch;
  const PresentRows& queries;
  const PresentRows& keys;
  int64_t width_of_keys;  // places for keys in a row
  bool others;
};

// What forward leaves, in pieces of one memory.
struct CrossSaved {
  float *q, *attended;     // (queries, width)
  float *k, *v;            // (keys, width)
  float* alpha;            // of each row (heads, its queries, its keys)
  float *first, *u;        // of the block: x + attention, and its norm
  float *hidden, *second;  // relu(W1 u + b1), u + W2 hidden + b2
  size_t floats = 0;

  // For at most so many queries and keys in all; base may be null, to learn the floats.
  CrossSaved(const CrossWeights& w, int64_t queries, int64_t keys, int64_t width_of_keys, float* base);
};

// x, y (queries, width), ctx (keys, context_width), in lines
void cross_lines_forward(const CrossWeights& w, const CrossLines& lines, const float* x, const float* ctx,
                         const CrossSaved& saved, float* y, const Exec& exec);
// g.dy, g.dx and g.dctx in lines. scratch: cross_lines_scratch floats
size_t cross_lines_scratch(const CrossWeights& w, int64_t queries, int64_t keys);
void cross_lines_backward(const CrossWeights& w, const CrossLines& lines, const float* x, const float* ctx,
                          const CrossSaved& saved, const CrossGradients& g, float* scratch, const Exec& exec);
// Where the weights of row r begin in saved.alpha.
int64_t cross_lines_alpha(const CrossWeights& w, const CrossLines& lines, int64_t row);

}  // namespace cinefuse
