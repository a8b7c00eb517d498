// What the lanes of a warp do together: shuffles, votes, matrix products; and atomics.
#pragma once
#include <type_traits>

#include "block.h"

namespace cinefuse::emulator {

using MatrixProduct = void (*)(void** lanes);  // run once, by the last lane to arrive

// Suspends the calling lane until all lanes of `mask` have come with the same operation from the same line.
CINEFUSE_UNCHECKED inline uint64_t collect(Collective op, unsigned mask, uint64_t value, int source,
                                           Site site, MatrixProduct product = nullptr) {
  Block& b = block();
  Thread& t = thread();
  if (!(mask >> t.lane & 1)) fail("warp collective at " + at(site) + ": the calling lane is not in its mask");
  t.collective = op;
  t.mask = mask;
  t.value = value;
  t.source = source;
  t.site = site;
  t.state = State::kWarp;
  const unsigned first = t.warp * 32, lanes = std::min(32u, b.n - first);
  if (lanes < 32) mask &= (1u << lanes) - 1;
  Thread* const warp = b.threads.data() + first;
  bool complete = true;
  for (unsigned l = 0; l < lanes; ++l) {
    if (!(mask >> l & 1)) continue;
    const Thread& other = warp[l];
    if (other.state == State::kDone) {
      fail("warp collective at " + at(site) + ": lane " + std::to_string(l) + " of its mask has returned");
    }
    if (other.state != State::kWarp) {
      complete = false;
    } else if (other.collective != op || other.mask != t.mask || other.site.line != site.line) {
      fail("warp divergence: lanes of one mask wait at " + at(site) + " and at " + at(other.site));
    }
  }
  if (!complete) {
    yield();
    if (b.error) std::rethrow_exception(b.error);
    return t.result;
  }
  if (op == Collective::kMatrix) {
    if (t.mask != 0xffffffffu || lanes != 32) fail("a matrix product needs a whole warp, at " + at(site));
    void* arguments[32];
    for (unsigned l = 0; l < 32; ++l) arguments[l] = reinterpret_cast<void*>(warp[l].value);
    product(arguments);
  }
  uint64_t ballot = 0;
  for (unsigned l = 0; l < lanes; ++l) {
    if ((mask >> l & 1) && warp[l].value) ballot |= uint64_t{1} << l;
  }
  for (unsigned l = 0; l < lanes; ++l) {
    if (!(mask >> l & 1)) continue;
    Thread& other = warp[l];
    if (op == Collective::kShuffle) {
      if (other.source >= static_cast<int>(lanes) || !(mask >> other.source & 1)) {
        fail("shuffle at " + at(site) + " reads lane " + std::to_string(other.source) + ", outside its mask");
      }
      other.result = warp[other.source].value;
    } else if (op == Collective::kAny) {
      other.result = ballot != 0;
    } else if (op == Collective::kAll) {
      other.result = ballot == mask;
    } else {
      other.result = ballot;
    }
  }
  for (unsigned l = 0; l < lanes; ++l) {
    if (!(mask >> l & 1) || &warp[l] == &t) continue;
    warp[l].state = State::kReady;
    b.ready.push_back(first + l);
  }
  t.state = State::kReady;
  return t.result;
}

template <class T>
inline T shuffle(unsigned mask, T value, int source, Site site) {
  static_assert(sizeof(T) <= 8);
  uint64_t raw = 0;
  std::memcpy(&raw, &value, sizeof value);
  raw = collect(Collective::kShuffle, mask, raw, source, site);
  std::memcpy(&value, &raw, sizeof value);
  return value;
}

template <class T, class Change>
CINEFUSE_UNCHECKED inline T atomic_change(T* p, Change change) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  auto* bits = reinterpret_cast<Bits*>(p);
  Bits was = __atomic_load_n(bits, __ATOMIC_RELAXED), becomes;
  T old;
  do {
    std::memcpy(&old, &was, sizeof old);
    const T next = change(old);
    std::memcpy(&becomes, &next, sizeof becomes);
  } while (!__atomic_compare_exchange_n(bits, &was, becomes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}

}  // namespace cinefuse::emulator

inline void __syncwarp(unsigned mask = 0xffffffffu, CINEFUSE_SITE) {
  cinefuse::emulator::collect(cinefuse::emulator::Collective::kSync, mask, 0, 0, CINEFUSE_HERE);
}
inline unsigned __ballot_sync(unsigned mask, int p, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  return static_cast<unsigned>(collect(Collective::kBallot, mask, p != 0, 0, CINEFUSE_HERE));
}
inline int __any_sync(unsigned mask, int p, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  return static_cast<int>(collect(Collective::kAny, mask, p != 0, 0, CINEFUSE_HERE));
}
inline int __all_sync(unsigned mask, int p, CINEFUSE_SITE) {
  using namespace cinefuse::emulator;
  return static_cast<int>(collect(Collective::kAll, mask, p != 0, 0, CINEFUSE_HERE));
}
template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, CINEFUSE_SITE) {
  const int lane = static_cast<int>(cinefuse::emulator::thread().lane);
  return cinefuse::emulator::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)),
                                     CINEFUSE_HERE);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CINEFUSE_SITE) {
  const int lane = static_cast<int>(cinefuse::emulator::thread().lane), source = lane ^ bits;
  const bool inside = (source & ~(width - 1)) <= (lane & ~(width - 1));
  return cinefuse::emulator::shuffle(mask, value, inside ? source : lane, CINEFUSE_HERE);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, CINEFUSE_SITE) {
  const int lane = static_cast<int>(cinefuse::emulator::thread().lane), source = lane + static_cast<int>(by);
  const bool inside = source < (lane & ~(width - 1)) + width;
  return cinefuse::emulator::shuffle(mask, value, inside ? source : lane, CINEFUSE_HERE);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, CINEFUSE_SITE) {
  const int lane = static_cast<int>(cinefuse::emulator::thread().lane), source = lane - static_cast<int>(by);
  const bool inside = source >= (lane & ~(width - 1));
  return cinefuse::emulator::shuffle(mask, value, inside ? source : lane, CINEFUSE_HERE);
}
template <class T>
inline T atomicAdd(T* p, T value) {
  return cinefuse::emulator::atomic_change(p, [value](T old) { return static_cast<T>(old + value); });
}
template <class T>
inline T atomicMax(T* p, T value) {
  return cinefuse::emulator::atomic_change(p, [value](T old) { return old < value ? value : old; });
}
template <class T>
inline T atomicMin(T* p, T value) {
  return cinefuse::emulator::atomic_change(p, [value](T old) { return value < old ? value : old; });
}
inline unsigned atomicOr(unsigned* p, unsigned value) {
  return cinefuse::emulator::atomic_change(p, [value](unsigned old) { return old | value; });
}
inline unsigned atomicCAS(unsigned* p, unsigned expected, unsigned value) {
  return cinefuse::emulator::atomic_change(p, [=](unsigned old) { return old == expected ? value : old; });
}

namespace cinefuse::gpu {

inline uint32_t to_tf32(float x) {
  const uint32_t bits = __float_as_uint(x);
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
  if (magnitude <
      0x38800000u) {  // subnormal: in units of 2^-24, rounded by float addition's own nearest-even
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
inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CINEFUSE_SITE) {
  MatrixArguments mine{d, a, b};
  emulator::collect(emulator::Collective::kMatrix, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), 0,
                    CINEFUSE_HERE, [](void** p) {
                      float a_of[16][8], b_of[8][8];
                      for (int l = 0; l < 32; ++l) {
                        const auto* lane = static_cast<const MatrixArguments*>(p[l]);
                        const int g = l >> 2, t = l & 3;
                        for (int i = 0; i < 4; ++i)
                          a_of[g + 8 * (i & 1)][t + 4 * (i >> 1)] = __uint_as_float(lane->a[i]);
                        for (int i = 0; i < 2; ++i) b_of[t + 4 * i][g] = __uint_as_float(lane->b[i]);
                      }
                      for (int l = 0; l < 32; ++l) {
                        float* d_of = static_cast<const MatrixArguments*>(p[l])->d;
                        for (int i = 0; i < 4; ++i) {
                          const int row = (l >> 2) + 8 * (i >> 1), column = 2 * (l & 3) + (i & 1);
                          float sum = d_of[i];
                          for (int k = 0; k < 8; ++k) sum += a_of[row][k] * b_of[k][column];
                          d_of[i] = sum;
                        }
                      }
                    });
}
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CINEFUSE_SITE) {
  MatrixArguments mine{d, a, b};
  emulator::collect(emulator::Collective::kMatrix, 0xffffffffu, reinterpret_cast<uint64_t>(&mine), 0,
                    CINEFUSE_HERE, [](void** p) {
                      float a_of[16][16], b_of[16][8];
                      for (int l = 0; l < 32; ++l) {
                        const auto* lane = static_cast<const MatrixArguments*>(p[l]);
                        const int g = l >> 2, t = l & 3;
                        for (int i = 0; i < 4; ++i) {
                          float* const two = &a_of[g + 8 * (i & 1)][2 * t + 8 * (i >> 1)];
                          two[0] = __uint_as_float(lane->a[i] << 16);
                          two[1] = __uint_as_float(lane->a[i] & 0xffff0000u);
                        }
                        for (int i = 0; i < 2; ++i) {
                          b_of[2 * t + 8 * i][g] = __uint_as_float(lane->b[i] << 16);
                          b_of[2 * t + 8 * i + 1][g] = __uint_as_float(lane->b[i] & 0xffff0000u);
                        }
                      }
                      for (int l = 0; l < 32; ++l) {
                        float* d_of = static_cast<const MatrixArguments*>(p[l])->d;
                        for (int i = 0; i < 4; ++i) {
                          const int row = (l >> 2) + 8 * (i >> 1), column = 2 * (l & 3) + (i & 1);
                          float sum = d_of[i];
                          for (int k = 0; k < 16; ++k) sum += a_of[row][k] * b_of[k][column];
                          d_of[i] = sum;
                        }
                      }
                    });
}

}  // namespace cinefuse::gpu
