// Uploads, tiles and launches of the image transform.
#include <algorithm>
#include <vector>

#include "../../cuda/operators.h"
#include "frames_pixels.cuh"
#include "frames_tables.h"

namespace cinefuse::gpu {
namespace {

FramesPicture upload(Call& call, const cinefuse_frames_image& image, const cinefuse_frames_geometry& g) {
  FramesPicture p{};
  const int64_t room = blocks_of(g.width, 16) * 16, half = (int64_t{g.width} + 1) / 2;
  const int64_t bytes = image.format == kFormatRgb24 ? 3 : image.format == kFormatRgba ? 4 : 1;
  const auto send = [&](int k, int64_t rows, int64_t row, int64_t pitch) {
    const In<uint8_t> plane = call.in_rows(image.plane[k], rows, row, image.pitch[k], pitch);
    p.plane[k] = static_cast<int64_t>(plane.offset());
    p.pitch[k > 0] = static_cast<int32_t>(pitch);
  };
  send(0, g.height, g.width * bytes, room * bytes);
  if (image.format == kFormatNv12) send(1, (g.height + 1) / 2, 2 * half, room);
  if (image.format == kFormatI420) {
    for (int k : {1, 2}) send(k, (g.height + 1) / 2, half, room / 2);
  }
  p.width = g.width;
  p.height = g.height;
  p.format = image.format;
  p.chroma = image.chroma;
  p.geometry = image.geometry;
  p.background = image.background[0] | image.background[1] << 8 | image.background[2] << 16;
  std::copy_n(image.yuv, 6, p.yuv);
  std::copy_n(image.fixed, 6, p.fixed);
  return p;
}

int64_t rounded_up(int64_t n, int64_t unit) { return blocks_of(n, unit) * unit; }

// Fewest tiles of at most `most` times `unit` rows that make `wanted` blocks, if so many can be had.
void choose_height(FramesLaunch& launch, int64_t h, int64_t unit, int64_t most, int64_t wanted) {
  const int64_t units = blocks_of(h, unit);
  const int64_t tiles =
      std::min(units, std::max(blocks_of(units, most), blocks_of(wanted, launch.count * launch.tiles_x)));
  launch.tile_h = static_cast<int32_t>(blocks_of(units, tiles) * unit);
  launch.tiles = static_cast<int32_t>(launch.tiles_x * blocks_of(h, launch.tile_h));
}

// The byte kernel: columns that tiles of `together` bands span, and whether they may be of several bands of
// rows.
int64_t byte_span(const FramesGeometry& g, int64_t w, int64_t together, const FramesHostTables& tables) {
  int64_t most = 0;
  for (int64_t band = 0, bands = blocks_of(w, 16); band < bands; band += together) {
    int32_t left = INT32_MAX, right = 0;
    for (int64_t i = band; i < std::min(band + together, bands); ++i) {
      const FramesBand& b = tables.bands[g.x_bands + i];
      if (b.steps == 0) continue;
      left = std::min(left, b.start);
      right = std::max(right, b.end);
    }
    if (right) most = std::max<int64_t>(most, right - left);
  }
  return most;
}
bool bands_follow(const FramesGeometry& g, int64_t h, const FramesHostTables& tables) {
  int64_t end = 0;
  for (int64_t i = 0; i < blocks_of(h, 16); ++i) {
    const FramesBand& b = tables.bands[g.y_bands + i];
    if (b.steps == 0) continue;
    // The rows that have passed end up to 15 after the band before.
    if (end + 15 - kFramesByteRows > b.start) return false;
    end = std::max<int64_t>(end, b.end);
  }
  return true;
}

// The float kernel: columns that `tile_w` outputs span.
int64_t float_span(const FramesGeometry& g, int64_t tile_w, const FramesHostTables& tables) {
  const int32_t *const first = tables.integers.data() + g.h_first, *const groups =
                                                                       tables.integers.data() + g.h_groups;
  const int64_t n = g.x1 - g.x0;
  int64_t most = 0;
  for (int64_t x = 0; x < n; ++x) {
    const int64_t last = std::min(n - 1, x + tile_w - 1);
    most = std::max<int64_t>(most,
                             int64_t{first[last] + groups[last]} * 4 - (int64_t{first[x]} * 4 & ~int64_t{7}));
  }
  return most;
}

using Geometries = std::vector<const FramesGeometry*>;

void plan_bytes(const FramesHostTables& tables, const Geometries& geometries, const FramesTarget& target,
                int64_t multiprocessors, FramesLaunch& launch) {
  bool follow = true;
  for (const FramesGeometry* g : geometries) follow = follow && bands_follow(*g, target.h, tables);
  // Of the widths of tiles the one whose blocks convert least often when some threads idle.
  int64_t best = INT64_MAX;
  for (int64_t bands = kFramesByteTile / 16; bands > 0; --bands) {
    int64_t span = 8;
    for (const FramesGeometry* g : geometries) span = std::max(span, byte_span(*g, target.w, bands, tables));
    constexpr int64_t kConversion = 4, kProducts = 1;  // about what they cost
    const int64_t rounds = blocks_of(blocks_of(span, 8) * 8, 256), tiles_x = blocks_of(target.w, 16 * bands);
    const int64_t cost = tiles_x * (kConversion * rounds + kProducts);
    if (cost >= best) continue;
    best = cost;
    launch.columns = static_cast<int32_t>(std::min<int64_t>(rounded_up(span, 8), kFramesMostColumns));
    launch.tile_w = static_cast<int32_t>(16 * bands);
    launch.tiles_x = static_cast<int32_t>(tiles_x);
  }
  choose_height(launch, target.h, 16, follow ? 8 : 1, 6 * multiprocessors);
}

int64_t widest_span(const FramesHostTables& tables, const Geometries& geometries, int64_t tile_w) {
  int64_t span = 0;
  for (const FramesGeometry* g : geometries) span = std::max(span, float_span(*g, tile_w, tables));
  return span;
}

// Tiles of the fewest threads, idle ones included; false when none are small enough for a block.
bool plan_rolling(const FramesHostTables& tables, const Geometries& geometries, const FramesTarget& target,
                  int64_t multiprocessors, FramesLaunch& launch) {
  int64_t best = INT64_MAX;
  for (int64_t tiles_x = 1; tiles_x <= target.w; tiles_x += tiles_x / 8 + 1) {
    const int64_t tile_w = blocks_of(target.w, tiles_x);
    const int64_t threads = rounded_up(widest_span(tables, geometries, tile_w), 8 * 32) / 8;
    const int64_t all = tiles_x * (threads + 8);
    if (threads > kFramesRollingThreads || all >= best) continue;
    best = all;
    launch.threads = static_cast<int32_t>(threads);
    launch.tile_w = static_cast<int32_t>(tile_w);
    launch.tiles_x = static_cast<int32_t>(blocks_of(target.w, tile_w));
  }
  if (best == INT64_MAX) return false;
  choose_height(launch, target.h, kFramesFloatRows, 16, 6 * multiprocessors);
  return true;
}

void plan_float(const FramesHostTables& tables, const Geometries& geometries, const FramesTarget& target,
                int64_t multiprocessors, FramesLaunch& launch) {
  constexpr int64_t kColumns = kFramesFloatColumns, kWidest = 256;
  int64_t tile_w = std::min<int64_t>(target.w, kWidest);
  while (tile_w > 8 && widest_span(tables, geometries, tile_w) > kColumns) tile_w = tile_w * 7 / 8;
  launch.tiles_x = static_cast<int32_t>(blocks_of(target.w, tile_w));
  launch.tile_w = static_cast<int32_t>(blocks_of(target.w, launch.tiles_x));
  launch.stretches = widest_span(tables, geometries, launch.tile_w) > kColumns;
  choose_height(launch, target.h, kFramesFloatRows, 8, 12 * multiprocessors);
}

// Finishes a launch whose kernel is wished for: another one takes what that one cannot.
void plan(const FramesHostTables& tables, const FramesTarget& target, int64_t multiprocessors,
          FramesLaunch& launch) {
  Geometries geometries;
  for (const FramesGeometry& g : tables.geometries) {
    const auto shares = [&](const FramesPicture& p) { return &tables.geometries[p.geometry] == &g; };
    const auto begin = tables.pictures.begin() + launch.first, end = begin + launch.count;
    if (std::any_of(begin, end, shares)) geometries.push_back(&g);
  }
  if (launch.kernel == kFramesBytes) return plan_bytes(tables, geometries, target, multiprocessors, launch);
  int32_t groups = 1;
  for (const FramesGeometry* g : geometries) groups = std::max(groups, g->most_groups);
  launch.lanes = 1;
  while (launch.lanes < 32 && groups / launch.lanes > 8) launch.lanes *= 2;
  if (launch.kernel == kFramesRolling && plan_rolling(tables, geometries, target, multiprocessors, launch))
    return;
  launch.kernel = kFramesFloat;
  plan_float(tables, geometries, target, multiprocessors, launch);
}

// Uploads the pictures, those together that one launch can take.
std::vector<FramesLaunch> gather(Call& call, const cinefuse_frames_params& p, FramesHostTables& tables) {
  std::vector<FramesLaunch> launches;
  for (int32_t kernel : {kFramesBytes, kFramesFloat, kFramesRolling}) {
    for (int32_t kind = 0; kind < kPixelKinds; ++kind) {
      FramesLaunch launch{};
      launch.kernel = kernel;
      launch.kind = kind;
      launch.first = static_cast<int64_t>(tables.pictures.size());
      for (int64_t i = 0; i < p.images_count; ++i) {
        const cinefuse_frames_image& image = p.images[i];
        const int32_t its_kernel = p.rounding == 0                              ? kFramesBytes
                                   : tables.geometries[image.geometry].rows < 0 ? kFramesFloat
                                                                                : kFramesRolling;
        if (its_kernel != kernel || pixels_of(image.format, image.chroma) != kind) continue;
        tables.pictures.push_back(upload(call, image, p.geometries[image.geometry]));
        tables.pictures.back().index = i;
        ++launch.count;
      }
      if (launch.count) launches.push_back(launch);
    }
  }
  return launches;
}

void frames_cuda(Call& call, const cinefuse_frames_params& p) {
  FramesHostTables tables;
  for (int64_t i = 0; i < p.geometries_count; ++i) add_geometry(p.geometries[i], p, tables);
  std::vector<FramesLaunch> launches = gather(call, p, tables);
  FramesTarget target{};
  target.output = p.output;
  target.h = static_cast<int32_t>(p.h);
  target.w = static_cast<int32_t>(p.w);
  std::copy_n(p.scale, 3, target.scale);
  std::copy_n(p.shift, 3, target.shift);
  for (FramesLaunch& launch : launches) plan(tables, target, call.device().multiprocessors(), launch);

  const auto send = [&](const auto& list) { return call.in(list.data(), static_cast<int64_t>(list.size())); };
  const auto pictures = send(tables.pictures);
  const auto geometries = send(tables.geometries);
  const auto bands = send(tables.bands);
  const auto words = send(tables.words);
  const auto integers = send(tables.integers);
  const auto weights = send(tables.weights);
  const auto rows = send(tables.rows);
  const In<float> levels = call.in(p.levels, 3 * 256);
  const int64_t bytes = p.output == kOutputFloat32 ? 4 : p.output == kOutputFloat16 ? 2 : 1;
  const Out<uint8_t> out = call.out(static_cast<uint8_t*>(p.out), p.images_count * 3 * p.h * p.w * bytes);
  call.send();
  target.out = out.get();
  const FramesTables device = {reinterpret_cast<const uint8_t*>(call.inputs()),
                               pictures.get(),
                               geometries.get(),
                               bands.get(),
                               words.get(),
                               integers.get(),
                               weights.get(),
                               rows.get(),
                               levels.get()};
  constexpr decltype(&frames_bytes) kKernels[] = {frames_bytes, frames_float, frames_rolling};
  call.compute([&] {
    for (const FramesLaunch& launch : launches)
      kKernels[launch.kernel](call.stream(), device, target, launch);
  });
  call.receive();
}

}  // namespace

const Operator kFramesOperator = plain_operator<cinefuse_frames_params, frames_cuda>();

}  // namespace cinefuse::gpu
