// Fibers: one CUDA thread each, switched by hand (x86-64; elsewhere ucontext), on stacks with a guard page
// below.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>

#if !defined(__x86_64__) || defined(CINEFUSE_EMULATED_UCONTEXT)
#include <ucontext.h>
#define CINEFUSE_EMULATED_UC 1
#endif

#if defined(__SANITIZE_ADDRESS__)
#define CINEFUSE_EMULATED_ASAN 1
extern "C" {
void __sanitizer_start_switch_fiber(void**, const void*, size_t);
void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
void __asan_unpoison_memory_region(void const volatile*, size_t);
}
#endif

namespace cinefuse::emulator {

struct Context {
#if CINEFUSE_EMULATED_UC
  ucontext_t uc;
#else
  void* sp = nullptr;
#endif
};

#if !CINEFUSE_EMULATED_UC
extern "C" void cinefuse_emulator_switch(void** save_sp, void* to_sp);
// The System V callee-saved registers; kernels never change the control words of mxcsr and x87.
asm(R"(
.text
.weak cinefuse_emulator_switch
.hidden cinefuse_emulator_switch
.type cinefuse_emulator_switch,@function
cinefuse_emulator_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.size cinefuse_emulator_switch,.-cinefuse_emulator_switch
)");
#endif

inline void switch_context(Context& from, Context& to) {
#if CINEFUSE_EMULATED_UC
  swapcontext(&from.uc, &to.uc);
#else
  cinefuse_emulator_switch(&from.sp, to.sp);
#endif
}

// Stacks of one OS thread, reused by every block that it runs.
class Stacks {
 public:
  Stacks() = default;
  Stacks(const Stacks&) = delete;
  ~Stacks() { release(); }
  void ensure(unsigned n) {
    if (n <= count_) return;
    release();
    count_ = n;
    void* memory =
        mmap(nullptr, total(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      count_ = 0;
      throw std::runtime_error("emulator: no memory for the stacks of the CUDA threads");
    }
    base_ = static_cast<char*>(memory);
    for (unsigned i = 0; i < n; ++i) mprotect(base_ + i * (kEach + kPage), kPage, PROT_NONE);
  }
  char* stack(unsigned i) const { return base_ + i * (kEach + kPage) + kPage; }
#if CINEFUSE_EMULATED_ASAN
  static constexpr size_t kEach = 256 * 1024;
#else
  static constexpr size_t kEach = 64 * 1024;
#endif

 private:
  static constexpr size_t kPage = 4096;
  size_t total() const { return (kEach + kPage) * count_; }
  void release() {
    if (base_) munmap(base_, total());
    base_ = nullptr;
    count_ = 0;
  }
  unsigned count_ = 0;
  char* base_ = nullptr;
};

inline Stacks& stacks() {
  static thread_local Stacks mine;
  return mine;
}

// Makes `context` start `entry` on stack i.
inline void make_fiber(Context& context, unsigned i, void (*entry)()) {
  char* stack = stacks().stack(i);
#if CINEFUSE_EMULATED_UC
  getcontext(&context.uc);
  context.uc.uc_stack.ss_sp = stack;
  context.uc.uc_stack.ss_size = Stacks::kEach;
  context.uc.uc_link = nullptr;
  makecontext(&context.uc, entry, 0);
#else
  auto* top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(stack) + Stacks::kEach) & ~uintptr_t(15));
  *--top = nullptr;                         // the return address of `entry`, which keeps its stack aligned
  *--top = reinterpret_cast<void*>(entry);  // taken by the switch's ret
  for (int r = 0; r < 6; ++r) *--top = nullptr;
  context.sp = top;
#endif
#if CINEFUSE_EMULATED_ASAN
  __asan_unpoison_memory_region(stack, Stacks::kEach);
#endif
}

}  // namespace cinefuse::emulator
