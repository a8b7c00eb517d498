// Tables of a transform: factors, twiddles, order of the results. Made in float64 once, read by mel_simd.cc.
#pragma once
#include <complex>
#include <cstdint>
#include <vector>

#include "mel_simd.h"

namespace cinefuse {

// False when n has a prime factor beyond kMaxRadix.
bool fft_is_smooth(int n);
int fft_next_smooth(int n);  // the least length >= n of factors 2, 3 and 5

class FftPlan {
 public:
  // padded: the blocks of the first stage stand a little apart in memory, so that their starts do not all
  // fall into the same set of the first cache.
  FftPlan(int n, bool padded);
  FftPlan(const FftPlan&) = delete;
  FftPlan& operator=(const FftPlan&) = delete;
  const FftTables& tables() const { return tables_; }
  size_t bytes() const { return numbers_.size() * sizeof(float) + where_.size() * sizeof(int32_t); }

 private:
  FftTables tables_{};
  std::vector<float> numbers_;  // twiddles and roots of all stages
  std::vector<int32_t> where_;
};

// e^(-2 pi i k / n)
std::complex<double> unit_root(int64_t k, int64_t n);
// The transform of any length in float64, by recursion over its smallest factor: for tables only.
std::vector<std::complex<double>> fft_exact(const std::vector<std::complex<double>>& x);

}  // namespace cinefuse
