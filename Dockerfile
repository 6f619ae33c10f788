# docker build --target cpu  -t catloader .          torch for CPUs
# docker build --target cuda -t catloader:cuda .     torch with CUDA; run the image with --gpus all
# --build-arg MODEL=resnet50      includes the weights of that model; the EfficientNet-Lite models are always included
# --build-arg EXTRAS=NAME         also installs requirements-NAME.txt: bulk, calibrate or celery
# --build-arg TORCH_INDEX=URL     installs torch for CPUs from that index instead of PyTorch's own

FROM python:3.11-slim AS locked
WORKDIR /build
COPY requirements*.txt ./
COPY scripts/install scripts/
ENV VENV=/opt/venv PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1

FROM locked AS packages-cuda
ARG EXTRAS=""
RUN export TORCH_INDEX=default \
 && for file in requirements.txt ${EXTRAS:+requirements-$EXTRAS.txt}; do scripts/install $file || exit 1; done

FROM locked AS packages-cpu
ARG EXTRAS=""
ARG TORCH_INDEX=""
RUN for file in requirements.txt ${EXTRAS:+requirements-$EXTRAS.txt}; do scripts/install $file || exit 1; done

FROM python:3.11-slim AS app
RUN groupadd --gid 10001 catloader \
 && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin catloader \
 && install -d -o catloader -g catloader -m 700 /data
WORKDIR /app
COPY catloader catloader
COPY checker checker
COPY models models
RUN install -d -o catloader -g catloader models/weights
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    CATLOADER_DATA_DIR=/data CATLOADER_HOST=0.0.0.0 CATCHECK_WEIGHTS_DIR=/app/models/weights
VOLUME /data
EXPOSE 8000
# Not with urllib, which would ask the proxy that Docker's client may set for every container.
HEALTHCHECK --start-period=20s --interval=15s --timeout=5s \
    CMD ["python", "-c", "import os, http.client as h; s = h.HTTPConnection(os.environ.get('CATLOADER_HOST') or '127.0.0.1', os.environ.get('CATLOADER_PORT') or 8000, timeout=4); s.request('GET', '/healthz'); exit(s.getresponse().status != 200)"]
ENTRYPOINT ["python", "-m", "catloader"]
CMD ["serve"]

FROM app AS cuda
COPY --from=packages-cuda /opt/venv /opt/venv
ARG MODEL=""
RUN if [ -n "$MODEL" ]; then CATLOADER_DATA_DIR=/tmp python -m catloader models fetch "$MODEL"; fi
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001

FROM app AS cpu
COPY --from=packages-cpu /opt/venv /opt/venv
ARG MODEL=""
RUN if [ -n "$MODEL" ]; then CATLOADER_DATA_DIR=/tmp python -m catloader models fetch "$MODEL"; fi
USER 10001
