#include <algorithm>
#include <memory>

#include "../../native/ops/frames/frames.h"
#include "../../native/ops/mel/mel.h"
#include "bench.h"

namespace cinefuse::bench {
namespace {

Case mel_case(const char* kind, MelScaling scaling, int n_fft, int hop, int n_mels, int64_t clips,
              double seconds) {
  MelParams p{};
  p.bank = {16000, n_fft, n_mels, 0, 8000, MelScale::kSlaney, true};
  p.win_length = n_fft;
  p.hop_length = hop;
  p.window = Window::kHann;
  p.periodic = true;
  p.padding = FramePadding::kReflect;
  p.power = 2;
  p.scaling = scaling;
  p.log_factor = 1;
  p.amin = 1e-10;
  p.ref = 1;
  p.top_db = 80;
  const auto plan = mel_plan(p);
  const auto n = static_cast<int64_t>(seconds * 16000);
  const int64_t frames = mel_frames(*plan, n, -1), values = frames * mel_rows(*plan);
  auto samples = std::make_shared<std::vector<float>>(numbers(n * clips, 1));
  auto out = std::make_shared<std::vector<float>>(static_cast<size_t>(values * clips));
  Case c;
  c.name = format("mel %s %d/%d/%d, %lld clips of %g s", kind, n_fft, hop, n_mels, (long long)clips, seconds);
  c.bytes = 4. * static_cast<double>(clips * (n + values));
  c.run = [=](const Exec& exec) {
    std::vector<MelClip> list(static_cast<size_t>(clips));
    for (int64_t i = 0; i < clips; ++i) {
      MelClip& clip = list[static_cast<size_t>(i)];
      clip.samples = samples->data() + i * n;
      clip.n_samples = n;
      clip.n_frames = frames;
      clip.out = out->data() + i * values;
    }
    mel(*plan, list, exec);
  };
  return c;
}

Case frames_case(PixelFormat format_of, Rounding rounding, int32_t w, int32_t h, int64_t side,
                 int64_t count) {
  const bool yuv = format_of == PixelFormat::kNv12;
  const int64_t bytes = yuv ? int64_t{w} * h * 3 / 2 : int64_t{w} * h * 3;
  auto pixels = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(bytes * count));
  uint32_t x = 1;
  for (uint8_t& b : *pixels) b = static_cast<uint8_t>((x = x * 1664525u + 1013904223u) >> 24);
  auto p = std::make_shared<FramesParams>();
  p->transform = {side,
                  0,
                  side,
                  side,
                  ResizeFilter::kBilinear,
                  rounding,
                  1. / 255,
                  {0.485, 0.456, 0.406},
                  {0.229, 0.224, 0.225}};
  p->output = FramesOutput::kFloat32;
  for (int64_t i = 0; i < count; ++i) {
    p->images.push_back({pixels->data() + i * bytes,
                         static_cast<size_t>(bytes),
                         format_of,
                         w,
                         h,
                         0,
                         0,
                         YuvMatrix::kBt709,
                         YuvRange::kLimited,
                         ChromaSiting::kBilinearLeft,
                         {0, 0, 0}});
  }
  frames_check(*p);
  auto out = std::make_shared<std::vector<float>>(static_cast<size_t>(count * 3 * p->h * p->w));
  p->out = out->data();
  // A centre crop leaves the columns beyond it unread.
  const double read = static_cast<double>(bytes) * std::min(w, h) / w;
  Case c;
  c.name = format("frames %s %dx%d -> %lld %s, %lld pictures", yuv ? "nv12" : "rgb", w, h, (long long)side,
                  rounding == Rounding::kUint8 ? "uint8" : "float", (long long)count);
  c.bytes = static_cast<double>(count) * (read + 12. * static_cast<double>(p->h * p->w));
  c.run = [=](const Exec& exec) {
    (void)pixels;
    (void)out;
    frames(*p, exec);
  };
  return c;
}

}  // namespace

std::vector<Case> media_cases(bool small) {
  if (small) {
    return {mel_case("log", MelScaling::kLog, 400, 160, 40, 2, 0.1),
            frames_case(PixelFormat::kNv12, Rounding::kFloat, 64, 48, 16, 2),
            frames_case(PixelFormat::kRgb24, Rounding::kUint8, 40, 40, 16, 1)};
  }
  return {mel_case("log", MelScaling::kLog, 400, 160, 80, 256, 10),
          mel_case("whisper", MelScaling::kWhisper, 400, 160, 80, 64, 30),
          mel_case("decibel", MelScaling::kDecibel, 2048, 512, 128, 64, 30),
          mel_case("log", MelScaling::kLog, 400, 160, 80, 1, 10),
          frames_case(PixelFormat::kNv12, Rounding::kFloat, 1920, 1080, 224, 256),
          frames_case(PixelFormat::kNv12, Rounding::kUint8, 1920, 1080, 224, 256),
          frames_case(PixelFormat::kRgb24, Rounding::kFloat, 512, 512, 224, 512),
          frames_case(PixelFormat::kRgb24, Rounding::kUint8, 1000, 1500, 224, 64)};
}

}  // namespace cinefuse::bench
