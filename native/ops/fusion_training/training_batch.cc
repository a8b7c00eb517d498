#include <algorithm>
#include <cmath>

#include "../../core/attend_simd.h"
#include "../../core/pool.h"
#include "../activation/activation.h"
#include "fusion_training.h"

namespace cinefuse {
namespace {

constexpr int kScratch = 6;

void check_target(const TrainingLoss& loss, const std::string& name, int64_t film, const float* target) {
  for (int64_t j = 0; j < loss.target_cols(); ++j) {
    const float t = target[j];
    if (std::isnan(t)) continue;
    const bool right = loss.kind == TrainingLossKind::kCrossEntropy
                           ? t >= 0.f && t < static_cast<float>(loss.cols) && t == std::floor(t)
                       : loss.kind == TrainingLossKind::kBce ? t >= 0.f && t <= 1.f
                                                             : std::isfinite(t);
    const char* const expected = loss.kind == TrainingLossKind::kCrossEntropy ? "a class number"
                                 : loss.kind == TrainingLossKind::kBce        ? "a target of 0..1"
                                                                              : "a finite target";
    CINEFUSE_REQUIRE(right, Code::kInputValue, name, "Expected %s or NaN for %s of film %lld, received %g",
                     expected, name.c_str(), static_cast<long long>(film), static_cast<double>(t));
  }
}

}  // namespace

void training_batch(const FusionTraining& training, const TrainingData& data, const int32_t* films,
                    int64_t rows, TrainingBatch& batch) {
  const TrainingProgram& p = training.program;
  const int64_t count = p.modality_count();
  // Copied first: what is followed below must not change after it was checked.
  batch.films.assign(films, films + rows);
  batch.variants.assign(static_cast<size_t>(rows), 0);
  batch.weights.clear();
  std::vector<uint8_t>& present = batch.masks[0];
  present.resize(static_cast<size_t>(rows * count));
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t film = batch.films[static_cast<size_t>(r)];
    CINEFUSE_REQUIRE(film >= 0 && film < data.films, Code::kInputValue, "rows",
                     "Expected films from 0 to %lld in rows, received %lld",
                     static_cast<long long>(data.films - 1), static_cast<long long>(film));
    uint8_t* const row = present.data() + r * count;
    bool any = false;
    for (int64_t m = 0; m < count; ++m) {
      row[m] = data.present[film * count + m] != 0 ? 1 : 0;
      any = any || row[m] != 0;
    }
    CINEFUSE_REQUIRE(any, Code::kInputEmpty, "present",
                     "Expected at least one present modality for every film, received none for film %lld",
                     static_cast<long long>(film));
    if (data.variants) batch.variants[static_cast<size_t>(r)] = data.variants[film];
    if (data.weights) {
      batch.weights.push_back(data.weights[film]);
      CINEFUSE_REQUIRE(batch.weights.back() >= 0.f && std::isfinite(batch.weights.back()), Code::kInputValue,
                       "weights", "Expected weights of 0 or more, received %g for film %lld",
                       static_cast<double>(batch.weights.back()), static_cast<long long>(film));
    }
  }
  batch.sizes.rows = rows;
  batch.sizes.number = static_cast<uint64_t>(training.step);
  for (int64_t m = 0; m < count; ++m) {
    const TrainingData::Modality& input = data.modalities[static_cast<size_t>(m)];
    const std::string& name = training.names[static_cast<size_t>(m)];
    TrainingBatch::Modality& into = batch.modalities[static_cast<size_t>(m)];
    into.rows.clear();
    into.lengths.clear();
    for (int64_t r = 0; r < rows; ++r) {
      if (!present[static_cast<size_t>(r * count + m)]) continue;
      const int64_t film = batch.films[static_cast<size_t>(r)];
      CINEFUSE_REQUIRE(input.values, Code::kInputValue, name,
                       "Film %lld says that %s is present, but no values were given for it",
                       static_cast<long long>(film), name.c_str());
      const int64_t length = input.lengths ? input.lengths[film] : input.steps;
      CINEFUSE_REQUIRE(length >= 1 && length <= input.steps, Code::kInputValue, name,
                       "Expected a length of 1..%lld for %s of film %lld, received %lld",
                       static_cast<long long>(input.steps), name.c_str(), static_cast<long long>(film),
                       static_cast<long long>(length));
      CINEFUSE_REQUIRE(input.variants == 1 || batch.variants[static_cast<size_t>(r)] < input.variants,
                       Code::kInputValue, "variants", "Expected variants from 0 to %lld for %s, received %d",
                       static_cast<long long>(input.variants - 1), name.c_str(),
                       static_cast<int>(batch.variants[static_cast<size_t>(r)]));
      into.rows.push_back(static_cast<int32_t>(r));
      into.lengths.push_back(static_cast<int32_t>(length));
    }
    batch.sizes.present[static_cast<size_t>(m)] = static_cast<int64_t>(into.rows.size());
    batch.sizes.steps[static_cast<size_t>(m)] = input.steps;
  }
  for (size_t s = 1; s < p.subsets.size(); ++s) {
    batch.masks[s].clear();
    for (int64_t r = 0; r < rows; ++r) {
      for (const int64_t m : p.subsets[s])
        batch.masks[s].push_back(present[static_cast<size_t>(r * count + m)]);
    }
  }
  for (size_t t = 0; t < data.targets.size(); ++t) {
    const int64_t cols = p.target_cols[t];
    batch.targets[t].resize(static_cast<size_t>(rows * cols));
    for (int64_t r = 0; r < rows; ++r) {
      const float* const from = data.targets[t].values + batch.films[static_cast<size_t>(r)] * cols;
      std::copy(from, from + cols, batch.targets[t].data() + r * cols);
    }
  }
  for (size_t i = 0; i < p.losses.size(); ++i) {
    const TrainingLoss& loss = p.losses[i];
    const int64_t cols = loss.target_cols();
    const std::vector<float>& target = batch.targets[static_cast<size_t>(loss.target)];
    batch.sizes.known[i] = 0;
    for (int64_t r = 0; r < rows; ++r) {
      const float* const row = target.data() + r * cols;
      check_target(loss, training.names[static_cast<size_t>(count + loss.target)],
                   batch.films[static_cast<size_t>(r)], row);
      const bool counts = batch.weights.empty() || batch.weights[static_cast<size_t>(r)] > 0.f;
      if (counts && std::any_of(row, row + cols, [](float x) { return !std::isnan(x); })) {
        batch.sizes.known[i] = 1;
      }
    }
  }
}

void training_input(const FusionTraining& training, const TrainingData& data, int64_t modality, bool averaged,
                    const float* mean, const float* scale, float* y, const Exec& exec) {
  const TrainingBatch& batch = training.batch;
  const TrainingData::Modality& input = data.modalities[static_cast<size_t>(modality)];
  const TrainingBatch::Modality& from = batch.modalities[static_cast<size_t>(modality)];
  const int64_t dim = training.program.modalities[static_cast<size_t>(modality)].dim, steps = input.steps;
  const int64_t rows = static_cast<int64_t>(from.rows.size());
  const AttendSimd& simd = attend_simd(exec.isa);
  constexpr int64_t kRows = 16;  // of one task
  auto body = [&](int task) {
    for (int64_t i = task * kRows; i < std::min(rows, (task + 1) * kRows); ++i) {
      const int64_t row = from.rows[static_cast<size_t>(i)];
      const int64_t film = batch.films[static_cast<size_t>(row)];
      const int64_t variant = input.variants == 1 ? 0 : batch.variants[static_cast<size_t>(row)];
      const int64_t length = from.lengths[static_cast<size_t>(i)];
      const float* const x = input.values + (variant * data.films + film) * steps * dim;
      const int64_t at = simd.first_non_finite(length * dim, x);
      if (at >= 0) {
        const std::string& name = training.names[static_cast<size_t>(modality)];
        throw Error(
            Code::kInputValue, name,
            format("Expected finite numbers for %s, received %g for film %lld (step %lld, feature %lld)",
                   name.c_str(), static_cast<double>(x[at]), static_cast<long long>(film),
                   static_cast<long long>(at / dim), static_cast<long long>(at % dim)));
      }
      if (averaged) {
        float* const to = y + i * dim;
        float* const shares = thread_scratch(kScratch, static_cast<size_t>(length));
        std::fill(shares, shares + length, 1.f / static_cast<float>(length));
        simd.weighted_sum(length, dim, shares, x, dim, to);
        simd.standardise(dim, to, mean, scale, to);
        continue;
      }
      float* const to = y + i * steps * dim;
      for (int64_t t = 0; t < length; ++t) simd.standardise(dim, x + t * dim, mean, scale, to + t * dim);
      std::fill(to + length * dim, to + steps * dim, 0.f);
    }
  };
  Exec inner = exec;
  if (rows * steps * dim < 65536) inner.threads = 1;
  parallel_for(inner, static_cast<int>((rows + kRows - 1) / kRows), body);
}

}  // namespace cinefuse
