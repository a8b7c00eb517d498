// The one error type of native code. Codes are those of lib/errors.ts; a test holds the two lists together.
#pragma once
#include <cstdarg>
#include <cstdio>
#include <exception>
#include <string>

namespace cinefuse {

enum class Code {
  kInputType,
  kInputValue,
  kInputEmpty,
  kShape,
  kBackend,
  kDevice,
  kDeviceLost,
  kHandle,
  kMemory,
  kInternal,
  kCancelled,
  kDisposed
};

constexpr const char* kCodeNames[] = {"ERR_INPUT_TYPE", "ERR_INPUT_VALUE", "ERR_INPUT_EMPTY", "ERR_SHAPE",
                                      "ERR_BACKEND",    "ERR_DEVICE",      "ERR_DEVICE_LOST", "ERR_HANDLE",
                                      "ERR_MEMORY",     "ERR_INTERNAL",    "ERR_CANCELLED",   "ERR_DISPOSED"};
constexpr int kCodeCount = sizeof(kCodeNames) / sizeof(kCodeNames[0]);

class Error : public std::exception {
 public:
  Error(Code code, std::string field, std::string message)
      : code_(code), field_(std::move(field)), message_(std::move(message)) {}
  Code code() const { return code_; }
  const char* code_name() const { return kCodeNames[static_cast<int>(code_)]; }
  const std::string& field() const { return field_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  Code code_;
  std::string field_;
  std::string message_;
};

__attribute__((format(printf, 1, 2))) inline std::string format(const char* pattern, ...) {
  char text[512];
  va_list args;
  va_start(args, pattern);
  vsnprintf(text, sizeof text, pattern, args);
  va_end(args);
  return text;
}

// require(x > 0, Code::kInputValue, "nFft", "Expected a positive number for nFft, received %d", x)
#define CINEFUSE_REQUIRE(condition, code, field, ...)                                        \
  do {                                                                                       \
    if (!(condition)) throw ::cinefuse::Error(code, field, ::cinefuse::format(__VA_ARGS__)); \
  } while (0)

}  // namespace cinefuse
