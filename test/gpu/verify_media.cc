#include <algorithm>
#include <cstring>

#include "../../native/ops/frames/frames.h"
#include "../../native/ops/mel/mel.h"
#include "../../native/ops/optical_flow/optical_flow.h"
#include "verify.h"

namespace cinefuse::verify {
namespace {

MelParams mel_params(int n_fft, int n_mels) {
  MelParams p{};
  p.bank = {16000, n_fft, n_mels, 20, 8000, MelScale::kSlaney, true};
  p.win_length = n_fft;
  p.hop_length = std::max(1, n_fft / 4);
  p.window = Window::kHann;
  p.periodic = true;
  p.padding = FramePadding::kReflect;
  p.preemphasis = 0.97;
  p.power = 2;
  p.scaling = MelScaling::kPower;
  p.log_factor = 1;
  p.amin = 1e-10;
  p.ref = 1;
  p.top_db = 80;
  return p;
}

void mels(Suite& suite) {
  Random random(30);
  struct Case {
    const char* name;
    MelParams params;
    float tolerance;
  };
  std::vector<Case> cases;
  for (int n_fft : {16, 400, 512, 1024, 2048, 1000, 441, 397, 6000}) {
    cases.push_back({"power", mel_params(n_fft, n_fft < 64 ? 4 : 40), 2e-5f});
  }
  Case logarithm{"log", mel_params(400, 80), 1e-4f};
  logarithm.params.scaling = MelScaling::kLog;
  logarithm.params.frames_first = true;
  cases.push_back(logarithm);
  Case decibel{"decibel", mel_params(1024, 64), 1e-4f};
  decibel.params.scaling = MelScaling::kDecibel;
  decibel.params.ref = 0;
  decibel.params.padding = FramePadding::kZero;
  cases.push_back(decibel);
  Case whisper{"whisper", mel_params(400, 80), 1e-4f};
  whisper.params.scaling = MelScaling::kWhisper;
  whisper.params.hop_length = 160;
  whisper.params.drop_last = true;
  whisper.params.pad_to = 8000;
  cases.push_back(whisper);
  Case kaldi{"kaldi", mel_params(512, 40), 1e-4f};
  kaldi.params.bank.scale = MelScale::kKaldi;
  kaldi.params.win_length = 400;
  kaldi.params.hop_length = 160;
  kaldi.params.window = Window::kPovey;
  kaldi.params.periodic = false;
  kaldi.params.padding = FramePadding::kNone;
  kaldi.params.kaldi_frames = true;
  kaldi.params.scaling = MelScaling::kLog;
  kaldi.params.frames_first = true;
  cases.push_back(kaldi);
  Case bins{"bins", mel_params(512, kNoMels), 2e-5f};
  bins.params.power = 1;
  cases.push_back(bins);

  for (const Case& c : cases) {
    const auto plan = mel_plan(c.params);
    std::vector<int64_t> sizes = {c.params.bank.n_fft + 3, 5000, 1237};
    if (!suite.small()) sizes.insert(sizes.end(), {160000, 7, 48001});
    if (c.params.kaldi_frames) sizes.erase(std::remove(sizes.begin(), sizes.end(), 7), sizes.end());
    std::vector<std::vector<float>> samples;
    for (int64_t n : sizes) samples.push_back(random.numbers(n, 0.5f));
    int64_t total = 0;
    std::vector<int64_t> frames;
    for (int64_t n : sizes) {
      frames.push_back(mel_frames(*plan, n, -1));
      total += frames.back() * mel_rows(*plan);
    }
    suite.compare(format("mel %s nFft %d, %zu clips", c.name, c.params.bank.n_fft, sizes.size()), total,
                  c.tolerance, true, [&](const Exec& exec, float* out) {
                    std::vector<MelClip> clips(sizes.size());
                    for (size_t i = 0; i < sizes.size(); ++i) {
                      clips[i].samples = samples[i].data();
                      clips[i].n_samples = sizes[i];
                      clips[i].n_frames = frames[i];
                      clips[i].out = out;
                      out += frames[i] * mel_rows(*plan);
                    }
                    mel(*plan, clips, exec);
                  });
  }
  const auto plan = mel_plan(mel_params(400, 40));
  std::vector<float> spoiled = random.numbers(3000);
  spoiled[1234] = NAN;
  suite.refuse("mel: a sample that is NaN", Code::kInputValue, "samples", [&](const Exec& exec) {
    std::vector<MelClip> clips(1);
    std::vector<float> out(static_cast<size_t>(mel_frames(*plan, 3000, -1) * mel_rows(*plan)));
    clips[0].samples = spoiled.data();
    clips[0].n_samples = 3000;
    clips[0].n_frames = mel_frames(*plan, 3000, -1);
    clips[0].out = out.data();
    mel(*plan, clips, exec);
  });
  for (double ref : {0., 1.}) {
    std::vector<float> s = random.numbers(suite.small() ? 2000 : 100000);
    for (float& x : s) x *= x;
    suite.compare(format("power_to_db ref %g", ref), static_cast<int64_t>(s.size()), 1e-5f, true,
                  [&](const Exec& exec, float* y) {
                    power_to_db({ref, 1e-10, 80, static_cast<int64_t>(s.size()), s.data(), y}, exec);
                  });
  }
}

int64_t picture_bytes(PixelFormat format, int64_t w, int64_t h) {
  const int64_t chroma = ((w + 1) / 2) * ((h + 1) / 2) * 2;
  switch (format) {
    case PixelFormat::kRgb24:
      return w * h * 3;
    case PixelFormat::kRgba:
      return w * h * 4;
    case PixelFormat::kGray:
      return w * h;
    default:
      return w * h + chroma;
  }
}

void pictures(Suite& suite) {
  Random random(31);
  struct Shape {
    int64_t w, h, resize_h, resize_w, crop_h, crop_w;
  };
  std::vector<Shape> shapes = {{1, 1, 3, 5, 0, 0},
                               {37, 23, 16, 0, 12, 12},
                               {64, 48, 0, 0, 32, 40},
                               {50, 70, 90, 33, 100, 20},
                               {199, 101, 24, 24, 0, 0}};
  if (!suite.small())
    shapes.insert(shapes.end(), {{1920, 1080, 224, 0, 224, 224},
                                 {1279, 719, 256, 0, 224, 224},
                                 {4096, 2160, 32, 32, 0, 0},
                                 {320, 240, 900, 1200, 0, 0}});
  for (const Shape& s : shapes) {
    for (PixelFormat f : {PixelFormat::kRgb24, PixelFormat::kRgba, PixelFormat::kGray, PixelFormat::kNv12,
                          PixelFormat::kI420}) {
      for (ResizeFilter filter : {ResizeFilter::kBilinear, ResizeFilter::kBicubic, ResizeFilter::kLanczos,
                                  ResizeFilter::kBox, ResizeFilter::kBilinearNoaa}) {
        const size_t count = 3;
        std::vector<std::vector<uint8_t>> bytes(count);
        std::vector<FrameImage> images;
        for (size_t i = 0; i < count; ++i) {
          bytes[i].resize(static_cast<size_t>(picture_bytes(f, s.w, s.h)));
          for (uint8_t& b : bytes[i]) b = static_cast<uint8_t>(random.bits());
          const auto pick = static_cast<int>(random.integer(0, 2));
          images.push_back({bytes[i].data(),
                            bytes[i].size(),
                            f,
                            static_cast<int32_t>(s.w),
                            static_cast<int32_t>(s.h),
                            0,
                            0,
                            i % 2 ? YuvMatrix::kBt709 : YuvMatrix::kBt601,
                            i % 2 ? YuvRange::kFull : YuvRange::kLimited,
                            static_cast<ChromaSiting>(pick),
                            {10, 200, 30}});
        }
        for (Rounding rounding : {Rounding::kUint8, Rounding::kFloat}) {
          // Pillow's 8-bit path has no filter without antialiasing; the check refuses it on both sides alike.
          if (rounding == Rounding::kUint8 && filter == ResizeFilter::kBilinearNoaa) continue;
          FramesParams p{};
          p.transform = {s.resize_h,
                         s.resize_w,
                         s.crop_h,
                         s.crop_w,
                         filter,
                         rounding,
                         1. / 255,
                         {0.485, 0.456, 0.406},
                         {0.229, 0.224, 0.225}};
          p.images = images;
          p.output = FramesOutput::kFloat32;
          frames_check(p);
          const int64_t n = static_cast<int64_t>(count) * 3 * p.h * p.w;
          const std::string name = format("frames %lldx%lld format %d filter %d %s", (long long)s.w,
                                          (long long)s.h, static_cast<int>(f), static_cast<int>(filter),
                                          rounding == Rounding::kUint8 ? "uint8" : "float");
          suite.compare(name, n, 2e-5f, true, [&](const Exec& exec, float* out) {
            FramesParams mine = p;
            mine.out = out;
            frames(mine, exec);
          });
          if (rounding != Rounding::kUint8) continue;
          p.output = FramesOutput::kRgb24;
          suite.equal(name + " bytes", n, [&](const Exec& exec, uint8_t* out) {
            FramesParams mine = p;
            mine.out = out;
            frames(mine, exec);
          });
        }
      }
    }
  }
}

// A pattern that moves, of sizes around a tile, in several levels; bytes and floats.
void flows(Suite& suite) {
  struct Shape {
    int64_t n, height, width;
  };
  for (const Shape& z : std::vector<Shape>{{2, 1, 1}, {2, 5, 33}, {3, 33, 47}, {9, 90, 160}, {3, 360, 641}}) {
    if (suite.small() && z.n * z.height * z.width > 6000) continue;
    std::vector<float> floats;
    std::vector<uint8_t> bytes;
    for (int64_t i = 0; i < z.n; ++i) {
      for (int64_t y = 0; y < z.height; ++y) {
        for (int64_t x = 0; x < z.width; ++x) {
          const double p = x - 1.5 * i, q = y + 0.75 * i;
          floats.push_back(static_cast<float>(128 + 40 * std::sin(0.4 * p + 0.2 * q) +
                                              35 * std::cos(0.35 * q - 0.15 * p) +
                                              20 * std::sin(0.9 * p) * std::cos(0.7 * q)));
          bytes.push_back(static_cast<uint8_t>(floats.back()));
        }
      }
    }
    for (const bool of_bytes : {false, true}) {
      OpticalFlowParams p{};
      p.n = z.n;
      p.height = z.height;
      p.width = z.width;
      p.iterations = 3;
      p.window = 2.5f;
      p.regularization = 1e-3f;
      if (of_bytes) {
        p.bytes = bytes.data();
      } else {
        p.floats = floats.data();
      }
      const std::string name = format("optical flow of %lld x %lld x %lld%s", (long long)z.n,
                                      (long long)z.height, (long long)z.width, of_bytes ? " bytes" : "");
      suite.compare(name, 2 * (z.n - 1) * z.height * z.width, 1e-3f, true, [=](const Exec& exec, float* out) {
        OpticalFlowParams own = p;
        own.flow = out;
        optical_flow(own, exec);
      });
    }
  }
}

}  // namespace

void verify_media(Suite& suite) {
  mels(suite);
  pictures(suite);
  flows(suite);
}

}  // namespace cinefuse::verify
