// A network in training as a list of nodes, made by lib/train/program.ts and walked by training_walk.h on the
// CPU and on devices alike. Plain C++, so that nvcc reads it too.
//
// A value is a matrix: of a row for every film of the batch, or for those films only that have one modality
// (its domain), in the order of the batch. Parameters are offsets into one array, constants into another.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cinefuse {

enum class TrainingOp : int {
  kInput = 0,          // -> x; constants: mean, scale; integers: modality, whether its steps are averaged
  kAdditive,           // steps -> c; W, b, w; integers: modality, k
  kLinear,             // x -> y; W, b
  kActivation,         // x -> y; integers: enum class Activation
  kNorm,               // x -> y; gain, shift
  kDropout,            // x -> y; integers: whether of an input, number of this use
  kScatter,            // x of present rows -> columns of y; absent or -1; integers: modality, column
  kLogitSum,           // (rows, n, d) -> (rows, d); logits; integers: subset
  kGate,               // early, late -> y; gate; integers: subsets early, late
  kTensor,             // h_1 ... h_M -> y; W, b
  kLowRank,            // h_1 ... h_M -> y; factors, rank weights, bias; integers: rank
  kModalityAttention,  // (rows, M, d) -> (rows, d); W, b, w or -1; integers: enum class AttentionForm, k
  kCrossModal,  // (rows, M, d) -> (rows, d); cross_arrays of each block; integers: heads, hidden, blocks
};
constexpr int kTrainingOpCount = 13;
constexpr int kMostNodeInputs = 8;

struct TrainingValue {
  int64_t domain;  // a modality, or -1: every row
  int64_t cols;    // of each step
  bool timed;      // of every step of its domain's modality
};

struct TrainingNode {
  TrainingOp op;
  std::vector<int64_t> in, param, integer;
  int64_t out;
  // By input: whether anybody wants its gradient, and whether somebody has written to it before.
  std::vector<uint8_t> wanted, added;
};

enum class TrainingLossKind : int { kMse = 0, kMae, kHuber, kBce, kCrossEntropy, kSpread };

struct TrainingLoss {
  TrainingLossKind kind;
  int64_t column, cols;   // of the heads beside each other
  int64_t target;         // which of the targets
  int64_t of_column;      // of spread
  int64_t class_weights;  // offset of constants, or -1
  float weight, delta, smoothing;

  int64_t target_cols() const { return kind == TrainingLossKind::kCrossEntropy ? 1 : cols; }
};

// Parameters that an update changes: [begin, end).
struct TrainingRange {
  int64_t begin, end;
  bool decays;
};

struct TrainingOptimizer {
  int32_t kind, nesterov;
  float momentum, beta1, beta2, epsilon, weight_decay, l1, clip_norm;  // clip_norm 0: none
};

struct TrainingModality {
  int64_t dim;
  bool sequence;
};

struct TrainingProgram {
  int64_t parameters, constants;  // floats of the arrays
  int64_t heads;                  // the value whose rows are all heads beside each other
  float dropout, input_dropout;
  uint64_t seed;
  std::vector<TrainingModality> modalities;
  std::vector<std::vector<int64_t>> subsets;  // of modalities; the first has all
  std::vector<TrainingValue> values;
  std::vector<TrainingNode> nodes;
  std::vector<TrainingLoss> losses;
  std::vector<int64_t> target_cols;  // by target
  std::vector<TrainingRange> ranges;
  TrainingOptimizer optimizer;

  int64_t modality_count() const { return static_cast<int64_t>(modalities.size()); }
  const TrainingValue& value(int64_t v) const { return values[static_cast<size_t>(v)]; }
};

}  // namespace cinefuse
