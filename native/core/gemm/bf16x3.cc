#include "bf16x3.h"

#include <algorithm>
#include <cstring>

#include "../pool.h"
#include "bf16x3_simd.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace cinefuse {
namespace {

constexpr int kPairs = kBlock / 2;
static_assert(kPairs % 16 == 0, "whole tiles");
constexpr int kGroupRows = 264;  // rows of A that are split at a time: 400 KB, within L2
constexpr int kWidth = 16;       // of a tile of A on its way
constexpr float kZeros[kPanel] = {};

#if defined(__x86_64__)
// Leaf 7 of cpuid: bits of EDX of subleaf 0 and EAX of subleaf 1.
bool has_bit(unsigned subleaf, bool edx, int bit) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, subleaf, &a, &b, &c, &d)) return false;
  return ((edx ? d : a) >> bit & 1) != 0;
}
#endif

// AMX's registers are large: Linux gives them to processes that ask.
bool may_use_tiles() {
#if defined(__linux__) && defined(__x86_64__)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  if (!has_bit(0, true, 24) || !has_bit(0, true, 22)) return false;  // amx-tile, amx-bf16
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool has_dot() {
#if defined(__x86_64__)
  return has_bit(1, false, 5);  // avx512_bf16
#else
  return false;
#endif
}

struct Tiles {
  const Bf16x3Simd& simd;
  const bool hardware;
  Tiles(const Bf16x3Simd& s, bool on) : simd(s), hardware(on) {
    if (hardware) simd.begin();
  }
  ~Tiles() {
    if (hardware) simd.end();
  }
};

}  // namespace

Bf16x3Path bf16x3_path(const Exec& exec) {
  if (exec.precision == Precision::kBf16x3Software) return Bf16x3Path::kSoftwareTiles;
  const Bf16x3Simd& simd = bf16x3_simd(exec.isa);
  static const bool tiles = may_use_tiles(), dot = has_dot();
  if (simd.tiles && tiles) return Bf16x3Path::kTiles;
  if (simd.dot && dot) return Bf16x3Path::kDot;
  return Bf16x3Path::kNone;
}

void bf16x3_rectangle(const Exec& exec, const RowBlocks& blocks, const RowSource& a, const PackedMatrix& w,
                      const float* bias, int b0, int b1, int p0, int p1, float* c, int64_t ldc) {
  const Bf16x3Simd& simd = bf16x3_simd(exec.isa);
  const GemmSimd& gemm = gemm_simd(exec.isa);
  const Bf16x3Path path = bf16x3_path(exec);
  const int tall = path == Bf16x3Path::kDot ? 12 : 32;
  const int height = gemm.tile_rows;
  // A, both parts: [row][pair], with rows of zeros to fill the last tile. B, both parts. A tile of A as
  // floats in slot kGemmScratch, and split behind it.
  constexpr int64_t kRows = kGroupRows + 32;
  uint32_t* const ah =
      reinterpret_cast<uint32_t*>(thread_scratch(kGemmScratch + 1, 2 * (kRows + kPanel) * kPairs));
  uint32_t *const al = ah + kRows * kPairs, *const bh = al + kRows * kPairs, *const bl = bh + kPanel * kPairs;
  float* const scratch = thread_scratch(kGemmScratch, kBlock * 16 + kTileSlack + 2 * kPairs * kWidth);
  uint32_t* const th = reinterpret_cast<uint32_t*>(scratch + kBlock * 16 + kTileSlack);
  uint32_t* const tl = th + kPairs * kWidth;
  const Tiles configured(simd, path == Bf16x3Path::kTiles);

  const int group = std::max(1, kGroupRows / blocks.step);
  for (int g0 = b0; g0 < b1; g0 += group) {
    const int g1 = std::min(b1, g0 + group);
    const int64_t first = blocks.first(g0), rows = blocks.first(g1 - 1) + blocks.length(g1 - 1) - first;
    for (int kb = 0; kb < w.blocks(); ++kb) {
      exec.check_cancelled();
      const int kc = w.block_length(kb), pairs = (kc + 31) / 32 * 16;
      const int64_t k0 = int64_t{kb} * kBlock;
      for (int b = g0; b < g1; ++b) {
        const int n = blocks.length(b);
        if (blocks.thin) {
          const float* row[kThinRows];
          a.thin(gemm, blocks, k0, kc, scratch, row);
          // `scratch` may hold the rows: they turn by way of the split parts' place.
          float* const turned = reinterpret_cast<float*>(ah);
          for (int r = 0; r < n; ++r) {
            for (int k = 0; k < kc; ++k) turned[k * height + r] = row[r][k];
          }
          std::memcpy(scratch, turned, sizeof(float) * static_cast<size_t>(kc * height));
        } else {
          a.tile(gemm, blocks, b, k0, kc, height, scratch);
        }
        simd.split(kc, kWidth, scratch, height, th, tl);
        const int64_t at = (blocks.first(b) - first) * kPairs;
        gemm.transpose(pairs, n, reinterpret_cast<const float*>(th), kWidth,
                       reinterpret_cast<float*>(ah + at), kPairs);
        gemm.transpose(pairs, n, reinterpret_cast<const float*>(tl), kWidth,
                       reinterpret_cast<float*>(al + at), kPairs);
      }
      std::memset(ah + rows * kPairs, 0, 32 * kPairs * sizeof(uint32_t));
      std::memset(al + rows * kPairs, 0, 32 * kPairs * sizeof(uint32_t));
      for (int p = p0; p < p1; ++p) {
        const int64_t n = int64_t{p} * kPanel;
        simd.split(kc, kPanel, static_cast<const float*>(w.panel(kb, p)), kPanel, bh, bl);
        for (int64_t r = 0; r < rows; r += tall) {
          const SplitTile tile{static_cast<int>(std::min<int64_t>(tall, rows - r)),
                               static_cast<int>(std::min<int64_t>(kPanel, w.out() - n)),
                               pairs,
                               ah + r * kPairs,
                               al + r * kPairs,
                               bh,
                               bl,
                               kPairs,
                               kb > 0 ? nullptr
                               : bias ? bias + n
                                      : kZeros,
                               c + (first + r) * ldc + n,
                               ldc};
          path == Bf16x3Path::kDot     ? simd.dot(tile)
          : path == Bf16x3Path::kTiles ? simd.tiles(tile)
                                       : simd.software_tiles(tile);
        }
      }
    }
  }
}

}  // namespace cinefuse
