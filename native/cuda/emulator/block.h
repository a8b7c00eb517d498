// A block of CUDA threads: their states, the barrier, warp collectives and shared memory. Kernels include
// this; block.cc runs the blocks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fiber.h"
#include "keywords.h"

// Where a device function was called, for messages.
#define CINEFUSE_SITE const char *site_file = __builtin_FILE(), int site_line = __builtin_LINE()
#define CINEFUSE_HERE (::cinefuse::emulator::Site{site_file, site_line})

// Not instrumented by the race build: the emulator's own accesses are none of the kernel's.
#if defined(CINEFUSE_RACE_CHECK)
#define CINEFUSE_UNCHECKED [[gnu::no_sanitize("thread")]]
#else
#define CINEFUSE_UNCHECKED
#endif

// A shared library that is opened late has little room for thread-local variables, but this takes 8 bytes.
#if defined(__GLIBC__)
#define CINEFUSE_FAST_TLS __attribute__((tls_model("initial-exec")))
#else
#define CINEFUSE_FAST_TLS
#endif

namespace cinefuse::emulator {

struct Site {
  const char* file;
  int line;
};

enum class Collective : uint8_t { kSync, kShuffle, kBallot, kAny, kAll, kMatrix };

// One cp_async16 or cp_async4.
struct PendingCopy {
  void* to;
  const void* from;  // null: zeros
  unsigned bytes, group;
  bool copied;
};

struct Thread {
  uint3 index;
  unsigned linear, lane, warp;
  Collective collective;
  bool started;
  unsigned stack;
  unsigned mask;  // of the collective that it waits in
  int source;
  uint64_t value, result;
  Site site;
  Context context;
  void* asan_stack;
  std::vector<PendingCopy> copies;
  unsigned first_copy, group;  // the first copy not yet done; the group still open
};

struct SharedKey {
  const char* name;
  size_t bytes;
};
struct SharedArray {
  const SharedKey* key;
  unsigned char* memory;
};

struct Launch {
  const char* kernel;
  dim3 grid, block;
  size_t dynamic_bytes;
  size_t dynamic_limit;              // asked for with cudaFuncSetAttribute; 0: never asked
  void (*run)(const void* context);  // one CUDA thread
  const void* context;
};

constexpr size_t kMostShared = 227 * 1024;  // of a block on sm_90; sm_80 has 163 KiB
constexpr size_t kPlainShared = 48 * 1024;  // without asking for more
constexpr unsigned kMostThreads = 1024, kMostWarps = 32, kMostArrays = 64;

struct Block;
struct Worker;  // what an OS thread keeps for the blocks that it runs

// The block that this OS thread runs, while it does.
extern __thread Block* running_block CINEFUSE_FAST_TLS;

struct Block {
  dim3 grid, block;
  uint3 index;
  unsigned n;
  Thread* current;
  Thread* threads;
  Worker* worker;
  const Launch* launch;
  unsigned char* dynamic;

  // What run_block and collect() keep; bit l of a mask is lane l.
  unsigned ready_warps, ready[kMostWarps], waiting[kMostWarps], returned[kMostWarps], lanes[kMostWarps];
  unsigned warp;  // whose lanes have their turn
  unsigned at_barrier, done;
  Site barrier_site;
  enum class Order { kForward, kReverse, kRandom } order;
  uint64_t random;

  SharedArray arrays[kMostArrays];
  unsigned n_arrays;
  size_t shared_bytes;  // of all arrays

  bool failed;
  char message[2048];
  const void* fault_code[2];  // where in the program, for the race build's messages
};

inline Block& block() { return *running_block; }
inline Thread& thread() { return *running_block->current; }

// Ends the launch with this message; of the running CUDA thread.
[[noreturn]] void fail(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

// __syncthreads
void barrier(Site site);

using MatrixProduct = void (*)(void** lanes);  // run once, with what every lane gave as its value

// Suspends the calling lane until all lanes of `mask` have come with the same operation from the same line.
uint64_t collect(Collective op, unsigned mask, uint64_t value, int source, Site site,
                 MatrixProduct product = nullptr);

void* shared_array(const SharedKey& key);
inline void* dynamic_shared() { return block().dynamic; }

// cp_async16 or cp_async4, and their wait: all copies but those of the last `pending` groups are done then.
void start_copy(void* to, const void* from, unsigned bytes);
void finish_copies(unsigned pending);

// Every block of the grid. Throws std::runtime_error with the first failure.
void run_grid(const Launch& launch);

}  // namespace cinefuse::emulator

#define CINEFUSE_SHARED(T, name, dims)                                                               \
  using name##_shared_type = T dims;                                                                 \
  static const ::cinefuse::emulator::SharedKey name##_shared_key{#name, sizeof(name##_shared_type)}; \
  name##_shared_type& name =                                                                         \
      *static_cast<name##_shared_type*>(::cinefuse::emulator::shared_array(name##_shared_key))
#define CINEFUSE_DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::cinefuse::emulator::dynamic_shared())

#define threadIdx (::cinefuse::emulator::thread().index)
#define blockIdx (::cinefuse::emulator::block().index)
#define blockDim (::cinefuse::emulator::block().block)
#define gridDim (::cinefuse::emulator::block().grid)
#define warpSize 32

inline void __syncthreads(CINEFUSE_SITE) { cinefuse::emulator::barrier(CINEFUSE_HERE); }
