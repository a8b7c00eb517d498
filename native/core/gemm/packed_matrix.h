// The weights W of a product A · Wᵀ, copied once into the order in which the inner loops read them, in floats
// or in fewer bytes.
//
// kBfloat16: rounded to nearest, ties to even: 8 bits of precision, each weight within 2^-9 of itself (0.2
// %). kInt8: scale · integer in [-127, 127], one scale for each output and block of kBlock inputs, the
// largest
//   magnitude / 127: each weight within 1/254 of the largest of its block (0.4 %). The sums of a block are
//   made of the integers and scaled at its end. A block with a NaN or an infinity in it is NaN as a whole.
// The products and sums are float32 in either case, so that a result is the one of the rounded weights.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "../exec.h"
#include "gemm_simd.h"

namespace cinefuse {

constexpr int kBlock = 384;  // k's that are summed before they join the result

enum class WeightType : int { kFloat32 = 0, kBfloat16 = 1, kInt8 = 2 };
void weight_type_check(WeightType type);  // Throws ERR_INPUT_VALUE

// W, `out` rows of `in` weights: [block of k][panel][k][kPanel], the last panel padded with zeros. In a line
// of kPanel bfloats columns i and i + kPanel / 2 lie side by side. Immutable once filled; one copy serves
// every instruction set and any number of running calls.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(int64_t in, int64_t out, WeightType type = WeightType::kFloat32);  // zeros. Throws ERR_MEMORY

  // w: (out, in), row-major
  static PackedMatrix pack(const Exec& exec, const float* w, int64_t out, int64_t in,
                           WeightType type = WeightType::kFloat32);
  // Columns [column, column + count) of the product: w[n * stride_n + k * stride_k] for output column + n.
  // Once for each column.
  void fill(int64_t column, int64_t count, const float* w, int64_t stride_n, int64_t stride_k);
  // The inverse of pack, as floats: w is (out, in), row-major.
  void unpack(float* w) const;

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  WeightType type() const { return type_; }
  int panels() const { return static_cast<int>((out_ + kPanel - 1) / kPanel); }
  int blocks() const { return static_cast<int>((in_ + kBlock - 1) / kBlock); }
  size_t element_bytes() const {
    return type_ == WeightType::kFloat32 ? 4 : type_ == WeightType::kBfloat16 ? 2 : 1;
  }
  size_t bytes() const {
    return static_cast<size_t>(in_) * static_cast<size_t>(panels() * kPanel) * element_bytes() +
           scales_.size() * sizeof(float);
  }
  int block_length(int block) const {
    const int64_t left = in_ - int64_t{block} * kBlock;
    return static_cast<int>(left < kBlock ? left : kBlock);
  }
  const void* panel(int block, int panel) const { return data_.get() + offset(block, panel); }
  // Of the panel's columns; null unless the type is kInt8.
  const float* scale(int block, int panel) const {
    return scales_.empty() ? nullptr : scales_.data() + (int64_t{block} * panels() + panel) * kPanel;
  }

 private:
  struct Free {
    void operator()(uint8_t* p) const;
  };
  int64_t offset(int block, int panel) const {
    const int64_t lines = int64_t{block} * kBlock * panels() + int64_t{panel} * block_length(block);
    return lines * kPanel * static_cast<int64_t>(element_bytes());
  }
  void put(int block, int64_t column, const float* w, int64_t stride_k);
  float at(int block, int64_t column, int k) const;

  int64_t in_ = 0, out_ = 0;
  WeightType type_ = WeightType::kFloat32;
  std::unique_ptr<uint8_t[], Free> data_;
  std::vector<float> scales_;  // [block][panel][kPanel]
};

}  // namespace cinefuse
