// The horizontal pass over planes of bytes, for processors that permute bytes freely and multiply them four
// at a time (AVX-512 with VBMI and VNNI): sixteen outputs a vector, nothing to add up across lanes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "coefficients.h"
#include "planar_simd.h"

namespace cinefuse {

// A vector whose memory begins at a multiple of 64 bytes.
template <class T>
struct LineAllocator {
  using value_type = T;
  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{64})); }
  void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t{64}); }
  template <class U>
  bool operator==(const LineAllocator<U>&) const {
    return true;
  }
  template <class U>
  bool operator!=(const LineAllocator<U>&) const {
    return false;
  }
};
template <class T>
using Lines = std::vector<T, LineAllocator<T>>;

// The weights as whole numbers of 2^-bits, in three signed digits of 8 bits, four taps of sixteen outputs a
// group; and where a group's bytes lie: each window is 64 bytes of the row and the lanes that they serve.
class PlanarPass {
 public:
  PlanarPass() = default;
  // `c` with `fixed` (bits is 22 then) or `weights` (their rounding is carried on, so that a flat row stays
  // as it is).
  PlanarPass(const Coefficients& c, Rounding rounding);
  // Whether it is the better way: the outputs lie near enough to each other.
  bool pays() const { return pays_; }
  PlanarView view() const;
  float unit() const { return 1.f / static_cast<float>(1 << bits_); }

 private:
  void add_group(const Coefficients& c, const std::vector<int32_t>& fixed, int64_t block, int group);

  bool pays_ = false;
  int bits_ = 22;
  int64_t n_ = 0;
  std::vector<int32_t> group_first_;   // of each block of sixteen outputs
  std::vector<int32_t> window_first_;  // of each group
  std::vector<int32_t> block_at_;      // the first byte of each block
  int64_t span_ = 0;                   // the most bytes from there that a block needs
  Lines<uint8_t> near_;                // of each group: where its bytes lie from there, modulo 64
  std::vector<uint64_t> in_second_;    // and which of them beyond 64
  std::vector<int32_t> at_;            // of each window: its first byte
  std::vector<uint64_t> lanes_;        // its bytes in the group's vector
  Lines<uint8_t> index_;               // and which of the 64 they are
  Lines<int8_t> digits_;               // of each group: 64 low, 64 middle, 64 high
};

// Whether this processor has what planar_simd(Isa::kAvx512) needs beyond AVX-512.
bool planar_supported(Isa isa);

}  // namespace cinefuse
