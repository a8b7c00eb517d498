// The part of the CUDA runtime that the library uses, on the host. Device memory is heap memory of its own
// blocks, filled with NaN; streams run everything at once; a capture records launches and copies for its
// graph. A kernel that fails is a sticky error of its device, as on a GPU.
//
// Environment, read at every call so that tests can change it: CINEFUSE_EMULATED_DEVICES = how many (default
// 1), or `driver`: as if none were installed; CINEFUSE_EMULATED_FAULT = CALL:N: the Nth CALL from when the
// variable was set fails once, CALL being malloc (out of memory), copy, capture, launch (no sticky error),
// kernel (a sticky one), image (no kernel image).
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "block.h"

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorDevicesUnavailable = 46,
  cudaErrorInvalidDeviceFunction = 98,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchOutOfResources = 701,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
enum {
  cudaStreamDefault = 0,
  cudaStreamNonBlocking = 1,
  cudaEventDefault = 0,
  cudaEventDisableTiming = 2,
  cudaHostAllocDefault = 0
};
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem, sharedMemPerBlockOptin;
  int major, minor, multiProcessorCount, l2CacheSize, memoryBusWidth;
};
enum cudaDeviceAttr { cudaDevAttrClockRate = 13, cudaDevAttrMemoryClockRate = 36 };

namespace cinefuse::emulator {

struct Graph {
  std::vector<std::function<void()>> nodes;
};
struct Stream {
  int device;
  std::unique_ptr<Graph> capture;
};
struct Event {
  std::chrono::steady_clock::time_point at;
};

constexpr int kMostDevices = 8;

// Shared by the threads of the process, as a GPU is.
struct Machine {
  std::mutex mutex;
  std::string lost[kMostDevices];  // why, where a device has a sticky error
  std::unordered_map<void*, size_t> allocations;
  std::unordered_map<const void*, size_t> dynamic_limit;  // of kernels
  std::string fault;                                      // as last seen in the environment
  long fault_left = 0;
  size_t in_use = 0;
};
inline Machine& machine() {
  static Machine* const one = new Machine;  // outlives the threads that end with the process
  return *one;
}

inline thread_local int current_device = 0;
inline thread_local int captures = 0;  // under way on this thread
inline thread_local cudaError_t last_error = cudaSuccess;
inline thread_local std::string last_message;

inline cudaError_t report(cudaError_t error, const std::string& message = {}) {
  if (error != cudaSuccess) {
    last_error = error;
    last_message = message;
  }
  return error;
}

// True when the environment asks this call to fail.
inline bool planted(const char* call) {
  const char* text = std::getenv("CINEFUSE_EMULATED_FAULT");
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  if (m.fault != (text ? text : "")) {
    m.fault = text ? text : "";
    const size_t colon = m.fault.find(':');
    m.fault_left = colon == std::string::npos ? 1 : std::atol(m.fault.c_str() + colon + 1);
  }
  if (m.fault.compare(0, m.fault.find(':'), call) != 0) return false;
  return --m.fault_left == 0;
}

inline bool is_lost(int device, std::string* why = nullptr) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  if (why) *why = m.lost[device];
  return !m.lost[device].empty();
}
inline cudaError_t check_device() {
  std::string why;
  return is_lost(current_device, &why) ? report(cudaErrorLaunchFailure, why) : cudaSuccess;
}

// For what a thread may not do while one of its streams captures.
inline cudaError_t check_synchronous() {
  if (captures > 0)
    return report(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing");
  return check_device();
}

template <class Work>
cudaError_t enqueue(Stream* stream, Work work) {
  if (const cudaError_t error = check_device()) return error;
  if (stream && stream->capture) {
    stream->capture->nodes.push_back(work);
  } else {
    work();
  }
  return cudaSuccess;
}

}  // namespace cinefuse::emulator

using cudaStream_t = cinefuse::emulator::Stream*;
using cudaEvent_t = cinefuse::emulator::Event*;
using cudaGraph_t = cinefuse::emulator::Graph*;
using cudaGraphExec_t = cinefuse::emulator::Graph*;

inline cudaError_t cudaGetLastError() {
  using namespace cinefuse::emulator;
  if (check_device() != cudaSuccess) return cudaErrorLaunchFailure;
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}
inline cudaError_t cudaPeekAtLastError() {
  using namespace cinefuse::emulator;
  return check_device() != cudaSuccess ? cudaErrorLaunchFailure : last_error;
}
inline const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice:
      return "cudaErrorNoKernelImageForDevice";
    case cudaErrorLaunchOutOfResources:
      return "cudaErrorLaunchOutOfResources";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    default:
      return "cudaErrorUnknown";
  }
}
// The message of the calling thread's last error.
inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : cinefuse::emulator::last_message.c_str();
}

inline cudaError_t cudaGetDeviceCount(int* count) {
  const char* text = std::getenv("CINEFUSE_EMULATED_DEVICES");
  *count = 0;
  if (text && !std::strcmp(text, "driver")) {
    return cinefuse::emulator::report(cudaErrorInsufficientDriver,
                                      "CUDA driver version is insufficient for CUDA runtime version");
  }
  *count = text ? std::atoi(text) : 1;
  if (*count == 0) return cinefuse::emulator::report(cudaErrorNoDevice, "no CUDA-capable device is detected");
  *count = std::min(*count, cinefuse::emulator::kMostDevices);
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
  int count;
  if (const cudaError_t error = cudaGetDeviceCount(&count)) return error;
  if (device < 0 || device >= count)
    return cinefuse::emulator::report(cudaErrorInvalidDevice, "invalid device ordinal");
  cinefuse::emulator::current_device = device;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = cinefuse::emulator::current_device;
  return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  *p = cudaDeviceProp{};
  std::snprintf(p->name, sizeof p->name, "Emulated device %d", device);
  p->totalGlobalMem = size_t{8} << 30;
  p->sharedMemPerBlockOptin = cinefuse::emulator::kMostShared;
  p->major = 9;
  p->multiProcessorCount = 4;
  p->l2CacheSize = 1 << 20;
  p->memoryBusWidth = 64;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = 1000000;
  return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cinefuse::emulator::check_synchronous(); }
inline cudaError_t cudaDeviceReset() {
  using namespace cinefuse::emulator;
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  m.lost[current_device].clear();
  last_error = cudaSuccess;
  return cudaSuccess;
}

inline cudaError_t cudaMalloc(void** p, size_t bytes) {
  using namespace cinefuse::emulator;
  *p = nullptr;
  if (const cudaError_t error = check_synchronous()) return error;
  if (planted("malloc")) return report(cudaErrorMemoryAllocation, "out of memory");
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  if (m.in_use + bytes > (size_t{8} << 30)) return report(cudaErrorMemoryAllocation, "out of memory");
  // CUDA aligns to 256 at least; exactly as large as asked for, so that AddressSanitizer sees every byte
  // beyond.
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, bytes ? bytes : 1))
    return report(cudaErrorMemoryAllocation, "out of memory");
  std::memset(memory, 0xFF, bytes);
  m.allocations[memory] = bytes;
  m.in_use += bytes;
  *p = memory;
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* p) {
  using namespace cinefuse::emulator;
  if (!p) return cudaSuccess;
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  const auto found = m.allocations.find(p);
  if (found == m.allocations.end())
    return report(cudaErrorInvalidValue, "cudaFree of what cudaMalloc did not give");
  m.in_use -= found->second;
  m.allocations.erase(found);
  std::free(p);
  return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  using namespace cinefuse::emulator;
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  *total = size_t{8} << 30;
  *free = *total - m.in_use;
  return cudaSuccess;
}
inline cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  *p = std::malloc(bytes ? bytes : 1);
  return *p ? cudaSuccess : cinefuse::emulator::report(cudaErrorMemoryAllocation, "out of memory");
}
inline cudaError_t cudaFreeHost(void* p) {
  std::free(p);
  return cudaSuccess;
}

inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t stream) {
  using namespace cinefuse::emulator;
  if (planted("copy")) return report(cudaErrorInvalidValue, "planted: a copy that fails");
  return enqueue(stream, [=] { std::memcpy(to, from, bytes); });
}
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return cinefuse::emulator::enqueue(stream, [=] { std::memset(to, value, bytes); });
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  using namespace cinefuse::emulator;
  if (const cudaError_t error = check_device()) return error;
  *stream = new Stream{current_device, nullptr};
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cinefuse::emulator::check_synchronous(); }
inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->capture = std::make_unique<cinefuse::emulator::Graph>();
  ++cinefuse::emulator::captures;
  return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  using namespace cinefuse::emulator;
  const std::unique_ptr<Graph> captured = std::move(stream->capture);
  *graph = nullptr;
  if (!captured) return report(cudaErrorStreamCaptureUnsupported, "the stream was not capturing");
  --captures;
  if (planted("capture")) return report(cudaErrorStreamCaptureUnsupported, "planted: a capture that fails");
  *graph = new Graph(*captured);
  return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long = 0) {
  *exec = new cinefuse::emulator::Graph(*graph);
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t) {
  if (const cudaError_t error = cinefuse::emulator::check_device()) return error;
  for (const auto& node : exec->nodes) node();
  return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new cinefuse::emulator::Event{};
  return cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cinefuse::emulator::enqueue(stream, [=] { event->at = std::chrono::steady_clock::now(); });
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cinefuse::emulator::check_device(); }
inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  *milliseconds = std::chrono::duration<float, std::milli>(to->at - from->at).count();
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
inline cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int bytes) {
  using namespace cinefuse::emulator;
  if (bytes < 0 || static_cast<size_t>(bytes) > kMostShared) {
    return report(cudaErrorInvalidValue, "more shared memory than a block can have");
  }
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  m.dynamic_limit[kernel] = static_cast<size_t>(bytes);
  return cudaSuccess;
}
