#include "conv_pool.h"

namespace cinefuse {

void conv_pool_cpu(const ConvPool& layer, const ConvPoolRows& rows, float* y, int32_t* argmax,
                   const Exec& exec);
void conv_pool_device(const ConvPool& layer, const ConvPoolRows& rows, float* y, const Exec& exec);

namespace {

constexpr int64_t kMostSize = int64_t{1} << 24, kMostWeights = int64_t{1} << 30;

void require_size(int64_t size, int64_t least, const char* field) {
  CINEFUSE_REQUIRE(size >= least && size <= kMostSize, Code::kShape, field,
                   "Expected %lld..2^24 for %s, received %lld", static_cast<long long>(least), field,
                   static_cast<long long>(size));
}

}  // namespace

int64_t ConvPoolParams::filters() const {
  int64_t sum = 0;
  for (const ConvWindow& window : windows) sum += window.filters;
  return sum;
}

size_t ConvPool::bytes() const {
  size_t bytes = 0;
  for (const Window& window : windows) bytes += window.weight.bytes();
  return bytes;
}

void conv_pool_check(ConvPoolParams& p, const std::vector<size_t>& weights,
                     const std::vector<size_t>& biases) {
  require_size(p.dim, 1, "dim");
  CINEFUSE_REQUIRE(p.activation == Activation::kNone || p.activation == Activation::kRelu ||
                       p.activation == Activation::kTanh,
                   Code::kInputValue, "activation",
                   "Expected none, relu or tanh for activation, received number %d",
                   static_cast<int>(p.activation));
  CINEFUSE_REQUIRE(!p.windows.empty() && p.windows.size() <= kMostConvWindows, Code::kShape, "windows",
                   "Expected 1..%zu windows, received %zu", kMostConvWindows, p.windows.size());
  CINEFUSE_REQUIRE(weights.size() == p.windows.size() && biases.size() == p.windows.size(), Code::kShape,
                   "windows", "Expected a weight and a bias for each of %zu windows", p.windows.size());
  for (size_t i = 0; i < p.windows.size(); ++i) {
    ConvWindow& window = p.windows[i];
    require_size(window.size, 1, "windows.size");
    const int64_t inputs = window.size * p.dim, got = static_cast<int64_t>(weights[i]);
    CINEFUSE_REQUIRE(
        got > 0 && got % inputs == 0 && got <= kMostWeights, Code::kShape, format("windows[%zu].weight", i),
        "Expected whole filters of %lld x %lld weights, at most 2^30 in all, received %lld",
        static_cast<long long>(window.size), static_cast<long long>(p.dim), static_cast<long long>(got));
    window.filters = got / inputs;
    CINEFUSE_REQUIRE(!window.bias || biases[i] == static_cast<size_t>(window.filters), Code::kShape,
                     format("windows[%zu].bias", i), "Expected %lld elements, one a filter, received %zu",
                     static_cast<long long>(window.filters), biases[i]);
  }
}

void conv_pool_check_rows(int64_t dim, const ConvPoolRows& p, size_t x, size_t lengths) {
  require_size(p.batch, 0, "batch");
  require_size(p.steps, 1, "steps");
  CINEFUSE_REQUIRE(x == static_cast<size_t>(p.batch * p.steps) * static_cast<size_t>(dim), Code::kShape, "x",
                   "Expected %lld x %lld x %lld elements for x of shape (batch, steps, dim), received %zu",
                   static_cast<long long>(p.batch), static_cast<long long>(p.steps),
                   static_cast<long long>(dim), x);
  if (!p.lengths) return;
  CINEFUSE_REQUIRE(lengths == static_cast<size_t>(p.batch), Code::kShape, "lengths",
                   "Expected %lld elements for lengths of shape (batch), received %zu",
                   static_cast<long long>(p.batch), lengths);
  for (int64_t b = 0; b < p.batch; ++b) {
    CINEFUSE_REQUIRE(p.lengths[b] >= 0 && p.lengths[b] <= p.steps, Code::kInputValue, "lengths",
                     "Expected lengths of 0..%lld (the steps), received %d at [%lld]",
                     static_cast<long long>(p.steps), p.lengths[b], static_cast<long long>(b));
  }
}

ConvPool conv_pool_prepare(const ConvPoolParams& p, const Exec& exec) {
  ConvPool layer;
  layer.dim = p.dim;
  layer.activation = p.activation;
  for (const ConvWindow& from : p.windows) {
    ConvPool::Window window{from.size, from.filters, layer.filters, {}, {}};
    window.weight = PackedMatrix::pack(exec, from.weight, from.filters, from.size * p.dim);
    window.bias.assign(static_cast<size_t>(from.filters), 0.f);
    if (from.bias) window.bias.assign(from.bias, from.bias + from.filters);
    layer.filters += from.filters;
    layer.windows.push_back(std::move(window));
  }
  return layer;
}

void conv_pool(const ConvPool& layer, const ConvPoolRows& rows, float* y, const Exec& exec) {
  exec.backend == Backend::kCpu ? conv_pool_cpu(layer, rows, y, nullptr, exec)
                                : conv_pool_device(layer, rows, y, exec);
}

}  // namespace cinefuse
