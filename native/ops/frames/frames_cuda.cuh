// What the frames kernels and their launcher share: the tables that go up with the pictures.
#pragma once
#include "../../cuda/device.h"
#include "frames_device.h"

namespace cinefuse::gpu {

// enum class PixelFormat, ChromaSiting, FramesOutput of frames.h, which is the addon's.
enum : int32_t { kFormatRgb24 = 0, kFormatRgba, kFormatGray, kFormatNv12, kFormatI420 };
enum : int32_t { kChromaNearest = 0, kChromaLeft, kChromaCenter };
enum : int32_t { kOutputFloat32 = 0, kOutputFloat16, kOutputRgb24 };

// A picture in device memory. Rows begin at multiples of 16 bytes and have room for a multiple of 16 pixels
// (I420's chroma: 8), so whole vectors may be read; what lies beyond `width` must not show.
struct FramesPicture {
  int64_t plane[3];  // bytes from the start of the upload
  int64_t index;     // in the batch
  int32_t pitch[2];  // of the first plane, and of the others
  int32_t width, height;
  int32_t format, chroma, geometry;
  uint32_t background;  // R, G, B, 0 from the lowest byte up
  float yuv[6];
  int32_t fixed[6];
};

// 16 outputs of one pass as the byte kernel takes them: matrices of 16 outputs by 32 samples, `steps` of them
// side by side from sample `start`, which 8 divides; no sample from `end` on counts. As the left operands of
// mma_m16n8k32_s8u8: [step][three parts of the weights, lowest first][lane][4 words], lane (g, t) holding of
// outputs g and g + 8 samples 8 t ... 8 t + 7 of the step.
struct FramesBand {
  int32_t start, end, steps, reserved;
  int64_t at;  // word of `weights`
};

// A row of the picture where it counts for two rows of the output at most: row `output` of those that show
// the picture, and the next. All before it are complete.
struct FramesRow {
  int32_t output;
  float now, next;
  int32_t reserved;
};

// What pictures of one size share. Horizontal passes in float32: output i is the sum over `groups[i]` groups
// of 4 samples from sample 4 * first[i].
struct FramesGeometry {
  int64_t x_bands, y_bands;  // of the byte kernel: index of the first band, one for every 16 outputs
  int64_t rows;              // of the rolling kernel, one for every row and two more; -1: not for it
  // Of the float kernels: where the first entry of each array lies.
  int64_t h_first, h_groups, h_weights;  // weights (n, most_groups, 4)
  int64_t v_first, v_count, v_weights;   // weights (n, v_taps)
  int32_t most_groups, v_taps;
  int32_t x0, x1, y0, y1;  // the part of the output that shows the picture
};

struct FramesTables {
  const uint8_t* base;  // of the upload
  const FramesPicture* pictures;
  const FramesGeometry* geometries;
  const FramesBand* bands;
  const uint32_t* words;    // FramesBand's weights
  const int32_t* integers;  // FramesGeometry's first, groups, count
  const float* weights;     // FramesGeometry's weights
  const FramesRow* rows;
  const float* levels;  // (3, 256)
};

// Where the results go.
struct FramesTarget {
  void* out;
  int32_t output;
  int32_t h, w;
  float scale[3], shift[3];
};

enum : int32_t { kFramesBytes = 0, kFramesFloat, kFramesRolling };

// Pictures [first, first + count) of the table, all of one kind (frames_pixels.cuh), through one kernel: one
// block a picture and tile.
struct FramesLaunch {
  int32_t kernel, kind;
  int32_t tile_h, tile_w, tiles_x, tiles;  // `tiles` of a picture
  int32_t threads;                         // of a block of the rolling kernel
  int32_t columns;                         // of a picture that a block holds at a time, a multiple of 8
  int32_t lanes;      // threads that share an output of a float kernel, a power of two up to 32
  int32_t stretches;  // whether a block of the float kernel needs more columns than these
  int64_t first, count;
};

constexpr int kFramesByteTile = 64;         // outputs of a row that a block of the byte kernel makes
constexpr int kFramesByteRows = 64;         // rows that it remembers after the horizontal pass
constexpr int kFramesFloatRows = 4;         // rows that a block of the float kernels makes together
constexpr int kFramesRollingThreads = 160;  // of a block of the rolling kernel at most, each with 8 columns
constexpr int kFramesFloatColumns = 512;    // of the picture that a block of the float kernel holds at a time
constexpr int kFramesMostColumns = 1024;    // samples of a row that a block holds at a time

void frames_bytes(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                  const FramesLaunch& launch);
void frames_float(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                  const FramesLaunch& launch);
void frames_rolling(cudaStream_t stream, const FramesTables& tables, const FramesTarget& target,
                    const FramesLaunch& launch);

}  // namespace cinefuse::gpu
