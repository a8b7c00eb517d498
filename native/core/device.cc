#include "device.h"

#include <dlfcn.h>

namespace cinefuse {
namespace {

constexpr int kMostDevices = 64;

struct Library {
  const cinefuse_cuda_api* api = nullptr;
  int64_t memory_cap = 0;
  std::map<int, std::shared_ptr<OpenDevice>> devices;
};

// Never destroyed: at the end of the process the driver may be gone before us.
struct Libraries {
  std::mutex mutex;
  Library library[3];
};
Libraries& libraries() {
  static Libraries* const one = new Libraries;
  return *one;
}

[[noreturn]] void raise(const cinefuse_failure& failure, Backend backend, int ordinal) {
  const std::string where = format("%s:%d: ", backend_name(backend), ordinal);
  switch (failure.kind) {
    case CINEFUSE_OUT_OF_MEMORY:
      throw Error(Code::kMemory, failure.field, where + failure.message);
    case CINEFUSE_DEVICE_LOST:
      throw Error(Code::kDeviceLost, "device", where + failure.message);
    case CINEFUSE_INVALID_INPUT:
      throw Error(Code::kInputValue, failure.field, failure.message);
    case CINEFUSE_CALL_CANCELLED:
      throw Error(Code::kCancelled, "", failure.message);
    case CINEFUSE_NO_DEVICE:
    case CINEFUSE_ABI_MISMATCH:
      throw Error(Code::kBackend, "backend", where + failure.message);
    default:
      throw Error(Code::kDevice, "device", where + failure.message);
  }
}

}  // namespace

const cinefuse_cuda_api* device_library(Backend backend) {
  Libraries& all = libraries();
  const std::lock_guard<std::mutex> lock(all.mutex);
  return all.library[static_cast<int>(backend)].api;
}

const cinefuse_cuda_api& open_device_library(Backend backend, const std::string& path, int64_t memory_cap) {
  CINEFUSE_REQUIRE(backend != Backend::kCpu, Code::kBackend, "backend", "The backend 'cpu' needs no library");
  Libraries& all = libraries();
  const std::lock_guard<std::mutex> lock(all.mutex);
  Library& library = all.library[static_cast<int>(backend)];
  if (library.api) return *library.api;
  // Local: its CUDA runtime must not meet another copy in the process. Never closed: threads may be inside.
  void* const opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!opened) {
    const char* why = dlerror();
    throw Error(Code::kBackend, "backend",
                format("The library of the backend '%s' cannot be loaded: %s", backend_name(backend),
                       why ? why : path.c_str()));
  }
  const auto table = reinterpret_cast<cinefuse_cuda_api_function>(dlsym(opened, CINEFUSE_CUDA_API_SYMBOL));
  CINEFUSE_REQUIRE(table, Code::kBackend, "backend", "%s is no CUDA library of cinefuse: it has no %s",
                   path.c_str(), CINEFUSE_CUDA_API_SYMBOL);
  const cinefuse_cuda_api* const api = table(CINEFUSE_CUDA_ABI);
  CINEFUSE_REQUIRE(
      api && api->abi == CINEFUSE_CUDA_ABI && api->size == sizeof(cinefuse_cuda_api), Code::kBackend,
      "backend",
      "%s was built for another version of cinefuse (ABI mismatch; this one speaks ABI %u). Rebuild it: "
      "npm run build:cuda",
      path.c_str(), CINEFUSE_CUDA_ABI);
  CINEFUSE_REQUIRE(std::string(api->backend) == backend_name(backend), Code::kBackend, "backend",
                   "%s holds the backend '%s', not '%s'", path.c_str(), api->backend, backend_name(backend));
  library.api = api;
  library.memory_cap = memory_cap;
  return *api;
}

std::vector<DeviceStatus> list_devices(Backend backend) {
  const cinefuse_cuda_api* const api = device_library(backend);
  CINEFUSE_REQUIRE(api, Code::kBackend, "backend", "The library of the backend '%s' is not open",
                   backend_name(backend));
  cinefuse_failure failure{};
  int32_t count = 0;
  if (api->device_count(&count, &failure)) raise(failure, backend, 0);
  std::vector<DeviceStatus> list;
  for (int i = 0; i < count && i < kMostDevices; ++i) {
    DeviceStatus status{i, false, "", {}};
    failure = {};
    if (api->device_info(i, &status.info, &failure)) {
      status.reason = failure.message;
    } else {
      Exec exec;
      exec.backend = backend;
      exec.device = i;
      try {
        open_device(exec);
        status.usable = true;
      } catch (const Error& error) {
        status.reason = error.what();
      }
    }
    list.push_back(std::move(status));
  }
  return list;
}

OpenDevice::OpenDevice(const cinefuse_cuda_api& api, int ordinal, int64_t memory_cap)
    : api(api), ordinal(ordinal) {
  cinefuse_failure failure{};
  if (api.device_open(ordinal, memory_cap, &handle, &failure)) {
    raise(failure, api.backend == std::string("cuda") ? Backend::kCuda : Backend::kEmulated, ordinal);
  }
}
OpenDevice::~OpenDevice() { api.device_close(handle); }

std::shared_ptr<OpenDevice> open_device(const Exec& exec) {
  Libraries& all = libraries();
  const std::lock_guard<std::mutex> lock(all.mutex);
  Library& library = all.library[static_cast<int>(exec.backend)];
  CINEFUSE_REQUIRE(library.api, Code::kBackend, "backend", "The library of the backend '%s' is not open",
                   backend_name(exec.backend));
  std::shared_ptr<OpenDevice>& device = library.devices[exec.device];
  if (!device) device = std::make_shared<OpenDevice>(*library.api, exec.device, library.memory_cap);
  return device;
}

void reset_device(Backend backend, int ordinal) {
  Libraries& all = libraries();
  const std::lock_guard<std::mutex> lock(all.mutex);
  Library& library = all.library[static_cast<int>(backend)];
  const auto found = library.devices.find(ordinal);
  cinefuse_failure failure{};
  // A trim says whether the device lives, and harms nobody.
  const bool lost = library.api && found != library.devices.end() && found->second &&
                    library.api->device_trim(found->second->handle, &failure) &&
                    failure.kind == CINEFUSE_DEVICE_LOST;
  CINEFUSE_REQUIRE(
      lost, Code::kBackend, "device",
      "Expected a lost device: a reset destroys what anybody in this process has on it; %s:%d is not lost",
      backend_name(backend), ordinal);
  library.devices.erase(found);  // whoever still runs on it keeps it until that call has failed
  if (library.api->device_reset(ordinal, &failure)) raise(failure, backend, ordinal);
}

cinefuse_device_memory device_memory(const Exec& exec) {
  const auto device = open_device(exec);
  cinefuse_device_memory memory{};
  cinefuse_failure failure{};
  if (device->api.device_memory(device->handle, &memory, &failure)) raise(failure, exec.backend, exec.device);
  return memory;
}

void trim_device(const Exec& exec) {
  const auto device = open_device(exec);
  cinefuse_failure failure{};
  if (device->api.device_trim(device->handle, &failure)) raise(failure, exec.backend, exec.device);
}

DeviceObject::~DeviceObject() { device_->api.release(object_); }

namespace detail {

std::shared_ptr<DeviceObject> create_on_device(const Exec& exec, cinefuse_operator op,
                                               const void* description, size_t size) {
  const auto device = open_device(exec);
  cinefuse_object* object = nullptr;
  cinefuse_failure failure{};
  if (device->api.create(device->handle, op, description, size, &object, &failure)) {
    raise(failure, exec.backend, exec.device);
  }
  return std::make_shared<DeviceObject>(device, object);
}

void run_on_device(const Exec& exec, cinefuse_operator op, const DeviceObject* object, const void* params,
                   size_t size) {
  const auto device = object ? object->device() : open_device(exec);
  cinefuse_call call{exec.cancel, static_cast<int32_t>(exec.precision), 0, exec.timing};
  cinefuse_failure failure{};
  if (device->api.run(device->handle, op, object ? object->get() : nullptr, &call, params, size, &failure)) {
    raise(failure, exec.backend, exec.device);
  }
}

}  // namespace detail
}  // namespace cinefuse
