// The tables of the image transform on their way to the device.
#pragma once
#include <vector>

#include "frames_cuda.cuh"

namespace cinefuse::gpu {

struct FramesHostTables {
  std::vector<FramesPicture> pictures;
  std::vector<FramesGeometry> geometries;
  std::vector<FramesBand> bands;
  std::vector<uint32_t> words;
  std::vector<int32_t> integers;
  std::vector<float> weights;
  std::vector<FramesRow> rows;
};

// Adds what pictures of one size share, for the kernels of its rounding.
void add_geometry(const cinefuse_frames_geometry& geometry, const cinefuse_frames_params& params,
                  FramesHostTables& tables);

}  // namespace cinefuse::gpu
