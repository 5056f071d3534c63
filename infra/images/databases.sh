#!/usr/bin/env bash
# PostgreSQL's image runs this once, on an empty cluster: a role with its own database for each server.
set -euo pipefail

for name in prefect mlflow; do
  # On standard input, so that no command line holds the password.
  psql --quiet --set ON_ERROR_STOP=1 --username postgres <<END
CREATE ROLE $name LOGIN PASSWORD '$(cat "/run/secrets/$name")';
CREATE DATABASE $name OWNER $name;
REVOKE ALL ON DATABASE $name FROM PUBLIC;
END
done
