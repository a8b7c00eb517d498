// Image transform of the encoders: uint8 picture -> RGB -> resize -> centre crop -> normalise -> planes.
//
//   y[c][i][j] = (scale * Σ_t Σ_s V[i][t] H[j][s] rgb[t][s][c] - mean[c]) / std[c]
//
// in: n pictures (height, width), uint8: rgb24, rgba (laid over `background`), gray, nv12, i420; rows `pitch`
// bytes apart. out: (n, 3, h, w) float32 or float16 bits, or one (h, w, 3) uint8 picture per image. H and V
// are the rows of `coefficients`.
//
// kUint8 is Pillow's 8-bit path, bit for bit: weights of 22 fractional bits, horizontal then vertical pass,
// each rounded and clamped to 0..255; a pass whose size does not change is skipped. kFloat rounds and clamps
// nothing after the conversion to RGB (torch's antialias=True on float tensors, with weights made in
// float64).
//
// YUV 4:2:0: chroma planes are ceil(h/2) x ceil(w/2). limited: y = (Y-16)/219, c = (C-128)/224; full: Y/255,
// (C-128)/255.
//   R = y + 2(1-Kr)Cr, B = y + 2(1-Kb)Cb, G = y - 2Kr(1-Kr)/Kg Cr - 2Kb(1-Kb)/Kg Cb, clamped to 0..1;
//   BT.601 Kr .299 Kb .114, BT.709 Kr .2126 Kb .0722. kUint8 takes 255 of it rounded, in 20-bit fixed point.
// Source: Pillow's Resample.c (its documented results), ITU-R BT.601/BT.709, torchvision's Resize and
// CenterCrop.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../core/exec.h"

namespace cinefuse {

enum class PixelFormat : int { kRgb24 = 0, kRgba, kGray, kNv12, kI420 };
enum class YuvMatrix : int { kBt601 = 0, kBt709 };
enum class YuvRange : int { kLimited = 0, kFull };
// Where chroma samples lie: kNearest repeats them; kBilinearLeft: on even luma columns, between rows (H.264's
// default); kBilinearCenter: between columns and rows (JPEG's).
enum class ChromaSiting : int { kNearest = 0, kBilinearLeft, kBilinearCenter };
enum class ResizeFilter : int { kBilinear = 0, kBicubic, kLanczos, kBox, kBilinearNoaa };
enum class Rounding : int { kUint8 = 0, kFloat };
enum class FramesOutput : int { kFloat32 = 0, kFloat16, kRgb24 };

constexpr int64_t kLargestSide = int64_t{1} << 24;  // of a picture, before and after resizing

struct FrameImage {
  const uint8_t* data;
  size_t size;
  PixelFormat format;
  int32_t width, height;
  int32_t pitch;         // bytes from row to row of the first plane; 0: no padding
  int32_t chroma_pitch;  // the same of the chroma planes; 0: what goes with `pitch`
  YuvMatrix matrix;
  YuvRange range;
  ChromaSiting chroma;
  uint8_t background[3];
};

struct FramesTransform {
  // (n, 0): the short side becomes n and the long one int(n * long / short); (h, w): exactly; (0, 0): not
  // resized.
  int64_t resize_h, resize_w;
  int64_t crop_h, crop_w;  // 0, 0: not cropped
  ResizeFilter filter;
  Rounding rounding;
  double scale;
  double mean[3], std[3];
};

// The part of the resized picture that becomes the output. Beyond the picture's edges it is 0 before
// normalisation.
struct FrameWindow {
  int64_t resized_h, resized_w;
  int64_t top, left;  // negative when the crop is larger than the picture
  int64_t h, w;
};

struct FramesParams {
  FramesTransform transform;
  FramesOutput output;
  std::vector<FrameImage> images;
  int64_t h, w;  // of every output
  void* out;     // (n, 3, h, w) float32 or uint16, or (n, h, w, 3) uint8
};

// Throws for what cannot be resized. `image` names it in errors: "images[3]".
FrameWindow frame_window(const FramesTransform& transform, int64_t width, int64_t height, const char* image);
// Fills h, w and the pitches left at 0; throws for what cannot be run. Cheap, for the JS thread.
void frames_check(FramesParams& params);
void frames(const FramesParams& params, const Exec& exec);

}  // namespace cinefuse
