// cinefuse_bench --library FILE [--backend cuda|emulated] [--device N] [--small] [--only TEXT] [--peers
// FILE.tsv]
//                [--json FILE] [--markdown FILE] [--commit TEXT]
//
// Times of kernels alone, by events, the L2 cache flushed before each, medians. --peers: lines of "case,
// eager microseconds, compiled microseconds" that bench/gpu/peers.py has written on the same machine.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <sstream>

#include "../../native/core/device.h"
#include "bench.h"

namespace cinefuse::bench {

std::vector<float> numbers(int64_t n, uint32_t seed) {
  std::vector<float> list(static_cast<size_t>(n));
  uint32_t x = seed * 2654435761u + 1u;
  for (float& v : list) {  // xorshift
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    v = static_cast<float>(static_cast<int32_t>(x)) * (1.f / 2147483648.f);
  }
  return list;
}

namespace {

struct Row {
  std::string name, precision;
  double median_us, least_us, bytes, flops;
  double eager_us = 0, compiled_us = 0;
};

struct Peer {
  double eager_us, compiled_us;
};

std::map<std::string, Peer> read_peers(const std::string& file) {
  std::map<std::string, Peer> peers;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string name;
    Peer peer{};
    if (std::getline(fields, name, '\t') && fields >> peer.eager_us) {
      fields >> peer.compiled_us;
      peers[name] = peer;
    }
  }
  return peers;
}

std::string number(double x, const char* pattern) {
  if (x <= 0) return "";
  char text[64];
  std::snprintf(text, sizeof text, pattern, x);
  return text;
}

// The cells of a row, as the table's head names them.
std::vector<std::string> cells(const Row& row, const Ceilings& ceilings, int precision) {
  const double seconds = row.median_us * 1e-6;
  const double rate = row.flops / seconds;
  return {row.name,
          row.precision,
          number(row.median_us, "%.1f"),
          number(row.least_us, "%.1f"),
          number(row.bytes / seconds * 1e-9, "%.0f"),
          number(100 * row.bytes / seconds / ceilings.copy_bytes, "%.0f %%"),
          number(rate * 1e-12, "%.1f"),
          number(100 * rate / ceilings.matrix_flops[precision], "%.0f %%"),
          number(row.eager_us / row.median_us, "%.2f"),
          number(row.compiled_us / row.median_us, "%.2f")};
}

const std::vector<std::string> kHead = {"case",           "precision",      "median us",
                                        "least us",       "GB/s",           "of copy",
                                        "TFLOP/s",        "of matrix rate", "PyTorch eager / ours",
                                        "compiled / ours"};

void print(std::FILE* out, const std::vector<std::string>& row) {
  for (const std::string& cell : row) std::fprintf(out, "| %s ", cell.c_str());
  std::fprintf(out, "|\n");
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c >= ' ') result += c;
  }
  return result + "\"";
}

struct Options {
  Exec exec;
  bool small = false;
  std::string library, only, peers, json, markdown, commit = "unknown";
};

int run(const Options& options) {
  const cinefuse_cuda_api& api = open_device_library(options.exec.backend, options.library, 0);
  const std::vector<DeviceStatus> devices = list_devices(options.exec.backend);
  const auto device = std::find_if(devices.begin(), devices.end(),
                                   [&](const DeviceStatus& d) { return d.ordinal == options.exec.device; });
  if (device == devices.end() || !device->usable) {
    std::fprintf(stderr, "bench: device %d cannot be used: %s\n", options.exec.device,
                 device == devices.end() ? "there is none" : device->reason.c_str());
    return 1;
  }
  char date[32];
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  const Ceilings ceilings = measure_ceilings(options.exec.device, options.small);
  const std::string about = format("%s, %s (driver %d), %s, built for %s, commit %s", date, device->info.name,
                                   device->info.driver, api.toolkit, api.archs, options.commit.c_str());
  const std::string limits =
      format("measured: copy %.0f GB/s; mma.sync tf32 %.0f TFLOP/s, bf16 %.0f TFLOP/s",
             ceilings.copy_bytes * 1e-9, ceilings.matrix_flops[1] * 1e-12, ceilings.matrix_flops[2] * 1e-12);
  std::printf("%s\n%s\n\n", about.c_str(), limits.c_str());

  const std::map<std::string, Peer> peers = read_peers(options.peers);
  std::vector<std::pair<Row, int>> rows;
  print(stdout, kHead);
  print(stdout, std::vector<std::string>(kHead.size(), "---"));
  bool failed = false;
  for (const auto& list : {fusion_cases, attention_cases, media_cases}) {
    for (const Case& c : list(options.small)) {
      if (c.name.find(options.only) == std::string::npos) continue;
      for (int precision = 0; precision < (c.precise ? 1 : 3); ++precision) {
        Exec exec = options.exec;
        exec.precision = static_cast<Precision>(precision);
        std::vector<float> each(options.small ? 2 : 30, -1.f);
        cinefuse_timing timing{options.small ? 0 : 3, static_cast<int32_t>(each.size()), 1, each.data()};
        exec.timing = &timing;
        try {
          c.run(exec);
        } catch (const std::exception& error) {
          std::printf("FAILED %s: %s\n", c.name.c_str(), error.what());
          failed = true;
          break;
        }
        std::sort(each.begin(), each.end());
        if (each[0] < 0) {
          std::printf("FAILED %s: it did not run on the device\n", c.name.c_str());
          failed = true;
          break;
        }
        const char* const names[] = {"fp32", "tf32", "bf16"};
        Row row{c.name, names[precision], each[each.size() / 2] * 1e3, each[0] * 1e3, c.bytes, c.flops};
        const auto peer = peers.find(c.name + (c.precise ? "" : std::string(" ") + names[precision]));
        if (peer != peers.end()) {
          row.eager_us = peer->second.eager_us;
          row.compiled_us = peer->second.compiled_us;
        }
        print(stdout, cells(row, ceilings, precision));
        std::fflush(stdout);
        rows.emplace_back(row, precision);
      }
    }
  }
  if (!options.markdown.empty()) {
    std::FILE* out = std::fopen(options.markdown.c_str(), "w");
    if (!out) return std::perror(options.markdown.c_str()), 1;
    std::fprintf(
        out,
        "# Operators on a GPU\n\n%s.\n%s.\nMade by `npm run verify:gpu`. A ratio above 1 says that PyTorch "
        "took longer.\n\n",
        about.c_str(), limits.c_str());
    print(out, kHead);
    print(out, std::vector<std::string>(kHead.size(), "---"));
    for (const auto& [row, precision] : rows) print(out, cells(row, ceilings, precision));
    std::fclose(out);
  }
  if (!options.json.empty()) {
    std::FILE* out = std::fopen(options.json.c_str(), "w");
    if (!out) return std::perror(options.json.c_str()), 1;
    std::fprintf(out,
                 "{\"about\": %s, \"copyBytesPerSecond\": %.0f, \"tf32FlopsPerSecond\": %.0f, "
                 "\"bf16FlopsPerSecond\": %.0f,\n \"cases\": [",
                 quoted(about).c_str(), ceilings.copy_bytes, ceilings.matrix_flops[1],
                 ceilings.matrix_flops[2]);
    const char* comma = "";
    for (const auto& [row, precision] : rows) {
      std::fprintf(out,
                   "%s\n  {\"name\": %s, \"precision\": \"%s\", \"medianUs\": %.3f, \"leastUs\": %.3f, "
                   "\"bytes\": %.0f, \"flops\": %.0f, \"eagerUs\": %.3f, \"compiledUs\": %.3f}",
                   comma, quoted(row.name).c_str(), row.precision.c_str(), row.median_us, row.least_us,
                   row.bytes, row.flops, row.eager_us, row.compiled_us);
      comma = ",";
    }
    std::fprintf(out, "\n]}\n");
    std::fclose(out);
  }
  return failed || rows.empty() ? 1 : 0;
}

}  // namespace
}  // namespace cinefuse::bench

int main(int argc, char** argv) {
  using namespace cinefuse;
  bench::Options options;
  options.exec.backend = Backend::kCuda;
  options.exec.isa = best_isa();
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const auto value = [&]() -> const char* {
      if (i + 1 < argc) return argv[++i];
      std::fprintf(stderr, "bench: %s wants a value\n", option.c_str());
      std::exit(2);
    };
    if (option == "--library")
      options.library = value();
    else if (option == "--backend")
      options.exec.backend = std::string(value()) == "emulated" ? Backend::kEmulated : Backend::kCuda;
    else if (option == "--device")
      options.exec.device = std::atoi(value());
    else if (option == "--small")
      options.small = true;
    else if (option == "--only")
      options.only = value();
    else if (option == "--peers")
      options.peers = value();
    else if (option == "--json")
      options.json = value();
    else if (option == "--markdown")
      options.markdown = value();
    else if (option == "--commit")
      options.commit = value();
    else {
      std::fprintf(stderr, "bench: unknown option %s\n", option.c_str());
      return 2;
    }
  }
  try {
    return bench::run(options);
  } catch (const std::exception& error) {
    std::printf("FAILED %s\n", error.what());
    return 1;
  }
}
