#include "../../node/boundary.h"
#include "word_vectors.h"

namespace cinefuse {

// wordVectors(exec, cancel, tokens, rows, stride, in, out, keep, cut, other, window, negatives, skipGram,
// rate, lastRate, seed, stream) -> [in, out], changed in place
Napi::Value word_vectors_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const Span<const int32_t> tokens = call.i32(2, "tokens");
  WordVectorPass p{};
  p.tokens = tokens.data;
  p.count = static_cast<int64_t>(tokens.size);
  p.rows = call.integer(3, "rows");
  p.stride = call.integer(4, "stride");
  const Span<const float> in = call.f32(5, "in"), out = call.f32(6, "out");
  const Span<const float> keep = call.f32(7, "keep"), cut = call.f32(8, "cut");
  const Span<const int32_t> other = call.i32(9, "other");
  p.keep = keep.data;
  p.cut = cut.data;
  p.other = other.data;
  p.window = call.int32(10, "window");
  p.negatives = call.int32(11, "negative");
  p.skip_gram = call.boolean(12, "skipGram");
  p.rate = call.float32(13, "learningRate");
  p.last_rate = call.float32(14, "learningRate");
  p.seed = static_cast<uint64_t>(call.integer(15, "seed"));
  p.stream = static_cast<uint64_t>(call.integer(16, "stream"));
  word_vectors_check(p, {in.size, out.size, keep.size, cut.size, other.size});
  p.in = call.out_f32(5, "in", in.size).data;
  p.out = call.out_f32(6, "out", out.size).data;
  return call.run([=](const Exec& exec) { word_vectors(p, exec); });
}

}  // namespace cinefuse
