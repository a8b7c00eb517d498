#include "../../node/boundary.h"
#include "kernel_matrix.h"

namespace cinefuse {
namespace {

void require_fits(const Span<const float>& span, int64_t rows, int64_t dim, const char* name, size_t i) {
  CINEFUSE_REQUIRE(span.size == static_cast<size_t>(rows * dim), Code::kShape, format("%s[%zu]", name, i),
                   "Expected %lld rows of %lld for %s[%zu], received %zu elements",
                   static_cast<long long>(rows), static_cast<long long>(dim), name, i, span.size);
}

// From argument 2 on: rows, landmarks, combine, shapes (integers: dim, kind, degree of each modality),
// numbers (Float64Array: constant, then gamma, constant and weight of each), x (list), z (list), x_present?
// (rows, modalities), z_present? (landmarks, modalities)
KernelMatrixParams read(Call& call) {
  KernelMatrixParams params{};
  params.rows = call.integer(2, "rows");
  params.landmarks = call.integer(3, "landmarks");
  params.combine = static_cast<KernelCombine>(call.int32(4, "combine"));
  const std::vector<int64_t> shapes = call.integers(5, "shapes");
  const Span<const double> numbers = call.f64(6, "numbers");
  const std::vector<Span<const float>> x = call.f32_list(7, "x"), z = call.f32_list(8, "z");
  const size_t count = x.size();
  CINEFUSE_REQUIRE(z.size() == count && shapes.size() == 3 * count && numbers.size == 1 + 3 * count,
                   Code::kShape, "z", "Expected as many z as x (%zu), received %zu", count, z.size());
  params.constant = numbers.data[0];
  for (size_t i = 0; i < count; ++i) {
    const double* const n = numbers.data + 1 + 3 * i;
    KernelTerm term{};
    term.dim = shapes[3 * i];
    term.shape = {static_cast<KernelKind>(shapes[3 * i + 1]), static_cast<int>(shapes[3 * i + 2]), n[0], n[1],
                  n[2]};
    term.x = x[i].data;
    term.z = z[i].data;
    term.x_stride = term.z_stride = static_cast<int64_t>(count);
    params.terms.push_back(term);
  }
  kernel_matrix_check(params);
  for (size_t i = 0; i < count; ++i) {
    require_fits(x[i], params.rows, params.terms[i].dim, "x", i);
    require_fits(z[i], params.landmarks, params.terms[i].dim, "z", i);
  }
  const auto presence = [&](size_t index, int64_t rows, const char* name) -> const uint8_t* {
    if (call.absent(index)) return nullptr;
    const Span<const uint8_t> span = call.u8(index, name);
    CINEFUSE_REQUIRE(span.size == static_cast<size_t>(rows) * count, Code::kShape, name,
                     "Expected %zu elements for %s, received %zu", static_cast<size_t>(rows) * count, name,
                     span.size);
    return span.data;
  };
  const uint8_t* const x_present = presence(9, params.rows, "presentX");
  const uint8_t* const z_present = presence(10, params.landmarks, "presentZ");
  for (size_t i = 0; i < count; ++i) {
    params.terms[i].x_present = x_present ? x_present + i : nullptr;
    params.terms[i].z_present = z_present ? z_present + i : nullptr;
  }
  return params;
}

}  // namespace

// kernelMatrix(exec, cancel, rows, landmarks, combine, shapes, numbers, x, z, presentX?, presentZ?, out?) ->
// F
Napi::Value kernel_matrix_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const KernelMatrixParams params = read(call);
  float* const out = call.out_f32(11, "out", static_cast<size_t>(params.rows * params.landmarks)).data;
  return call.run([=](const Exec& exec) { kernel_matrix(params, out, exec); });
}

// As kernelMatrix, in float64 on the CPU.
Napi::Value kernel_matrix64_node(const Napi::CallbackInfo& info) {
  Call call(info);
  CINEFUSE_REQUIRE(call.exec().backend == Backend::kCpu, Code::kBackend, "backend",
                   "Expected the backend 'cpu': kernel matrices in float64 have no other twin");
  const KernelMatrixParams params = read(call);
  double* const out = call.out_f64(11, "out", static_cast<size_t>(params.rows * params.landmarks)).data;
  return call.run([=](const Exec& exec) { kernel_matrix64(params, out, exec); });
}

}  // namespace cinefuse
