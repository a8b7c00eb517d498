#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "device.h"

#ifndef CINEFUSE_CUDA_ARCHS
#define CINEFUSE_CUDA_ARCHS "unknown architectures"
#endif

namespace cinefuse::gpu {

std::string text(const char* pattern, ...) {
  char buffer[1024];
  va_list args;
  va_start(args, pattern);
  vsnprintf(buffer, sizeof buffer, pattern, args);
  va_end(args);
  return buffer;
}

namespace {

// From the project's folder on: the builder's own path is nobody's business.
const char* short_path(const char* file) {
  const char* found = strstr(file, "native/");
  for (const char* p = found; p; p = strstr(p + 1, "native/")) found = p;
  return found ? found : file;
}

bool is_absence(cudaError_t error) {
  return error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice ||
         error == cudaErrorInvalidDevice || error == cudaErrorNoKernelImageForDevice ||
         error == cudaErrorInvalidDeviceFunction;
}

// What to do about it.
std::string absence_advice(cudaError_t error) {
  switch (error) {
    case cudaErrorInsufficientDriver: {
      int version = 0;
      cudaRuntimeGetVersion(&version);
      return text(
          "There is no NVIDIA driver here, or one too old for CUDA %d.%d, which the kernels were built with",
          version / 1000, version % 1000 / 10);
    }
    case cudaErrorNoDevice:
      return "The driver shows no GPU (CUDA_VISIBLE_DEVICES can hide them)";
    case cudaErrorInvalidDevice:
      return "There is no device of this number (CUDA_VISIBLE_DEVICES decides which GPU is 0)";
    default: {
      int device = 0;
      cudaDeviceProp properties{};
      cudaGetDevice(&device);
      cudaGetDeviceProperties(&properties, device);
      return text(
          "The kernels were built for %s, and this device (%s) wants %d%d: rebuild them with --arch %d%d",
          CINEFUSE_CUDA_ARCHS, properties.name, properties.major, properties.minor, properties.major,
          properties.minor);
    }
  }
}

// A sticky error comes back however often it is cleared; one of a stream that captures (900 to 910) does not
// count.
bool is_sticky() {
  cudaGetLastError();
  const cudaError_t again = cudaDeviceSynchronize();
  cudaGetLastError();
  return again != cudaSuccess && !(again >= 900 && again < 911);
}

}  // namespace

void throw_failure(cudaError_t error, const char* expression, const char* file, int line) {
  std::string message = text("%s failed: %s (%s), at %s:%d", expression, cudaGetErrorString(error),
                             cudaGetErrorName(error), short_path(file), line);
  cinefuse_failure_kind kind = CINEFUSE_FAILED;
  if (is_absence(error)) {
    kind = CINEFUSE_NO_DEVICE;
    cudaGetLastError();
    message = absence_advice(error) + " (" + message + ")";
  } else if (is_sticky()) {
    kind = CINEFUSE_DEVICE_LOST;
  } else if (error == cudaErrorMemoryAllocation) {
    kind = CINEFUSE_OUT_OF_MEMORY;
  }
  throw Failure(kind, message, {}, static_cast<int>(error));
}

// ---- memory

// Few sizes, so that blocks fit again: powers of two up to 1 MiB, then whole MiB.
size_t Memory::rounded(size_t bytes) {
  constexpr size_t kMiB = size_t{1} << 20;
  if (bytes > kMiB) return (bytes + kMiB - 1) / kMiB * kMiB;
  size_t size = 512;
  while (size < bytes) size *= 2;
  return size;
}

void* Memory::take(size_t bytes) {
#if defined(CINEFUSE_EMULATED_ASAN)
  const size_t size = bytes ? bytes : 1;  // no slack: the sanitizer is to see every byte beyond the end
#else
  const size_t size = rounded(bytes);
#endif
  const std::lock_guard<std::mutex> lock(mutex_);
  void* p = nullptr;
  size_t got = size;
  const auto found = cached_.lower_bound(size);
  if (found != cached_.end() && found->first <= size + size / 4) {
    p = found->second;
    got = found->first;
    cached_bytes_ -= static_cast<int64_t>(got);
    cached_.erase(found);
  } else {
    const auto over_cap = [&] {
      return cap_ > 0 && in_use_bytes_ + cached_bytes_ + static_cast<int64_t>(size) > cap_;
    };
    if (over_cap()) trim_locked();
    cudaError_t error = cudaErrorMemoryAllocation;
    if (!over_cap()) {
      error = cudaMalloc(&p, size);
      if (error == cudaErrorMemoryAllocation && !cached_.empty()) {
        cudaGetLastError();
        trim_locked();
        error = cudaMalloc(&p, size);
      }
    }
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      size_t free = 0, total = 0;
      cudaMemGetInfo(&free, &total);
      throw Failure(
          CINEFUSE_OUT_OF_MEMORY,
          text("Out of device memory: %zu bytes were wanted; cinefuse holds %lld bytes here (cap %s), the "
               "device has %zu of %zu bytes free",
               size, static_cast<long long>(in_use_bytes_), cap_ > 0 ? std::to_string(cap_).c_str() : "none",
               free, total),
          {}, static_cast<int>(error));
    }
    CINEFUSE_CUDA(error);
  }
  in_use_[p] = got;
  in_use_bytes_ += static_cast<int64_t>(got);
  peak_ = std::max(peak_, in_use_bytes_ + cached_bytes_);
#if defined(CINEFUSE_EMULATED)
  memset(p, 0xFF, bytes);  // what a former call left must not pass for data
#endif
  return p;
}

void Memory::give(void* p) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = in_use_.find(p);
  if (found == in_use_.end()) return;  // forgotten with its lost device
  in_use_bytes_ -= static_cast<int64_t>(found->second);
#if defined(CINEFUSE_EMULATED_ASAN)
  cudaFree(p);
#else
  cached_bytes_ += static_cast<int64_t>(found->second);
  cached_.emplace(found->second, p);
#endif
  in_use_.erase(found);
}

void Memory::trim_locked() noexcept {
  for (const auto& block : cached_) cudaFree(block.second);
  cached_.clear();
  cached_bytes_ = 0;
}
void Memory::trim() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  trim_locked();
}

void Memory::forget() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
#if defined(CINEFUSE_EMULATED)
  for (const auto& block : in_use_) cudaFree(block.first);  // only here do they outlive their context
  for (const auto& block : cached_) cudaFree(block.second);
#endif
  cached_.clear();
  in_use_.clear();
  cached_bytes_ = in_use_bytes_ = 0;
}

cinefuse_device_memory Memory::stats() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {in_use_bytes_, cached_bytes_, peak_, cap_};
}

// ---- device

UseDevice::UseDevice(int ordinal) {
  CINEFUSE_CUDA(cudaGetDevice(&before_));
  if (before_ == ordinal) {
    before_ = -1;
  } else {
    CINEFUSE_CUDA(cudaSetDevice(ordinal));
  }
}
UseDevice::~UseDevice() {
  if (before_ >= 0) cudaSetDevice(before_);
}

__global__ void probe_kernel(int* out) {
  if (out) *out = 1;
}

Device::Device(int ordinal, int64_t memory_cap) : ordinal(ordinal), memory(memory_cap) {
  const UseDevice use(ordinal);
  cudaGetLastError();  // what others left on this thread must not be taken for ours
  cudaDeviceProp properties{};
  CINEFUSE_CUDA(cudaGetDeviceProperties(&properties, ordinal));
  multiprocessors_ = properties.multiProcessorCount;
  l2_bytes_ = static_cast<size_t>(properties.l2CacheSize);
  shared_bytes_ = properties.sharedMemPerBlockOptin;
  // A count of devices is no proof: a build without code for this one fails only here.
  CINEFUSE_LAUNCH(static_cast<cudaStream_t>(nullptr), probe_kernel, 1, 1, 0, static_cast<int*>(nullptr));
  CINEFUSE_CUDA(cudaDeviceSynchronize());
}

Device::~Device() {
  // With a lost device went all that was on it. Its addresses may by now be those of a handle opened after a
  // reset.
  if (lost()) {
    memory.forget();
    return;
  }
  try {
    const UseDevice use(ordinal);
    for (const auto& lane : lanes_) {
      for (cudaEvent_t event : lane->copied) {
        if (event) cudaEventDestroy(event);
      }
      if (lane->stream) cudaStreamDestroy(lane->stream);
      if (lane->pinned) cudaFreeHost(lane->pinned);
    }
    memory.trim();
  } catch (...) {
    // Only setting the device throws: then there is nothing left to give back.
  }
}

void Device::require_alive() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (lost_.empty()) return;
  throw Failure(
      CINEFUSE_DEVICE_LOST,
      text("Device %d was lost to an earlier failure: %s. Reset it (resetDevice) or start the process anew; "
           "other devices and the CPU go on",
           ordinal, lost_.c_str()));
}
void Device::lose(const std::string& why) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (lost_.empty()) lost_ = why;
}
bool Device::lost() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !lost_.empty();
}

Lane* Device::take_lane(const volatile int32_t* cancel) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (free_lanes_.empty() && lanes_.size() == kMostLanes) {
    lane_free_.wait_for(lock, std::chrono::milliseconds(20));
    if (cancel && *cancel)
      throw Failure(CINEFUSE_CALL_CANCELLED, "The call was cancelled by its AbortSignal");
  }
  if (!free_lanes_.empty()) {
    Lane* const lane = free_lanes_.back();
    free_lanes_.pop_back();
    return lane;
  }
  lanes_.push_back(std::make_unique<Lane>());
  Lane* const lane = lanes_.back().get();
  lock.unlock();
  try {
    CINEFUSE_CUDA(cudaStreamCreateWithFlags(&lane->stream, cudaStreamNonBlocking));
    for (cudaEvent_t& event : lane->copied)
      CINEFUSE_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  } catch (...) {
    lock.lock();
    const auto mine =
        std::find_if(lanes_.begin(), lanes_.end(), [&](const auto& l) { return l.get() == lane; });
    if (lane->stream) cudaStreamDestroy(lane->stream);
    for (cudaEvent_t event : lane->copied) {
      if (event) cudaEventDestroy(event);
    }
    lanes_.erase(mine);
    throw;
  }
  return lane;
}
void Device::give_lane(Lane* lane) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  free_lanes_.push_back(lane);
  lane_free_.notify_one();
}

}  // namespace cinefuse::gpu
