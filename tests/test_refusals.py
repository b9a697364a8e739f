"""The look that every answer of the page-view API gets in tests finds what is wrong."""

import json
from typing import Any

import pytest

from tests.refusals import look_at

TYPE = {"content-type": "application/json; charset=utf-8"}
COUNT, ME = "/s/blog/api/v0/count", "/api/v0/me"
EXPORT = {"finished_at": None, "num_rows": None, "hash": None}


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (ME, 200, {"user": {"error": "a name"}}),
        (ME, 404, {"error": "not found"}),
        (ME, 400, {"errors": {"cname": ["already exists"]}}),
        (COUNT, 400, {"errors": {"3": "path: must be set."}}),
        (ME, 503, {"error": "x", "more": 1}),
        ("/api/v0/export/1", 200, {**EXPORT, "error": None}),
        ("/api/v0/export/1", 200, {**EXPORT, "error": "no room"}),
        ("/v1/api/domains", 404, {"error": {"code": "NOT_FOUND"}}),
        ("/apis", 200, {"error": 1}),
    ],
)
def test_what_is_as_it_should_be_passes(path: str, status: int, said: Any) -> None:
    """And what is no answer of this API."""
    look_at("GET", path, status, TYPE, json.dumps(said).encode())


def test_answers_without_a_body_pass() -> None:
    """To HEAD and OPTIONS; a refused type; a redirect."""
    look_at("HEAD", ME, 405, TYPE, b"")
    look_at("OPTIONS", ME, 200, {}, b"")
    look_at("POST", COUNT, 415, {}, b"")
    look_at("GET", f"{ME}/", 301, {}, b"")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (ME, 200, {"error": "x"}),
        (ME, 202, {"error": None}),
        (ME, 202, {"errors": {}}),
        (ME, 200, []),
        (ME, 400, {}),
        (ME, 400, {"message": "x"}),
        (ME, 400, {"error": "x", "errors": {"a": ["b"]}}),
        (ME, 400, {"error": ""}),
        (ME, 400, {"error": {"code": "x"}}),
        (ME, 400, {"errors": {}}),
        (ME, 400, {"errors": ["x"]}),
        (ME, 400, {"errors": {"a": "b"}}),
        (ME, 400, {"errors": {"a": []}}),
        (ME, 400, {"errors": {"a": [1]}}),
        (COUNT, 400, {"errors": {"a": "b"}}),
        (COUNT, 400, {"errors": {"0": ["b"]}}),
        ("/api/nowhere", 404, "not found"),
        ("/api/v0/export/1", 200, {**EXPORT, "finished_at": "2026-11-21T00:00:00Z", "error": "x"}),
    ],
)
def test_what_is_wrong_is_found(path: str, status: int, said: Any) -> None:
    with pytest.raises(AssertionError):
        look_at("GET", path, status, TYPE, json.dumps(said).encode())


@pytest.mark.parametrize(("status", "body"), [(500, b""), (404, b"not found"), (415, b"no")])
def test_a_refusal_that_is_no_json_is_found(status: int, body: bytes) -> None:
    with pytest.raises(AssertionError):
        look_at("GET", ME, status, {"content-type": "text/plain"}, body)
