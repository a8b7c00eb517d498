// CUDA on the host, for tests: kernel sources compiled by g++ or clang run as on a GPU, every CUDA thread a
// fiber, every block on some OS thread. It finds what a GPU would hide: threads that meet different barriers
// or leave before one, shuffles with absent lanes, misaligned vector accesses, copies read before they are
// waited for, reads of memory never written (NaN everywhere); with sanitizers also out-of-bounds accesses of
// shared and global memory, and in a race build conflicting and uninitialised accesses of shared memory. Not
// emulated: clusters, bulk copies, cooperative groups, races in global memory; arithmetic is the host's (no
// flush to zero, libm instead of CUDA's math library).
//
// Environment: CINEFUSE_EMULATED_ORDER = forward (default), reverse, random:SEED: the order in which runnable
// threads take turns; CINEFUSE_EMULATED_WORKERS = OS threads for the blocks of a launch.
#pragma once
#include "block.h"
#include "collectives.h"
#include "fiber.h"
#include "keywords.h"
#include "launch.h"
#include "matrix.h"
#include "memory.h"
#include "runtime.h"
