// Word vectors by negative sampling: one pass over a stretch of text, vectors changed in place. With in = the
// vector of a context word (skip-gram), or the mean of all words around (CBOW), and out_0 = the word in the
// middle, out_1.. drawn at random:
//
//   g_k = rate · ([k = 0] - 1 / (1 + e^(-in · out_k))),   in += Σ_k g_k out_k,   out_k += g_k in
//
// (in CBOW every word around gets the whole sum, as word2vec has it.) A place is left out with probability 1
// - keep[word]; the reach of each word is drawn from 1..window; negatives are drawn by an alias table. Texts
// end with -1. Random numbers follow from the seed, the stream and the text's place alone.
//
// Several threads share the texts and write the same vectors without locks (Hogwild: Recht et al. 2011), so
// their results differ from run to run; one thread gives the same bits each time, on one instruction set.
// Source: Mikolov et al. 2013, Distributed Representations of Words and Phrases; word2vec.c.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../../core/exec.h"

namespace cinefuse {

constexpr int64_t kVectorStride =
    16;  // rows begin at multiples of so many floats, zeros behind their numbers
constexpr int kMostNegatives = 63, kMostReach = 255;

struct WordVectorPass {
  const int32_t* tokens;  // (count), rows of the vectors, or -1
  int64_t count;
  int64_t rows, stride;
  float *in, *out;       // (rows, stride)
  const float* keep;     // (rows)
  const float* cut;      // (rows): alias table, the share of a row's draws that are its own
  const int32_t* other;  // (rows): whose the others are
  int32_t window, negatives;
  bool skip_gram;
  float rate, last_rate;  // at the first token, and behind the last
  uint64_t seed, stream;
};

struct WordVectorSizes {
  size_t in, out, keep, cut, other;
};

// Throws ERR_SHAPE, ERR_INPUT_VALUE.
void word_vectors_check(const WordVectorPass& pass, const WordVectorSizes& sizes);
void word_vectors(const WordVectorPass& pass, const Exec& exec);

}  // namespace cinefuse
