#include "kernel_matrix_device.h"

#include "../../core/device.h"
#include "kernel_matrix.h"

namespace cinefuse {

cinefuse_kernel_term kernel_describe(const KernelLandmarks& l, std::deque<std::vector<float>>& matrices) {
  matrices.emplace_back(static_cast<size_t>(l.z.out() * l.z.in()));
  l.z.unpack(matrices.back().data());
  return {l.z.in(),
          static_cast<int32_t>(l.shape.kind),
          l.shape.degree,
          static_cast<float>(l.shape.gamma),
          static_cast<float>(l.shape.constant),
          static_cast<float>(l.shape.weight),
          matrices.back().data(),
          l.squares.data(),
          l.present.data()};
}

void kernel_matrix_device(const KernelMatrixParams& p, float* out, const Exec& exec) {
  std::deque<std::vector<float>> matrices;
  std::vector<KernelLandmarks> landmarks;
  std::vector<cinefuse_kernel_term> terms;
  std::vector<const float*> x;
  std::vector<uint8_t> present;
  const size_t count = p.terms.size();
  landmarks.reserve(count);
  for (size_t m = 0; m < count; ++m) {
    const KernelTerm& term = p.terms[m];
    landmarks.push_back(kernel_landmarks(term, p.landmarks, exec));
    terms.push_back(kernel_describe(landmarks.back(), matrices));
    x.push_back(term.x);
    if (!term.x_present) continue;
    present.resize(static_cast<size_t>(p.rows) * count, 1);
    for (int64_t r = 0; r < p.rows; ++r) {
      present[static_cast<size_t>(r) * count + m] = term.x_present[r * term.x_stride];
    }
  }
  const auto twin =
      create_on_device(exec, CINEFUSE_KERNEL_MATRIX,
                       cinefuse_kernel_matrix_description{p.landmarks, static_cast<int32_t>(count),
                                                          static_cast<int32_t>(p.combine),
                                                          static_cast<float>(p.constant), terms.data()});
  run_on_device(
      exec, CINEFUSE_KERNEL_MATRIX, *twin,
      cinefuse_kernel_matrix_params{p.rows, x.data(), present.empty() ? nullptr : present.data(), out});
}

}  // namespace cinefuse
