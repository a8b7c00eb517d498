#include "matrix.h"

namespace cinefuse::gpu {

namespace {

// D is spread over the lanes as mma.sync has it; a_of: (16, K), b_of: (K, 8). Sums from the first k to the
// last, in float32.
template <int K>
void multiply_tile(void** lanes, const float (&a_of)[16][K], const float (&b_of)[K][8]) {
  float d_of[16][8];
  for (int l = 0; l < 32; ++l) {
    const float* const d = static_cast<const MatrixArguments*>(lanes[l])->d;
    for (int i = 0; i < 4; ++i) d_of[(l >> 2) + 8 * (i >> 1)][2 * (l & 3) + (i & 1)] = d[i];
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < K; ++k) {
      for (int column = 0; column < 8; ++column) d_of[row][column] += a_of[row][k] * b_of[k][column];
    }
  }
  for (int l = 0; l < 32; ++l) {
    float* const d = static_cast<const MatrixArguments*>(lanes[l])->d;
    for (int i = 0; i < 4; ++i) d[i] = d_of[(l >> 2) + 8 * (i >> 1)][2 * (l & 3) + (i & 1)];
  }
}

}  // namespace

void multiply_m16n8k8_tf32(void** lanes) {
  constexpr uint32_t kRead = 0xffffe000u;  // the units read no more, of an operand that was not rounded too
  float a_of[16][8], b_of[8][8];
  for (int l = 0; l < 32; ++l) {
    const auto* lane = static_cast<const MatrixArguments*>(lanes[l]);
    const int g = l >> 2, t = l & 3;
    for (int i = 0; i < 4; ++i) a_of[g + 8 * (i & 1)][t + 4 * (i >> 1)] = __uint_as_float(lane->a[i] & kRead);
    for (int i = 0; i < 2; ++i) b_of[t + 4 * i][g] = __uint_as_float(lane->b[i] & kRead);
  }
  multiply_tile<8>(lanes, a_of, b_of);
}

void multiply_m16n8k16_bf16(void** lanes) {
  float a_of[16][16], b_of[16][8];
  for (int l = 0; l < 32; ++l) {
    const auto* lane = static_cast<const MatrixArguments*>(lanes[l]);
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
  multiply_tile<16>(lanes, a_of, b_of);
}

}  // namespace cinefuse::gpu
