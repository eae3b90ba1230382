# One image for Airflow's parts, the exporter, the courier and what sets them up; docker-compose.yaml says which is which.
FROM python:3.13.18-slim-trixie AS base

FROM base AS build
# Which torch: cpu, a CUDA version such as cu130, or pypi for the (CUDA) build that the package index itself has. Not
# under the name that uv reads: uv knows no "pypi", and each RUN would hand it the variable.
ARG TORCH_BACKEND=cpu
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_CACHE_DIR=/var/cache/build/uv PIP_CACHE_DIR=/var/cache/build/pip
WORKDIR /opt/catwalk
COPY requirements.txt requirements-dev.txt ./
# What torch needs of CUDA differs from build to build, and each torch pins it itself: the lines here fit PyPI's alone. It
# does not need nvidia-ml-py, which asks the driver.
RUN --mount=type=cache,target=/var/cache/build \
    set -eu; \
    pip install --root-user-action=ignore "$(grep '^uv==' requirements-dev.txt)"; \
    sed -E '/^nvidia-ml-py==/b; /^(cuda|nvidia|triton)[a-z0-9-]*==/d' requirements.txt > /tmp/requirements.txt; \
    if [ "$TORCH_BACKEND" != pypi ]; then export UV_TORCH_BACKEND="$TORCH_BACKEND"; fi; \
    uv venv --python /usr/local/bin/python /opt/venv; \
    uv pip install --python /opt/venv/bin/python --compile-bytecode -r /tmp/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY catwalk catwalk
COPY dags dags
COPY grafana grafana
COPY ml ml
COPY monitoring monitoring
COPY prometheus prometheus
COPY stack stack
# Linked rather than copied into site-packages: this is a checkout, with models and the stack beside the library. Files
# keep the modes of the checkout, which others can't read where it was made with a umask of 077.
RUN set -eu; \
    uv pip install --python /opt/venv/bin/python --no-deps --no-build-isolation --editable .; \
    python -m compileall -q catwalk dags ml monitoring stack; \
    chmod -R a+rX /opt/catwalk

FROM base
# A new volume takes its owner from the folder that it is mounted on, and nobody here is root. What Prometheus and
# Alertmanager read belongs to their user, 65534.
RUN set -eu; \
    groupadd --gid 50000 catwalk; \
    useradd --uid 50000 --gid 50000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin catwalk; \
    install -d -o 50000 -g 50000 /opt/catwalk/data /srv/s3 \
        /var/lib/catwalk/auth /var/lib/catwalk/courier /var/lib/catwalk/logs /var/lib/catwalk/serve /var/lib/catwalk/synthetic; \
    install -d -o 65534 -g 65534 -m 0750 /var/lib/catwalk/alertmanager /var/lib/catwalk/prometheus
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/catwalk /opt/catwalk
# /tmp is all that may be written, besides volumes: Airflow leaves its configuration there.
ENV PATH="/opt/venv/bin:${PATH}" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/catwalk \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    AIRFLOW_HOME=/tmp/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/catwalk/dags \
    CATWALK_HOME=/var/lib/catwalk \
    CATWALK_DEPLOYMENT=compose
WORKDIR /opt/catwalk
USER 50000:50000
# Last, since it changes with each commit: what comes after it is built anew each time.
ARG GIT_COMMIT=""
ENV CATWALK_GIT_COMMIT="${GIT_COMMIT}"
LABEL org.opencontainers.image.title="Catwalk" \
      org.opencontainers.image.description="Observability for scheduled model retraining" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${GIT_COMMIT}"
CMD ["catwalk", "--help"]
