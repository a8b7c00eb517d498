#include "fusion_lanes_simd.h"

#include "../../core/simd.h"

namespace {

using cinefuse::kFilms;
constexpr int kModes = 4;
constexpr int MR = CINEFUSE_W == 16 ? 12 : 6;  // rows of a register tile, two vectors wide

// The rows of `project` that are summed up for one y, and where they stand.
template <int N>
struct Sum {
  long at, period;
  V sum[N];
  float* y;

  CINEFUSE_INLINE void add(const float* lead, const V (&product)[N]) {
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) {
      sum[v] = lead ? sum[v] + load(lead + at * kFilms + v * W) * product[v] : sum[v] + product[v];
    }
    if (++at == period) flush();
  }
  CINEFUSE_INLINE void flush() {
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) {
      store(y + v * W, load(y + v * W) + sum[v]);
      sum[v] = V{};
    }
    y += kFilms;
    at = 0;
  }
};

// M rows at a distance of lda, read where they lie: three to a pointer, so that the registers suffice.
template <int M, int N>
CINEFUSE_INLINE void project_rows(int kc, const float* a, long lda, const float* panel, const float* lead,
                                  Sum<N>& sum) {
  constexpr int kPointers = (M + 2) / 3;
  const float* row[kPointers];
  V product[M][N];
#pragma GCC unroll 4
  for (int p = 0; p < kPointers; ++p) row[p] = a + 3 * p * lda;
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) product[m][v] = V{};
  }
  for (int k = 0; k < kc; ++k, panel += kFilms) {
    V x[N];
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) x[v] = load(panel + v * W);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      const float w = row[m / 3][m % 3 * lda];
#pragma GCC unroll 2
      for (int v = 0; v < N; ++v) product[m][v] += x[v] * w;
    }
#pragma GCC unroll 4
    for (int p = 0; p < kPointers; ++p) ++row[p];
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) sum.add(lead, product[m]);
}

template <int N>
CINEFUSE_INLINE void project_lanes(long rows, long period, int kc, const float* a, long lda,
                                   const float* panel, const float* lead, float* y) {
  Sum<N> sum{0, period, {}, y};
  long r = 0;
  for (; r + MR <= rows; r += MR) project_rows<MR, N>(kc, a + r * lda, lda, panel, lead, sum);
  for (; r + 3 <= rows; r += 3) project_rows<3, N>(kc, a + r * lda, lda, panel, lead, sum);
  for (; r < rows; ++r) project_rows<1, N>(kc, a + r * lda, lda, panel, lead, sum);
  if (sum.at > 0) sum.flush();
}

void project(long rows, long period, int kc, const float* a, long lda, const float* panel, const float* lead,
             int lanes, float* y) {
  for (int v = 0; v < lanes; v += 2 * W) {
    const float* l = lead ? lead + v : nullptr;
    if (lanes - v > W) {
      project_lanes<2>(rows, period, kc, a, lda, panel + v, l, y + v);
    } else {
      project_lanes<1>(rows, period, kc, a, lda, panel + v, l, y + v);
    }
  }
}

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
  CINEFUSE_INLINE int run(int most) const {  // how many of the last mode follow each other
    const int left = d[modes - 1] - i[modes - 1];
    return left < most ? left : most;
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

template <int N>
CINEFUSE_INLINE void lead_products(const Walk& walk, const float* const* h, int offset, int moved,
                                   V (&lead)[kModes][N]) {
  for (int m = moved; m < walk.modes - 1; ++m) {
    for (int v = 0; v < N; ++v) {
      const V x = load(h[m] + walk.i[m] * kFilms + offset + v * W);
      lead[m][v] = m ? lead[m - 1][v] * x : x;
    }
  }
}

template <int N>
CINEFUSE_INLINE void outer_lanes(int modes, const int* d, long k0, int kc, const float* const* h, int offset,
                                 float* z) {
  Walk walk(modes, d, k0);
  const int last = modes - 1;
  V lead[kModes][N];
  int moved = 0;
  for (int k = 0; k < kc;) {
    lead_products(walk, h, offset, moved, lead);
    const int n = walk.run(kc - k);
    const float* inner = h[last] + walk.i[last] * kFilms + offset;
    for (int j = 0; j < n; ++j, inner += kFilms, z += kFilms) {
      for (int v = 0; v < N; ++v) {
        const V x = load(inner + v * W);
        store(z + offset + v * W, last ? lead[last - 1][v] * x : x);
      }
    }
    k += n;
    if (k < kc) moved = walk.next();
  }
}

void outer(int modes, const int* d, long k0, int kc, const float* const* h, int lanes, float* z) {
  for (int v = 0; v < lanes; v += 2 * W) {
    if (lanes - v > W) {
      outer_lanes<2>(modes, d, k0, kc, h, v, z);
    } else {
      outer_lanes<1>(modes, d, k0, kc, h, v, z);
    }
  }
}

// One run of the last mode gives dh_last elementwise and one sum s; s goes up through the other modes.
template <int N>
CINEFUSE_INLINE void contract_lanes(int modes, const int* d, long k0, int kc, const float* const* h,
                                    int offset, const float* dz, float* const* dh) {
  Walk walk(modes, d, k0);
  const int last = modes - 1;
  V lead[kModes][N];
  int moved = 0;
  dz += offset;
  for (int k = 0; k < kc;) {
    lead_products(walk, h, offset, moved, lead);
    const int n = walk.run(kc - k);
    const float* inner = h[last] + walk.i[last] * kFilms + offset;
    float* to = dh[last] + walk.i[last] * kFilms + offset;
    V s[N], p[N];
    for (int v = 0; v < N; ++v) {
      s[v] = V{};
      p[v] = lead[last - 1][v];
    }
    for (int j = 0; j < n; ++j, inner += kFilms, to += kFilms, dz += kFilms) {
      for (int v = 0; v < N; ++v) {
        const V g = load(dz + v * W);
        s[v] += load(inner + v * W) * g;
        store(to + v * W, load(to + v * W) + p[v] * g);
      }
    }
    for (int m = last - 1; m >= 0; --m) {
      float* up = dh[m] + walk.i[m] * kFilms + offset;
      const float* value = h[m] + walk.i[m] * kFilms + offset;
      for (int v = 0; v < N; ++v) {
        store(up + v * W, load(up + v * W) + (m ? lead[m - 1][v] * s[v] : s[v]));
        s[v] *= load(value + v * W);
      }
    }
    k += n;
    if (k < kc) moved = walk.next();
  }
}

void contract(int modes, const int* d, long k0, int kc, const float* const* h, int lanes, const float* dz,
              float* const* dh) {
  for (int v = 0; v < lanes; v += 2 * W) {
    if (lanes - v > W) {
      contract_lanes<2>(modes, d, k0, kc, h, v, dz, dh);
    } else {
      contract_lanes<1>(modes, d, k0, kc, h, v, dz, dh);
    }
  }
}

template <int Width>
CINEFUSE_INLINE void cut_tiles(long rows, int kc, const float* from, long ld, float* to) {
  const int whole = kc / Width, left = kc % Width;
  constexpr int kAhead = 6;  // rows: they are too far apart for the processor to foresee
  for (long r = 0; r < rows; ++r, from += ld, to += Width) {
    if (r + kAhead < rows) {
      for (int k = 0; k < kc; k += 16) __builtin_prefetch(from + kAhead * ld + k);
    }
    for (int t = 0; t < whole; ++t) {
      __builtin_memcpy(to + t * rows * Width, from + t * Width, sizeof(float) * Width);
    }
    for (int i = 0; i < left; ++i) to[whole * rows * Width + i] = from[whole * Width + i];
  }
}

void cut(long rows, int kc, const float* from, long ld, int width, float* to) {
  if (width == 12) {
    cut_tiles<12>(rows, kc, from, ld, to);
  } else {
    cut_tiles<6>(rows, kc, from, ld, to);
  }
}

}  // namespace

namespace cinefuse {
CINEFUSE_SIMD_DEFINE(FusionLanesSimd, fusion_lanes_simd) = {project, outer, contract, cut};
}
