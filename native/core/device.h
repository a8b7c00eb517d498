// The addon's side of CUDA: the library that is opened at run time, its devices, and operator calls on them.
//
// Process-wide, because a GPU is: a library is opened once a backend and stays; a device is opened by the
// first call that asks for it. Nothing here falls back to the CPU.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../cuda/api.h"
#include "exec.h"

namespace cinefuse {

// Opens the library of a backend from a file. A second time does nothing. Throws ERR_BACKEND with the reason:
// the file cannot be loaded, is no such library, or is of another version. `memory_cap`: bytes a device may
// take, 0 for no cap.
const cinefuse_cuda_api& open_device_library(Backend backend, const std::string& path, int64_t memory_cap);
// Null before that.
const cinefuse_cuda_api* device_library(Backend backend);

struct DeviceStatus {
  int ordinal;
  bool usable;
  std::string reason;  // why not
  cinefuse_device_info info;
};
// Every device that the driver shows, each proven by a kernel. Throws ERR_BACKEND when there is none.
std::vector<DeviceStatus> list_devices(Backend backend);

// An open device. Shared by everybody who uses it; closed when the last one has gone.
class OpenDevice {
 public:
  OpenDevice(const cinefuse_cuda_api& api, int ordinal, int64_t memory_cap);
  OpenDevice(const OpenDevice&) = delete;
  ~OpenDevice();
  const cinefuse_cuda_api& api;
  const int ordinal;
  cinefuse_device* handle = nullptr;
};

// The device that exec asks for. Throws ERR_BACKEND, ERR_DEVICE_LOST.
std::shared_ptr<OpenDevice> open_device(const Exec& exec);
// After ERR_DEVICE_LOST: destroys the process's context on the device and lets the next call open it anew.
// Prepared operators stay usable: their weights go up again. Throws ERR_BACKEND unless the device is lost.
void reset_device(Backend backend, int ordinal);
cinefuse_device_memory device_memory(const Exec& exec);
void trim_device(const Exec& exec);

// Weights or tables on one device.
class DeviceObject {
 public:
  DeviceObject(std::shared_ptr<OpenDevice> device, cinefuse_object* object)
      : device_(std::move(device)), object_(object) {}
  DeviceObject(const DeviceObject&) = delete;
  ~DeviceObject();
  const std::shared_ptr<OpenDevice>& device() const { return device_; }
  cinefuse_object* get() const { return object_; }

 private:
  const std::shared_ptr<OpenDevice> device_;
  cinefuse_object* const object_;
};

namespace detail {
std::shared_ptr<DeviceObject> create_on_device(const Exec& exec, cinefuse_operator op,
                                               const void* description, size_t size);
void run_on_device(const Exec& exec, cinefuse_operator op, const DeviceObject* object, const void* params,
                   size_t size);
}  // namespace detail

// An operator without an object; Params is the struct of its OP_device.h.
template <class Params>
void run_on_device(const Exec& exec, cinefuse_operator op, const Params& params) {
  detail::run_on_device(exec, op, nullptr, &params, sizeof params);
}
// One with an object, on that object's device.
template <class Params>
void run_on_device(const Exec& exec, cinefuse_operator op, const DeviceObject& object, const Params& params) {
  detail::run_on_device(exec, op, &object, &params, sizeof params);
}
template <class Description>
std::shared_ptr<DeviceObject> create_on_device(const Exec& exec, cinefuse_operator op,
                                               const Description& description) {
  return detail::create_on_device(exec, op, &description, sizeof description);
}

// What a prepared operator has on devices: made by the first call there, and again after a reset. A member of
// the prepared struct; copies and moves start empty, so it takes no part in the struct's value.
class DeviceTwins {
 public:
  DeviceTwins() = default;
  DeviceTwins(const DeviceTwins&) {}
  DeviceTwins& operator=(const DeviceTwins&) { return *this; }

  // make() -> std::shared_ptr<DeviceObject>; called under the lock, so once.
  template <class Make>
  std::shared_ptr<DeviceObject> get(const Exec& exec, Make&& make) const {
    const std::shared_ptr<OpenDevice> device = open_device(exec);
    const std::lock_guard<std::mutex> lock(mutex_);
    std::shared_ptr<DeviceObject>& twin = twins_[{static_cast<int>(exec.backend), exec.device}];
    if (!twin || twin->device() != device) twin = make();
    return twin;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::pair<int, int>, std::shared_ptr<DeviceObject>> twins_;
};

}  // namespace cinefuse
