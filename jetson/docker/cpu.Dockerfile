# syntax=docker/dockerfile:1
# halfsecond on processor cores, x86-64 or aarch64. From the checkout:
#   docker build -f jetson/docker/cpu.Dockerfile -t halfsecond:cpu .
FROM python:3.11-slim-bookworm
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 npm \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 970 halfsecond \
    && useradd --system --uid 970 --gid 970 --create-home --home-dir /var/lib/halfsecond halfsecond \
    && install -d -o 970 -g 970 /run/halfsecond \
    && install -d -o 970 -g 970 -m 700 /etc/halfsecond/locks

COPY locks/py311-gateway.txt /tmp/lock.txt
RUN pip install --no-cache-dir --require-hashes --no-deps -r /tmp/lock.txt
COPY . /tmp/halfsecond
RUN pip install --no-cache-dir --no-deps --no-build-isolation /tmp/halfsecond \
    && rm -rf /tmp/halfsecond /tmp/lock.txt
# No image without the browser's way in.
RUN python -c 'import halfsecond.gateway.running, halfsecond.gateway.webrtc'
COPY jetson/docker/healthcheck.py /usr/local/lib/halfsecond-healthcheck.py

ENV HALFSECOND_HOME=/var/lib/halfsecond PYTHONDONTWRITEBYTECODE=1
USER 970:970
WORKDIR /var/lib/halfsecond
VOLUME ["/var/lib/halfsecond", "/run/halfsecond", "/etc/halfsecond/locks"]
HEALTHCHECK --interval=20s --timeout=5s --start-period=60s CMD ["python", "/usr/local/lib/halfsecond-healthcheck.py"]
ENTRYPOINT ["halfsecond"]
CMD ["serve", "--config", "/etc/halfsecond/halfsecond.toml"]
