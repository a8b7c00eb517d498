// The blocks of a launch, on the calling OS thread and, when that takes long, on others beside it.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "race.h"
#include "worker.h"

namespace cinefuse::emulator {

namespace {

struct Job {
  const Launch& launch;
  const uint64_t blocks;
  Block::Order order = Block::Order::kForward;
  uint64_t seed = 1;
  std::atomic<uint64_t> next{0};
  // Guarded by the crew's mutex.
  std::exception_ptr error = nullptr;
  unsigned places = 0, busy = 0;  // for helpers; of helpers at work
};

// OS threads that help with launches of many blocks. They stay until the process ends.
class Crew {
 public:
  void call_for(Job& job, unsigned helpers) {
    const std::lock_guard<std::mutex> lock(mutex_);
    job.places = helpers;
    jobs_.push_back(&job);
    for (; threads_ < helpers; ++threads_) std::thread([this] { help(); }).detach();
    wake_.notify_all();
  }
  void dismiss(Job& job) {
    std::unique_lock<std::mutex> lock(mutex_);
    remove(job);
    idle_.wait(lock, [&job] { return job.busy == 0; });
  }
  // Blocks of the job until none is left; calls for help when that takes long.
  void work(Job& job, unsigned helpers) {
    const auto start = std::chrono::steady_clock::now();
    try {
      Worker& w = worker();
      Block& b = w.block;
      begin_launch(w, job.launch);
      b.order = job.order;
      for (uint64_t turn; (turn = job.next++) < job.blocks;) {
        const uint64_t i = job.order == Block::Order::kReverse ? job.blocks - 1 - turn : turn;
        b.index = {static_cast<unsigned>(i % b.grid.x), static_cast<unsigned>(i / b.grid.x % b.grid.y),
                   static_cast<unsigned>(i / (uint64_t{b.grid.x} * b.grid.y))};
        b.random = ((job.seed * 0x9E3779B97F4A7C15u) ^ ((i + 1) * 0xD1B54A32D192ED03u)) | 1;
        run_block(w);
        if (helpers && job.next < job.blocks &&
            std::chrono::steady_clock::now() - start > std::chrono::microseconds(100)) {
          call_for(job, static_cast<unsigned>(std::min<uint64_t>(helpers, job.blocks - job.next)));
          helpers = 0;
        }
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!job.error) job.error = std::current_exception();
      job.next = job.blocks;
    }
  }

 private:
  void help() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return !jobs_.empty(); });
      Job& job = *jobs_.back();
      ++job.busy;
      if (--job.places == 0) remove(job);
      lock.unlock();
      work(job, 0);
      lock.lock();
      --job.busy;
      idle_.notify_all();
    }
  }
  void remove(Job& job) { jobs_.erase(std::remove(jobs_.begin(), jobs_.end(), &job), jobs_.end()); }

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<Job*> jobs_;
  unsigned threads_ = 0;
};

Crew& crew() {
  static Crew* const one = new Crew;  // outlives its threads, which end with the process
  return *one;
}

[[maybe_unused]] unsigned workers() {
  if (const char* text = std::getenv("CINEFUSE_EMULATED_WORKERS")) return std::max(1, std::atoi(text));
  static const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  return cores;
}

}  // namespace

Worker& worker() {
  static thread_local std::unique_ptr<Worker> mine;
  if (!mine) mine.reset(new Worker);
  return *mine;
}

void begin_launch(Worker& w, const Launch& launch) {
  Block& b = w.block;
  const bool same_shape =
      b.n && b.block.x == launch.block.x && b.block.y == launch.block.y && b.block.z == launch.block.z;
  b.launch = &launch;
  b.grid = launch.grid;
  b.block = launch.block;
  b.n = launch.block.x * launch.block.y * launch.block.z;
  b.index = {};
  b.current = nullptr;
  w.stacks.ensure(b.n);
  for (unsigned i = 0; i < b.n && !same_shape; ++i) {
    Thread& t = b.threads[i];
    t.linear = i;
    t.lane = i & 31;
    t.warp = i >> 5;
    t.index = {i % b.block.x, i / b.block.x % b.block.y, i / (b.block.x * b.block.y)};
  }
  running_block = &b;
  struct Leave {
    ~Leave() { running_block = nullptr; }
  } leave;
  race::begin_launch(b);
  begin_shared(w);
}

void run_grid(const Launch& launch) {
  Job job{launch, uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z};
  if (const char* text = std::getenv("CINEFUSE_EMULATED_ORDER")) {
    if (!std::strcmp(text, "reverse")) job.order = Block::Order::kReverse;
    if (!std::strncmp(text, "random", 6)) job.order = Block::Order::kRandom;
    if (const char* colon = std::strchr(text, ':')) job.seed = static_cast<uint64_t>(std::atoll(colon + 1));
  }
#if defined(CINEFUSE_RACE_CHECK)
  const unsigned helpers = 0;  // all blocks' accesses are compared on one thread
#else
  const unsigned helpers = static_cast<unsigned>(std::min<uint64_t>(workers(), job.blocks)) - 1;
#endif
  crew().work(job, helpers);
  if (helpers) crew().dismiss(job);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace cinefuse::emulator
