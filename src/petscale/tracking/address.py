"""Addresses of stores without their secrets, for receipts, `tracked.json` and every line that `track` prints.

A password may contain any character, even `/`, `?` and `@`, and then no parser can tell where it ends. In case of
doubt, more is hidden than necessary.
"""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"
# Parameters of an address that may be shown; the value of any other may be a secret.
SHOWN = frozenset({"user", "host", "port", "dbname", "sslmode", "charset", "driver", "connect_timeout"})
VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD")
SHORTEST = 3  # shorter secrets are not replaced, because they occur by chance in any text


def masked(uri: str) -> str:
    """A store's address without passwords and tokens."""
    return _parted(uri)[0]


def hushed(text: str, uri: str) -> str:
    """A library's message about the store at `uri`, without the secrets of this or any other address."""
    text = text.replace(uri, masked(uri))
    text = re.sub(r"[a-zA-Z][\w+.-]*://[^\s'\"<>]+", lambda found: masked(found[0]), text)
    text = re.sub(r"\b(Basic|Bearer) [\w+/=.~-]+", rf"\1 {HIDDEN}", text)  # a server may repeat the request's headers
    secrets = {os.environ.get(name, "") for name in VARIABLES}
    for part in _parted(uri)[1]:
        for piece in (part, *re.split(r"[/?#@:&=]", part)):  # as a whole, and as a parser may have split it
            secrets |= {piece, unquote(piece), unquote_plus(piece)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, HIDDEN)
    return text


def _parted(uri: str) -> tuple[str, list[str]]:
    """Split an address into a text that may be shown and the secrets that were removed from it."""
    scheme, found, rest = uri.partition("://")
    if not found:
        start, at, end = uri.rpartition("@")
        return (f"{HIDDEN}@{end}", [start]) if at else (uri, [])
    start, at, end = rest.rpartition("@")
    if re.search(r"[?#]", start):  # either a password with a question mark or parameters with an @
        return f"{scheme}://{HIDDEN}", [rest]
    secrets: list[str] = []
    if not at or rest.startswith("/"):  # the path of a file may contain an @
        start, at, end = "", "", rest
    elif scheme.startswith("http"):  # a lone name may be a token
        start, secrets = HIDDEN, [start]
    else:
        user, colon, password = start.partition(":")
        if "/" in user:
            start, secrets = HIDDEN, [start]
        elif colon:
            start, secrets = f"{user}:{HIDDEN}", [password]
    place, *parameters = re.split(r"([?#&;])", end)
    for number in range(1, len(parameters), 2):
        name, equals, value = parameters[number].partition("=")
        if not equals or name.lower() not in SHOWN:
            secrets.append(value if equals else name)
            parameters[number] = f"{name}={HIDDEN}" if equals else HIDDEN
    return f"{scheme}://{start}{at}{place}{''.join(parameters)}", secrets
