#include <algorithm>

#include "plans.h"

namespace cinefuse::gpu {

Plan::~Plan() {
#if defined(CINEFUSE_EMULATED)
  const bool there = true;
#else
  const bool there = !device_.lost();  // or it went with the context
#endif
  if (graph_ && there) cudaGraphExecDestroy(graph_);
  if (inputs_) device_.memory.give(inputs_);
  if (outputs_) device_.memory.give(outputs_);
  for (const Chunk& chunk : chunks_) device_.memory.give(chunk.memory);
}

size_t Plan::bytes() const {
  size_t sum = transfer_bytes_;
  for (const Chunk& chunk : chunks_) sum += chunk.bytes;
  return sum;
}

void Plan::provide(size_t input_bytes, size_t output_bytes) {
  if (input_bytes && !inputs_) inputs_ = static_cast<char*>(device_.memory.take(input_bytes));
  if (output_bytes && !outputs_) outputs_ = static_cast<char*>(device_.memory.take(output_bytes));
  transfer_bytes_ = input_bytes + output_bytes;
}

// The first time the kernels run one by one, which also takes all scratch that they need, and are captured
// then.
void Call::replay(void (*run)(void*), void* body) {
  Plan& plan = *plan_;
  const bool captured = plan.graph_ != nullptr;
  if (!captured) {
    chunks_ = &plan.chunks_;
    for (Chunk& chunk : plan.chunks_) chunk.used = 0;
    run(body);
    if (!plan.refused_) capture(run, body);
    chunks_ = &own_chunks_;
  }
  if (timed() && !plan.graph_) return time_body(run, body);
  if (!timed() && !captured) return;
  auto launch = [this, &plan] { CINEFUSE_CUDA(cudaGraphLaunch(plan.graph_, stream())); };
  if (!timed()) return launch();
  time_body([](void* p) { (*static_cast<decltype(launch)*>(p))(); }, &launch);
}

// What the plain run has computed stands, whatever happens here, unless the device is lost.
void Call::capture(void (*run)(void*), void* body) {
  Plan& plan = *plan_;
  for (Chunk& chunk : plan.chunks_) chunk.used = 0;
  cudaGraph_t graph = nullptr;
  const auto end = [&] {
    const cudaError_t error = cudaStreamEndCapture(stream(), &graph);
    cudaGetLastError();
    return error;
  };
  cudaError_t error = cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal);
  if (error == cudaSuccess) {
    try {
      run(body);
      error = end();
    } catch (const Failure& failure) {
      end();
      if (graph) cudaGraphDestroy(graph);
      if (failure.kind != CINEFUSE_FAILED && failure.kind != CINEFUSE_OUT_OF_MEMORY) throw;
      plan.refused_ = true;
      return;
    } catch (...) {
      end();
      if (graph) cudaGraphDestroy(graph);
      throw;
    }
  }
  if (error == cudaSuccess) error = cudaGraphInstantiate(&plan.graph_, graph, 0);
  if (graph) cudaGraphDestroy(graph);
  if (error == cudaSuccess) return;
  cudaGetLastError();
  plan.graph_ = nullptr;
  plan.refused_ = true;
}

std::shared_ptr<Plan> PlanCache::take(Device& device, const Key& key, bool at_once) {
  std::unique_lock<std::mutex> lock(mutex_);
  size_t known = 0;
  auto found = entries_.end();
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->key != key) continue;
    ++known;
    if (!entry->busy && found == entries_.end()) found = entry;
  }
  if (found == entries_.end()) {
    if (known >= kMostPlansOfAKey) return nullptr;
    entries_.push_front({key, nullptr, false});
    found = entries_.begin();
    if (known == 0 && !at_once) {
      trim();
      return nullptr;
    }
  } else {
    entries_.splice(entries_.begin(), entries_, found);
  }
  if (!found->plan) found->plan = std::make_unique<Plan>(device);
  found->busy = true;
  lock.unlock();
  return std::shared_ptr<Plan>(found->plan.get(), [this, found](Plan*) { give(found); });
}

void PlanCache::give(std::list<Entry>::iterator entry) {
  const std::lock_guard<std::mutex> lock(mutex_);
  entry->busy = false;
  trim();
}

void PlanCache::trim() {
  size_t plans = 0, bytes = 0, entries = 0;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (!entry->busy && entry->plan) bytes += entry->plan->bytes();
    plans += entry->plan != nullptr;
    ++entries;
    const bool too_many = entry->plan ? plans > kMostPlans || bytes > kMostBytes : entries > kMostEntries;
    entry = too_many && !entry->busy ? entries_.erase(entry) : std::next(entry);
  }
}

bool PlanCache::drop_idle() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t before = entries_.size();
  entries_.remove_if([](const Entry& entry) { return entry.plan && !entry.busy; });
  return entries_.size() != before;
}

}  // namespace cinefuse::gpu
