// How the CPU's twins share out a batch, and the product that every step of theirs needs.
#pragma once
#include <cstdint>
#include <vector>

#include "lstm.h"

namespace cinefuse {

// Some rows of one direction, longest first, so that those with a step s left are always the first ones.
struct LstmTask {
  int direction;
  const int64_t* rows;
  int64_t count;
};
class LstmTasks {
 public:
  LstmTasks(const LstmShape& shape, const LstmSequence& sequence, int threads);
  const std::vector<LstmTask>& list() const { return list_; }

 private:
  std::vector<int64_t> order_;
  std::vector<LstmTask> list_;
};

// Where step s of a row stands in time.
inline int64_t lstm_time(int direction, int64_t length, int64_t s) {
  return direction == 0 ? s : length - 1 - s;
}

// c (rows, w.out()) = (from_zero ? 0 : c) + a (rows, w.in(), lda apart) · Wᵀ, each row's sums as gemm makes
// them. Threads of exec's only where the weights are so many that waking them pays.
void lstm_product(const Exec& exec, int64_t rows, const float* a, int64_t lda, const PackedMatrix& w,
                  bool from_zero, float* c, int64_t ldc);

// A distance of rows in scratch: rows a multiple of the page apart would fall on the same places of the
// cache.
inline int64_t lstm_stride(int64_t columns) { return columns % 1024 == 0 ? columns + 16 : columns; }

constexpr int kLstmScratch = 0;  // thread_scratch slot of a task; gemm has its own

}  // namespace cinefuse
