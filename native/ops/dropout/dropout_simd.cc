#include "dropout_simd.h"

#include "../../core/simd.h"

namespace {

using namespace cinefuse;

constexpr int L = kDropoutCounters;

// The random words of one block in the order of its elements.
CINEFUSE_INLINE void words_of(const DropoutMask& m, uint64_t block, uint32_t (&words)[kDropoutBlock]) {
  uint32_t c0[L], c1[L], c2[L], c3[L];
  for (int l = 0; l < L; ++l) {
    const uint64_t counter = block * L + static_cast<uint64_t>(l);
    c0[l] = static_cast<uint32_t>(counter);
    c1[l] = static_cast<uint32_t>(counter >> 32);
    c2[l] = m.stream0;
    c3[l] = m.stream1;
  }
  uint32_t key0 = m.key0, key1 = m.key1;
  for (int round = 0; round < kPhiloxRounds; ++round) {
    for (int l = 0; l < L; ++l) {
      uint32_t c[4] = {c0[l], c1[l], c2[l], c3[l]};
      philox_round(c, key0, key1);
      c0[l] = c[0];
      c1[l] = c[1];
      c2[l] = c[2];
      c3[l] = c[3];
    }
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  for (int l = 0; l < L; ++l) {
    words[l] = c0[l];
    words[L + l] = c1[l];
    words[2 * L + l] = c2[l];
    words[3 * L + l] = c3[l];
  }
}

void blocks(const DropoutMask* mask, unsigned long block, long n, const float* x, float* y) {
  const DropoutMask m = *mask;
  for (long i = 0; i < n; i += kDropoutBlock, ++block) {
    uint32_t words[kDropoutBlock];
    words_of(m, block, words);
    const long count = n - i < kDropoutBlock ? n - i : kDropoutBlock;
    for (long j = 0; j < count; ++j) y[i + j] = words[j] >= m.least ? x[i + j] * m.scale : 0.f;
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(DropoutSimd, dropout_simd) = {blocks};
}
