# One image for all parts; the command says which one runs: `parley web`, `parley agent infer`, …
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /app
COPY requirements-run.lock ./
RUN /app/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-run.lock
COPY packages packages
RUN /app/bin/pip install --no-cache-dir --no-deps ./packages/faust-redis
COPY pyproject.toml README.md LICENSE ./
COPY parley parley
COPY pipeline pipeline
COPY agents agents
COPY web web
RUN /app/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 parley
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    APP_ENV=production \
    HOST=0.0.0.0
USER parley
WORKDIR /home/parley
EXPOSE 3500
CMD ["parley", "web"]
