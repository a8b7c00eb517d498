// Records launches, so that something else can replay them (test/ptx): CINEFUSE_EMULATED_TRACE = a folder,
// into which go PID.jsonl, a line for each launch, and PID.bin, the memory that the lines speak of.
//
// Of a launch: the kernel as its distance from the library's start (a tool finds the symbol there), grid,
// block, dynamic shared memory, every parameter's bytes, and each block of device memory that the parameters
// point to, or that such a block points to in turn, before and after. A kernel's launches that differ in
// nothing but contents are recorded once.
//
// CINEFUSE_EMULATED_TRACE_LAUNCHES: launches recorded of a kernel, default 16. CINEFUSE_EMULATED_TRACE_BYTES:
// the most device memory of a launch, default 16 MiB.
#pragma once
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime.h"

namespace cinefuse::emulator::trace {

struct Parameter {
  size_t align;
  std::string bytes;
};
template <class... P, size_t... I>
std::vector<Parameter> bytes_of(const std::tuple<P...>& arguments, std::index_sequence<I...>) {
  return {{alignof(P), std::string(reinterpret_cast<const char*>(&std::get<I>(arguments)), sizeof(P))}...};
}

// Whether the environment asks for it.
bool wanted();

// One launch: made before it runs, written by `finish`.
class Recording {
 public:
  Recording(const void* kernel, const Launch& launch, std::vector<Parameter> parameters);
  void finish();

 private:
  struct Copy {
    uintptr_t address;
    std::string bytes;
  };
  const void* kernel_ = nullptr;  // null: not recorded
  std::string shape_;
  std::vector<Parameter> parameters_;
  std::vector<Copy> before_;
};

}  // namespace cinefuse::emulator::trace
