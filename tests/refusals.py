"""What holds of every answer of the page-view API, whatever a test is about (page-view contract, section 1.5).

A 2xx holds no error; a 4xx or 5xx holds either `error` or `errors`, never both. Whoever asks in tests has each answer
looked at here.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_API = re.compile(r"(/s/[^/]+)?/api(/.*)?", re.DOTALL)
_COUNT = re.compile(r"(/s/[^/]+)?/api/v0/count/?")


def look_at(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Fails unless the answer is as every answer has to be. `path` comes without its query; of `headers`, names are in
    lower case. What is not the page-view API's is not looked at.
    """
    if _API.fullmatch(path) is None or 300 <= status < 400:
        return
    what = f"{method} {path}: {status} {body[:300]!r}"
    if method == "HEAD":
        assert not body, what
    elif not body and (status == 415 or method == "OPTIONS"):
        return  # the gateway calls it JSON, as whatever has no type
    elif status >= 400:
        assert headers.get("content-type") == "application/json; charset=utf-8", what
        _refusal(json.loads(body), what, single=_COUNT.fullmatch(path) is not None)
    elif headers.get("content-type", "").startswith("application/json") and "content-encoding" not in headers:
        _success(json.loads(body), what)


def _refusal(said: Any, what: str, *, single: bool) -> None:
    """Either a text, or texts by field; of single page views, a text by place."""
    assert isinstance(said, dict), what
    assert ("error" in said) != ("errors" in said), what
    if "error" in said:
        assert isinstance(said["error"], str), what
        assert said["error"].strip(), what
        return
    assert isinstance(said["errors"], dict), what
    assert said["errors"], what
    for field, found in said["errors"].items():
        if single:
            assert field.isdigit(), what
            found = [found]  # noqa: PLW2901 - as elsewhere
        assert isinstance(found, list), what
        assert found, what
        assert all(isinstance(text, str) and text.strip() for text in found), what


def _success(said: Any, what: str) -> None:
    """An object without errors. One has a field of this name, null unless the work that it is about has failed."""
    assert isinstance(said, dict), what
    assert "errors" not in said, what
    if {"finished_at", "num_rows", "hash"} <= said.keys():
        assert said["error"] is None or said["finished_at"] is None, what
    else:
        assert "error" not in said, what
