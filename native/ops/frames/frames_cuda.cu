// Tables, tiles and launches of the image transform.
#include <algorithm>
#include <vector>

#include "../../cuda/operators.h"
#include "frames_cuda.cuh"
#include "frames_pixels.cuh"

namespace cinefuse::gpu {
namespace {

using Pass = cinefuse_frames_pass;

struct Tables {
  std::vector<FramesPicture> pictures;
  std::vector<FramesGeometry> geometries;
  std::vector<FramesBand> bands;
  std::vector<uint32_t> words;
  std::vector<int32_t> integers;
  std::vector<float> weights;
};

int64_t append(std::vector<int32_t>& to, const int32_t* from, int64_t n) {
  to.insert(to.end(), from, from + n);
  return static_cast<int64_t>(to.size()) - n;
}

// The band of outputs [from, from + 16) of a pass whose output 0 is output `zero`.
FramesBand make_band(const Pass& pass, int64_t from, int64_t zero, std::vector<uint32_t>& words) {
  const int64_t first = std::max(from, zero), last = std::min(from + 16, zero + pass.n);
  int64_t start = INT64_MAX, end = 0;
  const auto each = [&](auto&& use) {
    for (int64_t o = first; o < last; ++o) {
      const int64_t i = o - zero;
      for (int32_t t = 0; t < pass.count[i]; ++t) {
        const int32_t w = pass.fixed[i * pass.taps + t];
        if (w) use(static_cast<int>(o - from), int64_t{pass.first[i]} + t, w);
      }
    }
  };
  each([&](int, int64_t sample, int32_t) {
    start = std::min(start, sample);
    end = std::max(end, sample + 1);
  });
  FramesBand band{};
  if (end == 0) return band;
  start = start / 8 * 8;
  band.start = static_cast<int32_t>(start);
  band.end = static_cast<int32_t>(end);
  band.steps = static_cast<int32_t>(blocks_of(end - start, 32));
  band.at = static_cast<int64_t>(words.size());
  words.resize(words.size() + static_cast<size_t>(band.steps) * 3 * 32 * 4);
  uint32_t* const to = words.data() + band.at;
  each([&](int output, int64_t sample, int32_t w) {
    const int64_t step = (sample - start) / 32, k = (sample - start) % 32;
    const int64_t lane = output % 8 * 4 + k / 8, word = output / 8 + k % 8 / 4 * 2;
    for (int part = 0; part < 3; ++part) {
      const int32_t low = static_cast<int8_t>(w & 0xff);
      w = (w - low) / 256;
      to[((step * 3 + part) * 32 + lane) * 4 + word] |= static_cast<uint32_t>(low & 0xff) << 8 * (k % 4);
    }
  });
  return band;
}

int64_t make_bands(const Pass& pass, int64_t outputs, int64_t zero, Tables& tables) {
  const int64_t at = static_cast<int64_t>(tables.bands.size());
  for (int64_t from = 0; from < outputs; from += 16)
    tables.bands.push_back(make_band(pass, from, zero, tables.words));
  return at;
}

void make_float_passes(const Pass& h, const Pass& v, FramesGeometry& g, Tables& tables) {
  std::vector<int32_t> first(h.n), groups(h.n);
  for (int64_t i = 0; i < h.n; ++i) {
    first[i] = h.first[i] / 4;
    groups[i] = (h.first[i] + h.count[i] + 3) / 4 - first[i];
    g.most_groups = std::max(g.most_groups, groups[i]);
  }
  g.h_first = append(tables.integers, first.data(), h.n);
  g.h_groups = append(tables.integers, groups.data(), h.n);
  g.h_weights = static_cast<int64_t>(tables.weights.size());  // which 4 divides
  tables.weights.resize(tables.weights.size() + static_cast<size_t>(h.n) * g.most_groups * 4);
  for (int64_t i = 0; i < h.n; ++i) {
    std::copy_n(h.weights + i * h.taps, h.count[i],
                tables.weights.data() + g.h_weights + i * g.most_groups * 4 + h.first[i] % 4);
  }
  g.v_first = append(tables.integers, v.first, v.n);
  g.v_count = append(tables.integers, v.count, v.n);
  g.v_taps = v.taps;
  g.v_weights = static_cast<int64_t>(tables.weights.size());
  tables.weights.insert(tables.weights.end(), v.weights, v.weights + v.n * v.taps);
  tables.weights.resize((tables.weights.size() + 3) / 4 * 4);
}

FramesGeometry make_geometry(const cinefuse_frames_geometry& d, const cinefuse_frames_params& p,
                             Tables& tables) {
  FramesGeometry g{};
  g.x0 = static_cast<int32_t>(d.x0);
  g.x1 = static_cast<int32_t>(d.x1);
  g.y0 = static_cast<int32_t>(d.y0);
  g.y1 = static_cast<int32_t>(d.y1);
  if (d.h.fixed) {
    g.x_bands = make_bands(d.h, p.w, d.x0, tables);
    g.y_bands = make_bands(d.v, p.h, d.y0, tables);
  } else {
    make_float_passes(d.h, d.v, g, tables);
  }
  return g;
}

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

// Rows of tiles so that there are some blocks for every multiprocessor, if that can be had; a multiple of
// `unit`.
int32_t tile_height(int64_t h, int64_t unit, int64_t most, int64_t blocks_a_row, int64_t wanted) {
  const int64_t units = blocks_of(h, unit);
  int64_t tiles = blocks_of(units, most);
  tiles = std::min(units, std::max(tiles, blocks_of(wanted, blocks_a_row)));
  return static_cast<int32_t>(blocks_of(units, tiles) * unit);
}

// The byte kernel: columns that a tile of this geometry spans, and whether tiles may be of several bands.
int32_t byte_span(const FramesGeometry& g, int64_t w, const Tables& tables) {
  constexpr int64_t kBandsATile = kFramesByteTile / 16;
  int32_t most = 0;
  for (int64_t band = 0, bands = blocks_of(w, 16); band < bands; band += kBandsATile) {
    int32_t left = INT32_MAX, right = 0;
    for (int64_t i = band; i < std::min(band + kBandsATile, bands); ++i) {
      const FramesBand& b = tables.bands[g.x_bands + i];
      if (b.steps == 0) continue;
      left = std::min(left, b.start);
      right = std::max(right, b.end);
    }
    if (right) most = std::max(most, right - left);
  }
  return most;
}
bool bands_follow(const FramesGeometry& g, int64_t h, const Tables& tables) {
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
int64_t float_span(const FramesGeometry& g, int64_t tile_w, const Tables& tables) {
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

int64_t rounded_up(int64_t n, int64_t unit) { return blocks_of(n, unit) * unit; }

void plan_bytes(const Tables& tables, int64_t multiprocessors, FramesTarget& target,
                std::vector<FramesLaunch>& launches) {
  bool follow = true;
  for (const FramesGeometry& g : tables.geometries) follow = follow && bands_follow(g, target.h, tables);
  target.tile_w = kFramesByteTile;
  target.tiles_x = static_cast<int32_t>(blocks_of(target.w, kFramesByteTile));
  target.tile_h =
      tile_height(target.h, 16, follow ? 8 : 1, static_cast<int64_t>(tables.pictures.size()) * target.tiles_x,
                  6 * multiprocessors);
  for (FramesLaunch& launch : launches) {
    int64_t span = 0;
    for (int64_t i = launch.first; i < launch.first + launch.count; ++i) {
      const FramesGeometry& g = tables.geometries[tables.pictures[i].geometry];
      span = std::max<int64_t>(span, byte_span(g, target.w, tables));
    }
    launch.columns = static_cast<int32_t>(
        std::max<int64_t>(8, std::min<int64_t>(rounded_up(span, 8), kFramesMostColumns)));
  }
}

void plan_float(const Tables& tables, int64_t multiprocessors, FramesTarget& target,
                std::vector<FramesLaunch>& launches) {
  constexpr int64_t kColumns = 512, kWidest = 256;
  // The widest tiles that most pictures can make of the columns that a block holds.
  int64_t tile_w = std::min<int64_t>(target.w, kWidest);
  const FramesGeometry* widest = nullptr;
  for (const FramesGeometry& g : tables.geometries) {
    if (!widest || float_span(g, 16, tables) > float_span(*widest, 16, tables)) widest = &g;
  }
  while (tile_w > 8 && float_span(*widest, tile_w, tables) > kColumns) tile_w = tile_w * 7 / 8;
  target.tiles_x = static_cast<int32_t>(blocks_of(target.w, tile_w));
  target.tile_w = static_cast<int32_t>(blocks_of(target.w, target.tiles_x));
  target.tile_h =
      tile_height(target.h, kFramesFloatRows, 8,
                  static_cast<int64_t>(tables.pictures.size()) * target.tiles_x, 12 * multiprocessors);
  for (FramesLaunch& launch : launches) {
    int64_t span = 0;
    int32_t groups = 0;
    for (int64_t i = launch.first; i < launch.first + launch.count; ++i) {
      const FramesGeometry& g = tables.geometries[tables.pictures[i].geometry];
      span = std::max(span, float_span(g, target.tile_w, tables));
      groups = std::max(groups, g.most_groups);
    }
    launch.stretches = span > kColumns;
    launch.columns = static_cast<int32_t>(rounded_up(std::min(span, kColumns), 8));
    launch.lanes = 1;
    while (launch.lanes < 32 && groups / launch.lanes > 8) launch.lanes *= 2;
  }
}

void frames_cuda(Call& call, const cinefuse_frames_params& p) {
  Tables tables;
  for (int64_t i = 0; i < p.geometries_count; ++i)
    tables.geometries.push_back(make_geometry(p.geometries[i], p, tables));
  std::vector<FramesLaunch> launches;
  for (int32_t kind = 0; kind < kPixelKinds; ++kind) {
    FramesLaunch launch{};
    launch.kind = kind;
    launch.first = static_cast<int64_t>(tables.pictures.size());
    for (int64_t i = 0; i < p.images_count; ++i) {
      const cinefuse_frames_image& image = p.images[i];
      if (pixels_of(image.format, image.chroma) != kind) continue;
      tables.pictures.push_back(upload(call, image, p.geometries[image.geometry]));
      tables.pictures.back().index = i;
      ++launch.count;
    }
    if (launch.count) launches.push_back(launch);
  }

  const bool bytes = p.rounding == 0;
  FramesTarget target{};
  target.output = p.output;
  target.h = static_cast<int32_t>(p.h);
  target.w = static_cast<int32_t>(p.w);
  std::copy_n(p.scale, 3, target.scale);
  std::copy_n(p.shift, 3, target.shift);
  (bytes ? plan_bytes : plan_float)(tables, call.device().multiprocessors(), target, launches);
  target.tiles = static_cast<int32_t>(target.tiles_x * blocks_of(p.h, target.tile_h));

  const auto send = [&](const auto& list) { return call.in(list.data(), static_cast<int64_t>(list.size())); };
  const auto pictures = send(tables.pictures);
  const auto geometries = send(tables.geometries);
  const auto bands = send(tables.bands);
  const auto words = send(tables.words);
  const auto integers = send(tables.integers);
  const auto weights = send(tables.weights);
  const In<float> levels = call.in(p.levels, 3 * 256);
  const int64_t values = p.images_count * 3 * p.h * p.w;
  Out<float> singles;
  Out<uint16_t> halves;
  Out<uint8_t> levels_out;
  if (p.output == kOutputFloat32) singles = call.out(static_cast<float*>(p.out), values);
  if (p.output == kOutputFloat16) halves = call.out(static_cast<uint16_t*>(p.out), values);
  if (p.output == kOutputRgb24) levels_out = call.out(static_cast<uint8_t*>(p.out), values);
  call.send();
  target.out = p.output == kOutputFloat32   ? static_cast<void*>(singles.get())
               : p.output == kOutputFloat16 ? static_cast<void*>(halves.get())
                                            : static_cast<void*>(levels_out.get());
  const FramesTables device = {reinterpret_cast<const uint8_t*>(call.inputs()),
                               pictures.get(),
                               geometries.get(),
                               bands.get(),
                               words.get(),
                               integers.get(),
                               weights.get(),
                               levels.get()};
  call.compute([&] {
    for (const FramesLaunch& launch : launches) {
      (bytes ? frames_bytes : frames_float)(call.stream(), device, target, launch);
    }
  });
  call.receive();
}

}  // namespace

const Operator kFramesOperator = plain_operator<cinefuse_frames_params, frames_cuda>();

}  // namespace cinefuse::gpu
