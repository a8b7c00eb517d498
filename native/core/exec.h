// How one call runs: which backend and instruction set, on how many threads, and the caller's wish to stop.
#pragma once
#include <cstdint>

#include "error.h"

struct cinefuse_timing;  // native/cuda/api.h

namespace cinefuse {

enum class Backend : int { kCpu = 0, kEmulated = 1, kCuda = 2 };
enum class Isa : int { kBaseline = 0, kAvx2 = 1, kAvx512 = 2 };
// Of matrix products on a GPU: float32 accuracy, or inputs rounded to 10 or 7 bits of mantissa; the CPU keeps
// float32 for these. On the CPU alone: operands split into two bfloat16 parts (core/gemm/bf16x3.h), and the
// same with AMX's instructions done in plain C++, for tests.
enum class Precision : int { kFp32 = 0, kTf32 = 1, kBf16 = 2, kBf16x3 = 3, kBf16x3Software = 4 };

struct Exec {
  Backend backend = Backend::kCpu;
  Isa isa = Isa::kBaseline;
  int threads = 1;
  int device = 0;  // which GPU
  Precision precision = Precision::kFp32;
  cinefuse_timing* timing = nullptr;         // of kernels, for benchmarks
  const volatile int32_t* cancel = nullptr;  // set to 1 by the JS thread when the AbortSignal fires

  bool cancelled() const { return cancel && *cancel != 0; }
  // Called between stages and between tasks of a loop, never inside an inner loop.
  void check_cancelled() const {
    if (cancelled()) throw Error(Code::kCancelled, "", "The call was cancelled by its AbortSignal");
  }
};

const char* isa_name(Isa isa);
bool isa_supported(Isa isa);  // compiled in, and this CPU and operating system have it
Isa best_isa();

// The CPU always; the others once their library is open (core/device.h).
bool backend_available(Backend backend);
const char* backend_name(Backend backend);
// Throws ERR_BACKEND for a backend or instruction set that is not to be had. Front doors call it first.
void require_available(const Exec& exec);
// Throws ERR_BACKEND where `what` has no other twin than the CPU's.
void require_cpu(const Exec& exec, const char* what);

}  // namespace cinefuse
