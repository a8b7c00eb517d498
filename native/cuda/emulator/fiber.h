// Fibers: CUDA threads in turn on one OS thread, switched by hand (x86-64 Linux; elsewhere ucontext), on
// stacks with a guard page below.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>

#if !(defined(__x86_64__) && defined(__linux__)) || defined(CINEFUSE_EMULATED_UCONTEXT)
#include <ucontext.h>
#define CINEFUSE_EMULATED_UC 1
#endif

#if defined(__SANITIZE_ADDRESS__)
#define CINEFUSE_EMULATED_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CINEFUSE_EMULATED_ASAN 1
#endif
#endif
#if CINEFUSE_EMULATED_ASAN
extern "C" {
void __sanitizer_start_switch_fiber(void**, const void*, size_t);
void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
void __asan_poison_memory_region(void const volatile*, size_t);
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

// Returns when somebody switches back. In line rather than a function of its own: so every fiber's returns
// are those that the processor expects after the calls of the one before.
inline __attribute__((always_inline)) void switch_context(Context& from, Context& to) {
#if CINEFUSE_EMULATED_UC
  swapcontext(&from.uc, &to.uc);
#else
  // Past the red zone; rbx and rbp by hand, the others as clobbered. Kernels never change the control words
  // of mxcsr and x87.
  void* save = &from.sp;
  void* load = to.sp;
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rbp\n\t"
      "pushq %%rbx\n\t"
      "pushq %%rax\n\t"
      "movq %%rsp, (%%rdi)\n\t"
      "movq %%rsi, %%rsp\n\t"
      "popq %%rax\n\t"
      "jmpq *%%rax\n"
      "1:\n\t"
      "popq %%rbx\n\t"
      "popq %%rbp\n\t"
      "leaq 128(%%rsp), %%rsp"
      : "+D"(save), "+S"(load)
      :
      : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory", "xmm0",
        "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15");
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
    void* memory = mmap(nullptr, (kEach + kPage) * n, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::runtime_error("emulator: no memory for the stacks of the CUDA threads");
    }
    count_ = n;
    base_ = static_cast<char*>(memory);
    for (unsigned i = 0; i < n; ++i) mprotect(base_ + i * (kEach + kPage), kPage, PROT_NONE);
  }
  char* stack(unsigned i) const { return base_ + i * (kEach + kPage) + kPage; }
  const char* begin() const { return base_; }
  const char* end() const { return base_ + (kEach + kPage) * count_; }
#if CINEFUSE_EMULATED_ASAN
  static constexpr size_t kEach = 256 * 1024;
#else
  static constexpr size_t kEach = 64 * 1024;
#endif

 private:
  static constexpr size_t kPage = 4096;
  void release() {
#if CINEFUSE_EMULATED_ASAN
    // Fibers end without leaving their frames; whoever gets these addresses next must not find their marks.
    if (base_) __asan_unpoison_memory_region(base_, (kEach + kPage) * count_);
#endif
    if (base_) munmap(base_, (kEach + kPage) * count_);
    base_ = nullptr;
    count_ = 0;
  }
  unsigned count_ = 0;
  char* base_ = nullptr;
};

// Makes `context` start `entry`, which never returns, on stack i.
inline void make_fiber(Context& context, const Stacks& stacks, unsigned i, void (*entry)()) {
  char* const stack = stacks.stack(i);
  // Tops at different offsets in their pages, or all would compete for the same few lines of the cache.
  const size_t size = Stacks::kEach - (i % 61) * 64;
#if CINEFUSE_EMULATED_ASAN
  __asan_unpoison_memory_region(stack, Stacks::kEach);
#endif
#if CINEFUSE_EMULATED_UC
  getcontext(&context.uc);
  context.uc.uc_stack.ss_sp = stack;
  context.uc.uc_stack.ss_size = size;
  context.uc.uc_link = nullptr;
  makecontext(&context.uc, entry, 0);
#else
  auto* top = reinterpret_cast<void**>(stack + size);
  *--top = nullptr;  // the return address of `entry`, which keeps its stack aligned
  *--top = reinterpret_cast<void*>(entry);
  context.sp = top;
#endif
}

}  // namespace cinefuse::emulator
