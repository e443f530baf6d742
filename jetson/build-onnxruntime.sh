#!/usr/bin/env bash
# Builds ONNX Runtime with CUDA and TensorRT for this board's GPU.
# The wheels of the package index for aarch64 hold no code for Orin (sm_87) or Thor (sm_110).
#   build-onnxruntime.sh PROFILE OUT_FOLDER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=jetson/board.sh
source "$here/board.sh"
# shellcheck source=jetson/building.sh
source "$here/building.sh"

[ $# = 2 ] || fail "usage: $0 jp6|jp72 OUT_FOLDER"
profile=$1 out=$2
case "$profile" in
  jp6) version=1.23.2 cuda=12.6 architectures="87-real" ;; # the last version for Python 3.10
  jp72) version=1.32.0 cuda=13.2 architectures="87-real;110-real;110-virtual" ;;
  *) fail "there is nothing to build for profile $profile" ;;
esac
python=$(profile_python "$profile")

# nvcc takes about 6 GB for the attention kernels: as many jobs as fit, and none on an 8 GB board.
jobs=$(jobs_that_fit 6000)
need_disk_mb 30000 "$out"
need_programs git cmake "$python" nvcc cuobjdump
need_cuda "$cuda"

work=$(mktemp -d "${TMPDIR:-/var/tmp}/onnxruntime.XXXXXX")
trap 'rm -rf "$work"' EXIT
fetch_source https://github.com/microsoft/onnxruntime "v$version" "$work/source"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy packaging setuptools wheel
export PATH="$work/venv/bin:$PATH"
"$work/source/build.sh" --allow_running_as_root --config Release --build_dir "$work/build" \
  --build_wheel --skip_tests --parallel "$jobs" --nvcc_threads 1 \
  --use_cuda --cuda_home "$CUDA_HOME" --cudnn_home /usr \
  --use_tensorrt --use_tensorrt_builtin_parser --tensorrt_home /usr \
  --cmake_extra_defines "CMAKE_CUDA_ARCHITECTURES=$architectures" onnxruntime_BUILD_UNIT_TESTS=OFF

wheel=$(find "$work/build/Release/dist" -name '*.whl')
need_gpu_code "$wheel" 'onnxruntime/capi/libonnxruntime_providers_cuda.so' "$(board_sm)"
install -D -m 644 "$wheel" "$out/$(basename "$wheel")"
echo "$out/$(basename "$wheel")"
