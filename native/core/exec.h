// How one call runs: which backend and instruction set, on how many threads, and the caller's wish to stop.
#pragma once
#include <cstdint>

#include "error.h"

namespace cinefuse {

enum class Backend : int { kCpu = 0, kEmulated = 1, kCuda = 2 };
enum class Isa : int { kBaseline = 0, kAvx2 = 1, kAvx512 = 2 };

struct Exec {
  Backend backend = Backend::kCpu;
  Isa isa = Isa::kBaseline;
  int threads = 1;
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

// The backends that this build can run on the machine. kCpu always; the others join with the CUDA library.
bool backend_available(Backend backend);
const char* backend_name(Backend backend);
// Throws ERR_BACKEND for a backend or instruction set that is not to be had. Front doors call it first.
void require_available(const Exec& exec);

}  // namespace cinefuse
