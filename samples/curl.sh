#!/bin/sh
# Mints a token for one job, and revokes it when the job is done.
#   URL=https://countersign.example JWT=… sh curl.sh
set -eu

# call METHOD PATH …: curl reads the JWT from standard input, since anybody on the machine can read its arguments.
call() {
  method=$1 path=$2
  shift 2
  printf 'header = "Authorization: Bearer %s"\n' "$JWT" |
    curl -sS --fail-with-body -K - -X "$method" "$URL$path" "$@"
}

# With the same key a repeat mints nothing new, so curl may repeat the create.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
created=$(call POST /api/v1/service-account-tokens --retry 3 --retry-connrefused \
  -H "Idempotency-Key: $key" -H 'Content-Type: application/json' \
  -d '{"name":"nightly-report","scopes":["api:read"],"expires_in":"1h"}')

id=$(printf '%s' "$created" | sed 's/.*"uuid":"\([^"]*\)".*/\1/')
secret=$(printf '%s' "$created" | sed 's/.*"token":"\([^"]*\)".*/\1/')
trap 'call DELETE "/api/v1/service-account-tokens/$id"; echo' EXIT

# The job: it calls PipeOps with the secret, which is not printed.
echo "minted $id, a secret of ${#secret} characters"
