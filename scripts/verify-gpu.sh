#!/usr/bin/env bash
# Proves the operators on the GPU of this machine and measures them, from this folder alone: no network, no npm install.
# Needs CMake, a C++ compiler, nvcc 12 or newer and a GPU; takes compute-sanitizer, Node with the dependencies installed,
# and python3 with PyTorch along where they are there, and says so where they are not.
#
#   npm run verify:gpu            or, without Node:  bash scripts/verify-gpu.sh [--results FOLDER] [--arch LIST]
#
# Results: gpu.md, gpu.json, peers.tsv in FOLDER (default: build-gpu). Exit code 0 when everything that could run passed.
set -uo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

results=build-gpu archs=native
while [ $# -gt 0 ]; do
  case "$1" in
    --results) results=$2; shift 2 ;;
    --arch) archs=${2//,/;}; shift 2 ;;
    *) echo "verify-gpu: unknown option $1" >&2; exit 2 ;;
  esac
done

failures=()
step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }
# must NAME COMMAND...: runs it, and remembers that it failed
must() {
  local name=$1; shift
  "$@" || { failures+=("$name"); echo "verify-gpu: $name FAILED"; return 1; }
}
need() { command -v "$1" > /dev/null || { echo "verify-gpu: $1 was not found: $2" >&2; exit 1; }; }

need cmake "install CMake 3.20 or newer"
need nvidia-smi "there is no NVIDIA driver here"
step "the GPU"
nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv || exit 1

step "build"
build() {
  cmake -S . -B build-gpu -DCMAKE_BUILD_TYPE=Release -DCINEFUSE_CUDA=ON "-DCINEFUSE_CUDA_ARCHS=$archs" \
    -DCINEFUSE_WITH_ADDON=OFF -DCINEFUSE_WITH_GPU_TOOLS=ON > build-gpu/configure.log 2>&1 || { tail -30 build-gpu/configure.log; return 1; }
  cmake --build build-gpu --parallel "$(nproc)" > build-gpu/build.log 2>&1 || { grep -E "error|Error" -A5 build-gpu/build.log | head -60; return 1; }
}
mkdir -p build-gpu "$results"
must build build || exit 1
library=$PWD/build-gpu/libcinefuse_cuda.so
[ -f "$library" ] || library=$(find "$PWD/build-gpu" -name libcinefuse_cuda.so | head -1)

step "operators against their CPU twins"
must operators build-gpu/cinefuse_verify --library "$library"

step "sanitizers, small shapes"
if command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck synccheck initcheck; do
    must "compute-sanitizer $tool" timeout 150 compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 20 \
      build-gpu/cinefuse_verify --library "$library" --small
  done
else
  echo "verify-gpu: compute-sanitizer was NOT FOUND, nothing was checked with it"
fi

step "operator tests through Node"
if command -v node > /dev/null && [ -d node_modules/ava ] && node scripts/setup.mjs --check > /dev/null 2>&1; then
  must "tests through Node" env CINEFUSE_CUDA_LIBRARY="$library" CINEFUSE_TEST_BACKENDS=cuda \
    timeout 180 npx ava 'dist/test/ops/*.test.js' dist/test/fusion/network.test.js --match='*[cuda*'
else
  echo "verify-gpu: no Node with this clone set up here: the tests through Node were NOT RUN"
fi

step "PyTorch on the same shapes"
peers=$results/peers.tsv
rm -f "$peers"
if command -v python3 > /dev/null && python3 -c 'import torch; assert torch.cuda.is_available()' 2> /dev/null; then
  timeout 200 python3 bench/gpu/peers.py "$peers" || echo "verify-gpu: PyTorch did not get through all cases"
else
  echo "verify-gpu: no python3 with PyTorch and CUDA: no ratios"
fi

step "bench"
commit=$(git describe --always --dirty 2> /dev/null || echo unknown)
must bench build-gpu/cinefuse_bench --library "$library" --peers "$peers" --json "$results/gpu.json" \
  --markdown "$results/gpu.md" --commit "$commit"

step "done"
if [ ${#failures[@]} -gt 0 ]; then
  printf 'verify-gpu: FAILED: %s\n' "${failures[*]}"
  exit 1
fi
echo "verify-gpu: everything passed; the table is $results/gpu.md"
