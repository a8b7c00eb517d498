// A convolution over time with several window sizes, its largest value over time kept (TextCNN's layer):
//
//   y[b, f] = max over t in [0, max(length_b - size, 0)] of act(bias[f] + Σ_{i < size, d} w[f, i, d] x[b, t +
//   i, d])
//
// x: (batch, steps, dim), w: (filters, size, dim) and bias: (filters) of each window, y: (batch, Σ filters),
// window after window, float32, row-major. act: none, relu or tanh; it rises, so it is applied to the largest
// sum. A row shorter than a window is padded by zeros behind; what lies beyond a row's length is not read.
// NaN in a position makes the filters that see it NaN. `argmax` holds the first t of the largest sum, a NaN
// counting as such. Source: Collobert et al. 2011; Kim 2014, Convolutional Neural Networks for Sentence
// Classification.
//
// A row's result is the same, bit for bit, alone or in any batch and on any number of threads, on one
// instruction set.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../core/device.h"
#include "../../core/gemm/packed_matrix.h"
#include "../activation/activation.h"

namespace cinefuse {

constexpr size_t kMostConvWindows = 16;

struct ConvWindow {
  int64_t size, filters;
  const float* weight;  // (filters, size, dim)
  const float* bias;    // (filters), or null
};

struct ConvPoolParams {
  int64_t dim;
  std::vector<ConvWindow> windows;
  Activation activation;
  int64_t filters() const;  // of all windows
};

// Weights made ready once. Immutable: any number of calls may run on it at a time.
struct ConvPool {
  struct Window {
    int64_t size, filters, at;  // first column of y
    PackedMatrix weight;        // size * dim inputs
    std::vector<float> bias;    // zeros where none was given
  };
  int64_t dim = 0, filters = 0;
  Activation activation = Activation::kNone;
  std::vector<Window> windows;
  DeviceTwins twins;

  size_t bytes() const;
};

struct ConvPoolRows {
  int64_t batch, steps;
  const float* x;
  const int32_t* lengths;  // or null: all steps
  int64_t length(int64_t b) const { return lengths ? lengths[b] : steps; }
};

// Throws ERR_SHAPE, ERR_INPUT_VALUE. Sizes are those of the arrays given; a window's filters are set from
// them.
void conv_pool_check(ConvPoolParams& params, const std::vector<size_t>& weights,
                     const std::vector<size_t>& biases);
void conv_pool_check_rows(int64_t dim, const ConvPoolRows& rows, size_t x, size_t lengths);
ConvPool conv_pool_prepare(const ConvPoolParams& params, const Exec& exec);
void conv_pool(const ConvPool& layer, const ConvPoolRows& rows, float* y, const Exec& exec);

// How many places window `size` has in a row of `length` steps.
constexpr int64_t conv_places(int64_t length, int64_t size) { return length > size ? length - size + 1 : 1; }

}  // namespace cinefuse
