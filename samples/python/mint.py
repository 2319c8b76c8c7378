"""Mints a token for one job, and revokes it when the job is done. It needs nothing but Python.

URL=https://countersign.example JWT=... python3 mint.py
"""

import contextlib
import json
import os
import urllib.error
import urllib.request
import uuid

TOKENS = os.environ["URL"] + "/api/v1/service-account-tokens"


def call(method, url, body=None, **headers):
    headers = {"Authorization": f"Bearer {os.environ['JWT']}", "Content-Type": "application/json", **headers}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        # `message` says what to do next.
        raise SystemExit(f"{error.code}: {json.load(error)['message']}")


@contextlib.contextmanager
def token(name, scopes, expires_in):
    body = {"name": name, "scopes": scopes, "expires_in": expires_in}
    # A repeat with the same key mints nothing new, so a lost answer may be asked for again.
    key = {"Idempotency-Key": str(uuid.uuid4())}
    try:
        created = call("POST", TOKENS, body, **key)
    except (urllib.error.URLError, TimeoutError):
        created = call("POST", TOKENS, body, **key)
    try:
        yield created["token"]
    finally:
        call("DELETE", f"{TOKENS}/{created['id']}")


if __name__ == "__main__":
    with token("nightly-report", ["api:read"], "1h") as secret:
        print(f"minted a secret of {len(secret)} characters")
    print("revoked")
