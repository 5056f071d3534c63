#!/usr/bin/env bash
# The programs of infra/compose.yaml, inside a container: takes the secrets from files and becomes the program.
#
#   start.sh prepare            tables of both databases and the bucket, once before the servers
#   start.sh prefect | mlflow   a server
#   start.sh deploy             work pools, deployments and automations, once after the servers
#   start.sh worker POOL        a worker
set -euo pipefail

main() {
  case "${1:-}" in
    prepare)
      prefect_database
      mlflow_database
      storage
      python -m prefect server database upgrade --yes
      python - <<'END'
import os
from mlflow.db import commands
from infra.stack.storage import create_bucket

create_bucket(os.environ)
commands(["upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]])
END
      ;;
    prefect)
      prefect_database
      exec python -m prefect server start --host 0.0.0.0 --port 4200
      ;;
    mlflow)
      mlflow_database
      storage
      exec python -m mlflow server --host 0.0.0.0 --port 5000 --workers 2 \
        --artifacts-destination s3://eqn/mlflow --allowed-hosts 'mlflow:5000,127.0.0.1:5000,localhost:5000'
      ;;
    deploy)
      exec python -m flows.deploy
      ;;
    worker)
      storage
      exec python -m prefect worker start --pool "$2" --name "$2" --type process --with-healthcheck \
        --install-policy never --no-create-pool-if-not-found
      ;;
    *)
      sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
      exit 2
      ;;
  esac
}

# Not by compose's environment, which everybody who may look at a container can read.

prefect_database() {
  PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://prefect:$(cat /run/secrets/prefect)@postgres/prefect
  export PREFECT_SERVER_DATABASE_CONNECTION_URL
}

mlflow_database() {
  MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://mlflow:$(cat /run/secrets/mlflow)@postgres/mlflow
  export MLFLOW_BACKEND_STORE_URI
}

storage() {
  AWS_ACCESS_KEY_ID=$(cat /run/secrets/s3_access_key)
  AWS_SECRET_ACCESS_KEY=$(cat /run/secrets/s3_secret_key)
  export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
}

main "$@"
