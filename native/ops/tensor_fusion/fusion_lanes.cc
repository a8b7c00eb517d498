#include "fusion_lanes.h"

#include <cstring>

namespace cinefuse {

void ModeLanes::fill(const FusionInputs& in, const FilmGroups& films, int group, float* at) const {
  std::memset(at, 0, sizeof(float) * static_cast<size_t>(floats));
  const int lanes = films.lanes(group);
  const int64_t first = films.first + int64_t{group} * kFilms;
  for (int m = 0; m < modes; ++m) {
    const size_t mode = static_cast<size_t>(m);
    const int n = d[mode] - 1;
    for (int lane = 0; lane < lanes; ++lane) {
      at[n * kFilms + lane] = 1.f;
      const int64_t row = first + lane;
      if (in.present && in.present[row * modes + m] == 0) continue;
      const float* h = in.h[mode] + row * n;
      for (int i = 0; i < n; ++i) at[i * kFilms + lane] = h[i];
    }
    at += int64_t{n + 1} * kFilms;
  }
}

void ModeLanes::scatter(const FusionInputs& in, const FilmGroups& films, int group, const float* at,
                        const std::array<float*, kMostFusionModes>& dh) const {
  const int lanes = films.lanes(group);
  const int64_t first = films.first + int64_t{group} * kFilms;
  for (int m = 0; m < modes; ++m) {
    const size_t mode = static_cast<size_t>(m);
    const int n = d[mode] - 1;
    for (int lane = 0; dh[mode] && lane < lanes; ++lane) {
      const int64_t row = first + lane;
      float* to = dh[mode] + row * n;
      if (in.present && in.present[row * modes + m] == 0) {
        std::memset(to, 0, sizeof(float) * static_cast<size_t>(n));
      } else {
        for (int i = 0; i < n; ++i) to[i] = at[i * kFilms + lane];
      }
    }
    at += int64_t{n + 1} * kFilms;
  }
}

void lanes_of_rows(const FilmGroups& films, const float* x, int64_t width, float* to) {
  for (int g = 0; g < films.count(); ++g, to += width * kFilms) {
    const int lanes = films.lanes(g);
    if (lanes < kFilms) std::memset(to, 0, sizeof(float) * static_cast<size_t>(width * kFilms));
    for (int lane = 0; lane < lanes; ++lane) {
      const float* row = x + (films.first + int64_t{g} * kFilms + lane) * width;
      for (int64_t i = 0; i < width; ++i) to[i * kFilms + lane] = row[i];
    }
  }
}

}  // namespace cinefuse
