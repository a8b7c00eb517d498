#include "planar.h"

#include <algorithm>
#include <cmath>

namespace cinefuse {
namespace {

constexpr int kLanes = 16, kTaps = 4, kWindow = 64;
constexpr int kMostWindows = 6;             // a group on average; more cost more than they save
constexpr double kLargestDigits = 8355711;  // 127 (65536 + 256 + 1)

double largest(const Coefficients& c, double* largest_sum) {
  double most = 0;
  *largest_sum = 0;
  for (int64_t i = 0; i < c.n; ++i) {
    double sum = 0;
    for (int t = 0; t < c.count[i]; ++t) {
      const double w = std::fabs(c.weights[i * c.taps + t]);
      most = std::max(most, w);
      sum += w;
    }
    *largest_sum = std::max(*largest_sum, sum);
  }
  return most;
}

std::vector<int32_t> whole_numbers(const Coefficients& c, int bits) {
  std::vector<int32_t> fixed(c.weights.size());
  const double unit = static_cast<double>(1 << bits);
  for (int64_t i = 0; i < c.n; ++i) {
    double sum = 0, rounded_sum = 0;
    for (int t = 0; t < c.count[i]; ++t) {
      sum += c.weights[i * c.taps + t] * unit;
      const double w = std::nearbyint(sum - rounded_sum);
      rounded_sum += w;
      fixed[i * c.taps + t] = static_cast<int32_t>(w);
    }
  }
  return fixed;
}

}  // namespace

PlanarPass::PlanarPass(const Coefficients& c, Rounding rounding) : n_(c.n) {
  if (c.identity || c.n == 0) return;
  std::vector<int32_t> rounded;
  if (rounding == Rounding::kFloat) {
    double sum;
    const double most = largest(c, &sum);
    // One more bit where neither a weight nor a sum of 255 times them outgrows its digits and 31 bits.
    if (most * (1 << 23) < kLargestDigits - 1 && sum < 1.001) bits_ = 23;
    rounded = whole_numbers(c, bits_);
  }
  const std::vector<int32_t>& fixed = rounding == Rounding::kFloat ? rounded : c.fixed;
  group_first_.push_back(0);
  window_first_.push_back(0);
  for (int64_t block = 0; block * kLanes < c.n; ++block) {
    const int64_t end = std::min(c.n, (block + 1) * kLanes);
    const int most = *std::max_element(c.count.begin() + block * kLanes, c.count.begin() + end);
    block_at_.push_back(*std::min_element(c.first.begin() + block * kLanes, c.first.begin() + end));
    for (int group = 0; group * kTaps < most; ++group) add_group(c, fixed, block, group);
    group_first_.push_back(static_cast<int32_t>(window_first_.size() - 1));
  }
  pays_ = at_.size() <= kMostWindows * (window_first_.size() - 1);
}

void PlanarPass::add_group(const Coefficients& c, const std::vector<int32_t>& fixed, int64_t block,
                           int group) {
  const int64_t end = std::min(c.n, (block + 1) * kLanes);
  const size_t base = digits_.size();
  digits_.resize(base + 3 * kWindow, 0);
  const size_t near = near_.size(), first_window = at_.size();
  near_.resize(near + kWindow, 0);
  uint64_t in_second = 0;
  for (int64_t i = block * kLanes; i < end; ++i) {
    const int lane = static_cast<int>(i - block * kLanes);
    const int taps = std::min(kTaps, c.count[i] - group * kTaps);
    if (taps <= 0) continue;
    const int32_t from = c.first[i] + group * kTaps;
    size_t window = first_window;
    while (window < at_.size() && (from < at_[window] || from + kTaps > at_[window] + kWindow)) ++window;
    if (window == at_.size()) {
      at_.push_back(from);
      lanes_.push_back(0);
      index_.resize(index_.size() + kWindow, 0);
    }
    lanes_[window] |= uint64_t{15} << (lane * kTaps);
    const int64_t within = from - block_at_.back();
    span_ = std::max(span_, within + kTaps);
    for (int t = 0; t < kTaps; ++t) {
      near_[near + lane * kTaps + t] = static_cast<uint8_t>((within + t) % kWindow);
      in_second |= static_cast<uint64_t>(within + t >= kWindow) << (lane * kTaps + t);
      index_[window * kWindow + lane * kTaps + t] = static_cast<uint8_t>(from - at_[window] + t);
    }
    for (int t = 0; t < taps; ++t) {
      const int32_t w = fixed[i * c.taps + group * kTaps + t];
      const int32_t low = static_cast<int8_t>(w & 255), rest = (w - low) >> 8;
      const int32_t middle = static_cast<int8_t>(rest & 255), high = (rest - middle) >> 8;
      int8_t* at = digits_.data() + base + lane * kTaps + t;
      at[0] = static_cast<int8_t>(low);
      at[kWindow] = static_cast<int8_t>(middle);
      at[2 * kWindow] = static_cast<int8_t>(high);
    }
  }
  in_second_.push_back(in_second);
  window_first_.push_back(static_cast<int32_t>(at_.size()));
}

PlanarView PlanarPass::view() const {
  const bool is_near = span_ > kWindow && span_ <= 2 * kWindow;
  return {static_cast<long>(n_), group_first_.data(), window_first_.data(), at_.data(),
          lanes_.data(),         index_.data(),       digits_.data(),       is_near,
          block_at_.data(),      near_.data(),        in_second_.data()};
}

bool planar_supported(Isa isa) {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
  return isa == Isa::kAvx512 && has;
#else
  (void)isa;
  return false;
#endif
}

}  // namespace cinefuse
