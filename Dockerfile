# One image for every service of docker-compose.yml: stockfeed, its DAGs, and Airflow with Celery and PostgreSQL.
# Every version is the one of uv.lock; the extra `celery` is what only this shape needs.
FROM python:3.13-slim-bookworm AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PROJECT_ENVIRONMENT=/srv/stockfeed/.venv
RUN pip install --no-cache-dir uv
WORKDIR /srv/stockfeed
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --extra celery --no-install-project
COPY connectors connectors
COPY schemas schemas
COPY stockfeed stockfeed
COPY transforms transforms
RUN uv sync --frozen --no-dev --extra celery --no-editable

FROM python:3.13-slim-bookworm
RUN useradd --uid 10001 --create-home stockfeed && install -d -o stockfeed /srv/stockfeed /var/lib/stockfeed /var/lib/airflow
WORKDIR /srv/stockfeed
COPY --from=build --chown=stockfeed /srv/stockfeed/.venv .venv
COPY --chown=stockfeed airflow.cfg ./
COPY --chown=stockfeed dags dags
COPY --chown=stockfeed config config
USER stockfeed
ENV PATH=/srv/stockfeed/.venv/bin:$PATH PYTHONUNBUFFERED=1 \
    STOCKFEED_ROOT=/srv/stockfeed STOCKFEED_CONFIG=/srv/stockfeed/config STOCKFEED_STATE=/var/lib/stockfeed \
    AIRFLOW_CONFIG=/srv/stockfeed/airflow.cfg AIRFLOW_HOME=/var/lib/airflow STOCKFEED_AIRFLOW_POOLS=1
CMD ["stockfeed", "--help"]
