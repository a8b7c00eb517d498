#include "pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace cinefuse {
namespace {

struct Job {
  void (*body)(void*, int);
  void* context;
  const Exec* exec;
  int tasks;
  int seats;  // workers that may still join; guarded by the pool's mutex
  std::atomic<int> next{0};
  std::atomic<int> helpers{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;  // written once, by whoever sets `failed` first

  void work() {
    for (;;) {
      if (failed.load(std::memory_order_relaxed)) return;
      const int i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= tasks) return;
      try {
        exec->check_cancelled();
        body(context, i);
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
        return;
      }
    }
  }
};

class Pool {
 public:
  // Leaked on purpose: joining threads in a static destructor can hang a process that ends with
  // worker_threads.
  static Pool& instance() {
    static Pool* pool = new Pool;
    return *pool;
  }

  void run(Job& job, int threads) {
    const int helpers_wanted = std::min(threads, job.tasks) - 1;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      grow(helpers_wanted);
      job.seats = helpers_wanted;
      jobs_.push_back(&job);
    }
    if (helpers_wanted == 1) {
      wake_.notify_one();
    } else {
      wake_.notify_all();
    }
    job.work();
    {
      // After this no worker can find the job any more; those inside are counted in `helpers`.
      std::lock_guard<std::mutex> lock(mutex_);
      for (size_t i = 0; i < jobs_.size(); ++i) {
        if (jobs_[i] == &job) {
          jobs_.erase(jobs_.begin() + static_cast<long>(i));
          break;
        }
      }
    }
    int spins = 0;
    while (job.helpers.load(std::memory_order_acquire) > 0) {
      if (++spins > 4000) std::this_thread::yield();
    }
  }

 private:
  static constexpr int kMostThreads = 256;

  void grow(int wanted) {
    const int most = kMostThreads;
    while (static_cast<int>(count_) < std::min(wanted, most)) {
      try {
        std::thread([this] { loop(); }).detach();
      } catch (...) {
        return;  // no more threads to be had: the caller works alone
      }
      ++count_;
    }
  }

  Job* find() {
    for (Job* job : jobs_) {
      if (job->seats > 0 && job->next.load(std::memory_order_relaxed) < job->tasks) return job;
    }
    return nullptr;
  }

  void loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      Job* job = find();
      if (!job) {
        wake_.wait(lock);
        continue;
      }
      --job->seats;
      job->helpers.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      job->work();
      job->helpers.fetch_sub(1, std::memory_order_release);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job*> jobs_;
  int count_ = 0;
};

struct Scratch {
  float* data = nullptr;
  size_t size = 0;
  ~Scratch() { std::free(data); }
};

}  // namespace

void detail::run_parallel(int tasks, int threads, void (*body)(void*, int), void* context, const Exec& exec) {
  if (tasks <= 0) return;
  if (threads <= 1 || tasks == 1) {
    for (int i = 0; i < tasks; ++i) {
      exec.check_cancelled();
      body(context, i);
    }
    return;
  }
  Job job{};
  job.body = body;
  job.context = context;
  job.exec = &exec;
  job.tasks = tasks;
  Pool::instance().run(job, threads);
  if (job.failed.load(std::memory_order_acquire)) std::rethrow_exception(job.error);
}

float* thread_scratch(int slot, size_t floats) {
  thread_local Scratch scratch[kScratchSlots];
  Scratch& s = scratch[slot];
  if (s.size < floats) {
    std::free(s.data);
    s.size = 0;
    const size_t bytes = (floats * sizeof(float) + 4095) / 4096 * 4096;
    s.data = static_cast<float*>(std::aligned_alloc(64, bytes));
    if (!s.data) {
      throw Error(Code::kMemory, "", format("Could not allocate %zu bytes of scratch memory", bytes));
    }
    s.size = bytes / sizeof(float);
  }
  return s.data;
}

}  // namespace cinefuse
