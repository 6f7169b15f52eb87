# The whole product in one image: `imagequeue worker`, `imagequeue api`, or everything at once with `imagequeue up`.
# Two stages, so that pip, the compiler of the wheel and their caches are not in what runs.

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements/run.txt requirements/older-python.txt requirements/build.txt ./
RUN python -m venv --without-pip /opt/imagequeue \
    && python -m pip --python /opt/imagequeue/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r run.txt -r older-python.txt \
    && python -m venv /build/tools \
    && /build/tools/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r build.txt
COPY pyproject.toml README.md ./
COPY config config
COPY queue queue
COPY ledger ledger
COPY store store
COPY producer producer
COPY worker worker
COPY simulator simulator
COPY dashboard dashboard
RUN /build/tools/bin/python -m hatchling build --target wheel --directory dist \
    && python -m pip --python /opt/imagequeue/bin/python install --no-cache-dir --disable-pip-version-check \
        --no-index --no-deps dist/*.whl \
    && python -m compileall -q -j 0 /opt/imagequeue/lib

FROM python:3.11-slim-bookworm
# A name for the number: libraries look it up. Nothing runs as root, and the number suits Kubernetes' runAsNonRoot.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin imagequeue \
    && install --directory --owner=10001 --group=10001 --mode=0750 /data
COPY --from=build /opt/imagequeue /opt/imagequeue
ENV PATH=/opt/imagequeue/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    IMAGEQUEUE_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
STOPSIGNAL SIGTERM
# Reaches the queue's server, or says why not. What needs less, such as the HTTP door, brings its own check.
HEALTHCHECK --interval=60s --timeout=20s --start-period=30s --retries=3 CMD ["imagequeue", "status", "--json"]
ENTRYPOINT ["imagequeue"]
CMD ["up"]
