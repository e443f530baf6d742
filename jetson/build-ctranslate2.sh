#!/usr/bin/env bash
# Builds CTranslate2 with CUDA for this board's GPU; its aarch64 wheel runs on the processor only.
#   build-ctranslate2.sh PROFILE OUT_FOLDER
# CUDA 13.2 (jp72) is newer than any that CTranslate2 was released with: where this build fails, take
# the models of ONNX Runtime, which are the default ones.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=jetson/board.sh
source "$here/board.sh"
# shellcheck source=jetson/building.sh
source "$here/building.sh"

[ $# = 2 ] || fail "usage: $0 jp6|jp72 OUT_FOLDER"
profile=$1 out=$2
version=4.8.5
case "$profile" in
  jp6) cuda=12.6 ;;
  jp72) cuda=13.2 ;;
  *) fail "there is nothing to build for profile $profile" ;;
esac
sm=$(board_sm)
case "$sm" in
  87) gpu=(-DCUDA_ARCH_LIST=8.7) ;;
  # CMake's list of architectures ends before Thor.
  110) gpu=(-DCUDA_ARCH_LIST=Common "-DCUDA_NVCC_FLAGS=-gencode=arch=compute_110,code=sm_110") ;;
  *) fail "this board's GPU is not known: $(board_model)" ;;
esac
python=$(profile_python "$profile")

jobs=$(jobs_that_fit 2500)
need_disk_mb 8000 "$out"
need_programs git cmake "$python" nvcc cuobjdump patchelf
need_cuda "$cuda"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/ctranslate2.XXXXXX")
trap 'rm -rf "$work"' EXIT
fetch_source https://github.com/OpenNMT/CTranslate2 "v$version" "$work/source"
cmake -S "$work/source" -B "$work/build" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_INSTALL_PREFIX="$work/prefix" -DBUILD_CLI=OFF \
  -DWITH_CUDA=ON -DWITH_CUDNN=ON -DWITH_MKL=OFF -DWITH_RUY=ON -DOPENMP_RUNTIME=COMP "${gpu[@]}"
cmake --build "$work/build" --parallel "$jobs" --target install

"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet -r "$work/source/python/install_requirements.txt"
(
  cd "$work/source/python"
  # The library travels inside the wheel and is found beside the module.
  # shellcheck disable=SC2016  # $ORIGIN is the linker's
  rpath='-Wl,-rpath,$ORIGIN'
  mkdir -p ctranslate2
  cp -a "$work"/prefix/lib*/libctranslate2.so* ctranslate2/
  CTRANSLATE2_ROOT="$work/prefix" LDFLAGS="$rpath" \
    "$work/venv/bin/python" setup.py bdist_wheel --dist-dir "$work/dist"
)
wheel=$(find "$work/dist" -name '*.whl')
need_gpu_code "$wheel" 'ctranslate2/libctranslate2.so*' "$sm"
install -D -m 644 "$wheel" "$out/$(basename "$wheel")"
echo "$out/$(basename "$wheel")"
