"""Keys: what is recognised in headers, and what a key may do."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import keys
from chalicelib.core.accounts import Permission
from chalicelib.core.errors import Forbidden, Unauthenticated
from chalicelib.core.keys import Key

TOKEN = "a" * 50


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_a_token_has_fifty_characters_of_lower_case_base_36_and_is_never_the_same() -> None:
    tokens = {keys.token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch("[0-9a-z]{50}", token) for token in tokens)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"  Bearer   {TOKEN} "},
        {"authorization": f"bearer {TOKEN}"},
        {"authorization": f"BEARER\t{TOKEN}"},
        {"authorization": basic(f"me:{TOKEN}").upper().split()[0] + "   " + basic(f"me:{TOKEN}").split()[1]},
        {"authorization": basic(f":{TOKEN}").replace("Basic", "basic")},
        {"authorization": basic(f":{TOKEN}")},
        {"authorization": basic(f"me:{TOKEN}")},
        {"x-rmta-api-key": TOKEN},
        {"x-rmta-api-key": "b" * 50, "authorization": f"Bearer {TOKEN}"},
    ],
)
def test_a_token_is_found_in_each_of_the_three_headers(headers: dict[str, str]) -> None:
    assert keys.credential(headers) == TOKEN


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, keys.NO_HEADER),
        ({"authorization": ""}, keys.NO_HEADER),
        ({"authorization": "Bearer"}, keys.WRONG_FORMAT),
        ({"authorization": f"Bearer {TOKEN} {TOKEN}"}, keys.WRONG_FORMAT),
        ({"authorization": f"Digest {TOKEN}"}, keys.WRONG_FORMAT),
        ({"authorization": "Basic %%%"}, keys.WRONG_FORMAT),
        ({"authorization": "Basic /w=="}, keys.WRONG_FORMAT),
        ({"authorization": basic(TOKEN)}, keys.WRONG_FORMAT),
        ({"authorization": basic("me:")}, keys.UNKNOWN),
        ({"authorization": "Bearer short"}, keys.UNKNOWN),
        ({"authorization": "Bearer " + "ä" * 20}, keys.UNKNOWN),
        ({"authorization": "Bearer " + "a" * 257}, keys.UNKNOWN),
        ({"x-rmta-api-key": ""}, keys.UNKNOWN),
    ],
)
def test_what_is_no_credential_is_refused_with_the_reason_that_clients_know(
    headers: dict[str, str], reason: str
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        keys.credential(headers)
    assert refused.value.reason == reason


@given(st.dictionaries(st.sampled_from(["authorization", "x-rmta-api-key"]), st.text(max_size=80)))
def test_no_header_breaks_the_reader(headers: dict[str, str]) -> None:
    try:
        found = keys.credential(headers)
    except Unauthenticated as refused:
        found = f"refused: {refused.reason}"
    assert 11 <= len(found) <= 256


@given(st.text(), st.text())
def test_secrets_are_the_same_only_if_their_texts_are(one: str, other: str) -> None:
    assert keys.same(one, one)
    if one.encode(errors="replace") != other.encode(errors="replace"):
        assert not keys.same(one, other)


@given(st.integers(0, 1023), st.integers(0, 1023))
def test_a_key_may_do_what_any_of_its_bits_allows(has: int, asked: int) -> None:
    key = Key("k", "a", "name", Permission(has), owner=1)
    if not asked or has & asked:
        key.require(Permission(asked))
    else:
        with pytest.raises(Forbidden, match=r"^requires (('[a-z-]+'(, )?)*) permissions$"):
            key.require(Permission(asked))


def test_missing_permissions_are_named_in_the_order_of_the_contract() -> None:
    with pytest.raises(Forbidden) as refused:
        Key("k", "a", "name", Permission.NOTHING, owner=1).require(Permission.STATS | Permission.COUNT)
    assert refused.value.reason == "requires 'count', 'stats' permissions"


def test_a_key_covers_its_sites_or_all_of_them() -> None:
    assert Key("k", "a", "name", Permission.COUNT, 1).covers(7)
    assert Key("k", "a", "name", Permission.COUNT, 1, sites=(7, 9)).covers(9)
    assert not Key("k", "a", "name", Permission.COUNT, 1, sites=(7, 9)).covers(8)
