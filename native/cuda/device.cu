#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "device.h"
#include "plans.h"

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

// ---- calls

Call::Call(Device& device, const cinefuse_call* how) : use_(device.ordinal), device_(device) {
  if (how) how_ = *how;
  device.require_alive();
  check_cancelled();
  cudaGetLastError();  // what others left on this thread must not be taken for ours
  lane_ = device.take_lane(how_.cancel);
}

Call::~Call() {
  // Memory and lane may serve others only when the device is done with them; of a lost device they are gone
  // anyway.
  if (under_way_ && cudaStreamSynchronize(lane_->stream) != cudaSuccess) cudaGetLastError();
  if (!plan_) {
    if (inputs_.device) device_.memory.give(inputs_.device);
    if (outputs_.device) device_.memory.give(outputs_.device);
  }
  for (const Chunk& chunk : own_chunks_) device_.memory.give(chunk.memory);
  plan_.reset();
  device_.give_lane(lane_);
}

void Call::check_cancelled() const {
  if (how_.cancel && *how_.cancel) {
    throw Failure(CINEFUSE_CALL_CANCELLED, "The call was cancelled by its AbortSignal");
  }
}

size_t Call::Transfer::add(void* host, size_t n) {
  const size_t offset = bytes;
  pieces.push_back({static_cast<char*>(host), offset, n, 0, 0, 0});
  bytes += (n + 255) / 256 * 256;
  return offset;
}

In<uint8_t> Call::in_rows(const uint8_t* host, int64_t rows, int64_t row, int64_t host_pitch, int64_t pitch) {
  const size_t offset = inputs_.add(const_cast<uint8_t*>(host), static_cast<size_t>(rows * pitch));
  Piece& piece = inputs_.pieces.back();
  if (host_pitch == pitch || rows == 1) {
    piece.bytes = static_cast<size_t>((rows - 1) * pitch + row);
  } else {
    piece.row = static_cast<size_t>(row);
    piece.host_pitch = static_cast<size_t>(host_pitch);
    piece.pitch = static_cast<size_t>(pitch);
  }
  return In<uint8_t>(&inputs_.device, offset);
}

void Call::send() {
  if (plan_) {
    plan_->provide(inputs_.bytes, outputs_.bytes);
    inputs_.device = plan_->inputs_;
    outputs_.device = plan_->outputs_;
  } else {
    if (inputs_.bytes) inputs_.device = static_cast<char*>(device_.memory.take(inputs_.bytes));
    if (outputs_.bytes) outputs_.device = static_cast<char*>(device_.memory.take(outputs_.bytes));
  }
  check_cancelled();
  under_way_ = true;
  copy(inputs_, true);
}

void Call::receive() {
  check_cancelled();
  copy(outputs_, false);
  finish();
}

void Call::finish() {
  CINEFUSE_CUDA(cudaStreamSynchronize(lane_->stream));
  under_way_ = false;
}

// One of the two halves of the lane's pinned memory, of at least min(wanted, kMost) bytes.
char* Call::pinned_half(int half, size_t wanted, size_t* bytes) {
  constexpr size_t kLeast = size_t{64} << 10, kMost = size_t{16} << 20;
  size_t size = kLeast;
  while (size < kMost && size < wanted) size *= 2;
  if (lane_->pinned_bytes < 2 * size) {
    if (lane_->pinned) CINEFUSE_CUDA(cudaStreamSynchronize(lane_->stream));
    if (lane_->pinned) cudaFreeHost(lane_->pinned);
    lane_->pinned = nullptr;
    lane_->pinned_bytes = 0;
    void* memory = nullptr;
    CINEFUSE_CUDA(cudaHostAlloc(&memory, 2 * size, cudaHostAllocDefault));
    lane_->pinned = static_cast<char*>(memory);
    lane_->pinned_bytes = 2 * size;
  }
  *bytes = lane_->pinned_bytes / 2;
  return lane_->pinned + half * *bytes;
}

// A transfer goes through pinned memory by turns of its halves: one is filled or emptied while the other is
// copied.
void Call::copy(const Transfer& transfer, bool up) {
  if (!transfer.bytes) return;
  size_t next = 0;  // the first piece that the range can hold
  const auto host_side = [&](char* pinned, size_t from, size_t to) {
    while (next < transfer.pieces.size() &&
           transfer.pieces[next].offset + transfer.pieces[next].bytes <= from)
      ++next;
    for (size_t i = next; i < transfer.pieces.size() && transfer.pieces[i].offset < to; ++i) {
      const Piece& piece = transfer.pieces[i];
      const size_t a = std::max(piece.offset, from), b = std::min(piece.offset + piece.bytes, to);
      if (a >= b) continue;
      if (piece.row) {
        for (size_t r = (a - piece.offset) / piece.pitch, at; (at = piece.offset + r * piece.pitch) < b;
             ++r) {
          const size_t first = std::max(at, a), last = std::min(at + piece.row, b);
          if (first < last)
            memcpy(pinned + (first - from), piece.host + r * piece.host_pitch + (first - at), last - first);
        }
        continue;
      }
      char* const host = piece.host + (a - piece.offset);
      if (up) {
        memcpy(pinned + (a - from), host, b - a);
      } else {
        memcpy(host, pinned + (a - from), b - a);
      }
    }
  };
  struct Range {
    char* pinned;
    size_t from, to;
  } waiting[2] = {};
  int half = 0;
  bool used[2] = {};
  for (size_t from = 0; from < transfer.bytes; half ^= 1) {
    size_t size = 0;
    char* const pinned = pinned_half(half, transfer.bytes, &size);
    const size_t to = std::min(from + size, transfer.bytes);
    if (used[half]) {
      check_cancelled();
      CINEFUSE_CUDA(cudaEventSynchronize(lane_->copied[half]));
      if (!up) host_side(waiting[half].pinned, waiting[half].from, waiting[half].to);
    }
    if (up) {
      host_side(pinned, from, to);
      CINEFUSE_CUDA(
          cudaMemcpyAsync(transfer.device + from, pinned, to - from, cudaMemcpyHostToDevice, stream()));
    } else {
      CINEFUSE_CUDA(
          cudaMemcpyAsync(pinned, transfer.device + from, to - from, cudaMemcpyDeviceToHost, stream()));
      waiting[half] = {pinned, from, to};
    }
    CINEFUSE_CUDA(cudaEventRecord(lane_->copied[half], stream()));
    used[half] = true;
    from = to;
  }
  if (up) return;
  for (int i = 0; i < 2; ++i, half ^= 1) {
    if (!used[half]) continue;
    CINEFUSE_CUDA(cudaEventSynchronize(lane_->copied[half]));
    host_side(waiting[half].pinned, waiting[half].from, waiting[half].to);
  }
}

void* Call::scratch_bytes(size_t bytes) {
  const size_t size = (bytes + 255) / 256 * 256;
  for (Chunk& chunk : *chunks_) {
    if (chunk.bytes - chunk.used < size) continue;
    void* const p = chunk.memory + chunk.used;
    chunk.used += size;
    return p;
  }
#if defined(CINEFUSE_EMULATED_ASAN)
  const size_t wanted = bytes ? bytes : 1;  // a block of its own
#else
  const size_t wanted = std::max(size, size_t{1} << 20);
#endif
  chunks_->push_back({static_cast<char*>(device_.memory.take(wanted)), wanted, std::min(size, wanted)});
  return chunks_->back().memory;
}

void Call::time_body(void (*run)(void*), void* body) {
  std::vector<size_t> marks;
  const auto rewind = [&] {
    for (size_t i = 0; i < chunks_->size(); ++i) (*chunks_)[i].used = i < marks.size() ? marks[i] : 0;
  };
  const size_t flush_bytes = how_.timing->flush_l2 ? 2 * device_.l2_bytes() + 1 : 0;
  void* const flush = flush_bytes ? scratch_bytes(flush_bytes) : nullptr;
  for (const Chunk& chunk : *chunks_) marks.push_back(chunk.used);
  struct Events {
    cudaEvent_t from = nullptr, to = nullptr;
    ~Events() {
      if (from) cudaEventDestroy(from);
      if (to) cudaEventDestroy(to);
    }
  } events;
  CINEFUSE_CUDA(cudaEventCreate(&events.from));
  CINEFUSE_CUDA(cudaEventCreate(&events.to));
  for (int i = -how_.timing->warmups; i < how_.timing->repeats; ++i) {
    check_cancelled();
    if (flush) CINEFUSE_CUDA(cudaMemsetAsync(flush, 0, flush_bytes, stream()));
    CINEFUSE_CUDA(cudaEventRecord(events.from, stream()));
    run(body);
    CINEFUSE_CUDA(cudaEventRecord(events.to, stream()));
    CINEFUSE_CUDA(cudaEventSynchronize(events.to));
    float milliseconds = 0;
    CINEFUSE_CUDA(cudaEventElapsedTime(&milliseconds, events.from, events.to));
    if (i >= 0) how_.timing->each[i] = milliseconds;
    if (i + 1 < how_.timing->repeats) rewind();
  }
}

void Call::upload(void* to, const void* from, size_t bytes) {
  under_way_ = true;
  Transfer transfer;
  transfer.device = static_cast<char*>(to);
  transfer.pieces.push_back({const_cast<char*>(static_cast<const char*>(from)), 0, bytes, 0, 0, 0});
  transfer.bytes = bytes;
  copy(transfer, true);
  // The pinned halves are free for the next transfer only now.
  CINEFUSE_CUDA(cudaStreamSynchronize(stream()));
}
void Call::download(void* to, const void* from, size_t bytes) {
  under_way_ = true;
  Transfer transfer;
  transfer.device = const_cast<char*>(static_cast<const char*>(from));
  transfer.pieces.push_back({static_cast<char*>(to), 0, bytes, 0, 0, 0});
  transfer.bytes = bytes;
  copy(transfer, false);
}

}  // namespace cinefuse::gpu
