// The one border between JavaScript and the operators: reads arguments, pins buffers, runs the work off the
// main thread (or at once, when asked), and turns every failure into a JS Error with `code` and `field`.
// Nothing thrown in native code crosses it any other way, so no failure ends the process.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../core/exec.h"

namespace cinefuse {

Napi::Error to_js(Napi::Env env, const Error& error);

// A typed array as native code sees it: valid while the owning Call is alive.
template <class T>
struct Span {
  T* data = nullptr;
  size_t size = 0;
};

// One call from JavaScript. Convention of every operator's export: argument 0 is the exec array
// Int32Array [backend, isa, threads, sync, device, precision] and argument 1 the cancel flag Int32Array(1) or
// undefined; the operator's own arguments follow. Used inside `guarded<...>`.
class Call {
 public:
  static constexpr size_t kFirst = 2;  // index of the operator's first argument

  explicit Call(const Napi::CallbackInfo& info);
  Napi::Env env() const { return env_; }
  const Exec& exec() const { return exec_; }

  // Arguments by position and name (the name appears in errors).
  int64_t integer(size_t index, const char* name) const;
  int32_t int32(size_t index, const char* name) const;
  double number(size_t index, const char* name) const;
  float float32(size_t index, const char* name) const { return static_cast<float>(number(index, name)); }
  bool boolean(size_t index, const char* name) const;
  bool absent(size_t index) const;  // undefined, null or not given
  std::vector<int64_t> integers(size_t index,
                                const char* name) const;  // a JS array or typed array of integers
  Napi::Value argument(size_t index) const {
    return index < info_.Length() ? info_[index] : env_.Undefined();
  }

  // Typed arrays, pinned until the work is done. Any offset, any length; detached and shared memory is
  // refused.
  Span<const float> f32(size_t index, const char* name);
  Span<const float> f32_optional(size_t index, const char* name);  // absent: {nullptr, 0}
  std::vector<Span<const float>> f32_list(size_t index, const char* name);
  Span<const double> f64(size_t index, const char* name);
  Span<const uint8_t> u8(size_t index, const char* name);
  std::vector<Span<const uint8_t>> u8_list(size_t index, const char* name);
  Span<const int32_t> i32(size_t index, const char* name);
  Span<const int32_t> i32_optional(size_t index, const char* name);

  // An output of `size` elements: the caller's array at `index` when given (its length must fit exactly),
  // else a new one. Results are handed to JS in the order of these calls: one output resolves to itself,
  // several to an array.
  Span<float> out_f32(size_t index, const char* name, size_t size);
  Span<double> out_f64(size_t index, const char* name, size_t size);
  Span<uint16_t> out_u16(size_t index, const char* name, size_t size);
  Span<int32_t> out_i32(size_t index, const char* name, size_t size);
  Span<uint8_t> out_u8(size_t index, const char* name, size_t size);

  // Keeps any JS value or native owner alive until the work is done. Work that runs at once needs no pins:
  // its caller holds the arguments.
  void pin(Napi::Value value);
  void keep(std::shared_ptr<void> owner) { owners_.push_back(std::move(owner)); }

  // Runs `work` on a libuv thread and returns a promise of the outputs; with exec.sync runs it now and
  // returns the outputs themselves. `work` must capture by value and touch no JS. The optional `finish` makes
  // the result on the JS thread instead of the outputs.
  using Work = std::function<void(const Exec&)>;
  using Finish = std::function<Napi::Value(Napi::Env)>;
  Napi::Value run(Work work, Finish finish = nullptr);

 private:
  friend class Task;
  template <class T>
  Span<T> view(Napi::Value value, napi_typedarray_type type, const char* type_name, const char* name);
  template <class T>
  std::vector<Span<const T>> view_list(size_t index, napi_typedarray_type type, const char* type_name,
                                       const char* name);
  template <class T>
  Span<T> output(size_t index, napi_typedarray_type type, const char* type_name, const char* name,
                 size_t size);

  const Napi::CallbackInfo& info_;
  Napi::Env env_;
  Exec exec_;
  bool sync_ = false;
  std::vector<napi_value> pins_;
  std::vector<napi_value> outputs_;
  std::vector<Span<uint8_t>> fresh_;  // outputs that were made by this call
  std::vector<std::shared_ptr<void>> owners_;
};

// Wraps an export so that every C++ exception becomes a JS one: exports.Set("mel", guarded<mel_node>(env,
// "mel")).
Napi::Value call_guarded(const Napi::CallbackInfo& info, Napi::Value (*body)(const Napi::CallbackInfo&));
template <Napi::Value (*Body)(const Napi::CallbackInfo&)>
Napi::Function guarded(Napi::Env env, const char* name) {
  return Napi::Function::New(
      env, [](const Napi::CallbackInfo& info) { return call_guarded(info, Body); }, name);
}

// Handles: native objects owned by JS. Every handle carries the tag of its class (one static HandleTag a
// class, known by its address), so that a wrong object throws ERR_HANDLE instead of corrupting memory, and a
// released one throws ERR_DISPOSED. Calls that run hold the object alive through its shared_ptr, so release
// during a call is safe.
struct HandleTag {
  const char* name;
};
namespace detail {
Napi::Value make_handle(Napi::Env env, const HandleTag& tag, std::shared_ptr<void> object, int64_t bytes);
std::shared_ptr<void> open_handle(Napi::Value value, const HandleTag& tag, const char* field);
}  // namespace detail
// `bytes` is told to the garbage collector as external memory.
template <class T>
Napi::Value make_handle(Napi::Env env, const HandleTag& tag, std::shared_ptr<T> object, int64_t bytes) {
  return detail::make_handle(env, tag, std::static_pointer_cast<void>(object), bytes);
}
template <class T>
std::shared_ptr<T> open_handle(Napi::Value value, const HandleTag& tag, const char* field) {
  return std::static_pointer_cast<T>(detail::open_handle(value, tag, field));
}
// Export: releaseHandle(handle). Frees at once (or when the running calls end); a second time is harmless.
Napi::Value release_handle(const Napi::CallbackInfo& info);

}  // namespace cinefuse
