// A kernel's launch: what a GPU would refuse is refused, the rest runs at once or goes into a graph.
#pragma once
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "runtime.h"
#include "trace.h"

namespace cinefuse::emulator {

// What a launch does when its turn comes.
inline void run_launch(int device, const Launch& launch) {
  if (is_lost(device)) return;
  std::string message;
  if (planted("kernel")) {
    message = "emulator: planted failure of a kernel";
  } else {
    try {
      run_grid(launch);
    } catch (const std::exception& error) {
      message = error.what();
    }
  }
  if (message.empty()) return;
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  m.lost[device] = message;
}

inline bool possible(dim3 grid, dim3 block) {
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  return threads > 0 && threads <= kMostThreads && block.x <= 1024 && block.y <= 1024 && block.z <= 64 &&
         grid.x && grid.y && grid.z && grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535;
}

// A kernel with its arguments. Not instrumented: they are in the host's memory here.
template <class... P>
struct BoundKernel {
  void (*kernel)(P...);
  std::tuple<P...> arguments;

  CINEFUSE_UNCHECKED static void run(const void* context) {
    const auto& bound = *static_cast<const BoundKernel*>(context);
    bound.call(std::index_sequence_for<P...>{});
  }

 private:
  template <size_t... I>
  CINEFUSE_UNCHECKED void call(std::index_sequence<I...>) const {
    kernel(std::get<I>(arguments)...);
  }
};

template <class... P, class... A>
void start(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t dynamic_bytes,
           Stream* stream, A&&... arguments) {
  static_assert((std::is_trivially_copyable_v<P> && ...),
                "a kernel's parameters are copied to the device as bytes");
  static_assert((sizeof(P) + ... + 0) <= 4096, "a kernel has 4 KiB of parameters at most");
  if (planted("image")) return void(report(cudaErrorNoKernelImageForDevice, "planted: no kernel image"));
  if (planted("launch"))
    return void(report(cudaErrorLaunchOutOfResources, "planted: a launch out of resources"));
  if (!possible(grid, block))
    return void(report(cudaErrorInvalidConfiguration, "a grid or block of an impossible size"));
  size_t limit = 0;
  {
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    const auto found = m.dynamic_limit.find(reinterpret_cast<const void*>(kernel));
    if (found != m.dynamic_limit.end()) limit = found->second;
  }
  if (dynamic_bytes > kPlainShared && limit < dynamic_bytes) {
    return void(
        report(cudaErrorInvalidValue, "more than 48 KiB of dynamic shared memory without asking for it"));
  }
  const int device = stream ? stream->device : current_device;
  using Bound = BoundKernel<P...>;
  const auto bound = std::make_shared<const Bound>(Bound{kernel, {std::forward<A>(arguments)...}});
  auto run = [=] {
    const Launch launch{name, grid, block, dynamic_bytes, limit, Bound::run, bound.get()};
    if (!trace::wanted()) return run_launch(device, launch);
    trace::Recording recording(reinterpret_cast<const void*>(kernel), launch,
                               trace::bytes_of(bound->arguments, std::index_sequence_for<P...>{}));
    run_launch(device, launch);
    if (!is_lost(device)) recording.finish();
  };
  if (stream && stream->capture) {
    stream->capture->nodes.push_back(run);
  } else {
    run();
  }
}

}  // namespace cinefuse::emulator

#define CINEFUSE_START_KERNEL(kernel, grid, block, bytes, stream, ...) \
  ::cinefuse::emulator::start(#kernel, (kernel), (grid), (block), (bytes), (stream), ##__VA_ARGS__)
