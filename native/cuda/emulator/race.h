// What the race build (-DCINEFUSE_RACE_CHECK, -fsanitize=thread) has to be told beyond the loads and stores
// that the compiler reports to it; nothing in other builds.
#pragma once
#include <cstddef>

#include "block.h"

namespace cinefuse::emulator::race {

#if defined(CINEFUSE_RACE_CHECK)
void begin_launch(Block& b);
void begin_block(Block& b);
void add_array(Block& b, const SharedKey& key, unsigned char* memory);
void barrier(Block& b);
void sync_warp(Block& b, unsigned warp, unsigned mask);
void atomic(const void* p, size_t bytes);
// Between the two, the copy's bytes belong to nobody.
void copy_started(void* to, size_t bytes);
void copy_finished(void* to, size_t bytes);
// Completes the message of a failure that this build found.
void explain(Block& b);
#else
inline void begin_launch(Block&) {}
inline void begin_block(Block&) {}
inline void add_array(Block&, const SharedKey&, unsigned char*) {}
inline void barrier(Block&) {}
inline void sync_warp(Block&, unsigned, unsigned) {}
inline void atomic(const void*, size_t) {}
inline void copy_started(void*, size_t) {}
inline void copy_finished(void*, size_t) {}
inline void explain(Block&) {}
#endif

}  // namespace cinefuse::emulator::race
