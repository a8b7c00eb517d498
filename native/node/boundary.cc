#include "boundary.h"

#include <cmath>
#include <cstdio>
#include <new>

#include "../core/pages.h"

namespace cinefuse {

Napi::Error to_js(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.what());
  js.Value().DefineProperties(
      {Napi::PropertyDescriptor::Value("code", Napi::String::New(env, error.code_name()), napi_enumerable),
       Napi::PropertyDescriptor::Value("field", Napi::String::New(env, error.field()), napi_enumerable)});
  return js;
}

namespace {

// The exception in flight as an Error; call inside catch (...).
Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(Code::kMemory, "", "Out of memory in native code");
  } catch (const std::exception& error) {
    return Error(Code::kInternal, "", format("Unexpected native failure: %s", error.what()));
  } catch (...) {
    return Error(Code::kInternal, "", "Unexpected native failure of unknown type");
  }
}

const char* type_name_of(Napi::Value value) {
  if (value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsTypedArray()) return "a typed array of another type";
  if (value.IsArray()) return "an array";
  if (value.IsString()) return "a string";
  if (value.IsNumber()) return "a number";
  if (value.IsBoolean()) return "a boolean";
  if (value.IsFunction()) return "a function";
  return "an object";
}

}  // namespace

Call::Call(const Napi::CallbackInfo& info) : info_(info), env_(info.Env()) {
  const Span<const int32_t> exec = i32(0, "exec");
  CINEFUSE_REQUIRE(exec.size == 6, Code::kInputType, "exec", "Expected 6 integers for exec, received %zu",
                   exec.size);
  CINEFUSE_REQUIRE(exec.data[0] >= 0 && exec.data[0] <= 2, Code::kBackend, "backend",
                   "Expected backend 0..2, received %d", exec.data[0]);
  CINEFUSE_REQUIRE(exec.data[1] >= 0 && exec.data[1] <= 2, Code::kBackend, "isa",
                   "Expected instruction set 0..2, received %d", exec.data[1]);
  CINEFUSE_REQUIRE(exec.data[2] >= 1 && exec.data[2] <= 1024, Code::kInputValue, "threads",
                   "Expected 1..1024 threads, received %d", exec.data[2]);
  CINEFUSE_REQUIRE(exec.data[4] >= 0 && exec.data[4] < 64, Code::kBackend, "device",
                   "Expected device 0..63, received %d", exec.data[4]);
  CINEFUSE_REQUIRE(exec.data[5] >= 0 && exec.data[5] <= 4, Code::kInputValue, "precision",
                   "Expected precision 0..4, received %d", exec.data[5]);
  exec_.backend = static_cast<Backend>(exec.data[0]);
  exec_.isa = static_cast<Isa>(exec.data[1]);
  exec_.threads = exec.data[2];
  sync_ = exec.data[3] != 0;
  exec_.device = exec.data[4];
  exec_.precision = static_cast<Precision>(exec.data[5]);
  if (!absent(1)) {
    const Span<const int32_t> cancel = i32(1, "cancel");
    CINEFUSE_REQUIRE(cancel.size == 1, Code::kInputType, "cancel", "Expected 1 integer for cancel");
    exec_.cancel = cancel.data;
  }
  require_available(exec_);
}

bool Call::absent(size_t index) const {
  const Napi::Value value = argument(index);
  return value.IsUndefined() || value.IsNull();
}

double Call::number(size_t index, const char* name) const {
  const Napi::Value value = argument(index);
  CINEFUSE_REQUIRE(value.IsNumber(), Code::kInputType, name, "Expected a number for %s, received %s", name,
                   type_name_of(value));
  return value.As<Napi::Number>().DoubleValue();
}

int64_t Call::integer(size_t index, const char* name) const {
  const double x = number(index, name);
  CINEFUSE_REQUIRE(std::isfinite(x) && x == std::trunc(x) && std::fabs(x) <= 9007199254740991.0,
                   Code::kInputValue, name, "Expected an integer for %s, received %g", name, x);
  return static_cast<int64_t>(x);
}

int32_t Call::int32(size_t index, const char* name) const {
  const int64_t x = integer(index, name);
  CINEFUSE_REQUIRE(x >= INT32_MIN && x <= INT32_MAX, Code::kInputValue, name,
                   "Expected a 32-bit integer for %s, received %lld", name, static_cast<long long>(x));
  return static_cast<int32_t>(x);
}

bool Call::boolean(size_t index, const char* name) const {
  const Napi::Value value = argument(index);
  CINEFUSE_REQUIRE(value.IsBoolean(), Code::kInputType, name, "Expected true or false for %s, received %s",
                   name, type_name_of(value));
  return value.As<Napi::Boolean>().Value();
}

std::vector<int64_t> Call::integers(size_t index, const char* name) const {
  const Napi::Value value = argument(index);
  CINEFUSE_REQUIRE(value.IsArray() || value.IsTypedArray(), Code::kInputType, name,
                   "Expected an array of integers for %s, received %s", name, type_name_of(value));
  const Napi::Object array = value.As<Napi::Object>();
  const uint32_t length = array.Get("length").As<Napi::Number>().Uint32Value();
  std::vector<int64_t> result(length);
  for (uint32_t i = 0; i < length; ++i) {
    const Napi::Value item = array.Get(i);
    const double x = item.IsNumber() ? item.As<Napi::Number>().DoubleValue() : std::nan("");
    CINEFUSE_REQUIRE(x == std::trunc(x) && std::fabs(x) <= 9007199254740991.0, Code::kInputValue, name,
                     "Expected integers in %s, received %g at [%u]", name, x, i);
    result[i] = static_cast<int64_t>(x);
  }
  return result;
}

void Call::pin(Napi::Value value) {
  if (!sync_) pins_.push_back(value);
}

template <class T>
Span<T> Call::view(Napi::Value value, napi_typedarray_type type, const char* type_name, const char* name) {
  CINEFUSE_REQUIRE(value.IsTypedArray(), Code::kInputType, name, "Expected a %s for %s, received %s",
                   type_name, name, type_name_of(value));
  const napi_typedarray_type given = value.As<Napi::TypedArray>().TypedArrayType();
  const bool clamped = type == napi_uint8_array && given == napi_uint8_clamped_array;
  CINEFUSE_REQUIRE(clamped || given == type, Code::kInputType, name,
                   "Expected a %s for %s, received a typed array of another type", type_name, name);
  napi_typedarray_type actual;
  size_t length = 0, offset = 0;
  void* data = nullptr;
  napi_value buffer;
  const napi_status status = napi_get_typedarray_info(env_, value, &actual, &length, &data, &buffer, &offset);
  bool is_array_buffer = false;
  if (status == napi_ok) napi_is_arraybuffer(env_, buffer, &is_array_buffer);
  CINEFUSE_REQUIRE(status == napi_ok && is_array_buffer, Code::kInputType, name,
                   "Expected a %s over ordinary memory for %s, received one over a SharedArrayBuffer",
                   type_name, name);
  bool detached = false;
  napi_is_detached_arraybuffer(env_, buffer, &detached);
  CINEFUSE_REQUIRE(!detached, Code::kInputType, name,
                   "Expected a %s for %s, received one whose buffer was transferred away", type_name, name);
  pin(value);
  return {static_cast<T*>(data), length};
}

template <class T>
std::vector<Span<const T>> Call::view_list(size_t index, napi_typedarray_type type, const char* type_name,
                                           const char* name) {
  const Napi::Value value = argument(index);
  CINEFUSE_REQUIRE(value.IsArray(), Code::kInputType, name, "Expected an array of %s for %s, received %s",
                   type_name, name, type_name_of(value));
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<Span<const T>> result(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    char item[64];
    std::snprintf(item, sizeof item, "%s[%u]", name, i);
    const Span<T> span = view<T>(array.Get(i), type, type_name, item);
    result[i] = {span.data, span.size};
  }
  return result;
}

template <class T>
Span<T> Call::output(size_t index, napi_typedarray_type type, const char* type_name, const char* name,
                     size_t size) {
  Napi::Value value = argument(index);
  if (absent(index)) {
    CINEFUSE_REQUIRE(size <= (size_t{1} << 33) / sizeof(T), Code::kMemory, name,
                     "The result %s would take %.1f GiB; at most 8 GiB can be returned at once", name,
                     static_cast<double>(size) * sizeof(T) / (1 << 30));
    Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env_, size * sizeof(T));
    napi_value array;
    if (napi_create_typedarray(env_, type, size, buffer, 0, &array) != napi_ok) {
      throw Error(Code::kMemory, name, format("Could not allocate %zu bytes for %s", size * sizeof(T), name));
    }
    value = Napi::Value(env_, array);
    fresh_.push_back({static_cast<uint8_t*>(buffer.Data()), size * sizeof(T)});
  }
  const Span<T> span = view<T>(value, type, type_name, name);
  CINEFUSE_REQUIRE(span.size == size, Code::kShape, name, "Expected %zu elements for %s, received %zu", size,
                   name, span.size);
  outputs_.push_back(value);
  return span;
}

Span<const float> Call::f32(size_t index, const char* name) {
  const Span<float> span = view<float>(argument(index), napi_float32_array, "Float32Array", name);
  return {span.data, span.size};
}
Span<const float> Call::f32_optional(size_t index, const char* name) {
  return absent(index) ? Span<const float>{} : f32(index, name);
}
std::vector<Span<const float>> Call::f32_list(size_t index, const char* name) {
  return view_list<float>(index, napi_float32_array, "Float32Array", name);
}
Span<const double> Call::f64(size_t index, const char* name) {
  const Span<double> span = view<double>(argument(index), napi_float64_array, "Float64Array", name);
  return {span.data, span.size};
}
Span<const uint8_t> Call::u8(size_t index, const char* name) {
  const Span<uint8_t> span = view<uint8_t>(argument(index), napi_uint8_array, "Uint8Array", name);
  return {span.data, span.size};
}
std::vector<Span<const uint8_t>> Call::u8_list(size_t index, const char* name) {
  return view_list<uint8_t>(index, napi_uint8_array, "Uint8Array", name);
}
Span<const int32_t> Call::i32(size_t index, const char* name) {
  const Span<int32_t> span = view<int32_t>(argument(index), napi_int32_array, "Int32Array", name);
  return {span.data, span.size};
}
Span<const int32_t> Call::i32_optional(size_t index, const char* name) {
  return absent(index) ? Span<const int32_t>{} : i32(index, name);
}
Span<float> Call::out_f32(size_t index, const char* name, size_t size) {
  return output<float>(index, napi_float32_array, "Float32Array", name, size);
}
Span<double> Call::out_f64(size_t index, const char* name, size_t size) {
  return output<double>(index, napi_float64_array, "Float64Array", name, size);
}
Span<uint16_t> Call::out_u16(size_t index, const char* name, size_t size) {
  return output<uint16_t>(index, napi_uint16_array, "Uint16Array", name, size);
}
Span<int32_t> Call::out_i32(size_t index, const char* name, size_t size) {
  return output<int32_t>(index, napi_int32_array, "Int32Array", name, size);
}
Span<uint8_t> Call::out_u8(size_t index, const char* name, size_t size) {
  return output<uint8_t>(index, napi_uint8_array, "Uint8Array", name, size);
}

// One queued call. Owns itself: deleted when its completion callback has run.
class Task {
 public:
  Task(Call& call, Call::Work work, Call::Finish finish)
      : env_(call.env_),
        deferred_(Napi::Promise::Deferred::New(call.env_)),
        pins_(Napi::Persistent<Napi::Object>(array_of(call.env_, call.pins_))),
        outputs_(Napi::Persistent<Napi::Object>(array_of(call.env_, call.outputs_))),
        output_count_(call.outputs_.size()),
        fresh_(std::move(call.fresh_)),
        owners_(std::move(call.owners_)),
        exec_(call.exec_),
        work_(std::move(work)),
        finish_(std::move(finish)) {}

  Napi::Value start() {
    const Napi::Promise promise = deferred_.Promise();
    const napi_status created = napi_create_async_work(env_, nullptr, Napi::String::New(env_, "cinefuse"),
                                                       execute, complete, this, &handle_);
    if (created != napi_ok || napi_queue_async_work(env_, handle_) != napi_ok) {
      delete this;
      throw Error(Code::kInternal, "", "Could not queue the work on libuv's thread pool");
    }
    return promise;
  }

  static Napi::Array array_of(Napi::Env env, const std::vector<napi_value>& values) {
    const Napi::Array array = Napi::Array::New(env, values.size());
    for (size_t i = 0; i < values.size(); ++i) array.Set(static_cast<uint32_t>(i), values[i]);
    return array;
  }

 private:
  ~Task() {
    if (handle_) napi_delete_async_work(env_, handle_);
  }

  static void execute(napi_env, void* data) {
    Task* task = static_cast<Task*>(data);
    try {
      task->exec_.check_cancelled();
      for (const auto& fresh : task->fresh_) fetch_pages(fresh.data, fresh.size, task->exec_);
      task->work_(task->exec_);
    } catch (...) {
      task->error_ = std::make_unique<Error>(current_error());
    }
  }

  static void complete(napi_env raw, napi_status status, void* data) {
    std::unique_ptr<Task, void (*)(Task*)> task(static_cast<Task*>(data), [](Task* t) { delete t; });
    try {
      const Napi::Env env(raw);
      const Napi::HandleScope scope(env);
      task->settle(env, status);
    } catch (...) {
      // Not even rejecting works: the worker thread is being terminated, and nobody waits for the promise any
      // more. An exception out of this callback would end the whole process.
    }
  }

  void settle(Napi::Env env, napi_status status) {
    try {
      if (status == napi_cancelled && !error_) {
        error_ = std::make_unique<Error>(Code::kCancelled, "", "The queued work was cancelled");
      }
      if (error_) {
        deferred_.Reject(to_js(env, *error_).Value());
        return;
      }
      const Napi::Object outputs = outputs_.Value();
      deferred_.Resolve(finish_              ? finish_(env)
                        : output_count_ == 1 ? outputs.Get(uint32_t{0})
                                             : Napi::Value(outputs));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    } catch (...) {
      deferred_.Reject(to_js(env, current_error()).Value());
    }
  }

  Napi::Env env_;
  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference pins_;
  Napi::ObjectReference outputs_;
  size_t output_count_;
  std::vector<Span<uint8_t>> fresh_;
  std::vector<std::shared_ptr<void>> owners_;
  Exec exec_;
  Call::Work work_;
  Call::Finish finish_;
  std::unique_ptr<Error> error_;
  napi_async_work handle_ = nullptr;
};

Napi::Value Call::run(Work work, Finish finish) {
  if (sync_) {
    exec_.check_cancelled();
    for (const auto& fresh : fresh_) fetch_pages(fresh.data, fresh.size, exec_);
    work(exec_);
    if (finish) return finish(env_);
    return outputs_.size() == 1 ? Napi::Value(env_, outputs_[0]) : Task::array_of(env_, outputs_);
  }
  return (new Task(*this, std::move(work), std::move(finish)))->start();
}

// node-addon-api's own throw ends the process where a worker thread is being terminated and nothing can be
// thrown.
static void throw_in_js(const Napi::Error& error) {
  try {
    napi_throw(error.Env(), error.Value());
  } catch (...) {
  }
}

Napi::Value call_guarded(const Napi::CallbackInfo& info, Napi::Value (*body)(const Napi::CallbackInfo&)) {
  try {
    return body(info);
  } catch (const Napi::Error& error) {
    throw_in_js(error);
  } catch (...) {
    try {
      throw_in_js(to_js(info.Env(), current_error()));
    } catch (...) {
    }
  }
  return Napi::Value();
}

namespace {

struct Handle {
  const HandleTag* tag;
  std::shared_ptr<void> object;
  int64_t bytes;
};

void account(Napi::Env env, Handle& handle) {
  if (handle.bytes) {
    Napi::MemoryManagement::AdjustExternalMemory(env, -handle.bytes);
    handle.bytes = 0;
  }
}

constexpr napi_type_tag kHandleTag = {0x63696e6566757365ull, 0x68616e646c653031ull};

Handle* handle_of(Napi::Value value, const char* field) {
  bool tagged = false;
  if (value.IsExternal()) napi_check_object_type_tag(value.Env(), value, &kHandleTag, &tagged);
  CINEFUSE_REQUIRE(tagged, Code::kHandle, field, "Expected a cinefuse handle for %s, received %s", field,
                   value.IsExternal() ? "somebody else's handle" : type_name_of(value));
  return value.As<Napi::External<Handle>>().Data();
}

}  // namespace

Napi::Value detail::make_handle(Napi::Env env, const HandleTag& tag, std::shared_ptr<void> object,
                                int64_t bytes) {
  auto handle = std::make_unique<Handle>(Handle{&tag, std::move(object), bytes});
  const Napi::External<Handle> external =
      Napi::External<Handle>::New(env, handle.get(), [](Napi::Env finalizer_env, Handle* h) {
        account(finalizer_env, *h);
        delete h;
      });
  handle.release();
  napi_type_tag_object(env, external, &kHandleTag);
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes);
  return external;
}

std::shared_ptr<void> detail::open_handle(Napi::Value value, const HandleTag& tag, const char* field) {
  const Handle* handle = handle_of(value, field);
  CINEFUSE_REQUIRE(handle->tag == &tag, Code::kHandle, field,
                   "Expected a %s handle for %s, received a %s handle", tag.name, field, handle->tag->name);
  CINEFUSE_REQUIRE(handle->object, Code::kDisposed, field, "This %s has been disposed of", tag.name);
  return handle->object;
}

Napi::Value release_handle(const Napi::CallbackInfo& info) {
  Handle* handle = handle_of(info.Length() > 0 ? info[0] : info.Env().Undefined(), "handle");
  handle->object.reset();
  account(info.Env(), *handle);
  return info.Env().Undefined();
}

}  // namespace cinefuse
