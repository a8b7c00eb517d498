// The operators on a GPU against their CPU twins, without Node: what `npm run verify:gpu` runs where nothing
// can be installed. The CPU twins are held to float64 references by the tests of the library; here the GPU is
// held to them.
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "../../native/core/exec.h"

namespace cinefuse::verify {

// Numbers in [-1, 1) that depend on the seed alone.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
  uint64_t bits();
  float number();
  int64_t integer(int64_t least, int64_t most);
  std::vector<float> numbers(int64_t n, float scale = 1.f);

 private:
  uint64_t state_;
};

struct Options {
  Exec device;         // where the GPU's side runs
  bool small = false;  // shapes for a sanitizer or an emulator
  std::string only;    // cases whose name contains this
};

class Suite {
 public:
  explicit Suite(Options options) : options(std::move(options)) {}
  const Options options;
  bool small() const { return options.small; }

  // body(exec, out) fills `n` results; run on the CPU and on the device, which must agree: |d - c| <=
  // tolerance * max|c|, NaN and infinities in the same places. `precise`: float32 accuracy alone; else TF32
  // and bfloat16 too, at 2e-3 and 2e-2.
  using Body = std::function<void(const Exec&, float* out)>;
  void compare(const std::string& name, int64_t n, float tolerance, bool precise, const Body& body);
  // The same of bytes, which must be equal.
  void equal(const std::string& name, int64_t n, const std::function<void(const Exec&, uint8_t* out)>& body);
  // Both sides must throw an Error of this code and field.
  void refuse(const std::string& name, Code code, const std::string& field,
              const std::function<void(const Exec&)>& body);

  // Prints the count of cases; true when none failed and there were some.
  bool finish() const;

 private:
  bool wanted(const std::string& name) const;
  void report(const std::string& name, const std::string& failure);
  int passed_ = 0, failed_ = 0;
};

void verify_layers(Suite& suite);
void verify_fusion(Suite& suite);
void verify_attention(Suite& suite);
void verify_media(Suite& suite);
void verify_network(Suite& suite);

}  // namespace cinefuse::verify
