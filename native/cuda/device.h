// The host side of the library: one GPU, its memory and streams, and the calls that run on it.
//
// A call of an operator is always the same five steps, so that data crosses to the device once and back once:
//
//   const In<float> x = call.in(p.x, rows * cols);       what goes up
//   const Out<float> y = call.out(p.y, rows * cols);     what comes down
//   call.send();                                         one upload; from here on x and y are device pointers
//   call.compute([&] { CINEFUSE_LAUNCH(call.stream(), kernel, grid, block, 0, x.get(), y.get()); });
//   call.receive();                                      one download, and the only wait for the device
#pragma once
#include <condition_variable>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api.h"
#include "portable.h"

namespace cinefuse::gpu {

class Failure : public std::exception {
 public:
  Failure(cinefuse_failure_kind kind, std::string message, std::string field = {}, int native = 0)
      : kind(kind), native(native), field(std::move(field)), message(std::move(message)) {}
  const char* what() const noexcept override { return message.c_str(); }

  const cinefuse_failure_kind kind;
  const int native;
  const std::string field, message;
};

// printf into a string.
__attribute__((format(printf, 1, 2))) std::string text(const char* pattern, ...);

// Throws a Failure that names expression, file and line.
[[noreturn]] void throw_failure(cudaError_t error, const char* expression, const char* file, int line);
inline void check(cudaError_t error, const char* expression, const char* file, int line) {
  if (error != cudaSuccess) throw_failure(error, expression, file, line);
}
#define CINEFUSE_CUDA(expression) ::cinefuse::gpu::check((expression), #expression, __FILE__, __LINE__)

// kernel in parentheses when it has template arguments; more than 48 KiB of dynamic shared memory is asked
// for here.
#define CINEFUSE_LAUNCH(stream, kernel, grid, block, bytes, ...)                                      \
  do {                                                                                                \
    if ((bytes) > 48 * 1024) {                                                                        \
      CINEFUSE_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),                       \
                                         cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes))); \
    }                                                                                                 \
    CINEFUSE_START_KERNEL(kernel, (grid), (block), (bytes), (stream), __VA_ARGS__);                   \
    ::cinefuse::gpu::check(cudaGetLastError(), "launch of " #kernel, __FILE__, __LINE__);             \
  } while (0)

// Device memory that is kept for the next call instead of going back to the driver. Blocks come back only
// when the work that used them is done, so any stream may have them next.
class Memory {
 public:
  explicit Memory(int64_t cap) : cap_(cap) {}
  Memory(const Memory&) = delete;
  ~Memory() { trim(); }

  // At least `bytes`, aligned to 256. Throws CINEFUSE_OUT_OF_MEMORY with the sizes.
  void* take(size_t bytes);
  void give(void* p) noexcept;
  void trim() noexcept;
  // After a lost device: what there was is gone.
  void forget() noexcept;
  cinefuse_device_memory stats() const;

 private:
  static size_t rounded(size_t bytes);
  void trim_locked() noexcept;

  const int64_t cap_;
  mutable std::mutex mutex_;
  std::multimap<size_t, void*> cached_;
  std::unordered_map<void*, size_t> in_use_;
  int64_t in_use_bytes_ = 0, cached_bytes_ = 0, peak_ = 0;
};

// A stream with pinned memory to stage through; one call at a time has it.
struct Lane {
  cudaStream_t stream = nullptr;
  char* pinned = nullptr;  // two halves
  size_t pinned_bytes = 0;
  cudaEvent_t copied[2] = {};
};

class Device {
 public:
  Device(int ordinal, int64_t memory_cap);  // proves it with an empty kernel
  Device(const Device&) = delete;
  ~Device();

  const int ordinal;
  int multiprocessors() const { return multiprocessors_; }
  size_t l2_bytes() const { return l2_bytes_; }
  size_t shared_bytes() const { return shared_bytes_; }  // the most that a block can ask for
  Memory memory;

  // Throws CINEFUSE_DEVICE_LOST once a sticky error has happened.
  void require_alive() const;
  void lose(const std::string& why) noexcept;
  bool lost() const;

  Lane* take_lane(const volatile int32_t* cancel);
  void give_lane(Lane* lane) noexcept;

 private:
  static constexpr size_t kMostLanes = 8;
  int multiprocessors_ = 1;
  size_t l2_bytes_ = 0, shared_bytes_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable lane_free_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Lane*> free_lanes_;
  std::string lost_;
};

// Makes `ordinal` the calling thread's device, and gives the former one back at the end: the thread is not
// ours.
class UseDevice {
 public:
  explicit UseDevice(int ordinal);
  ~UseDevice();

 private:
  int before_ = -1;
};

template <class T>
class In {
 public:
  In() = default;
  const T* get() const { return base_ ? reinterpret_cast<const T*>(*base_ + offset_) : nullptr; }
  // Bytes from the first thing that goes up, known before send(): for tables of addresses.
  size_t offset() const { return offset_; }

 private:
  friend class Call;
  In(const char* const* base, size_t offset) : base_(base), offset_(offset) {}
  const char* const* base_ = nullptr;
  size_t offset_ = 0;
};
template <class T>
class Out {
 public:
  Out() = default;
  T* get() const { return base_ ? reinterpret_cast<T*>(*base_ + offset_) : nullptr; }
  size_t offset() const { return offset_; }

 private:
  friend class Call;
  Out(char* const* base, size_t offset) : base_(base), offset_(offset) {}
  char* const* base_ = nullptr;
  size_t offset_ = 0;
};

// A piece of device memory that scratch is cut from.
struct Chunk {
  char* memory;
  size_t bytes, used;
};

class Plan;  // plans.h

class Call {
 public:
  Call(Device& device, const cinefuse_call* how);
  Call(const Call&) = delete;
  ~Call();  // waits for what is under way and gives everything back

  Device& device() const { return device_; }
  cudaStream_t stream() const { return lane_->stream; }
  cinefuse_precision precision() const { return static_cast<cinefuse_precision>(how_.precision); }
  // Throws CINEFUSE_CALL_CANCELLED. Between stages.
  void check_cancelled() const;

  // n elements of host memory that go up with send(); they must stay as they are until then. Null stays null.
  template <class T>
  In<T> in(const T* host, int64_t n) {
    if (!host) return In<T>();
    return In<T>(&inputs_.device, inputs_.add(const_cast<T*>(host), sizeof(T) * static_cast<size_t>(n)));
  }
  // The same of rows of `row` bytes that lie host_pitch bytes apart, and on the device `pitch`; what is
  // between them there is undefined.
  In<uint8_t> in_rows(const uint8_t* host, int64_t rows, int64_t row, int64_t host_pitch, int64_t pitch);
  // The whole upload; valid after send().
  const char* inputs() const { return inputs_.device; }
  // n elements of host memory that receive() fills. Null stays null.
  template <class T>
  Out<T> out(T* host, int64_t n) {
    if (!host) return Out<T>();
    return Out<T>(&outputs_.device, outputs_.add(host, sizeof(T) * static_cast<size_t>(n)));
  }
  size_t transfer_bytes() const { return inputs_.bytes + outputs_.bytes; }
  bool timed() const { return how_.timing && how_.timing->repeats > 0; }
  // Takes the call's device memory from a plan, and lets compute() replay the plan's graph. After the last
  // in() and out(), before send(). The plan is let go when the device is done with it.
  void use(std::shared_ptr<Plan> plan) { plan_ = std::move(plan); }
  void send();
  // Kernels only; may take scratch. Run once, or as often as a timing asks for: it must not build on its own
  // results.
  template <class Body>
  void compute(Body&& body) {
    check_cancelled();
    const auto run = [](void* p) { (*static_cast<std::remove_reference_t<Body>*>(p))(); };
    if (plan_) return replay(run, &body);
    if (!timed()) return body();
    time_body(run, &body);
  }
  void receive();
  // Waits for the stream without a download.
  void finish();

  // Device memory until the end of the call, aligned to 256, uninitialised. Inside compute(): until that
  // ends.
  template <class T>
  T* scratch(int64_t n) {
    return static_cast<T*>(scratch_bytes(sizeof(T) * static_cast<size_t>(n)));
  }
  // What scratch was taken by now, and a way back to it: for loops whose kernels follow each other on the
  // stream.
  std::vector<size_t> scratch_mark() const;
  void rewind_scratch(const std::vector<size_t>& mark);
  // Straight copies, for objects that are made once.
  void upload(void* to, const void* from, size_t bytes);
  void download(void* to, const void* from, size_t bytes);

 private:
  struct Piece {
    char* host;
    size_t offset, bytes;
    size_t row, host_pitch, pitch;  // row 0: one stretch
  };
  // Pieces of host memory side by side in one block of device memory.
  struct Transfer {
    char* device = nullptr;
    size_t bytes = 0;
    std::vector<Piece> pieces;
    size_t add(void* host, size_t n);
  };
  void* scratch_bytes(size_t bytes);
  void time_body(void (*run)(void*), void* body);
  void replay(void (*run)(void*), void* body);
  void capture(void (*run)(void*), void* body);
  char* pinned_half(int half, size_t wanted, size_t* bytes);
  void copy(const Transfer& transfer, bool up);

  UseDevice use_;
  Device& device_;
  cinefuse_call how_{};
  Lane* lane_ = nullptr;
  Transfer inputs_, outputs_;
  std::vector<Chunk> own_chunks_;
  std::vector<Chunk>* chunks_ = &own_chunks_;  // or those of the plan
  std::shared_ptr<Plan> plan_;
  bool under_way_ = false;
};

// Device memory of an object's own.
template <class T>
class Array {
 public:
  Array() = default;
  // Uninitialised.
  Array(Device& device, int64_t n)
      : device_(&device),
        data_(static_cast<T*>(device.memory.take(sizeof(T) * static_cast<size_t>(n)))),
        n_(n) {}
  // A copy of host memory; null stays empty. The call's finish() completes it.
  Array(Call& call, const T* host, int64_t n) {
    if (!host) return;
    *this = Array(call.device(), n);
    call.upload(data_, host, sizeof(T) * static_cast<size_t>(n));
  }
  Array(Array&& other) noexcept { *this = std::move(other); }
  Array& operator=(Array&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(n_, other.n_);
    return *this;
  }
  ~Array() {
    if (data_) device_->memory.give(data_);
  }
  T* get() const { return data_; }
  int64_t size() const { return n_; }

 private:
  Device* device_ = nullptr;
  T* data_ = nullptr;
  int64_t n_ = 0;
};

// Prepared weights or tables. Immutable for calls, several of which may read it at a time.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  virtual ~Object() = default;
  // Gives back device memory that it can do without, when a call has found none; whether there was some.
  virtual bool shrink() const { return false; }
};

// An operator as the table of library.cu holds it.
struct Operator {
  size_t description_size;  // 0: it has no object
  size_t params_size;
  std::unique_ptr<Object> (*create)(Call& call, const void* description);
  void (*run)(Call& call, const Object* object, const void* params);
};

// void run(Call&, const Params&)
template <class Params, void (*Run)(Call&, const Params&)>
constexpr Operator plain_operator() {
  return {0, sizeof(Params), nullptr, [](Call& call, const Object*, const void* params) {
            Run(call, *static_cast<const Params*>(params));
          }};
}
// std::unique_ptr<O> create(Call&, const Description&), void run(Call&, const O&, const Params&)
template <class O, class Description, class Params, std::unique_ptr<O> (*Create)(Call&, const Description&),
          void (*Run)(Call&, const O&, const Params&)>
constexpr Operator prepared_operator() {
  return {sizeof(Description), sizeof(Params),
          [](Call& call, const void* description) -> std::unique_ptr<Object> {
            return Create(call, *static_cast<const Description*>(description));
          },
          [](Call& call, const Object* object, const void* params) {
            Run(call, *static_cast<const O*>(object), *static_cast<const Params*>(params));
          }};
}

// ceil(n / d)
inline int64_t blocks_of(int64_t n, int64_t d) { return (n + d - 1) / d; }

}  // namespace cinefuse::gpu
