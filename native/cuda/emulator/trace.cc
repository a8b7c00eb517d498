#include "trace.h"

#include <dlfcn.h>
#include <unistd.h>

#include <map>
#include <set>

namespace cinefuse::emulator::trace {

namespace {

const char* folder() {
  const char* text = std::getenv("CINEFUSE_EMULATED_TRACE");
  return text && *text ? text : nullptr;
}
size_t limit(const char* name, size_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? static_cast<size_t>(std::atoll(text)) : otherwise;
}

// The two files of a process, and what they hold already.
class Recorder {
 public:
  std::mutex mutex;

  // True the first time that a launch like this comes, while the kernel has launches left.
  bool wants(const void* kernel, const std::string& key) {
    const std::lock_guard<std::mutex> lock(mutex);
    auto& known = seen_[kernel];
    return known.size() < limit("CINEFUSE_EMULATED_TRACE_LAUNCHES", 16) && known.insert(key).second;
  }

  // Where the bytes lie in PID.bin; written there unless they are already.
  long place(const std::string& bytes) {
    const auto placed = places_.emplace(bytes, end_);
    if (placed.second) {
      std::fwrite(bytes.data(), 1, bytes.size(), memory_);
      end_ += static_cast<long>(bytes.size());
    }
    return placed.first->second;
  }

  void write(const std::string& line) {
    std::fflush(memory_);
    std::fwrite(line.data(), 1, line.size(), lines_);
    std::fflush(lines_);
  }

  bool open() {
    if (lines_) return true;
    const std::string stem = std::string(folder()) + "/" + std::to_string(getpid());
    memory_ = std::fopen((stem + ".bin").c_str(), "wb");
    lines_ = memory_ ? std::fopen((stem + ".jsonl").c_str(), "wb") : nullptr;
    return lines_ != nullptr;
  }

 private:
  std::FILE *lines_ = nullptr, *memory_ = nullptr;
  long end_ = 0;
  std::unordered_map<const void*, std::set<std::string>> seen_;
  std::unordered_map<std::string, long> places_;
};
Recorder& recorder() {
  static Recorder* const one = new Recorder;
  return *one;
}

// Live blocks by address: which of them holds an address, and what can be reached from given bytes.
class Reach {
 public:
  explicit Reach(const std::unordered_map<void*, size_t>& live) {
    for (const auto& block : live) blocks_[reinterpret_cast<uintptr_t>(block.first)] = block.second;
  }

  // Whatever looks like a pointer into a live block is taken for one. `without`: the bytes with these
  // replaced by 1.
  void from(const std::string& bytes, std::string* without = nullptr) {
    for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      uintptr_t word;
      std::memcpy(&word, bytes.data() + at, 8);
      const auto block = holder(word);
      if (block == blocks_.end()) continue;
      if (without) {
        const uintptr_t one = 1;
        std::memcpy(&(*without)[at], &one, 8);
      }
      if (!reached_.count(block->first)) {
        const std::string copy(reinterpret_cast<const char*>(block->first), block->second);
        bytes_ += copy.size();
        if (bytes_ > limit("CINEFUSE_EMULATED_TRACE_BYTES", size_t{16} << 20)) return;
        reached_.emplace(block->first, copy);
        from(copy);
      }
    }
  }

  bool fits() const { return bytes_ <= limit("CINEFUSE_EMULATED_TRACE_BYTES", size_t{16} << 20); }
  const std::map<uintptr_t, std::string>& reached() const { return reached_; }

 private:
  // An address at the end of a block belongs to it too: an empty array may start there.
  std::map<uintptr_t, size_t>::const_iterator holder(uintptr_t address) const {
    auto next = blocks_.upper_bound(address);
    if (next == blocks_.begin()) return blocks_.end();
    --next;
    return address <= next->first + next->second ? next : blocks_.end();
  }
  std::map<uintptr_t, size_t> blocks_;
  std::map<uintptr_t, std::string> reached_;
  size_t bytes_ = 0;
};

std::string hex(const std::string& bytes) {
  std::string text;
  for (const unsigned char c : bytes) {
    text += "0123456789abcdef"[c >> 4];
    text += "0123456789abcdef"[c & 15];
  }
  return text;
}

}  // namespace

bool wanted() { return folder() != nullptr; }

Recording::Recording(const void* kernel, const Launch& launch, std::vector<Parameter> parameters)
    : parameters_(std::move(parameters)) {
  char shape[160];
  std::snprintf(shape, sizeof shape, "\"grid\":[%u,%u,%u],\"block\":[%u,%u,%u],\"dynamic\":%zu",
                launch.grid.x, launch.grid.y, launch.grid.z, launch.block.x, launch.block.y, launch.block.z,
                launch.dynamic_bytes);
  shape_ = shape;
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  Reach reach(m.allocations);
  std::string key = shape_;
  for (const Parameter& p : parameters_) {
    std::string without = p.bytes;
    reach.from(p.bytes, &without);
    key += without;
  }
  if (!reach.fits() || !recorder().wants(kernel, key)) return;
  for (const auto& block : reach.reached()) before_.push_back({block.first, block.second});
  kernel_ = kernel;
}

void Recording::finish() {
  Dl_info library;
  if (!kernel_ || !dladdr(kernel_, &library)) return;
  std::vector<std::string> after;
  {
    Machine& m = machine();
    const std::lock_guard<std::mutex> lock(m.mutex);
    for (const Copy& b : before_) {
      const auto found = m.allocations.find(reinterpret_cast<void*>(b.address));
      if (found == m.allocations.end() || found->second != b.bytes.size()) return;
      after.emplace_back(reinterpret_cast<const char*>(b.address), b.bytes.size());
    }
  }
  Recorder& to = recorder();
  const std::lock_guard<std::mutex> lock(to.mutex);
  if (!to.open()) return;
  std::string line =
      "{\"library\":\"" + std::string(library.dli_fname) + "\",\"kernel\":" +
      std::to_string(static_cast<const char*>(kernel_) - static_cast<char*>(library.dli_fbase)) + "," +
      shape_ + ",\"parameters\":[";
  for (size_t i = 0; i < parameters_.size(); ++i) {
    line += (i ? "," : "") + std::string("{\"align\":") + std::to_string(parameters_[i].align) +
            ",\"bytes\":\"" + hex(parameters_[i].bytes) + "\"}";
  }
  line += "],\"memory\":[";
  for (size_t i = 0; i < before_.size(); ++i) {
    line += (i ? "," : "") + std::string("{\"address\":") + std::to_string(before_[i].address) +
            ",\"size\":" + std::to_string(before_[i].bytes.size()) +
            ",\"before\":" + std::to_string(to.place(before_[i].bytes)) +
            ",\"after\":" + std::to_string(to.place(after[i])) + "}";
  }
  to.write(line + "]}\n");
}

}  // namespace cinefuse::emulator::trace
