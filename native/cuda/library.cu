// The library's table: every operator, and the functions behind native/cuda/api.h.
#include <cstdio>
#include <cstring>
#include <new>

#include "device.h"
#include "operators.h"

#ifndef CINEFUSE_CUDA_ARCHS
#define CINEFUSE_CUDA_ARCHS ""
#endif

// Handles as the addon sees them.
struct cinefuse_device {
  cinefuse::gpu::Device device;
};
struct cinefuse_object {
  cinefuse_device* owner;
  uint32_t op;
  std::unique_ptr<cinefuse::gpu::Object> object;
};

namespace cinefuse::gpu {
namespace {

void describe(cinefuse_failure* failure, int kind, int native, const std::string& field,
              const std::string& message) {
  if (!failure) return;
  failure->kind = kind;
  failure->native = native;
  snprintf(failure->field, sizeof failure->field, "%s", field.c_str());
  snprintf(failure->message, sizeof failure->message, "%s", message.c_str());
}

// Runs `body` and turns whatever it throws into a failure; a lost device is remembered as such.
template <class Body>
int guarded(cinefuse_failure* failure, Device* device, Body&& body) {
  try {
    body();
    return 0;
  } catch (const Failure& error) {
    if (device && error.kind == CINEFUSE_DEVICE_LOST && !device->lost()) device->lose(error.message);
    describe(failure, error.kind, error.native, error.field, error.message);
  } catch (const std::bad_alloc&) {
    describe(failure, CINEFUSE_OUT_OF_MEMORY, 0, {}, "Out of host memory in the CUDA library");
  } catch (const std::exception& error) {
    describe(failure, CINEFUSE_FAILED, 0, {}, error.what());
  } catch (...) {
    describe(failure, CINEFUSE_FAILED, 0, {}, "A failure of unknown type in the CUDA library");
  }
  return 1;
}

const Operator& find(uint32_t op) {
  if (op >= CINEFUSE_OPERATORS || !kOperators[op]) {
    throw Failure(CINEFUSE_ABI_MISMATCH, text("This CUDA library has no operator %u; rebuild it", op));
  }
  return *kOperators[op];
}

void require_size(uint32_t op, size_t expected, size_t got) {
  if (expected == got) return;
  throw Failure(
      CINEFUSE_ABI_MISMATCH,
      text("The CUDA library expects %zu bytes of parameters for operator %u and got %zu: it is of another "
           "version than the addon; rebuild it",
           expected, op, got));
}

int device_count(int32_t* count, cinefuse_failure* failure) {
  return guarded(failure, nullptr, [&] {
    *count = 0;
    int n = 0;
    CINEFUSE_CUDA(cudaGetDeviceCount(&n));
    *count = n;
  });
}

int device_info(int32_t ordinal, cinefuse_device_info* info, cinefuse_failure* failure) {
  return guarded(failure, nullptr, [&] {
    *info = cinefuse_device_info{};
    cudaDeviceProp p{};
    CINEFUSE_CUDA(cudaGetDeviceProperties(&p, ordinal));
    snprintf(info->name, sizeof info->name, "%.*s", static_cast<int>(sizeof info->name) - 1, p.name);
    info->major = p.major;
    info->minor = p.minor;
    info->multiprocessors = p.multiProcessorCount;
    info->memory = static_cast<int64_t>(p.totalGlobalMem);
    info->l2 = p.l2CacheSize;
    info->memory_bus_bits = p.memoryBusWidth;
    CINEFUSE_CUDA(cudaDriverGetVersion(&info->driver));
    CINEFUSE_CUDA(cudaRuntimeGetVersion(&info->runtime));
    CINEFUSE_CUDA(cudaDeviceGetAttribute(&info->clock_khz, cudaDevAttrClockRate, ordinal));
    CINEFUSE_CUDA(cudaDeviceGetAttribute(&info->memory_clock_khz, cudaDevAttrMemoryClockRate, ordinal));
  });
}

int device_open(int32_t ordinal, int64_t memory_cap, cinefuse_device** device, cinefuse_failure* failure) {
  return guarded(failure, nullptr, [&] {
    *device = nullptr;
    *device = new cinefuse_device{{ordinal, memory_cap}};
  });
}

void device_close(cinefuse_device* device) { delete device; }

int device_reset(int32_t ordinal, cinefuse_failure* failure) {
  return guarded(failure, nullptr, [&] {
    const UseDevice use(ordinal);
    CINEFUSE_CUDA(cudaDeviceReset());
  });
}

int device_memory(cinefuse_device* device, cinefuse_device_memory* memory, cinefuse_failure* failure) {
  return guarded(failure, nullptr, [&] { *memory = device->device.memory.stats(); });
}

int device_trim(cinefuse_device* device, cinefuse_failure* failure) {
  return guarded(failure, &device->device, [&] {
    device->device.require_alive();
    const UseDevice use(device->device.ordinal);
    device->device.memory.trim();
  });
}

int create(cinefuse_device* device, uint32_t op, const void* description, size_t size,
           cinefuse_object** object, cinefuse_failure* failure) {
  return guarded(failure, &device->device, [&] {
    *object = nullptr;
    const Operator& entry = find(op);
    require_size(op, entry.description_size, size);
    Call call(device->device, nullptr);
    std::unique_ptr<Object> made = entry.create(call, description);
    call.finish();
    *object = new cinefuse_object{device, op, std::move(made)};
  });
}

void release(cinefuse_object* object) {
  if (!object) return;
  guarded(nullptr, nullptr, [&] {
    const UseDevice use(object->owner->device.ordinal);
    object->object.reset();
  });
  delete object;
}

int run(cinefuse_device* device, uint32_t op, cinefuse_object* object, const cinefuse_call* how,
        const void* params, size_t size, cinefuse_failure* failure) {
  return guarded(failure, &device->device, [&] {
    const Operator& entry = find(op);
    require_size(op, entry.params_size, size);
    const bool wants = entry.description_size != 0;
    if (wants != (object != nullptr) || (object && (object->op != op || object->owner != device))) {
      throw Failure(CINEFUSE_FAILED,
                    text("Operator %u was given an object of another operator or device", op));
    }
    const Object* const prepared = object ? object->object.get() : nullptr;
    const auto attempt = [&] {
      Call call(device->device, how);
      entry.run(call, prepared, params);
    };
    try {
      attempt();
    } catch (const Failure& failed) {
      if (failed.kind != CINEFUSE_OUT_OF_MEMORY || !prepared || !prepared->shrink()) throw;
      attempt();
    }
  });
}

#if defined(CINEFUSE_EMULATED)
constexpr const char* kBackend = "emulated";
constexpr const char* kToolkit = "the host compiler";
#else
#define CINEFUSE_TEXT_(x) #x
#define CINEFUSE_TEXT(x) CINEFUSE_TEXT_(x)
constexpr const char* kBackend = "cuda";
constexpr const char* kToolkit =
    "CUDA " CINEFUSE_TEXT(__CUDACC_VER_MAJOR__) "." CINEFUSE_TEXT(__CUDACC_VER_MINOR__);
#endif

const cinefuse_cuda_api kApi = {CINEFUSE_CUDA_ABI,
                                sizeof(cinefuse_cuda_api),
                                kBackend,
                                CINEFUSE_CUDA_ARCHS,
                                kToolkit,
                                device_count,
                                device_info,
                                device_open,
                                device_close,
                                device_reset,
                                device_memory,
                                device_trim,
                                create,
                                release,
                                run};

}  // namespace
}  // namespace cinefuse::gpu

extern "C" __attribute__((visibility("default"))) const cinefuse_cuda_api* cinefuse_cuda_api_table(
    uint32_t abi) {
  return abi == CINEFUSE_CUDA_ABI ? &cinefuse::gpu::kApi : nullptr;
}
