// The counter-based random numbers Philox4x32-10 (Salmon et al. 2011): four words out of a counter of four
// and a key of two. For inner loops and kernels alike: no symbol leaves a unit that includes it.
#pragma once
#include <stdint.h>

#if defined(__CUDACC__)
#define CINEFUSE_PHILOX_FUNCTION static __host__ __device__ __forceinline__
#else
#define CINEFUSE_PHILOX_FUNCTION static inline __attribute__((always_inline, unused))
#endif

namespace cinefuse {

constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53u, kPhiloxMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9u, kPhiloxWeyl1 = 0xBB67AE85u;
constexpr int kPhiloxRounds = 10;

// One round on the counter c with the round's key.
CINEFUSE_PHILOX_FUNCTION void philox_round(uint32_t (&c)[4], uint32_t key0, uint32_t key1) {
  const uint64_t a = static_cast<uint64_t>(kPhiloxMultiplier0) * c[0];
  const uint64_t b = static_cast<uint64_t>(kPhiloxMultiplier1) * c[2];
  c[0] = static_cast<uint32_t>(b >> 32) ^ c[1] ^ key0;
  c[2] = static_cast<uint32_t>(a >> 32) ^ c[3] ^ key1;
  c[1] = static_cast<uint32_t>(b);
  c[3] = static_cast<uint32_t>(a);
}

// c becomes the four random words.
CINEFUSE_PHILOX_FUNCTION void philox(uint32_t (&c)[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    philox_round(c, key0, key1);
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
}

}  // namespace cinefuse
