#!/usr/bin/env bash
# What both builds need: memory, room, tools, and proof that the wheel holds code for this GPU.
# Sourced after board.sh.

# jobs_that_fit MB_PER_JOB: how many fit beside 1 GB for the rest. Fails where not even one does.
jobs_that_fit() {
  local free jobs
  free=$(available_mb)
  jobs=$(((free - 1000) / $1))
  [ "$jobs" -ge 1 ] ||
    fail "$free MB are free and one build job takes $1: build on a larger board of the same kind, and bring the wheel with --wheels"
  [ "$jobs" -le "$(nproc)" ] || jobs=$(nproc)
  echo "$jobs"
}

need_disk_mb() {
  local free
  mkdir -p "$2"
  free=$(df --output=avail -m "$2" | tail -n 1)
  [ "$free" -ge "$1" ] || fail "$free MB are free in $2, and the build takes $1"
}

need_programs() {
  local program
  for program in "$@"; do
    command -v "$program" > /dev/null || fail "there is no $program here; it comes with apt or the CUDA toolkit"
  done
}

# need_cuda VERSION: sets CUDA_HOME; another version builds wheels that do not load.
need_cuda() {
  local found
  found=$(nvcc --version | sed -nE 's/.*release ([0-9.]+),.*/\1/p')
  [ "$found" = "$1" ] || fail "nvcc is of CUDA $found; this profile's is $1 (PATH=/usr/local/cuda-$1/bin:\$PATH)"
  CUDA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
  export CUDA_HOME
}

# fetch_source REPOSITORY TAG FOLDER
fetch_source() {
  git clone --quiet --depth 1 --branch "$2" --recurse-submodules --shallow-submodules "$1" "$3"
}

# need_gpu_code WHEEL MEMBER SM: fails unless the library in the wheel has machine code for the GPU.
# A library without it loads, lists its provider and then fails, or runs on the processor.
need_gpu_code() {
  local folder library found
  folder=$(mktemp -d)
  unzip -q "$1" -d "$folder"
  library=$(find "$folder" -path "$folder/$2" -print -quit)
  [ -n "$library" ] || fail "$(basename "$1") has no $2"
  found=$(cuobjdump --list-elf "$library" | grep -o 'sm_[0-9a-z]*' | sort -u | tr '\n' ' ')
  case " $found" in
    *" sm_$3 "* | *" sm_$3a "*) ;;
    *) fail "$(basename "$1") holds no code for sm_$3: $found" ;;
  esac
  rm -rf "$folder"
}
