// Timing of the operators' kernels on a GPU: what a case is, and what it is held against.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "../../native/core/exec.h"

namespace cinefuse::bench {

// Rates measured on the device in this run.
struct Ceilings {
  double copy_bytes = 0;  // a second, read and written
  double matrix_flops[3] =
      {};  // a second, of the matrix units through mma.sync: fp32 (as three tf32), tf32, bf16
};
Ceilings measure_ceilings(int device, bool small);

struct Case {
  std::string name;     // as bench/gpu/peers.py calls it
  double bytes = 0;     // that must cross device memory: every input read once, every result written once
  double flops = 0;     // of matrix products; 0: the memory is the ceiling
  bool precise = true;  // float32 alone
  // Runs the operator once through its front door; exec.timing collects the kernels' times.
  std::function<void(const Exec&)> run;
};

// `small`: shapes that an emulator can run, to see that the program works.
std::vector<Case> fusion_cases(bool small);
std::vector<Case> attention_cases(bool small);
std::vector<Case> media_cases(bool small);

// Numbers in [-1, 1), made fast.
std::vector<float> numbers(int64_t n, uint32_t seed);

}  // namespace cinefuse::bench
