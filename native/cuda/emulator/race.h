// What the race build (-DCINEFUSE_RACE_CHECK, -fsanitize=thread) has to be told beyond the loads and stores
// that the compiler reports to it; nothing in other builds.
#pragma once
#include <cstddef>

#include "block.h"

namespace cinefuse::emulator::race {

#if defined(CINEFUSE_RACE_CHECK)
enum class Kind { kRead, kWrite, kAtomic, kCopy };

// An access of the running CUDA thread to shared memory, or to what is neither that nor its own stack.
void access_shared(const void* p, size_t bytes, Kind kind, const void* code);
void access_global(const void* p, size_t bytes, Kind kind, const void* code);
[[noreturn]] void fail_misaligned(size_t bytes, Kind kind, const void* code);

void begin_launch(Block& b);
void begin_block(Block& b);
void add_array(Block& b, const SharedKey& key, unsigned char* memory);
void barrier(Block& b);
void sync_warp(Block& b, unsigned warp, unsigned mask);
void fence();
// Between the two, nobody may access the copy's bytes.
void copy_started(void* to, size_t bytes, const void* code);
void copy_finished(void* to, size_t bytes);
// Completes the message of a failure that this build found.
void explain(Block& b);
#else
inline void begin_launch(Block&) {}
inline void begin_block(Block&) {}
inline void add_array(Block&, const SharedKey&, unsigned char*) {}
inline void barrier(Block&) {}
inline void sync_warp(Block&, unsigned, unsigned) {}
inline void fence() {}
inline void copy_started(void*, size_t, const void*) {}
inline void copy_finished(void*, size_t) {}
inline void explain(Block&) {}
#endif

}  // namespace cinefuse::emulator::race
