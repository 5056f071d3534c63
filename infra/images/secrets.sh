#!/usr/bin/env bash
# Makes the secrets that infra/compose.yaml hands to its containers, once: files in a folder that only you may enter.
# Inside a container every user can read the ones that were handed to it.
#
#   infra/images/secrets.sh [FOLDER]    default: ${EQN_HOME:-.eqn}/compose
set -euo pipefail
umask 022
folder=${1:-${EQN_HOME:-.eqn}/compose}

mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

random() { # letters and digits only, so that they stand for themselves in addresses
  LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c "$1" || true
}

for name in postgres prefect mlflow s3_secret_key; do
  [ -s "$name" ] || random 43 >"$name"
done
[ -s s3_access_key ] || random 20 >s3_access_key
[ -s s3_identities ] || cat >s3_identities <<END
{"identities": [{"name": "eqn", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
  "credentials": [{"accessKey": "$(cat s3_access_key)", "secretKey": "$(cat s3_secret_key)"}]}]}
END
echo "The secrets are in $folder."
