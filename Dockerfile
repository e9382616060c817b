# The server's image, for the CPU and, with the NVIDIA runtime, for GPUs. Dependencies are installed before
# the project, so that code changes do not download them again; compilers stay in a stage of their own.
#
#   docker build -t vocoder .
#   docker build -t vocoder:cpu --build-arg TORCH_INDEX_URL=<PyTorch's index of CPU wheels> .

FROM python:3.11-slim AS requirements
WORKDIR /requirements
COPY pyproject.toml constraints.txt ./
# Extracted from pyproject.toml, which changes with every version.
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > all.txt \
    && grep '^torch' all.txt > torch.txt

FROM python:3.11-slim AS dependencies
ARG TORCH_INDEX_URL=
RUN python -m venv --without-pip /opt/vocoder
RUN --mount=type=bind,from=requirements,source=/requirements,target=/requirements \
    pip --python /opt/vocoder install --no-cache-dir ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} \
        --constraint /requirements/constraints.txt --requirement /requirements/torch.txt
# A separate layer, because the one before is by far the largest.
# hadolint ignore=DL3059
RUN --mount=type=bind,from=requirements,source=/requirements,target=/requirements \
    pip --python /opt/vocoder install --no-cache-dir \
        --constraint /requirements/constraints.txt --requirement /requirements/all.txt

FROM dependencies AS build
# Docker's Python includes its headers, Debian's has them in a package.
# hadolint ignore=DL3008,SC2046
RUN include=$(python -c "import sysconfig; print(sysconfig.get_path('include'))") \
    && apt-get update \
    && apt-get install --yes --no-install-recommends g++ $([ -e "$include/Python.h" ] || echo python3-dev) \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir "scikit-build-core>=0.10" "nanobind>=2.4" cmake ninja
WORKDIR /src
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY vocoder vocoder
COPY server server
COPY checkpoints checkpoints
RUN --mount=type=cache,target=/src/build \
    PATH="/opt/build/bin:$PATH" pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .
# Compiles ahead of time what Triton needs on the GPU machine, where there is no compiler.
RUN mkdir /modules && /opt/vocoder/bin/python -m vocoder.generation.cuda.modules /modules

FROM dependencies
LABEL org.opencontainers.image.title="vocoder" \
      org.opencontainers.image.description="Neural text to speech: a conditional WaveNet behind HTTP and WebSockets" \
      org.opencontainers.image.version="0.8.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /modules /opt/vocoder/modules
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip --python /opt/vocoder install --no-cache-dir --no-deps /wheels/*.whl
# The cache is writable for everyone, because the image can run as any user.
RUN mkdir /voices /cache && chmod 1777 /cache
ENV PATH=/opt/vocoder/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    USER=vocoder \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    VOCODER_HOST=0.0.0.0 \
    VOCODER_DEVICE=auto \
    VOCODER_MORE_VOICES_DIR=/voices \
    VOCODER_TRITON_MODULES=/opt/vocoder/modules
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s CMD ["python", "-m", "vocoder.server.probe"]
ENTRYPOINT ["vocoder"]
CMD ["serve"]
