# syntax=docker/dockerfile:1
# halfsecond on a Jetson Orin or Thor with JetPack 7.2, whose containers are plain Ubuntu with NVIDIA's SBSA
# packages. On the board, from the checkout, with the wheels of jetson/build-*.sh in wheels/:
#   docker build -f jetson/docker/jp72.Dockerfile -t halfsecond:jp72 .
#   docker run --runtime nvidia …
FROM nvidia/cuda:13.2.0-cudnn-runtime-ubuntu24.04
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3.12-venv python3-libnvinfer libgomp1 npm \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 970 halfsecond \
    && useradd --system --uid 970 --gid 970 --create-home --home-dir /var/lib/halfsecond halfsecond \
    && install -d -o 970 -g 970 /run/halfsecond \
    && install -d -o 970 -g 970 -m 700 /etc/halfsecond/locks \
    && python3.12 -m venv --system-site-packages /opt/halfsecond
ENV PATH=/opt/halfsecond/bin:$PATH

# The lock less what is built for the board.
COPY locks/py312-gateway.txt /tmp/lock.txt
COPY wheels /tmp/wheels
COPY . /tmp/halfsecond
RUN awk '/^[a-z0-9]/ { drop = /^(onnxruntime|ctranslate2)==/ } !drop' /tmp/lock.txt > /tmp/board.txt \
    && pip install --no-cache-dir --require-hashes --no-deps -r /tmp/board.txt \
    && pip install --no-cache-dir --no-deps /tmp/wheels/*.whl \
    && pip install --no-cache-dir --no-deps --no-build-isolation /tmp/halfsecond \
    && rm -rf /tmp/halfsecond /tmp/wheels /tmp/*.txt
# No image without the browser's way in.
RUN python -c 'import halfsecond.gateway.running, halfsecond.gateway.webrtc'
COPY jetson/docker/healthcheck.py /usr/local/lib/halfsecond-healthcheck.py

ENV HALFSECOND_HOME=/var/lib/halfsecond PYTHONDONTWRITEBYTECODE=1 CUDA_MODULE_LOADING=LAZY
USER 970:970
WORKDIR /var/lib/halfsecond
VOLUME ["/var/lib/halfsecond", "/run/halfsecond", "/etc/halfsecond/locks"]
HEALTHCHECK --interval=20s --timeout=5s --start-period=120s CMD ["python", "/usr/local/lib/halfsecond-healthcheck.py"]
ENTRYPOINT ["halfsecond"]
CMD ["serve", "--config", "/etc/halfsecond/halfsecond.toml"]
