// The source line of an access that the race build found wrong, asked of addr2line.
#if defined(CINEFUSE_RACE_CHECK)
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "race.h"

namespace cinefuse::emulator::race {

namespace {

// "file:line" of the innermost function there that is not the emulator's, else the address in the library.
std::string line_of(const void* code) {
  Dl_info library{};
  if (!dladdr(code, &library) || !library.dli_fname) return "an unknown line";
  // One byte back, since it is where a call returns to.
  const size_t offset =
      static_cast<size_t>(static_cast<const char*>(code) - static_cast<const char*>(library.dli_fbase)) - 1;
  char address[32];
  std::snprintf(address, sizeof address, "0x%zx", offset);
  const std::string fallback = std::string(library.dli_fname) + "+" + address;
  std::string command = "addr2line -i -e '";
  if (std::strchr(library.dli_fname, '\'')) return fallback;
  command += std::string(library.dli_fname) + "' " + address + " 2>/dev/null";
  FILE* const pipe = popen(command.c_str(), "r");
  if (!pipe) return fallback;
  std::string found;
  for (char line[1024]; std::fgets(line, sizeof line, pipe);) {
    line[std::strcspn(line, " \n")] = 0;
    if (!found.empty() || line[0] == '?' || std::strstr(line, "cuda/emulator/")) continue;
    const char* start = line;  // from the project's folder on, where it shows
    for (const char* p = line; (p = std::strstr(p, "/native/")) != nullptr; ++p) start = p + 1;
    for (const char* p = line; (p = std::strstr(p, "/test/")) != nullptr; ++p) start = p + 1;
    found = start;
  }
  pclose(pipe);
  return found.empty() ? fallback : found;
}

}  // namespace

void explain(Block& b) {
  if (!b.fault_code[0]) return;
  std::string text = "; at " + line_of(b.fault_code[0]);
  if (b.fault_code[1]) text += ", the other at " + line_of(b.fault_code[1]);
  const size_t used = std::strlen(b.message);
  std::snprintf(b.message + used, sizeof b.message - used, "%s", text.c_str());
}

}  // namespace cinefuse::emulator::race
#endif
