#include "../../node/boundary.h"
#include "frames.h"

namespace cinefuse {
namespace {

constexpr int kDescription = 11;  // integers that describe one image, in the order of lib/ops/frames.ts

FramesTransform read_transform(const Call& call, size_t first) {
  FramesTransform t{};
  t.resize_h = call.integer(first, "resize");
  t.resize_w = call.integer(first + 1, "resize");
  t.crop_h = call.integer(first + 2, "crop");
  t.crop_w = call.integer(first + 3, "crop");
  return t;
}

}  // namespace

// frames(exec, cancel, data[], descriptions, resizeH, resizeW, cropH, cropW, filter, rounding, scale, mean0,
// mean1,
//        mean2, std0, std1, std2, output, out?) -> y
Napi::Value frames_node(const Napi::CallbackInfo& info) {
  Call call(info);
  FramesParams params{};
  const std::vector<Span<const uint8_t>> data = call.u8_list(2, "images");
  const Span<const int32_t> descriptions = call.i32(3, "descriptions");
  CINEFUSE_REQUIRE(descriptions.size == kDescription * data.size(), Code::kInternal, "descriptions",
                   "Expected %zu integers for descriptions, received %zu", kDescription * data.size(),
                   descriptions.size);
  for (size_t i = 0; i < data.size(); ++i) {
    const int32_t* d = descriptions.data + i * kDescription;
    FrameImage image{};
    image.data = data[i].data;
    image.size = data[i].size;
    image.format = static_cast<PixelFormat>(d[0]);
    image.width = d[1];
    image.height = d[2];
    image.pitch = d[3];
    image.chroma_pitch = d[4];
    image.matrix = static_cast<YuvMatrix>(d[5]);
    image.range = static_cast<YuvRange>(d[6]);
    image.chroma = static_cast<ChromaSiting>(d[7]);
    for (int c = 0; c < 3; ++c) image.background[c] = static_cast<uint8_t>(d[8 + c]);
    params.images.push_back(image);
  }
  params.transform = read_transform(call, 4);
  params.transform.filter = static_cast<ResizeFilter>(call.int32(8, "filter"));
  params.transform.rounding = static_cast<Rounding>(call.int32(9, "rounding"));
  params.transform.scale = call.number(10, "scale");
  for (int c = 0; c < 3; ++c) {
    params.transform.mean[c] = call.number(11 + c, "mean");
    params.transform.std[c] = call.number(14 + c, "std");
  }
  params.output = static_cast<FramesOutput>(call.int32(17, "output"));
  frames_check(params);
  const size_t size =
      params.images.size() * 3 * static_cast<size_t>(params.h) * static_cast<size_t>(params.w);
  switch (params.output) {
    case FramesOutput::kFloat32:
      params.out = call.out_f32(18, "out", size).data;
      break;
    case FramesOutput::kFloat16:
      params.out = call.out_u16(18, "out", size).data;
      break;
    default:
      params.out = call.out_u8(18, "out", size).data;
  }
  return call.run([params](const Exec& exec) { frames(params, exec); });
}

// framesSize(exec, cancel, width, height, resizeH, resizeW, cropH, cropW) -> [height, width] of the output
Napi::Value frames_size_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const int64_t width = call.integer(2, "width"), height = call.integer(3, "height");
  const FrameWindow window = frame_window(read_transform(call, 4), width, height, "image");
  Napi::Array size = Napi::Array::New(call.env());
  size.Set(uint32_t{0}, static_cast<double>(window.h));
  size.Set(uint32_t{1}, static_cast<double>(window.w));
  return size;
}

}  // namespace cinefuse
