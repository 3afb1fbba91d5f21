# One file, two images: `api` (no torch) and `worker` (torch with the CUDA libraries of its own wheels). What changes
# often lies on top: a new source rebuilds a layer of a few megabytes, a new lock the one below it.
FROM python:3.13-slim-trixie AS base
ENV PATH=/opt/package/bin:/opt/ncmix/bin:$PATH \
    PYTHONPATH=/opt/package \
    PYTHONUNBUFFERED=1 \
    NCMIX_HOME=/var/lib/ncmix \
    NCMIX_CHECKPOINT_DIR=/checkpoints \
    NCMIX_DATA_DIR=/data \
    NCMIX_HEARTBEAT_DIR=/tmp/heartbeat \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
# A named volume takes the owner of the folder that it covers. The root may be read-only: what is written goes there or
# to /tmp.
RUN groupadd --gid 10001 ncmix \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin ncmix \
    && install -d -o ncmix -g ncmix /var/lib/ncmix /checkpoints /data /secrets

# Bytecode that is checked against nothing has no time in it: the same lock and source give the same files.
FROM base AS build
WORKDIR /src
COPY requirements-build.lock .
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && python -m venv --without-pip /opt/ncmix
ENV PATH=/opt/build/bin:$PATH UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH VIRTUAL_ENV=/opt/ncmix

FROM build AS build-package
COPY pyproject.toml README.md LICENSE ./
COPY ncmix ncmix
COPY api api
COPY worker worker
# What uv notes of its own holds the time, and is of use to nobody here.
RUN hatchling build -t wheel -d /wheels \
    && uv pip install --no-deps --no-index --target /opt/package /wheels/*.whl \
    && rm /opt/package/*.dist-info/uv_cache.json \
    && sed -i '/uv_cache.json/d' /opt/package/*.dist-info/RECORD

FROM build AS build-api
COPY requirements-api.lock .
RUN --mount=type=cache,target=/root/.cache/uv uv pip sync --require-hashes requirements-api.lock
# Of plotly the service sends the script to browsers, and imports neither it nor what it needs; of pyarrow it uses neither
# the RPC server nor S3, and of three copies of one library the one by whose name it is loaded; tests, and sources of what
# is compiled, are of no use here.
WORKDIR /opt/ncmix/lib/python3.13/site-packages
RUN find plotly -mindepth 1 -maxdepth 1 ! -name package_data -exec rm -r {} + \
    && find plotly/package_data -type f ! -name plotly.min.js -delete \
    && rm -r _plotly_utils narwhals numpy/f2py sqlalchemy/testing pyarrow/include pyarrow/src pyarrow/*flight* pyarrow/*s3* \
    && find pyarrow -name "libarrow_python*.so" -delete -o -name "libarrow_python*.so.*.*.*" -delete \
    && find . -type d \( -name tests -o -name sample_data \) -prune -exec rm -r {} + \
    && find . -type f -regextype egrep -regex ".*\.(c|cc|h|pyx|pxd|pxi|pyi|a)" -delete \
    && /opt/ncmix/bin/python -B -c "import matplotlib.pyplot, numpy.random, pyarrow.parquet, sqlalchemy.orm"

FROM build AS build-worker
COPY requirements-worker.lock .
RUN --mount=type=cache,target=/root/.cache/uv uv pip sync --require-hashes requirements-worker.lock

FROM base AS api
COPY --from=build-api /opt/ncmix /opt/ncmix
COPY --from=build-package /opt/package /opt/package
USER 10001:10001
WORKDIR /var/lib/ncmix
EXPOSE 8000
CMD ["python", "-m", "api", "--host", "0.0.0.0", "--port", "8000"]
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ncmix API" \
      org.opencontainers.image.description="Neural collapse under mixup as a service: HTTP, migrations, keys" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

# Triton builds its way to the driver with a C compiler when a network is compiled for a GPU.
FROM base AS worker
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY --from=build-worker /opt/ncmix /opt/ncmix
COPY --from=build-package /opt/package /opt/package
USER 10001:10001
WORKDIR /var/lib/ncmix
CMD ["python", "-m", "worker"]
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ncmix worker" \
      org.opencontainers.image.description="Neural collapse under mixup as a service: trains and measures, on GPUs" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
