#include "tensor_fusion_simd.h"

#include "../../core/simd.h"

namespace {

constexpr int kModes = 4;
constexpr int kLanes = W == 16 ? 16 : 8;
constexpr int kVectors = kLanes / W;

// Walks the flat indices: i[m] counts a mode, the last one runs in the inner loops.
struct Walk {
  int modes;
  const int* d;
  int i[kModes];

  CINEFUSE_INLINE Walk(int modes_, const int* d_, long k) : modes(modes_), d(d_) {
    for (int m = modes - 1; m >= 0; --m) {
      i[m] = static_cast<int>(k % d[m]);
      k /= d[m];
    }
  }
  // The last mode starts again; returns the slowest mode that moved.
  CINEFUSE_INLINE int next() {
    i[modes - 1] = 0;
    int m = modes - 2;
    while (m > 0 && ++i[m] == d[m]) i[m--] = 0;
    if (m == 0) ++i[0];
    return m;
  }
};

void tile(int modes, const int* d, long k0, int kc, const float* const* h, int stride, float* out) {
  Walk walk(modes, d, k0);
  const int last = modes - 1;
  const float* inner = h[last];
  V lead[kModes][kVectors];  // lead[m]: the product of modes 0..m
  int moved = 0;
  for (int k = 0; k < kc;) {
    for (int m = moved; m < last; ++m) {
      for (int v = 0; v < kVectors; ++v) {
        const V x = load(h[m] + walk.i[m] * kLanes + v * W);
        lead[m][v] = m ? lead[m - 1][v] * x : x;
      }
    }
    const int from = walk.i[last];
    const int n = d[last] - from < kc - k ? d[last] - from : kc - k;
    V p[kVectors];
    for (int v = 0; v < kVectors; ++v) p[v] = lead[last - 1][v];
    for (int j = 0; j < n; ++j, out += stride) {
      for (int v = 0; v < kVectors; ++v) {
        store(out + v * W, p[v] * load(inner + (from + j) * kLanes + v * W));
      }
    }
    k += n;
    if (k < kc) moved = walk.next();
  }
}

void row(int modes, const int* d, long k0, int kc, const float* const* h, float* out) {
  Walk walk(modes, d, k0);
  const int last = modes - 1;
  float lead[kModes];
  int moved = 0;
  for (int k = 0; k < kc;) {
    for (int m = moved; m < last; ++m) {
      const float x = h[m][walk.i[m]];
      lead[m] = m ? lead[m - 1] * x : x;
    }
    const int from = walk.i[last];
    const int n = d[last] - from < kc - k ? d[last] - from : kc - k;
    const V p = splat(lead[last - 1]);
    for (int j = 0; j < n; j += W) store(out + k + j, p * load(h[last] + from + j));
    k += n;
    if (k < kc) moved = walk.next();
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(TensorFusionSimd, tensor_fusion_simd) = {kLanes, W, tile, row};
}
