#include "../sequence_attention/cross_weights_node.h"
#include "cross_modal.h"

namespace cinefuse {

// crossModalBackward(exec, cancel, features, heads, hidden, blocks, weights, batch, modalities, h, mask?, dc)
// -> [dh, ...gradients of the weights], the weights of all blocks one after the other
Napi::Value cross_modal_backward_node(const Napi::CallbackInfo& info) {
  Call call(info);
  CrossWeights shape{};
  shape.width = shape.context_width = call.integer(2, "features");
  shape.heads = call.integer(3, "heads");
  shape.ff = call.integer(4, "hidden");
  cross_check(shape);
  CINEFUSE_REQUIRE(shape.ff >= 1, Code::kShape, "hidden", "Expected a hidden layer of 1 or more, received 0");
  const int64_t blocks = call.integer(5, "blocks");
  CINEFUSE_REQUIRE(blocks >= 1 && blocks <= kMaxCrossBlocks, Code::kShape, "blocks",
                   "Expected 1..%lld blocks, received %lld", static_cast<long long>(kMaxCrossBlocks),
                   static_cast<long long>(blocks));
  const std::vector<Span<const float>> weights = call.f32_list(6, "weights");
  CINEFUSE_REQUIRE(weights.size() == static_cast<size_t>(16 * blocks), Code::kShape, "weights",
                   "Expected %lld weights, received %zu", static_cast<long long>(16 * blocks),
                   weights.size());
  const auto block = std::make_shared<std::vector<CrossWeights>>(static_cast<size_t>(blocks), shape);
  for (size_t i = 0; i < block->size(); ++i) {
    const auto first = weights.begin() + static_cast<int64_t>(16 * i);
    read_cross_weights({first, first + 16}, (*block)[i]);
  }
  ModalityAttentionParams p{};
  p.batch = call.integer(7, "batch");
  p.modalities = call.integer(8, "modalities");
  const Span<const float> h = call.f32(9, "h");
  const Span<const uint8_t> mask = call.absent(10) ? Span<const uint8_t>{} : call.u8(10, "mask");
  const Span<const float> dc = call.f32(11, "dc");
  p.h = h.data;
  p.mask = mask.data;
  ModalityAttention layer;
  layer.d = shape.width;
  CINEFUSE_REQUIRE(p.modalities >= 1 && p.modalities <= kMaxCrossModalities, Code::kShape, "modalities",
                   "Expected 1..%lld modalities, received %lld", static_cast<long long>(kMaxCrossModalities),
                   static_cast<long long>(p.modalities));
  modality_attention_check_rows(layer, p, h.size, mask.size);
  CINEFUSE_REQUIRE(dc.size == static_cast<size_t>(p.batch * shape.width), Code::kShape, "dc",
                   "Expected %lld elements for dc of shape (batch, features), received %zu",
                   static_cast<long long>(p.batch * shape.width), dc.size);
  float* const dh = call.out_f32(12, "dh", h.size).data;
  const auto gradients = std::make_shared<std::vector<CrossGradients>>(static_cast<size_t>(blocks));
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::vector<float**> to = cross_gradient_arrays((*gradients)[i / 16]);
    *to[i % 16] = call.out_f32(13 + i, "gradients", weights[i].size).data;
  }
  return call.run([=, dc = dc.data](const Exec& exec) {
    cross_modal_gradients({shape.width, blocks, block->data()}, p, {dc, dh, gradients->data()}, exec);
  });
}

}  // namespace cinefuse
