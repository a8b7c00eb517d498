#include "packed_matrix.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "../pool.h"

namespace cinefuse {
namespace {

uint16_t to_bfloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if (x != x) return static_cast<uint16_t>(bits >> 16 | 0x40);  // a NaN stays one
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float from_bfloat16(uint16_t x) {
  const uint32_t bits = uint32_t{x} << 16;
  float y;
  std::memcpy(&y, &bits, 4);
  return y;
}

// Where column n of a panel stands in a line of bfloats.
int64_t paired(int64_t n) { return n % (kPanel / 2) * 2 + n / (kPanel / 2); }

}  // namespace

void weight_type_check(WeightType type) {
  const int index = static_cast<int>(type);
  CINEFUSE_REQUIRE(index >= 0 && index <= 2, Code::kInputValue, "weightType",
                   "Expected a weight type from 0 to 2, received %d", index);
}

void PackedMatrix::Free::operator()(uint8_t* p) const { std::free(p); }

PackedMatrix::PackedMatrix(int64_t in, int64_t out, WeightType type) : in_(in), out_(out), type_(type) {
  // Large weights are read as one stream: on large pages a single row goes some 10 % faster.
  constexpr size_t kLargePage = size_t{2} << 20;
  const size_t unit = bytes() >= 2 * kLargePage ? kLargePage : 64;
  const size_t size = std::max<size_t>((bytes() + unit - 1) / unit * unit, unit);
  data_.reset(static_cast<uint8_t*>(std::aligned_alloc(unit, size)));
  CINEFUSE_REQUIRE(data_, Code::kMemory, "weight", "Could not allocate %zu bytes for weights", size);
#if defined(__linux__)
  if (unit == kLargePage) madvise(data_.get(), size, MADV_HUGEPAGE);  // a wish: nothing depends on it
#endif
  std::memset(data_.get(), 0, size);
  if (type == WeightType::kInt8) scales_.assign(static_cast<size_t>(blocks()) * panels() * kPanel, 0.f);
}

PackedMatrix PackedMatrix::pack(const Exec& exec, const float* w, int64_t out, int64_t in, WeightType type) {
  PackedMatrix packed(in, out, type);
  const GemmSimd& simd = gemm_simd(exec.isa);
  parallel_for(exec, packed.panels(), [&](int p) {
    const int64_t n0 = int64_t{p} * kPanel;
    const int64_t cols = std::min<int64_t>(kPanel, out - n0);
    for (int b = 0; b < packed.blocks(); ++b) {
      const float* from = w + n0 * in + int64_t{b} * kBlock;
      if (type == WeightType::kFloat32) {
        float* to = const_cast<float*>(static_cast<const float*>(packed.panel(b, p)));
        simd.transpose(static_cast<int>(cols), packed.block_length(b), from, in, to, kPanel);
      } else {
        for (int64_t n = 0; n < cols; ++n) packed.put(b, n0 + n, from + n * in, 1);
      }
    }
  });
  return packed;
}

void PackedMatrix::fill(int64_t column, int64_t count, const float* w, int64_t stride_n, int64_t stride_k) {
  for (int b = 0; b < blocks(); ++b) {
    const float* from = w + int64_t{b} * kBlock * stride_k;
    for (int64_t n = 0; n < count; ++n) put(b, column + n, from + n * stride_n, stride_k);
  }
}

// One column of a block.
void PackedMatrix::put(int block, int64_t column, const float* w, int64_t stride_k) {
  const int p = static_cast<int>(column / kPanel);
  const int64_t n = column % kPanel;
  uint8_t* const to = data_.get() + offset(block, p);
  const int kc = block_length(block);
  if (type_ == WeightType::kFloat32) {
    float* const y = reinterpret_cast<float*>(to) + n;
    for (int k = 0; k < kc; ++k) y[int64_t{k} * kPanel] = w[k * stride_k];
    return;
  }
  if (type_ == WeightType::kBfloat16) {
    uint16_t* const y = reinterpret_cast<uint16_t*>(to) + paired(n);
    for (int k = 0; k < kc; ++k) y[int64_t{k} * kPanel] = to_bfloat16(w[k * stride_k]);
    return;
  }
  float& scale = scales_[static_cast<size_t>((int64_t{block} * panels() + p) * kPanel + n)];
  float most = 0.f;
  bool finite = true;
  for (int k = 0; k < kc; ++k) {
    finite = finite && std::isfinite(w[k * stride_k]);
    most = std::max(most, std::fabs(w[k * stride_k]));
  }
  scale = finite ? most / 127.f : std::numeric_limits<float>::quiet_NaN();
  if (!finite || scale == 0.f) return;  // the zeros that are there
  int8_t* const y = reinterpret_cast<int8_t*>(to) + n;
  for (int k = 0; k < kc; ++k) {
    const float q = std::nearbyint(w[k * stride_k] / scale);
    y[int64_t{k} * kPanel] = static_cast<int8_t>(std::clamp(q, -127.f, 127.f));
  }
}

float PackedMatrix::at(int block, int64_t column, int k) const {
  const int p = static_cast<int>(column / kPanel);
  const int64_t n = column % kPanel, line = int64_t{k} * kPanel;
  const uint8_t* const from = data_.get() + offset(block, p);
  switch (type_) {
    case WeightType::kBfloat16:
      return from_bfloat16(reinterpret_cast<const uint16_t*>(from)[line + paired(n)]);
    case WeightType::kInt8:
      return scale(block, p)[n] * static_cast<float>(reinterpret_cast<const int8_t*>(from)[line + n]);
    default:
      return reinterpret_cast<const float*>(from)[line + n];
  }
}

void PackedMatrix::unpack(float* w) const {
  for (int b = 0; b < blocks(); ++b) {
    for (int64_t n = 0; n < out_; ++n) {
      float* const to = w + n * in_ + int64_t{b} * kBlock;
      for (int k = 0; k < block_length(b); ++k) to[k] = at(b, n, k);
    }
  }
}

}  // namespace cinefuse
