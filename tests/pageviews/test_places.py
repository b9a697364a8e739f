"""Where visitors are and what they speak: page-view contract, section 7.5; and screen widths, section 7.4."""

from dataclasses import replace
from pathlib import Path

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.accounts import DEFAULT_COLLECT, Collect, Site
from chalicelib.pageviews import geo, languages, locations, screens
from tests.mmdb import database

SITE = Site("account", "domain", 1, "site")


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("fr", "fra"),
        ("en-US", "eng"),
        ("klingon", ""),
        ("tlh", "tlh"),
        ("zh-Hant-TW", "zho"),
        ("nl_NL", "nld"),
        ("eng", "eng"),
        ("en-GB-x-private", "eng"),
        ("xx", ""),
        ("zzz", ""),
        ("und", ""),
        ("qaa", ""),
        ("x-private", ""),
        ("*", ""),
        ("", ""),
        ("e" * 10_000, ""),
    ],
)
def test_a_language_tag_becomes_a_code_or_nothing(tag: str, code: str) -> None:
    """The base language counts, and what is no language is dropped without a word."""
    assert languages.code(tag) == code


@given(st.text(st.characters(categories=None)))
def test_any_text_is_a_language_or_none(tag: str) -> None:
    """Nothing makes the lookup fail; a code has three letters."""
    assert len(languages.code(tag)) in {0, 3}


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de-AT"),
        ("en;q=0.5, fr;q=0.9", "fr"),
        ("*, nl;q=0.1", "nl"),
        ("fr;q=0", ""),
        ("fr;q=much, nl;q=0.2", "nl"),
        ("", ""),
        (",;,", ""),
    ],
)
def test_the_language_that_a_browser_prefers(header: str, tag: str) -> None:
    """The highest rank counts, the first of equals; rank zero means no."""
    assert languages.preferred(header) == tag


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("NL", "NL"), ("us-tx", "US-TX"), (" DE ", "DE"), ("N", ""), ("NLD", ""), ("US_TX", ""), ("12", ""), ("", "")],
)
def test_a_location_has_the_form_of_a_code(sent: str, stored: str) -> None:
    """Only what looks like ISO 3166 is a location."""
    assert locations.normalise(sent) == stored


@pytest.mark.parametrize(
    ("location", "collect", "regions", "stored"),
    [
        ("US-TX", DEFAULT_COLLECT, {"US", "RU"}, "US-TX"),
        ("NL-NH", DEFAULT_COLLECT, {"US", "RU"}, "NL"),
        ("NL-NH", DEFAULT_COLLECT, set(), "NL-NH"),
        ("US-TX", Collect.LOCATION, {"US"}, "US"),
        ("NL", DEFAULT_COLLECT, {"US"}, "NL"),
        ("", DEFAULT_COLLECT, {"US"}, ""),
    ],
)
def test_regions_are_kept_where_the_site_wants_them(
    location: str, collect: Collect, regions: set[str], stored: str
) -> None:
    """The flag and the list of countries must both allow it; an empty list allows all."""
    site = replace(SITE, collect=collect, collect_regions=tuple(regions))
    assert locations.trim(location, site) == stored


@pytest.mark.parametrize(
    ("width", "bucket"),
    [
        (0, "unknown"),
        (1, "phone"),
        (600, "phone"),
        (601, "tablet"),
        (1000, "tablet"),
        (1001, "desktop"),
        (1920, "desktop"),
        (1921, "desktophd"),
        (2**31 - 1, "desktophd"),
    ],
)
def test_a_width_belongs_to_one_size(width: int, bucket: str) -> None:
    """The five sizes' bounds are inclusive above."""
    assert screens.bucket(width).id == bucket


@pytest.mark.parametrize(
    ("record", "location"),
    [
        ({"country": {"iso_code": "NL"}}, "NL"),
        ({"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "TX"}, {"iso_code": "X"}]}, "US-TX"),
        ({"country_code": "DE"}, "DE"),
        ({"continent": {"code": "EU"}}, ""),
        ({"country": "NL", "subdivisions": "none"}, ""),
        ("a text", ""),
    ],
)
def test_addresses_are_found_in_adatabase(tmp_path: Path, record: object, location: str) -> None:
    """Country and city databases and flat ones are read; what is not there is unknown, as is what is no address."""
    locate = geo.locator(database(tmp_path / "places.mmdb", record))
    assert locate("8.8.8.8") == location
    assert locate("200.1.1.1") == ""
    assert locate("no address") == ""
    assert locate("::1") == ""


def test_without_a_database_nothing_is_known() -> None:
    """An operator who supplies none gets empty locations, not errors."""
    assert geo.locator("")("8.8.8.8") == ""


def test_countries_that_are_shipped_need_two_files_at_most(tmp_path: Path) -> None:
    """One for each kind of address, or none: then nothing is known. Only countries are taken from them."""
    assert geo.countries(tmp_path)("8.8.8.8") == ""
    database(tmp_path / geo.SHIPPED[0], {"country_code": "DE"})
    geo.countries.cache_clear()
    locate = geo.countries(tmp_path)
    assert [locate(address) for address in ("8.8.8.8", "200.1.1.1", "::1", "no address")] == ["DE", "", "", ""]
    database(tmp_path / geo.SHIPPED[1], {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "TX"}]})
    geo.countries.cache_clear()
    (tmp_path / geo.SHIPPED[0]).unlink()
    assert geo.countries(tmp_path)("8.8.8.8") == "US"
    geo.countries.cache_clear()


def test_a_broken_database_says_so_at_once(tmp_path: Path) -> None:
    """Not the first visitor finds out, but whoever opens it."""
    path = tmp_path / "broken.mmdb"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(maxminddb.InvalidDatabaseError):
        geo.locator(str(path))
