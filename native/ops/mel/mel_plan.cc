#include "mel_plan.h"

#include <algorithm>
#include <cmath>

namespace cinefuse {
namespace {

std::vector<double> window_values(Window kind, int length, bool periodic) {
  std::vector<double> w(length, 1.0);
  const double period = periodic ? length : length - 1;
  for (int i = 0; i < length && period > 0; ++i) {
    const double x = 2.0 * M_PI * i / period;
    switch (kind) {
      case Window::kHann:
        w[i] = 0.5 - 0.5 * std::cos(x);
        break;
      case Window::kHamming:
        w[i] = 0.54 - 0.46 * std::cos(x);
        break;
      case Window::kBlackman:
        w[i] = 0.42 - 0.5 * std::cos(x) + 0.08 * std::cos(2.0 * x);
        break;
      case Window::kPovey:
        w[i] = std::pow(std::max(0.0, 0.5 - 0.5 * std::cos(x)), 0.85);
        break;
      case Window::kRectangular:
        break;
    }
  }
  return w;
}

double to_mel(double f, MelScale scale) {
  switch (scale) {
    case MelScale::kHtk:
      return 2595.0 * std::log10(1.0 + f / 700.0);
    case MelScale::kKaldi:
      return 1127.0 * std::log(1.0 + f / 700.0);
    default:
      return f < 1000.0 ? f * (3.0 / 200.0) : 15.0 + std::log(f / 1000.0) * (27.0 / std::log(6.4));
  }
}

double to_hz(double mel, MelScale scale) {
  switch (scale) {
    case MelScale::kHtk:
      return 700.0 * (std::pow(10.0, mel / 2595.0) - 1.0);
    case MelScale::kKaldi:
      return 700.0 * (std::exp(mel / 1127.0) - 1.0);
    default:
      return mel < 15.0 ? mel * (200.0 / 3.0) : 1000.0 * std::exp((mel - 15.0) * (std::log(6.4) / 27.0));
  }
}

void append_pair(std::vector<float>& to, std::complex<double> x) {
  to.push_back(static_cast<float>(x.real()));
  to.push_back(static_cast<float>(x.imag()));
}

}  // namespace

MelBank mel_bank(const MelBankParams& p) {
  MelBank bank;
  const bool in_mel = p.scale == MelScale::kKaldi;
  const int bins = p.n_fft / 2 + 1 - (in_mel && p.n_fft % 2 == 0 ? 1 : 0);
  const double low = to_mel(p.f_min, p.scale), high = to_mel(p.f_max, p.scale);
  std::vector<double> corners(p.n_mels + 2);
  for (int i = 0; i < p.n_mels + 2; ++i) {
    const double mel = low + (high - low) * i / (p.n_mels + 1);
    corners[i] = in_mel ? mel : to_hz(mel, p.scale);
  }
  int from = 0;  // bins below are below every further band
  for (int m = 0; m < p.n_mels; ++m) {
    const double left = corners[m], middle = corners[m + 1], right = corners[m + 2];
    const double norm = p.area_norm ? 2.0 / (right - left) : 1.0;
    int start = 0, count = 0;
    for (int k = from; k < bins; ++k) {
      const double hz = k * (p.sample_rate / p.n_fft);
      const double f = in_mel ? to_mel(hz, p.scale) : hz;
      if (f >= right) break;
      const double w = std::min((f - left) / (middle - left), (right - f) / (right - middle));
      if (w <= 0.0) {
        if (count == 0) from = k;
        continue;
      }
      if (count++ == 0) start = k;
      bank.weights.push_back(norm * w);
    }
    bank.start.push_back(start);
    bank.count.push_back(count);
  }
  return bank;
}

MelPlan::MelPlan(const MelParams& given) : params(given) {
  const int n = params.bank.n_fft;
  SpectrumTables& t = spectrum;
  t.n_fft = n;
  t.bins = n / 2 + 1;
  t.even = n % 2 == 0;
  t.points = t.even ? n / 2 : n;

  const std::vector<double> values = window_values(params.window, params.win_length, params.periodic);
  const int left = params.kaldi_frames ? 0 : (n - params.win_length) / 2;
  window_.assign(n, 0.f);
  for (int i = 0; i < params.win_length; ++i) {
    window_[left + i] = static_cast<float>(t.even ? 0.5 * values[i] : values[i]);
  }
  t.window = window_.data();

  const bool smooth = fft_is_smooth(t.points);
  fft_ = std::make_unique<FftPlan>(smooth ? t.points : fft_next_smooth(2 * t.points - 1), smooth && t.even);
  t.fft = fft_->tables();
  t.where = t.fft.where;
  const int first = t.fft.stages ? t.fft.radix[0] : 1;
  t.fused =
      t.even && smooth && t.fft.stages > 1 && (first <= 5 || first == 8) && t.points / first >= kMaxLanes / 2;
  if (!t.fused) {
    // Frames arrive in natural order without gaps.
    fft_ = std::make_unique<FftPlan>(t.fft.n, false);
    t.fft = fft_->tables();
    t.where = t.fft.where;
  }
  if (t.even) {
    for (int k = 0; k <= t.points / 2; ++k) append_pair(untangle_, unit_root(k, n));
    t.untangle = untangle_.data();
  }
  if (!smooth) {
    const int64_t points = t.points, length = t.fft.n;
    std::vector<std::complex<double>> filter(length);
    natural_.resize(points);
    for (int64_t k = 0; k < points; ++k) {
      const std::complex<double> w = unit_root(k * k % (2 * points), 2 * points);
      append_pair(chirp_, w);
      filter[k] = std::conj(w) / static_cast<double>(length);
      if (k) filter[length - k] = filter[k];
      natural_[k] = static_cast<int32_t>(2 * k);
    }
    for (const std::complex<double>& x : fft_exact(filter)) append_pair(filter_, x);
    t.chirp = chirp_.data();
    t.filter = filter_.data();
    t.where = natural_.data();
  }

  if (params.bank.n_mels != kNoMels) {
    bank_ = mel_bank(params.bank);
    weights_.assign(bank_.weights.begin(), bank_.weights.end());
    bank = {params.bank.n_mels, bank_.start.data(), bank_.count.data(), weights_.data()};
    bank_.weights = {};
  }
}

bool MelPlan::needs_top() const {
  if (params.scaling == MelScaling::kDecibel) return params.ref == 0 || std::isfinite(params.top_db);
  return params.scaling == MelScaling::kWhisper;
}

size_t MelPlan::bytes() const {
  const size_t floats = window_.size() + untangle_.size() + chirp_.size() + filter_.size() + weights_.size();
  return sizeof(*this) + fft_->bytes() + floats * sizeof(float) +
         (natural_.size() + bank_.start.size() + bank_.count.size()) * sizeof(int32_t);
}

}  // namespace cinefuse
