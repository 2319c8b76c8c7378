"""What schemathesis cannot read in openapi.json: the formats of this service, what it checks between two fields, and how a
webhook is signed."""

import base64
import hashlib
import hmac
import json
import os
import time
import uuid

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation

SOURCES = {"scanner": os.environ["WEBHOOK_SCANNER"], "hr": os.environ["WEBHOOK_HR"]}
SELF = os.environ["COUNTERSIGN_SUBJECT"]
WORKSPACE = os.environ["COUNTERSIGN_WORKSPACE"]


def place(pair):
    """Where a page ended: of subjects at an issuer and a subject, of the inventory at a workspace and a token."""
    return base64.urlsafe_b64encode(json.dumps(pair, separators=(",", ":")).encode()).decode().rstrip("=")


def words(characters, most):
    return st.text(characters, min_size=1, max_size=most).filter(lambda text: text.strip() == text and SELF not in text)


# Formats that are this service's own. The lengths keep within the limits in bytes.
for name, strategy in {
    "token-name": words("aZ09 _-.:/'\"ä日✓🚀", 24),
    "token-description": words("aZ09 _-.:/\n\tä日✓🚀", 100),
    "stored-text": words("aZ09 _-.:/@|ä日🚀", 30),
    "actor": st.just("me") | words("aZ09 _-.:/@|ä日🚀", 60),
    "cursor": st.integers(0, 10**9).map(lambda seq: base64.b64encode(f"seq:{seq}".encode()).decode().rstrip("=")),
    "subject-cursor": st.tuples(words("aZ09:/.", 20), words("aZ09ä日|", 20)).map(place),
    "inventory-cursor": st.tuples(st.uuids().map(str), st.uuids().map(str)).map(place),
    "duration-ahead": st.integers(1, 500).map(lambda count: f"{count}d") | st.just("30d"),
}.items():
    schemathesis.openapi.format(name, strategy)


def is_negative(case, location):
    component = case.meta.components.get(location) if case.meta else None
    return component is not None and component.mode.is_negative


# What refuses a valid request: rules between two fields, or a field and the clock, which OpenAPI has no words for, and PipeOps. The path
# of a tile has slashes, which schemathesis can send only as %2F. A sign-in ends in the browser that began it.
REFUSALS = (
    "Give one workspace: this request names several.",
    "Use a time after",
    "Use a time in the future.",
    "Use a time at most",
    "it expires no more.",
    "of this very filter, as it was given",
    '"code":"upstream_rejected"',
    '"message":"tile: use the path of a tile',
    '"code":"sign_in_failed"',
)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops the complaint that a valid request was refused, where one of these refused it."""
    return type(failure).__name__ != "RejectedPositiveData" or not any(words in response.text for words in REFUSALS)


@schemathesis.hook
def filter_case(context, case):
    """The one who asks must not be offboarded: all further answers would be refusals."""
    return SELF not in repr(case.body)


@schemathesis.deserializer("application/x-ndjson")
def lines(context, response):
    """Lines of JSON are text, a single line too."""
    return response.text


@schemathesis.hook
def before_call(context, case, kwargs):
    name_one_workspace(case)
    take_a_new_key(case)
    sign(case, kwargs)


def name_one_workspace(case):
    """A request that names two workspaces is refused, and shows nothing more. So where it names some in two ways, it names the real one."""
    if not isinstance(case.query, dict) or is_negative(case, ParameterLocation.QUERY):
        return
    names = [name for name in ("workspace_uuid", "workspace") if name in case.query]
    in_body = isinstance(case.body, dict) and (case.body.get("workspace_uuid") or case.body.get("workspace"))
    if len(names) == 2 or (names and in_body):
        rest = {name: value for name, value in case.query.items() if name not in names}
        case.query = rest if in_body else {**rest, "workspace_uuid": WORKSPACE}


used_keys = set()


def take_a_new_key(case):
    """Another request under a key that was used is refused for that alone."""
    key = case.headers.get("Idempotency-Key")
    if key in used_keys and not is_negative(case, ParameterLocation.HEADER):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    used_keys.add(key)


def sign(case, kwargs):
    """Signs a webhook, unless it is to be refused for its source or its headers. A list is GitHub's, which has no secret to sign with."""
    if case.path != "/webhooks/{source}" or case.method != "POST" or isinstance(case.body, list):
        return
    if not is_negative(case, ParameterLocation.PATH):
        kind = case.body.get("type") if isinstance(case.body, dict) else None
        source = "hr" if isinstance(kind, str) and kind.startswith("subject.") else "scanner"
        case.path_parameters = {**case.path_parameters, "source": source}
        if not is_negative(case, ParameterLocation.HEADER):
            kwargs["auth"] = StandardWebhook(SOURCES[source])


class StandardWebhook:
    """Signs a request as Standard Webhooks has it."""

    def __init__(self, secret):
        self.key = base64.b64decode(secret.removeprefix("whsec_"))

    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        sent_id, at = f"msg_{uuid.uuid4()}", str(int(time.time()))
        signature = hmac.new(self.key, f"{sent_id}.{at}.".encode() + body, hashlib.sha256).digest()
        request.headers["webhook-id"] = sent_id
        request.headers["webhook-timestamp"] = at
        request.headers["webhook-signature"] = f"v1,{base64.b64encode(signature).decode()}"
        return request
