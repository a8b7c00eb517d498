// cinefuse_verify --library FILE [--backend cuda|emulated] [--device N] [--small] [--only TEXT]
#include "verify.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "../../native/core/device.h"

namespace cinefuse::verify {

uint64_t Random::bits() {  // splitmix64
  state_ += 0x9e3779b97f4a7c15ull;
  uint64_t x = state_;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}
float Random::number() { return static_cast<float>(static_cast<int64_t>(bits()) >> 40) / 8388608.f; }
int64_t Random::integer(int64_t least, int64_t most) {
  return least + static_cast<int64_t>(bits() % static_cast<uint64_t>(most - least + 1));
}
std::vector<float> Random::numbers(int64_t n, float scale) {
  std::vector<float> list(static_cast<size_t>(n));
  for (float& x : list) x = scale * number();
  return list;
}

bool Suite::wanted(const std::string& name) const { return name.find(options.only) != std::string::npos; }

void Suite::report(const std::string& name, const std::string& failure) {
  if (failure.empty()) {
    ++passed_;
  } else {
    ++failed_;
    std::printf("FAILED  %s: %s\n", name.c_str(), failure.c_str());
    std::fflush(stdout);
  }
}

namespace {

Exec cpu() {
  Exec exec;
  exec.isa = best_isa();
  exec.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  return exec;
}

std::string difference(const std::vector<float>& want, const std::vector<float>& got, float tolerance) {
  float largest = 0.f;
  for (float x : want) {
    if (std::isfinite(x)) largest = std::max(largest, std::fabs(x));
  }
  size_t wrong = 0, first = 0;
  float worst = 0.f;
  for (size_t i = 0; i < want.size(); ++i) {
    const float w = want[i], g = got[i];
    const bool good = std::isfinite(w) ? std::fabs(g - w) <= tolerance * std::max(largest, 1e-30f)
                                       : (std::isnan(w) ? std::isnan(g) : g == w);
    if (std::isfinite(w)) worst = std::max(worst, std::fabs(g - w) / std::max(largest, 1e-30f));
    if (!good && wrong++ == 0) first = i;
  }
  if (!wrong) return "";
  return format(
      "%zu of %zu numbers differ, the first at %zu: %g on the CPU, %g on the device; largest difference %g "
      "of the "
      "largest result, %g allowed",
      wrong, want.size(), first, static_cast<double>(want[first]), static_cast<double>(got[first]),
      static_cast<double>(worst), static_cast<double>(tolerance));
}

}  // namespace

void Suite::compare(const std::string& name, int64_t n, float tolerance, bool precise, const Body& body) {
  struct Path {
    const char* name;
    Precision precision;
    float tolerance;
  };
  const Path paths[] = {{"fp32", Precision::kFp32, tolerance},
                        {"tf32", Precision::kTf32, 2e-3f},
                        {"bf16", Precision::kBf16, 2e-2f}};
  std::vector<float> want;
  for (const Path& path : paths) {
    if (precise && path.precision != Precision::kFp32) break;
    const std::string full = name + (precise ? "" : std::string(" ") + path.name);
    if (!wanted(full)) continue;
    try {
      if (want.empty()) {
        want.resize(static_cast<size_t>(n));
        body(cpu(), want.data());
      }
      // What the device does not write stays at a number that no operator gives.
      std::vector<float> got(static_cast<size_t>(n), -1.2345e33f), again = got;
      Exec exec = options.device;
      exec.precision = path.precision;
      body(exec, got.data());
      // A time says that the device did it: nothing may fall back to the CPU unseen.
      float milliseconds = -1.f;
      cinefuse_timing timing{0, 1, 0, &milliseconds};
      exec.timing = &timing;
      body(exec, again.data());
      std::string failure =
          milliseconds < 0 ? "it did not run on the device" : difference(want, got, path.tolerance);
      if (failure.empty() && std::memcmp(got.data(), again.data(), got.size() * sizeof(float)) != 0) {
        failure = "the same call gave other bits the second time";
      }
      report(full, failure);
    } catch (const std::exception& error) {
      report(full, error.what());
    }
  }
}

void Suite::equal(const std::string& name, int64_t n,
                  const std::function<void(const Exec&, uint8_t*)>& body) {
  if (!wanted(name)) return;
  try {
    std::vector<uint8_t> want(static_cast<size_t>(n)), got(static_cast<size_t>(n), 0xA5);
    body(cpu(), want.data());
    body(options.device, got.data());
    const auto at = std::mismatch(want.begin(), want.end(), got.begin());
    report(name, at.first == want.end()
                     ? ""
                     : format("byte %zu is %d on the CPU, %d on the device",
                              static_cast<size_t>(at.first - want.begin()), *at.first, *at.second));
  } catch (const std::exception& error) {
    report(name, error.what());
  }
}

void Suite::refuse(const std::string& name, Code code, const std::string& field,
                   const std::function<void(const Exec&)>& body) {
  if (!wanted(name)) return;
  std::string failure;
  for (const Exec& exec : {cpu(), options.device}) {
    try {
      body(exec);
      failure = format("no error on the backend %s", backend_name(exec.backend));
    } catch (const Error& error) {
      if (error.code() != code || error.field() != field) {
        failure = format("%s for '%s' on the backend %s: %s", error.code_name(), error.field().c_str(),
                         backend_name(exec.backend), error.what());
      }
    }
  }
  report(name, failure);
}

bool Suite::finish() const {
  std::printf("verify: %d passed, %d failed\n", passed_, failed_);
  return failed_ == 0 && passed_ > 0;
}

}  // namespace cinefuse::verify

int main(int argc, char** argv) {
  using namespace cinefuse;
  verify::Options options;
  options.device.backend = Backend::kCuda;
  std::string library;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const auto value = [&]() -> const char* {
      if (i + 1 < argc) return argv[++i];
      std::fprintf(stderr, "verify: %s wants a value\n", option.c_str());
      std::exit(2);
    };
    if (option == "--library") {
      library = value();
    } else if (option == "--backend") {
      options.device.backend = std::string(value()) == "emulated" ? Backend::kEmulated : Backend::kCuda;
    } else if (option == "--device") {
      options.device.device = std::atoi(value());
    } else if (option == "--small") {
      options.small = true;
    } else if (option == "--only") {
      options.only = value();
    } else {
      std::fprintf(stderr, "verify: unknown option %s\n", option.c_str());
      return 2;
    }
  }
  try {
    options.device.isa = best_isa();
    const cinefuse_cuda_api& api = open_device_library(options.device.backend, library, 0);
    std::printf("verify: %s, %s, built for %s\n", api.backend, api.toolkit, api.archs);
    for (const DeviceStatus& device : list_devices(options.device.backend)) {
      std::printf("verify: device %d: %s, compute capability %d.%d, %d multiprocessors, driver %d%s%s\n",
                  device.ordinal, device.info.name, device.info.major, device.info.minor,
                  device.info.multiprocessors, device.info.driver,
                  device.usable ? "" : ", NOT USABLE: ", device.reason.c_str());
    }
    verify::Suite suite(options);
    verify::verify_layers(suite);
    verify::verify_fusion(suite);
    verify::verify_attention(suite);
    verify::verify_media(suite);
    verify::verify_network(suite);
    const cinefuse_device_memory memory = device_memory(options.device);
    std::printf("verify: device memory: %lld bytes in use at the end, %lld at the most\n",
                static_cast<long long>(memory.in_use), static_cast<long long>(memory.peak));
    const bool good = suite.finish();
    return good && memory.in_use == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::printf("FAILED  %s\n", error.what());
    return 1;
  }
}
