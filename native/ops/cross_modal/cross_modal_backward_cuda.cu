#include "../../cuda/attend_backward.h"
#include "../../cuda/operators.h"
#include "../../cuda/portable.h"
#include "cross_modal_backward_cuda.cuh"
#include "cross_modal_cuda.cuh"
#include "cross_modal_device.h"

namespace cinefuse::gpu {

constexpr int kSpreadThreads = 128;

// dx (rows, modalities, d): dc shared by the modalities present, zeros for the others.
__global__ void __launch_bounds__(kSpreadThreads)
    cross_modal_spread_kernel(int64_t numbers, int modalities, int64_t d, const uint8_t* present,
                              const float* dc, float* dx) {
  const int64_t at = int64_t{blockIdx.x} * kSpreadThreads + threadIdx.x;
  if (at >= numbers) return;
  const int64_t vector = at / d, row = vector / modalities;
  int count = 0;
  for (int i = 0; i < modalities; ++i) count += !present || present[row * modalities + i] != 0;
  const bool there = !present || present[vector] != 0;
  dx[at] = there ? dc[row * d + (at - vector * d)] / static_cast<float>(count) : 0.f;
}

// What forward leaves: of each block the vectors that went in, and what it leaves itself; at last those that
// came out. Absent vectors go in as zeros, are attended to by none and get no gradient.
struct CrossModalSaved {
  std::vector<float*> x, block;
  int64_t floats = 0;

  CrossModalSaved(const CrossModalWeights& w, int64_t batch, int64_t modalities, float* base) {
    for (int64_t i = 0; i <= w.blocks; ++i) {
      x.push_back(base ? base + floats : nullptr);
      floats += batch * modalities * w.d;
      if (i == w.blocks) break;
      block.push_back(base ? base + floats : nullptr);
      const CrossParams p{batch, modalities, modalities, nullptr, nullptr, nullptr, nullptr, true};
      floats += static_cast<int64_t>(cross_saved(w.block[i], p));
    }
  }
};

size_t cross_modal_saved(const CrossModalWeights& w, int64_t batch, int64_t modalities) {
  return static_cast<size_t>(CrossModalSaved(w, batch, modalities, nullptr).floats);
}

void cross_modal_forward(const CrossModalWeights& w, int64_t batch, int64_t m, const float* h,
                         const uint8_t* mask, float* c, float* memory, Call& call) {
  const CrossModalSaved saved(w, batch, m, memory);
  copy_present(call, batch * m, w.d, mask, h, saved.x[0]);
  for (size_t i = 0; i < saved.block.size(); ++i) {
    const CrossParams p{batch, m, m, saved.x[i], saved.x[i], mask, saved.x[i + 1], true};
    cross_forward(w.block[i], p, saved.block[i], call);
  }
  mean_of_present(call, batch, static_cast<int>(m), w.d, mask, saved.x.back(), c);
}

void cross_modal_backward(const CrossModalWeights& w, int64_t batch, int64_t m, const float*,
                          const uint8_t* mask, const float* memory, const CrossModalGradients& g,
                          Call& call) {
  const CrossModalSaved saved(w, batch, m, const_cast<float*>(memory));
  const int64_t numbers = batch * m * w.d;
  float* dy = call.scratch<float>(numbers);
  float* dx = call.scratch<float>(numbers);
  float* const dctx = call.scratch<float>(numbers);
  if (numbers) {
    CINEFUSE_LAUNCH(call.stream(), cross_modal_spread_kernel,
                    static_cast<unsigned>(blocks_of(numbers, kSpreadThreads)), kSpreadThreads, 0, numbers,
                    static_cast<int>(m), w.d, mask, g.dc, dy);
  }
  for (size_t i = saved.block.size(); i-- > 0;) {
    const bool wanted = i > 0 || g.dh;
    CrossGradients block = g.block[i];
    block.dy = dy;
    block.dx = wanted ? dx : nullptr;
    block.dctx = wanted ? dctx : nullptr;
    const CrossParams p{batch, m, m, saved.x[i], saved.x[i], mask, saved.x[i + 1], true};
    cross_backward(w.block[i], p, saved.block[i], block, call);
    if (!wanted) return;
    add_present(call, batch * m, w.d, nullptr, dctx, dx);
    std::swap(dx, dy);
  }
  copy_present(call, batch * m, w.d, mask, dy, g.dh);
}

static void cross_modal_backward_cuda(Call& call, const cinefuse_cross_modal_backward_params& p) {
  const int64_t vectors = p.batch * p.modalities;
  const size_t arrays = static_cast<size_t>(p.blocks * kCrossArrays);
  const auto size = [&](size_t i) {
    return CrossWeights::size_of(p.d, p.d, p.ff, static_cast<int>(i % kCrossArrays));
  };
  std::vector<In<float>> weights;
  std::vector<Out<float>> gradients;
  for (size_t i = 0; i < arrays; ++i) weights.push_back(call.in(p.weights[i], size(i)));
  const In<float> h = call.in(p.h, vectors * p.d), dc = call.in(p.dc, p.batch * p.d);
  const In<uint8_t> mask = call.in(p.mask, vectors);
  const Out<float> dh = call.out(p.dh, vectors * p.d);
  for (size_t i = 0; i < arrays; ++i) gradients.push_back(call.out(p.gradients[i], size(i)));
  call.send();
  call.compute([&] {
    std::vector<CrossWeights> blocks;
    std::vector<CrossGradients> of_blocks;
    for (size_t first = 0; first < arrays; first += kCrossArrays) {
      const float* from[kCrossArrays];
      float* to[kCrossArrays];
      for (int i = 0; i < kCrossArrays; ++i) {
        from[i] = weights[first + i].get();
        to[i] = gradients[first + i].get();
      }
      blocks.emplace_back(p.d, p.d, p.heads, p.ff, from);
      of_blocks.emplace_back(nullptr, nullptr, nullptr, kCrossArrays, to);
    }
    const CrossModalWeights w{p.d, p.blocks, blocks.data()};
    float* const saved =
        call.scratch<float>(static_cast<int64_t>(cross_modal_saved(w, p.batch, p.modalities)));
    float* const c = call.scratch<float>(p.batch * p.d);
    cross_modal_forward(w, p.batch, p.modalities, h.get(), mask.get(), c, saved, call);
    cross_modal_backward(w, p.batch, p.modalities, h.get(), mask.get(), saved,
                         {dc.get(), dh.get(), of_blocks.data()}, call);
  });
  call.receive();
}

const Operator kCrossModalBackwardOperator =
    plain_operator<cinefuse_cross_modal_backward_params, cross_modal_backward_cuda>();

}  // namespace cinefuse::gpu
