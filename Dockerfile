# One file, two images: `api` (no torch) and `worker` (torch with the CUDA libraries of its own wheels).
FROM python:3.13-slim-trixie AS base
ENV PATH=/opt/ncmix/bin:$PATH PYTHONUNBUFFERED=1 NCMIX_HOME=/var/lib/ncmix NCMIX_DATA_DIR=/data
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin ncmix \
    && install -d -o ncmix -g ncmix /var/lib/ncmix /data

# The package alone, as a wheel: what changes often is installed last and takes seconds.
FROM base AS wheel
RUN pip install --no-cache-dir hatchling==1.33.0
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY ncmix ncmix
COPY api api
COPY worker worker
RUN python -m hatchling build -t wheel -d /wheels

FROM base AS build
RUN pip install --no-cache-dir uv==0.13.9 && python -m venv --without-pip /opt/ncmix
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=/opt/ncmix

FROM build AS build-api
COPY requirements-api.lock .
RUN --mount=type=cache,target=/root/.cache/uv uv pip sync --require-hashes requirements-api.lock
RUN --mount=from=wheel,source=/wheels,target=/wheels uv pip install --no-deps --no-index /wheels/*.whl

FROM build AS build-worker
COPY requirements-worker.lock .
RUN --mount=type=cache,target=/root/.cache/uv uv pip sync --require-hashes requirements-worker.lock
RUN --mount=from=wheel,source=/wheels,target=/wheels uv pip install --no-deps --no-index /wheels/*.whl

FROM base AS api
COPY --from=build-api /opt/ncmix /opt/ncmix
USER ncmix
WORKDIR /var/lib/ncmix
EXPOSE 8000
CMD ["python", "-m", "api", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS worker
COPY --from=build-worker /opt/ncmix /opt/ncmix
USER ncmix
WORKDIR /var/lib/ncmix
CMD ["python", "-m", "worker"]
