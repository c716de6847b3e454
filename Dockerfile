# One image for all parts; the command selects the part: `parley web`, `parley agent infer`, …
# A tag can be moved to another image, a digest can't: docker build --build-arg PYTHON_IMAGE=python@sha256:… . with the
# digest that `docker buildx imagetools inspect` prints for the tag.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
# The wheels of this tree, by build tools whose hashes are known.
RUN python -m venv /build
COPY requirements-build.lock ./
RUN /build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.lock
COPY packages packages
COPY pyproject.toml README.md LICENSE ./
COPY parley parley
COPY pipeline pipeline
COPY agents agents
COPY web web
RUN /build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels ./packages/faust-redis .
# Only run-time packages, each checked by its hash. No pip, because no package is installed later.
RUN python -m venv --without-pip /app
COPY requirements-run.lock ./
RUN /build/bin/pip --python /app/bin/python install --no-cache-dir --no-deps --require-hashes -r requirements-run.lock \
 && /build/bin/pip --python /app/bin/python install --no-index --no-deps /wheels/*.whl

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin parley
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    APP_ENV=production \
    HOST=0.0.0.0 \
    PARLEY_DATA_DIR=/tmp/parley
# By number, so that an orchestrator sees that it is not root.
USER 10001:10001
WORKDIR /tmp
EXPOSE 3500
CMD ["parley", "web"]
