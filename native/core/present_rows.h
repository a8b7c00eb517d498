// The vectors of a batch that are there: rows of `width` places, each with a vector or absent. Products and
// sums of training take those that are there alone, one after the other ("in a line").
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "pool.h"

namespace cinefuse {

class PresentRows {
 public:
  // mask (batch, width), 0 = absent, or null: all are there. It must outlive this.
  PresentRows(int64_t batch, int64_t width, const uint8_t* mask) : batch_(batch), width_(width), mask_(mask) {
    if (!mask_) return;
    starts_.resize(static_cast<size_t>(batch + 1));
    int64_t n = 0;
    for (int64_t r = 0; r < batch; ++r) {
      for (int64_t i = 0; i < width; ++i) n += mask_[r * width + i] != 0;
      starts_[static_cast<size_t>(r + 1)] = n;
    }
  }

  int64_t start(int64_t row) const { return mask_ ? starts_[static_cast<size_t>(row)] : row * width_; }
  int64_t count(int64_t row) const { return start(row + 1) - start(row); }
  int64_t all() const { return start(batch_); }
  bool is_whole() const { return all() == batch_ * width_; }
  bool has(int64_t row, int64_t i) const { return !mask_ || mask_[row * width_ + i] != 0; }
  const uint8_t* mask(int64_t row) const { return mask_ ? mask_ + row * width_ : nullptr; }

  // body(chunk, first row, end): equal chunks whatever the number of threads, so that sums over chunks are
  // the same on any
  template <class Body>
  void for_chunks(const Exec& exec, Body&& body) const {
    parallel_for(exec, chunks(), [&](int chunk) {
      body(chunk, chunk * kRowsAChunk, std::min(batch_, (chunk + 1) * kRowsAChunk));
    });
  }
  int chunks() const { return static_cast<int>((batch_ + kRowsAChunk - 1) / kRowsAChunk); }

  // In a line: x (batch, width, d) itself when nothing is absent, else a copy in `to`.
  const float* gather(int64_t d, const float* x, float* to, const Exec& exec) const {
    if (is_whole()) return x;
    for_chunks(exec, [&](int, int64_t first, int64_t end) {
      float* at = to + start(first) * d;
      for (int64_t i = first * width_; i < end * width_; ++i) {
        if (!mask_[i]) continue;
        std::memcpy(at, x + i * d, sizeof(float) * static_cast<size_t>(d));
        at += d;
      }
    });
    return to;
  }

  // The way back: x (batch, width, d) from a line, zeros where nothing is.
  void scatter(int64_t d, const float* line, float* x, const Exec& exec) const {
    for_chunks(exec, [&](int, int64_t first, int64_t end) {
      const float* at = line + start(first) * d;
      for (int64_t r = first; r < end; ++r) {
        for (int64_t i = 0; i < width_; ++i) {
          float* const to = x + (r * width_ + i) * d;
          if (has(r, i)) {
            std::memcpy(to, at, sizeof(float) * static_cast<size_t>(d));
            at += d;
          } else {
            std::memset(to, 0, sizeof(float) * static_cast<size_t>(d));
          }
        }
      }
    });
  }

 private:
  static constexpr int64_t kRowsAChunk = 64;
  int64_t batch_, width_;
  const uint8_t* mask_;
  std::vector<int64_t> starts_;
};

}  // namespace cinefuse
