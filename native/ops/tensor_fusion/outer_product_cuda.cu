#include <algorithm>

#include "../../cuda/operators.h"
#include "fusion_order.cuh"
#include "tensor_fusion_device.h"

namespace cinefuse::gpu {

constexpr int kOuterThreads = 256;

// n / d by a multiplication, for n below 2^31.
struct FastDivision {
  uint32_t d, factor, shift;
  __device__ __forceinline__ uint32_t of(uint32_t n) const {
    return static_cast<uint32_t>((uint64_t{n} * factor) >> 32) >> shift;
  }
};

// factor = ceil(2^(31 + s) / d) with the s of 2^(s - 1) < d <= 2^s: exact for n < 2^31 (Granlund and
// Montgomery 1994). n * 1 >> 32 would be 0, so that 1 has a factor of its own.
static FastDivision fast_division(uint32_t d) {
  uint32_t s = 0;
  while ((uint64_t{1} << s) < d) ++s;
  if (s == 0) return {1, 0, 0};
  return {d, static_cast<uint32_t>(((uint64_t{1} << (31 + s)) + d - 1) / d), s - 1};
}

struct OuterArgs {
  FusionRole role[kFusionModes];
  FastDivision size[kFusionModes];  // with the 1; of modes that are not there, which come first: 1
  FastDivision width;               // of a row
  uint32_t n;                       // rows * width
  float* z;
};

// z[row][i][j]... = h_1'[row][i] h_2'[row][j] ..., four numbers a thread. z: (rows, product of the sizes).
__global__ void __launch_bounds__(kOuterThreads) outer_product_kernel(OuterArgs p) {
  const auto divide = [](uint32_t n, const FastDivision& by) { return by.d == 1 ? n : by.of(n); };
  for (uint32_t at = 4 * (blockIdx.x * kOuterThreads + threadIdx.x); at < p.n;
       at += 4 * kOuterThreads * gridDim.x) {
    uint32_t row = divide(at, p.width), left = at - row * p.width.d;
    uint32_t i[kFusionModes];
#pragma unroll
    for (int m = kFusionModes - 1; m >= 0; --m) {
      const uint32_t next = divide(left, p.size[m]);
      i[m] = left - next * p.size[m].d;
      left = next;
    }
    float lead = 0.f, v[4];
    bool moved = true;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      v[e] = 0.f;
      if (at + e < p.n) {
        if (moved) {
          lead = fusion_value(p.role[0], row, static_cast<int>(i[0]));
          lead *= fusion_value(p.role[1], row, static_cast<int>(i[1]));
          lead *= fusion_value(p.role[2], row, static_cast<int>(i[2]));
        }
        v[e] = lead * fusion_value(p.role[3], row, static_cast<int>(i[3]));
      }
      moved = ++i[3] == p.size[3].d;
      if (moved) {
        i[3] = 0;
        if (++i[2] == p.size[2].d) {
          i[2] = 0;
          if (++i[1] == p.size[1].d) {
            i[1] = 0;
            if (++i[0] == p.size[0].d) {
              i[0] = 0;
              ++row;
            }
          }
        }
      }
    }
    if (at + 4 <= p.n) {
      store4(p.z + at, make_float4(v[0], v[1], v[2], v[3]));
    } else {
      for (uint32_t e = 0; at + e < p.n; ++e) p.z[at + e] = v[e];
    }
  }
}

static void outer_product_cuda(Call& call, const cinefuse_outer_product_params& params) {
  const int modes = static_cast<int>(params.modes), absent = kFusionModes - modes;
  OuterArgs p{};
  In<float> h[kFusionModes];
  uint32_t width = 1;
  for (int m = 0; m < kFusionModes; ++m) {
    const uint32_t size = m < absent ? 1 : static_cast<uint32_t>(params.d[m - absent]) + 1;
    p.size[m] = fast_division(size);
    width *= size;
    if (m >= absent) h[m] = call.in(params.h[m - absent], params.rows * params.d[m - absent]);
  }
  p.width = fast_division(width);
  p.n = static_cast<uint32_t>(params.rows) * width;
  const In<uint8_t> present = call.in(params.present, params.rows * modes);
  const Out<float> z = call.out(params.z, p.n);
  if (p.n == 0) return;
  call.send();
  for (int m = absent; m < kFusionModes; ++m) {
    p.role[m] = {h[m].get(), present.get() ? present.get() + (m - absent) : nullptr, params.d[m - absent],
                 static_cast<int32_t>(params.d[m - absent]), modes};
  }
  p.z = z.get();
  call.compute([&] {
    const int64_t blocks =
        std::min<int64_t>(blocks_of(p.n, 4 * kOuterThreads), int64_t{32} * call.device().multiprocessors());
    CINEFUSE_LAUNCH(call.stream(), outer_product_kernel, static_cast<unsigned>(blocks), kOuterThreads, 0, p);
  });
  call.receive();
}

const Operator kOuterProductOperator = plain_operator<cinefuse_outer_product_params, outer_product_cuda>();

}  // namespace cinefuse::gpu
