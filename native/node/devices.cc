// Exports about backends and devices, not about an operator.
#include "../core/device.h"
#include "boundary.h"

namespace cinefuse {

// openDeviceLibrary(backend, path, memoryCapBytes) -> {archs, toolkit}
Napi::Value open_device_library_node(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  CINEFUSE_REQUIRE(info.Length() == 3 && info[0].IsNumber() && info[1].IsString() && info[2].IsNumber(),
                   Code::kInputType, "backend", "Expected a backend, a path and a number of bytes");
  const int backend = info[0].As<Napi::Number>().Int32Value();
  CINEFUSE_REQUIRE(backend == 1 || backend == 2, Code::kBackend, "backend",
                   "Expected backend 1 or 2, received %d", backend);
  const cinefuse_cuda_api& api =
      open_device_library(static_cast<Backend>(backend), info[1].As<Napi::String>().Utf8Value(),
                          info[2].As<Napi::Number>().Int64Value());
  Napi::Object result = Napi::Object::New(env);
  result.Set("archs", api.archs);
  result.Set("toolkit", api.toolkit);
  return result;
}

// devices(exec, cancel) -> [{ordinal, usable, reason, name, computeCapability, ...}]
Napi::Value devices_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto list = std::make_shared<std::vector<DeviceStatus>>();
  return call.run([=](const Exec& exec) { *list = list_devices(exec.backend); },
                  [=](Napi::Env env) -> Napi::Value {
                    Napi::Array result = Napi::Array::New(env, list->size());
                    for (size_t i = 0; i < list->size(); ++i) {
                      const DeviceStatus& status = (*list)[i];
                      const cinefuse_device_info& d = status.info;
                      Napi::Object entry = Napi::Object::New(env);
                      entry.Set("ordinal", status.ordinal);
                      entry.Set("usable", status.usable);
                      entry.Set("reason", status.reason);
                      entry.Set("name", d.name);
                      entry.Set("computeCapability", format("%d.%d", d.major, d.minor));
                      entry.Set("multiprocessors", d.multiprocessors);
                      entry.Set("memoryBytes", static_cast<double>(d.memory));
                      entry.Set("l2Bytes", static_cast<double>(d.l2));
                      entry.Set("driver", d.driver);
                      entry.Set("runtime", d.runtime);
                      result.Set(static_cast<uint32_t>(i), entry);
                    }
                    return result;
                  });
}

// deviceMemory(exec, cancel) -> {inUse, cached, peak, cap} in bytes
Napi::Value device_memory_node(const Napi::CallbackInfo& info) {
  Call call(info);
  const auto memory = std::make_shared<cinefuse_device_memory>();
  return call.run([=](const Exec& exec) { *memory = device_memory(exec); },
                  [=](Napi::Env env) -> Napi::Value {
                    Napi::Object result = Napi::Object::New(env);
                    result.Set("inUse", static_cast<double>(memory->in_use));
                    result.Set("cached", static_cast<double>(memory->cached));
                    result.Set("peak", static_cast<double>(memory->peak));
                    result.Set("cap", static_cast<double>(memory->cap));
                    return result;
                  });
}

// trimDevice(exec, cancel)
Napi::Value trim_device_node(const Napi::CallbackInfo& info) {
  Call call(info);
  return call.run([](const Exec& exec) { trim_device(exec); },
                  [](Napi::Env env) -> Napi::Value { return env.Undefined(); });
}

// resetDevice(exec, cancel)
Napi::Value reset_device_node(const Napi::CallbackInfo& info) {
  Call call(info);
  return call.run([](const Exec& exec) { reset_device(exec.backend, exec.device); },
                  [](Napi::Env env) -> Napi::Value { return env.Undefined(); });
}

}  // namespace cinefuse
