// One call of an operator: its transfers through pinned memory, its scratch, its timing.
#include <algorithm>
#include <cstring>

#include "device.h"
#include "plans.h"

namespace cinefuse::gpu {

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

std::vector<size_t> Call::scratch_mark() const {
  std::vector<size_t> mark;
  for (const Chunk& chunk : *chunks_) mark.push_back(chunk.used);
  return mark;
}

void Call::rewind_scratch(const std::vector<size_t>& mark) {
  for (size_t i = 0; i < chunks_->size(); ++i) (*chunks_)[i].used = i < mark.size() ? mark[i] : 0;
}

void Call::time_body(void (*run)(void*), void* body) {
  const size_t flush_bytes = how_.timing->flush_l2 ? 2 * device_.l2_bytes() + 1 : 0;
  void* const flush = flush_bytes ? scratch_bytes(flush_bytes) : nullptr;
  const std::vector<size_t> mark = scratch_mark();
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
    if (i + 1 < how_.timing->repeats) rewind_scratch(mark);
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
