#include "exec.h"

#include "device.h"
#include "gemm/bf16x3.h"

namespace cinefuse {

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    default:
      return "baseline";
  }
}

bool isa_supported(Isa isa) {
  if (isa == Isa::kBaseline) return true;
#if defined(__x86_64__)
  // __builtin_cpu_supports also asks XGETBV whether the operating system keeps the registers.
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (isa == Isa::kAvx2) return avx2;
  if (isa == Isa::kAvx512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return false;
}

Isa best_isa() {
  if (isa_supported(Isa::kAvx512)) return Isa::kAvx512;
  if (isa_supported(Isa::kAvx2)) return Isa::kAvx2;
  return Isa::kBaseline;
}

const char* backend_name(Backend backend) {
  switch (backend) {
    case Backend::kCuda:
      return "cuda";
    case Backend::kEmulated:
      return "emulated";
    default:
      return "cpu";
  }
}

bool backend_available(Backend backend) {
  return backend == Backend::kCpu || device_library(backend) != nullptr;
}

void require_available(const Exec& exec) {
  CINEFUSE_REQUIRE(backend_available(exec.backend), Code::kBackend, "backend",
                   "The library of the backend '%s' is not open", backend_name(exec.backend));
  CINEFUSE_REQUIRE(isa_supported(exec.isa), Code::kBackend, "isa",
                   "The instruction set '%s' is not supported by this CPU (best: '%s')", isa_name(exec.isa),
                   isa_name(best_isa()));
  if (exec.precision == Precision::kBf16x3 || exec.precision == Precision::kBf16x3Software) {
    CINEFUSE_REQUIRE(exec.backend == Backend::kCpu, Code::kBackend, "precision",
                     "Expected the backend 'cpu' for the precision 'bf16x3', received '%s'",
                     backend_name(exec.backend));
    CINEFUSE_REQUIRE(
        bf16x3_path(exec) != Bf16x3Path::kNone, Code::kBackend, "precision",
        "The precision 'bf16x3' needs AMX or AVX512-BF16 and the instruction set 'avx512'; this CPU, "
        "build or the instruction set asked for ('%s') has neither",
        isa_name(exec.isa));
  }
}

void require_cpu(const Exec& exec, const char* what) {
  CINEFUSE_REQUIRE(exec.backend == Backend::kCpu, Code::kBackend, "backend",
                   "Expected the backend 'cpu', received '%s': %s have no kernels",
                   backend_name(exec.backend), what);
}

}  // namespace cinefuse
