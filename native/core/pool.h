// A process-wide pool of threads for loops inside one operator call. The calling thread always takes part, so
// a call never waits for workers that serve somebody else: with the pool busy it simply runs alone.
#pragma once
#include <cstddef>
#include <type_traits>

#include "exec.h"

namespace cinefuse {

namespace detail {
void run_parallel(int tasks, int threads, void (*body)(void*, int), void* context, const Exec& exec);
}

// body(i) for i in [0, tasks), on at most exec.threads threads, in no order. Checks for cancellation between
// tasks. The first exception thrown by a task ends the loop and is rethrown here.
template <class Body>
void parallel_for(const Exec& exec, int tasks, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  detail::run_parallel(
      tasks, exec.threads, [](void* context, int i) { (*static_cast<Plain*>(context))(i); }, &body, exec);
}

// Scratch memory of the calling thread that grows and is kept: no allocation once warm. Slots are
// independent; a pointer is valid until the same thread asks for the same slot again. 64-byte aligned.
float* thread_scratch(int slot, size_t floats);
constexpr int kScratchSlots = 8;

}  // namespace cinefuse
