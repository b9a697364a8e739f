"""Signed links open one path until a moment, and nothing else."""

from urllib.parse import parse_qs

import pytest

from chalicelib.core.links import holds, sign

KEY, PATH, NOW = b"k" * 32, "/v1/api/exports/exp_1/download", 1_763_700_000


def query(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}


def test_a_link_opens_its_path_until_its_time_is_up() -> None:
    given = query(sign(KEY, PATH, NOW + 60))
    assert holds([KEY], PATH, given, NOW)
    assert holds([KEY], PATH, given, NOW + 59.9)
    assert not holds([KEY], PATH, given, NOW + 60)


def test_a_link_opens_no_other_path_and_no_other_deployment() -> None:
    given = query(sign(KEY, PATH, NOW + 60))
    assert not holds([KEY], PATH.replace("exp_1", "exp_2"), given, NOW)
    assert not holds([b"o" * 32], PATH, given, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"expires": str(NOW + 61)},
        {"expires": f"0{NOW + 60}"},
        {"expires": ""},
        {"expires": "²"},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "ü" * 64},
    ],
)
def test_a_link_that_was_changed_opens_nothing(change: dict[str, str]) -> None:
    assert not holds([KEY], PATH, query(sign(KEY, PATH, NOW + 60)) | change, NOW)


def test_a_request_without_a_link_opens_nothing() -> None:
    assert not holds([KEY], PATH, {}, NOW)


def test_a_path_that_is_no_text_is_refused_like_any_other() -> None:
    """JSON may hold half a pair of surrogates, and a path of Lambda's is JSON."""
    assert not holds([KEY], "/v1/api/exports/\ud800/download", query(sign(KEY, PATH, NOW + 60)), NOW)
