# One image for everything that is not the prediction service: Airflow's parts, Spark's master and worker, MLflow.
# Driver and worker must have the same Python and the same PySpark, and the scheduler is Spark's driver.
# Built from the project's folder: docker build -f docker/airflow.Dockerfile --build-arg CREDITRISK_CODE_VERSION=… .

FROM python:3.11.14-slim-bookworm AS environment
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY docker/requirements.txt /tmp/requirements.txt
# --no-deps: the Spark provider would otherwise bring pyspark-client, whose older files overwrite PySpark's.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt

FROM python:3.11.14-slim-bookworm
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# procps: Spark's scripts call ps. Debian keeps only the newest build of a package, so none can be pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/jvm/java-17-openjdk-* /opt/java \
    && groupadd --gid 10001 creditrisk \
    && useradd --uid 10001 --gid creditrisk --home-dir /opt/airflow --create-home creditrisk \
    && install -d -o creditrisk -g creditrisk /opt/airflow/logs /opt/airflow/logins \
       /var/lib/creditrisk /var/lib/creditrisk/lake /var/lib/creditrisk/registry /var/lib/creditrisk/mlflow \
       /var/lib/creditrisk/metrics-key

COPY --from=environment /opt/venv /opt/venv
WORKDIR /opt/creditrisk
COPY creditrisk/ creditrisk/
COPY spark_jobs/ spark_jobs/
COPY monitoring/ monitoring/
COPY training/ training/
COPY plugins/ plugins/
COPY dags/ dags/
COPY docs/runbook.md docs/
COPY docker/healthcheck.py docker/init.py docker/

ARG CREDITRISK_CODE_VERSION
RUN test -n "${CREDITRISK_CODE_VERSION}" || { echo "give --build-arg CREDITRISK_CODE_VERSION" >&2; exit 1; }
ENV CREDITRISK_CODE_VERSION=${CREDITRISK_CODE_VERSION} \
    CREDITRISK_VAR_DIR=/var/lib/creditrisk \
    AIRFLOW_HOME=/opt/airflow \
    JAVA_HOME=/opt/java \
    PATH=/opt/venv/bin:/opt/java/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/creditrisk \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYSPARK_PYTHON=/opt/venv/bin/python \
    PYSPARK_DRIVER_PYTHON=/opt/venv/bin/python \
    MPLCONFIGDIR=/tmp/matplotlib \
    MLFLOW_DISABLE_TELEMETRY=true
USER 10001:10001
# What each container runs, and how it tells that it is well, stands in docker-compose.yaml.
CMD ["airflow", "version"]
