# syntax=docker/dockerfile:1
# halfsecond on an x86-64 machine with an NVIDIA GPU. From the checkout:
#   docker build -f jetson/docker/cuda.Dockerfile -t halfsecond:cuda .
#   docker run --gpus all …
FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3.12-venv libgomp1 npm \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 970 halfsecond \
    && useradd --system --uid 970 --gid 970 --create-home --home-dir /var/lib/halfsecond halfsecond \
    && install -d -o 970 -g 970 /run/halfsecond \
    && install -d -o 970 -g 970 -m 700 /etc/halfsecond/locks \
    && python3.12 -m venv /opt/halfsecond
ENV PATH=/opt/halfsecond/bin:$PATH

# The lock less ONNX Runtime's CPU package, which the GPU one would overwrite.
COPY locks/py312-gateway.txt /tmp/lock.txt
COPY . /tmp/halfsecond
RUN awk '/^[a-z0-9]/ { drop = index($0, "onnxruntime==") == 1 } !drop' /tmp/lock.txt > /tmp/gpu.txt \
    && pip install --no-cache-dir --require-hashes --no-deps -r /tmp/gpu.txt \
    && pip install --no-cache-dir --no-deps --no-build-isolation /tmp/halfsecond \
    && pip install --no-cache-dir "onnxruntime-gpu>=1.22,<1.27" "cuda-python>=12.6,<13" \
    && rm -rf /tmp/halfsecond /tmp/*.txt
# No image without the browser's way in.
RUN python -c 'import halfsecond.gateway.running, halfsecond.gateway.webrtc'
COPY jetson/docker/healthcheck.py /usr/local/lib/halfsecond-healthcheck.py

ENV HALFSECOND_HOME=/var/lib/halfsecond PYTHONDONTWRITEBYTECODE=1 CUDA_MODULE_LOADING=LAZY
USER 970:970
WORKDIR /var/lib/halfsecond
VOLUME ["/var/lib/halfsecond", "/run/halfsecond", "/etc/halfsecond/locks"]
HEALTHCHECK --interval=20s --timeout=5s --start-period=60s CMD ["python", "/usr/local/lib/halfsecond-healthcheck.py"]
ENTRYPOINT ["halfsecond"]
CMD ["serve", "--config", "/etc/halfsecond/halfsecond.toml"]
