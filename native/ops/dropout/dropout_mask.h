// Which elements dropout keeps, for both twins. Elements come in blocks of 64; element 16 w + l of a block b
// has word w of the Philox words with counter (16 b + l, stream) and key seed, so that neighbours of a vector
// or a warp are neighbours in memory. It stays when that word is not below p 2^32.
#pragma once
#include "../../core/philox.h"

namespace cinefuse {

constexpr int kDropoutBlock = 64, kDropoutCounters = 16;

struct DropoutMask {
  uint32_t least;  // the smallest word that keeps
  float scale;     // 1 / (1 - p)
  uint32_t key0, key1, stream0, stream1;
};

CINEFUSE_PHILOX_FUNCTION DropoutMask dropout_mask(float p, uint64_t seed, uint64_t stream) {
  DropoutMask mask;
  mask.least = static_cast<uint32_t>(static_cast<double>(p) * 4294967296.0);
  mask.scale = static_cast<float>(1.0 / (1.0 - static_cast<double>(p)));
  mask.key0 = static_cast<uint32_t>(seed);
  mask.key1 = static_cast<uint32_t>(seed >> 32);
  mask.stream0 = static_cast<uint32_t>(stream);
  mask.stream1 = static_cast<uint32_t>(stream >> 32);
  return mask;
}

}  // namespace cinefuse
