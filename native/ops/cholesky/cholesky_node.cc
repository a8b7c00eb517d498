#include "../../node/boundary.h"
#include "cholesky.h"

namespace cinefuse {
namespace {

constexpr int64_t kMost = 32768;  // a side of the largest matrix: 8 GiB

int64_t side(const Call& call, size_t index, const char* name) {
  const int64_t n = call.integer(index, name);
  CINEFUSE_REQUIRE(n >= 1 && n <= kMost, Code::kShape, name, "Expected 1..%lld for %s, received %lld",
                   static_cast<long long>(kMost), name, static_cast<long long>(n));
  return n;
}

int64_t count(const Call& call, size_t index, const char* name) {
  const int64_t n = call.integer(index, name);
  CINEFUSE_REQUIRE(n >= 0 && n < (int64_t{1} << 31), Code::kShape, name,
                   "Expected 0..2^31-1 for %s, received %lld", name, static_cast<long long>(n));
  return n;
}

// A matrix that is changed in place: it is the result too.
double* in_place(Call& call, size_t index, const char* name, int64_t rows, int64_t n) {
  CINEFUSE_REQUIRE(!call.absent(index), Code::kInputType, name, "Expected a Float64Array for %s", name);
  return call.out_f64(index, name, static_cast<size_t>(rows * n)).data;
}

const double* matrix(Call& call, size_t index, const char* name, int64_t rows, int64_t n) {
  const Span<const double> span = call.f64(index, name);
  CINEFUSE_REQUIRE(span.size == static_cast<size_t>(rows * n), Code::kShape, name,
                   "Expected %lld elements for %s, received %zu", static_cast<long long>(rows * n), name,
                   span.size);
  return span.data;
}

void require_cpu(const Call& call) {
  CINEFUSE_REQUIRE(call.exec().backend == Backend::kCpu, Code::kBackend, "backend",
                   "Expected the backend 'cpu': this operator has no other twin");
}

}  // namespace

// choleskyFactor(exec, cancel, n, shift, least, a) -> [a, pivot], in place; pivot[0] as cholesky_factor
// returns
Napi::Value cholesky_factor_node(const Napi::CallbackInfo& info) {
  Call call(info);
  require_cpu(call);
  const int64_t n = side(call, 2, "n");
  const double shift = call.number(3, "shift"), least = call.number(4, "least");
  double* const a = in_place(call, 5, "a", n, n);
  int32_t* const pivot = call.out_i32(6, "pivot", 1).data;
  return call.run(
      [=](const Exec& exec) { *pivot = static_cast<int32_t>(cholesky_factor(n, shift, least, a, exec)); });
}

// choleskySolve(exec, cancel, n, l, transposed, rows, b) -> b, in place
Napi::Value cholesky_solve_node(const Napi::CallbackInfo& info) {
  Call call(info);
  require_cpu(call);
  const int64_t n = side(call, 2, "n");
  const double* const l = matrix(call, 3, "l", n, n);
  const bool transposed = call.boolean(4, "transposed");
  const int64_t rows = count(call, 5, "rows");
  double* const b = in_place(call, 6, "b", rows, n);
  return call.run([=](const Exec& exec) { cholesky_solve(n, l, transposed, rows, b, exec); });
}

// gram(exec, cancel, rows, n, f, weights?, g) -> g, added to in place
Napi::Value gram_node(const Napi::CallbackInfo& info) {
  Call call(info);
  require_cpu(call);
  const int64_t rows = count(call, 2, "rows"), n = side(call, 3, "n");
  const double* const f = matrix(call, 4, "f", rows, n);
  const double* const weights = call.absent(5) ? nullptr : matrix(call, 5, "weights", rows, 1);
  double* const g = in_place(call, 6, "g", n, n);
  return call.run([=](const Exec& exec) { gram64(rows, n, f, weights, g, exec); });
}

// product(exec, cancel, rows, out, n, a, b, c?) -> c = A Bᵀ
Napi::Value product_node(const Napi::CallbackInfo& info) {
  Call call(info);
  require_cpu(call);
  const int64_t rows = count(call, 2, "rows"), out = count(call, 3, "columns"), n = count(call, 4, "n");
  const double* const a = matrix(call, 5, "a", rows, n);
  const double* const b = matrix(call, 6, "b", out, n);
  double* const c = call.out_f64(7, "out", static_cast<size_t>(rows * out)).data;
  return call.run([=](const Exec& exec) { product64(rows, out, n, a, b, c, exec); });
}

// productTransposed(exec, cancel, rows, out, n, a, b, c) -> c += Aᵀ B, in place
Napi::Value product_transposed_node(const Napi::CallbackInfo& info) {
  Call call(info);
  require_cpu(call);
  const int64_t rows = count(call, 2, "rows"), out = count(call, 3, "columns"), n = count(call, 4, "n");
  const double* const a = matrix(call, 5, "a", rows, out);
  const double* const b = matrix(call, 6, "b", rows, n);
  double* const c = in_place(call, 7, "c", out, n);
  return call.run([=](const Exec& exec) { gather64(rows, out, n, a, b, c, exec); });
}

}  // namespace cinefuse
