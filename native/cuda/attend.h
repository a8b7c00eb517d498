// Attention of one query a row over the steps of a sequence, in device memory: what most attentions end in.
//
//   e_t = scale * (q . K_t),  alpha = softmax of e over the steps that count,  c = sum_t alpha_t V_t
//
// Rows are (batch, heads, queries), row-major. A step counts when it is below its batch entry's length and
// its byte of `present` is not 0; others are not read, have weight exactly 0, and with none c is 0. K and V
// are read once. Scratch and launches only: it may be captured in a graph.
#pragma once
#include "device.h"

namespace cinefuse::gpu {

// Vectors of one kind: that of (batch b, head h, query i or step t) begins at
// data + b * batch + h * head + (i or t) * step, in numbers.
template <class T>
struct AttendVectors {
  T* data;
  int64_t batch, head, step;
};

// Whether they can be read 16 bytes at a time.
template <class T>
bool in_packs(const AttendVectors<T>& v, int64_t width) {
  return width % 4 == 0 && v.batch % 4 == 0 && v.head % 4 == 0 && v.step % 4 == 0 &&
         reinterpret_cast<uintptr_t>(v.data) % 16 == 0;
}

struct AttendRows {
  float scale;
  int64_t batch, heads, queries, steps;
  int64_t d, dv;  // of K and of V
  AttendVectors<const float> q, keys, values;
  const int32_t* lengths;  // (batch) in 0..steps, or null: all steps
  const uint8_t* present;  // of step t of entry b: present[b * present_batch + t * present_step]; or null
  int64_t present_batch, present_step;
  AttendVectors<float> c;
  float* alpha;  // (batch, heads, queries, steps), or null
};

void attend(Call& call, const AttendRows& rows);
// On the matrix units, rounded as the call's precision says; attend() takes it for many queries. False where
// it does not pay, or vectors are too wide for it.
bool attend_tiles(Call& call, const AttendRows& rows);

// Rows whose steps were split into chunks, each weighed on its own: what is left of them, for attend_join.
// tops (the chunk's greatest score), sums (of its weights e^(e_t - top)): (rows, splits); parts (its weighted
// sum): (rows, splits, dv); those weights in alpha.
struct AttendParts {
  int splits, chunk;
  float *tops, *sums, *parts;
};
// At most `splits` chunks of a multiple of `unit` steps.
AttendParts attend_parts(Call& call, int64_t rows, int64_t steps, int64_t dv, int64_t splits, int unit);
// c and alpha of the whole rows; lengths, c, alpha, steps and dv of `rows` count.
void attend_join(Call& call, const AttendRows& rows, const AttendParts& parts);

}  // namespace cinefuse::gpu
