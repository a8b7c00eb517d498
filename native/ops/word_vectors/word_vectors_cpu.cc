#include <algorithm>
#include <cstring>
#include <vector>

#include "../../core/pool.h"
#include "word_vectors.h"
#include "word_vectors_simd.h"

namespace cinefuse {
namespace {

constexpr int64_t kLongestText = 10000;  // words that are held at a time; a longer text is cut

// splitmix64 (Steele et al. 2014).
class Draws {
 public:
  Draws(uint64_t seed, uint64_t stream, uint64_t place) : state_(seed) {
    state_ = next() + stream * 0xD1342543DE82EF95u;
    state_ = next() + place * 0xD1342543DE82EF95u;
  }
  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // Below n, out of the upper half; `rest` becomes a number in [0, 1) out of the lower.
  int64_t below(int64_t n, float* rest) {
    const uint64_t z = next();
    *rest = static_cast<float>(z & 0xffffffu) * 0x1p-24f;
    return static_cast<int64_t>(((z >> 32) * static_cast<uint64_t>(n)) >> 32);
  }

 private:
  uint64_t state_;
};

class Trainer {
 public:
  Trainer(const WordVectorPass& pass, const Exec& exec)
      : p_(pass), exec_(exec), simd_(word_vectors_simd(exec.isa)) {}

  // Texts that begin in tokens [begin, end).
  void run(int64_t begin, int64_t end) {
    int64_t at = begin;
    while (at > 0 && at < end && p_.tokens[at - 1] != -1) ++at;
    while (at < end) {
      exec_.check_cancelled();
      Draws draws(p_.seed, p_.stream, static_cast<uint64_t>(at));
      const float done = static_cast<float>(at) / static_cast<float>(p_.count);
      rate_ = p_.rate + (p_.last_rate - p_.rate) * done;
      text_.clear();
      float rest;
      for (; at < p_.count && p_.tokens[at] != -1 && static_cast<int64_t>(text_.size()) < kLongestText;
           ++at) {
        draws.below(1, &rest);
        if (rest < p_.keep[p_.tokens[at]]) text_.push_back(p_.tokens[at]);
      }
      for (int64_t i = 0; i < length(); ++i) word(i, draws);
      if (at < p_.count && p_.tokens[at] == -1) ++at;
    }
  }

 private:
  int64_t length() const { return static_cast<int64_t>(text_.size()); }
  float* in(int64_t i) const { return p_.in + text_[static_cast<size_t>(i)] * p_.stride; }

  void draw_rows(int32_t middle, Draws& draws) {
    rows_[0] = p_.out + middle * p_.stride;
    count_ = 1;
    for (int k = 0; k < p_.negatives; ++k) {
      float rest;
      const int64_t i = draws.below(p_.rows, &rest);
      const int64_t drawn = rest < p_.cut[i] ? i : p_.other[i];
      if (drawn != middle) rows_[count_++] = p_.out + drawn * p_.stride;
    }
  }

  void word(int64_t i, Draws& draws) {
    float rest;
    const int64_t reach = 1 + draws.below(p_.window, &rest);
    const int64_t first = std::max<int64_t>(0, i - reach), last = std::min(length() - 1, i + reach);
    const int32_t middle = text_[static_cast<size_t>(i)];
    if (p_.skip_gram) {
      for (int64_t j = first; j <= last; ++j) {
        if (j == i) continue;
        draw_rows(middle, draws);
        simd_.step(p_.stride, in(j), count_, rows_, rate_, nullptr);
      }
      return;
    }
    if (last == first) return;
    float mean[2 * kChunk];
    // Vectors too long for the stack's share are taken from the thread's memory.
    float* const sum = p_.stride <= kChunk ? mean : thread_scratch(0, static_cast<size_t>(2 * p_.stride));
    float* const due = sum + p_.stride;
    std::memset(sum, 0, sizeof(float) * static_cast<size_t>(p_.stride));
    int64_t left = last - first;
    for (int64_t j = first; j <= last; ++j) {
      if (j == i) continue;
      --left;
      simd_.sum(p_.stride, in(j), left == 0 ? 1.f / static_cast<float>(last - first) : 1.f, sum);
    }
    draw_rows(middle, draws);
    simd_.step(p_.stride, sum, count_, rows_, rate_, due);
    for (int64_t j = first; j <= last; ++j) {
      if (j != i) simd_.sum(p_.stride, due, 1.f, in(j));
    }
  }

  static constexpr int64_t kChunk = 512;
  const WordVectorPass& p_;
  const Exec& exec_;
  const WordVectorsSimd& simd_;
  std::vector<int32_t> text_;
  float* rows_[kMostNegatives + 1] = {};
  int count_ = 0;
  float rate_ = 0.f;
};

}  // namespace

void word_vectors_cpu(const WordVectorPass& p, const Exec& exec) {
  const int64_t parts = std::clamp<int64_t>(p.count / 1000, 1, exec.threads);
  parallel_for(exec, static_cast<int>(parts),
               [&](int part) { Trainer(p, exec).run(p.count * part / parts, p.count * (part + 1) / parts); });
}

}  // namespace cinefuse
