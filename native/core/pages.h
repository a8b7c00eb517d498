// Memory fresh from the operating system, which a page fault would otherwise fetch 4 KiB at a time.
#pragma once
#include <cstddef>

#include "exec.h"

namespace cinefuse {

// Fetches the pages of memory that is about to be written from end to end. Large memory gets huge pages where
// the system allows programs to ask for them. Does nothing for small memory, for memory that is there
// already, and on systems that cannot be asked.
void fetch_pages(void* memory, size_t bytes, const Exec& exec);

}  // namespace cinefuse
