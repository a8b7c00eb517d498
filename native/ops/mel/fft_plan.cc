#include "fft_plan.h"

#include <cmath>

namespace cinefuse {
namespace {

// The factors of n in the order of the stages, as measured: a stage with few legs first, while these lie far
// apart; eights last, where everything is at hand; radices without code of their own at the very end, so that
// the first stage can be fed with samples.
std::vector<int> radices(int n) {
  std::vector<int> result;
  const auto divide = [&](int factor) {
    for (; n % factor == 0; n /= factor) result.push_back(factor);
  };
  divide(5);
  divide(3);
  int twos = 0;
  for (; n % 2 == 0; n /= 2) ++twos;
  const auto push = [&](int bits) {
    result.push_back(1 << bits);
    twos -= bits;
  };
  if (result.empty() && twos >= 2 && twos != 3) push(2);
  if (twos == 1) push(1);
  while (twos % 3 != 0) push(2);
  while (twos > 0) push(3);
  for (int factor = 7; n > 1; factor += 2) divide(factor);
  return result;
}

bool has_own_code(int radix) { return radix <= 5 || radix == 8; }

}  // namespace

std::complex<double> unit_root(int64_t k, int64_t n) {
  // An octant at a time, so that multiples of 1/8 turn are exact and errors do not grow with k.
  k %= n;
  if (k < 0) k += n;
  const double angle = -2.0 * M_PI * static_cast<double>(k) / static_cast<double>(n);
  if (4 * k % n == 0) {
    constexpr double kCos[] = {1, 0, -1, 0}, kSin[] = {0, -1, 0, 1};
    return {kCos[4 * k / n], kSin[4 * k / n]};
  }
  return {std::cos(angle), std::sin(angle)};
}

bool fft_is_smooth(int n) {
  for (int factor = 2; factor <= kMaxRadix; ++factor) {
    while (n % factor == 0) n /= factor;
  }
  return n == 1;
}

int fft_next_smooth(int n) {
  for (;; ++n) {
    int rest = n;
    for (int factor : {2, 3, 5}) {
      while (rest % factor == 0) rest /= factor;
    }
    if (rest == 1) return n;
  }
}

FftPlan::FftPlan(int n, bool padded) {
  const std::vector<int> factors = radices(n);
  FftTables& t = tables_;
  t.n = n;
  t.stages = static_cast<int>(factors.size());
  std::vector<size_t> twiddles_at, roots_at;
  int length = n;
  for (int s = 0; s < t.stages; ++s) {
    const int r = factors[s], m = length / r;
    t.radix[s] = r;
    twiddles_at.push_back(numbers_.size());
    for (int j = 0; j < m; ++j) {
      for (int q = 1; q < r; ++q) {
        const std::complex<double> w = unit_root(static_cast<int64_t>(j) * q, length);
        numbers_.push_back(static_cast<float>(w.real()));
        numbers_.push_back(static_cast<float>(w.imag()));
      }
    }
    roots_at.push_back(numbers_.size());
    for (int k = 0; k < (has_own_code(r) ? 0 : r); ++k) {
      const std::complex<double> w = unit_root(k, r);
      numbers_.push_back(static_cast<float>(w.real()));
      numbers_.push_back(static_cast<float>(w.imag()));
    }
    length = m;
  }
  for (int s = 0; s < t.stages; ++s) {
    t.twiddles[s] = numbers_.data() + twiddles_at[s];
    t.roots[s] = numbers_.data() + roots_at[s];
  }

  const int first = t.stages ? t.radix[0] : 1;
  constexpr int kPadding = 4;  // vectors
  t.block_vectors = 2 * (n / first) + (padded && t.stages > 1 ? kPadding : 0);
  t.vectors = t.block_vectors * first;
  // Stage s leaves result k of its block in part k mod r, where it is result k / r.
  where_.resize(n);
  for (int k = 0; k < n; ++k) {
    int rest = k, block = n;
    int64_t at = 0;
    for (int s = 0; s < t.stages; ++s) {
      const int part = rest % t.radix[s];
      rest /= t.radix[s];
      block /= t.radix[s];
      at += static_cast<int64_t>(part) * (s == 0 ? t.block_vectors : 2 * block);
    }
    where_[k] = static_cast<int32_t>(at);
  }
  t.where = where_.data();
}

std::vector<std::complex<double>> fft_exact(const std::vector<std::complex<double>>& x) {
  const int64_t n = static_cast<int64_t>(x.size());
  int64_t r = 2;
  while (r < n && n % r != 0) ++r;
  if (n <= 1) return x;
  const int64_t m = n / r;
  std::vector<std::vector<std::complex<double>>> parts(r);
  for (int64_t i = 0; i < r; ++i) {
    std::vector<std::complex<double>> part(m);
    for (int64_t j = 0; j < m; ++j) part[j] = x[j * r + i];
    parts[i] = fft_exact(part);
  }
  std::vector<std::complex<double>> y(n);
  for (int64_t k = 0; k < n; ++k) {
    for (int64_t i = 0; i < r; ++i) y[k] += parts[i][k % m] * unit_root(i * k, n);
  }
  return y;
}

}  // namespace cinefuse
