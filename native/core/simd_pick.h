// Chooses the table of one operator for an instruction set. OP_simd.h ends with
//   #ifndef CINEFUSE_ISA              // the *_simd.cc units themselves must not see the STL
//   #include "../../core/simd_pick.h"
//   CINEFUSE_SIMD_DECLARE(ActivationSimd, activation_simd)   // activation_simd(exec.isa) is the table
//   #endif
#pragma once
#include "exec.h"

#if defined(__x86_64__)
#define CINEFUSE_SIMD_DECLARE(Type, name)        \
  extern const Type name##_baseline;             \
  extern const Type name##_avx2;                 \
  extern const Type name##_avx512;               \
  inline const Type& name(::cinefuse::Isa isa) { \
    switch (isa) {                               \
      case ::cinefuse::Isa::kAvx512:             \
        return name##_avx512;                    \
      case ::cinefuse::Isa::kAvx2:               \
        return name##_avx2;                      \
      default:                                   \
        return name##_baseline;                  \
    }                                            \
  }
#else
#define CINEFUSE_SIMD_DECLARE(Type, name) \
  extern const Type name##_baseline;      \
  inline const Type& name(::cinefuse::Isa) { return name##_baseline; }
#endif
