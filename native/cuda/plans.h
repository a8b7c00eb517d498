// Calls that come again: their device memory is kept at its addresses, and their kernels are launched as one
// captured graph. For operators of many small kernels, whose launches would take longer than they run.
#pragma once
#include <list>

#include "device.h"

namespace cinefuse::gpu {

// What calls of one kind (same operator, object, shapes, outputs wanted) have in common; one at a time uses
// it.
class Plan {
 public:
  explicit Plan(Device& device) : device_(device) {}
  Plan(const Plan&) = delete;
  ~Plan();
  size_t bytes() const;  // of device memory

 private:
  friend class Call;
  // Takes the memory of the transfers, the first time.
  void provide(size_t input_bytes, size_t output_bytes);

  Device& device_;
  char *inputs_ = nullptr, *outputs_ = nullptr;
  size_t transfer_bytes_ = 0;
  std::vector<Chunk> chunks_;
  cudaGraphExec_t graph_ = nullptr;
  bool refused_ = false;  // it cannot be captured: plain launches
};

// The plans of one object. The least recently used go when there are too many.
class PlanCache {
 public:
  // All that decides which kernels a call launches, with which arguments.
  using Key = std::vector<int64_t>;

  PlanCache() = default;
  PlanCache(const PlanCache&) = delete;
  // A plan that no other call has. Null at a key's first time unless `at_once` (what comes once should not
  // pay for a capture), and when calls of this key have several plans already, all in use: the call does
  // without.
  std::shared_ptr<Plan> take(Device& device, const Key& key, bool at_once);
  // Lets all plans go that are not in use; whether there were any.
  bool drop_idle();

 private:
  struct Entry {
    Key key;
    std::unique_ptr<Plan> plan;  // null: seen once
    bool busy;
  };
  static constexpr size_t kMostEntries = 64, kMostPlans = 16, kMostPlansOfAKey = 4;
  static constexpr size_t kMostBytes = size_t{256} << 20;
  void give(std::list<Entry>::iterator entry);
  void trim();

  std::mutex mutex_;
  std::list<Entry> entries_;  // the most recently used first
};

}  // namespace cinefuse::gpu
