# The server image; with --target test the image of the tests.
ARG PYTHON=python:3.13-slim


FROM ${PYTHON} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Dependencies come first: a change of the code reuses their layers.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/cinema \
    && pip --python /opt/cinema/bin/python install --no-deps --require-hashes --requirement requirements.lock \
    && python -m venv --without-pip /opt/build \
    && pip --python /opt/build/bin/python install --no-deps --require-hashes --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY clients/python clients/python
COPY generated generated
COPY cinema_grpc cinema_grpc
RUN pip --python /opt/build/bin/python wheel --no-deps --no-build-isolation --wheel-dir dist ./clients/python . \
    && pip --python /opt/cinema/bin/python install --no-deps dist/*.whl


FROM ${PYTHON} AS test
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    PATH=/opt/test/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --user-group --create-home tester \
    && install --directory --owner=10001 --group=10001 /project
WORKDIR /project
COPY requirements-dev.lock ./
RUN python -m venv --without-pip /opt/test \
    && pip --python /opt/test/bin/python install --no-deps --require-hashes --requirement requirements-dev.lock
COPY . .
RUN pip --python /opt/test/bin/python install --no-deps --no-build-isolation --editable . --editable clients/python
USER 10001:10001
# Like `make test`, in one process.
CMD ["pytest", "--cov"]


FROM ${PYTHON} AS server
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Cinema gRPC" \
      org.opencontainers.image.description="An async gRPC service that sells cinema seats" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin cinema \
    && install --directory --owner=10001 --group=10001 /data
COPY --from=builder /opt/cinema /opt/cinema
ENV PATH=/opt/cinema/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CINEMA_DATABASE_URL=sqlite+aiosqlite:////data/cinema.db \
    CINEMA_LISTEN_ADDRESS=0.0.0.0:50051 \
    CINEMA_HEALTH_ADDRESS=127.0.0.1:50052 \
    CINEMA_LOG_FORMAT=json
WORKDIR /data
VOLUME /data
EXPOSE 50051
USER 10001:10001
STOPSIGNAL SIGTERM
# Uses the health address, because calls may need TLS. Each check starts an interpreter, so the interval is long once the server is up.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --start-interval=2s CMD ["cinema", "health"]
ENTRYPOINT ["cinema"]
CMD ["serve"]
