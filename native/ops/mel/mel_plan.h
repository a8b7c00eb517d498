// A prepared spectrogram: every table that depends on the parameters alone.
#pragma once
#include <memory>
#include <vector>

#include "../../core/device.h"
#include "fft_plan.h"
#include "mel.h"

namespace cinefuse {

class MelPlan {
 public:
  explicit MelPlan(const MelParams& params);
  MelPlan(const MelPlan&) = delete;
  MelPlan& operator=(const MelPlan&) = delete;

  const MelParams params;
  int bins() const { return spectrum.bins; }
  int rows() const { return params.bank.n_mels != kNoMels ? params.bank.n_mels : spectrum.bins; }
  // The scaling needs the clip's maximum, known only when all its frames are done.
  bool needs_top() const;
  size_t bytes() const;

  SpectrumTables spectrum{};
  BankTables bank{};
  DeviceTwins twins;

 private:
  std::unique_ptr<FftPlan> fft_;
  std::vector<float> window_, untangle_, chirp_, filter_, weights_;
  std::vector<int32_t> natural_;
  MelBank bank_;
};

}  // namespace cinefuse
