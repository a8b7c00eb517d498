// Rows of a batch in the layout that training tensor and low-rank fusion works in: kFilms rows side by side.
#pragma once
#include "../../core/gemm/gemm_simd.h"
#include "fusion_inputs.h"
#include "fusion_lanes_simd.h"

namespace cinefuse {

static_assert(kFilms == kPanel, "a group of films is a panel of gemm's right-hand side");

// Rows [first, first + rows) of a batch, in groups of kFilms.
struct FilmGroups {
  int64_t first, rows;
  int count() const { return static_cast<int>((rows + kFilms - 1) / kFilms); }
  int lanes(int group) const {
    const int64_t left = rows - int64_t{group} * kFilms;
    return static_cast<int>(left < kFilms ? left : kFilms);
  }
  // Lanes in whole steps of 16, which every instruction set has vectors for: these are there, as zeros.
  int wide(int group) const { return (lanes(group) + 15) / 16 * 16; }
};

// The modes of a group lie one after the other, each with its 1 appended where `ones`: (d_m + 1, kFilms).
struct ModeLanes {
  int modes;
  std::array<int, kMostFusionModes> d;  // with the appended 1
  int64_t floats;                       // of one group

  explicit ModeLanes(const FusionDims& dims) : modes(dims.modes), d{}, floats(0) {
    for (size_t m = 0; m < d.size() && m < static_cast<size_t>(modes); ++m) {
      d[m] = dims.d[m] + 1;
      floats += int64_t{d[m]} * kFilms;
    }
  }
  template <class Float>
  void pointers(Float* at, Float** h) const {
    for (int m = 0; m < modes; at += int64_t{d[static_cast<size_t>(m++)]} * kFilms) h[m] = at;
  }
  // A group of `in` into `at`; an absent modality and lanes beyond the last row are zeros, but for the 1.
  void fill(const FusionInputs& in, const FilmGroups& films, int group, float* at) const;
  // The opposite: dh[m] (rows, d[m] - 1), zeros where absent. Null dh[m] are left out.
  void scatter(const FusionInputs& in, const FilmGroups& films, int group, const float* at,
               const std::array<float*, kMostFusionModes>& dh) const;
};

// x: (rows, width), row-major, to (group, width, kFilms); lanes beyond the last row are zeros.
void lanes_of_rows(const FilmGroups& films, const float* x, int64_t width, float* to);

}  // namespace cinefuse
