// The matrix units: how they round, and products of a whole warp.
#pragma once
#include "block.h"

namespace cinefuse::gpu {

inline uint32_t to_tf32(float x) {
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffffffu;
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  return (bits + 0x1000u) & 0xffffe000u;
}
inline uint32_t to_bf16(float x) {
  uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return bits >> 16;
}
inline uint32_t to_bf16x2(float low, float high) { return to_bf16(low) | to_bf16(high) << 16; }
inline uint16_t to_half(float x) {
  const uint32_t bits = __float_as_uint(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7fffu;
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Subnormal: in units of 2^-24, rounded by float addition's own nearest-even.
    const float shifted = std::fabs(x) + 0.5f;
    return static_cast<uint16_t>(sign | (__float_as_uint(shifted) - 0x3f000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

struct MatrixArguments {
  float* d;
  const uint32_t *a, *b;
};
// What all lanes gave together: D = A · B + D.
void multiply_m16n8k8_tf32(void** lanes);
void multiply_m16n8k16_bf16(void** lanes);

inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CINEFUSE_SITE) {
  MatrixArguments mine{d, a, b};
  emulator::collect(emulator::Collective::kMatrix, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), 0,
                    CINEFUSE_HERE, multiply_m16n8k8_tf32);
}
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CINEFUSE_SITE) {
  MatrixArguments mine{d, a, b};
  emulator::collect(emulator::Collective::kMatrix, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), 0,
                    CINEFUSE_HERE, multiply_m16n8k16_bf16);
}

}  // namespace cinefuse::gpu
