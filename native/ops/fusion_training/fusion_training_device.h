// What the CUDA library is told of a trainer and its steps. All pointers are to host memory.
#pragma once
#include <stdint.h>

struct cinefuse_fusion_training_description {
  const int64_t* integers;  // the program, as lib/train/program.ts encodes it
  const float* floats;
  int64_t integer_count, float_count;
  // What there is to start from; moments null where the optimiser has none.
  const float *parameters, *constants, *first, *second;
};

// One step: where its parts begin in the arrays of all steps.
struct cinefuse_training_step {
  int64_t rows, number;
  int64_t inputs;   // floats: of each input node, in the order of the program
  int64_t targets;  // floats: of each target
  int64_t weights;  // floats (rows), or -1
  int64_t masks;    // bytes: of each subset
  int64_t places;   // ints (modalities, rows): the film's place among those that have the modality, or -1
  int64_t lengths;  // ints (modalities, rows): of those that have it
};

struct cinefuse_fusion_training_params {
  int32_t read;  // 1: no steps, but parameters and moments out
  int32_t reserved;
  int64_t steps, most_rows, float_count, int_count, byte_count;
  const cinefuse_training_step* step;
  const float* floats;
  const int32_t* ints;
  const uint8_t* bytes;
  const int64_t* present;         // (steps, modalities)
  const int64_t* sequence_steps;  // (modalities)
  const uint8_t* known;           // (steps, losses)
  const void* updates;            // (steps, ranges) of OptimizerStep
  float *each, *norms;            // (steps, losses), (steps)
  int64_t* done;                  // steps that were started whole, also when the call fails
  float *parameters, *first, *second;
};
