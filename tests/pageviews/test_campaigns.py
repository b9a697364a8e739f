"""Campaigns out of query strings, as the page-view contract has them in section 7.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.pageviews import campaigns
from chalicelib.pageviews.texts import storable


@pytest.mark.parametrize(
    ("query", "source", "name"),
    [
        ("?ref=AAA", "AAA", ""),
        ("utm_source=S&ref=R", "S", ""),
        ("ref=R&utm_source=S", "S", ""),
        ("utm_source=%20&src=x", "x", ""),
        ("source=x&src=y", "y", ""),
        ("utm_campaign=spring+sale&campaign=other", "", "spring sale"),
        ("campaign=c&utm_source=s&utm_medium=m", "s", "c"),
        ("ref=a&ref=b", "a", ""),
        ("utm_medium=m&utm_term=t", "", ""),
        ("", "", ""),
        ("?", "", ""),
        ("REF=x", "", ""),
        ("utm_campaign=%C4%E3&utm_source=%BA%C3", "%BA%C3", "%C4%E3"),
        ("utm_campaign=%ba%c3", "", "%BA%C3"),
        ("campaign=%C3%BC%FC", "", "ü%FC"),
    ],
)
def test_the_first_key_with_a_value_names_the_campaign(query: str, source: str, name: str) -> None:
    """Source and name each have an order of keys, in which blank values do not count."""
    assert campaigns.read(query) == (source, name)


@given(st.text(st.characters(categories=None)) | st.builds("utm_campaign={}".format, st.text()))
def test_any_query_can_be_read(query: str) -> None:
    """Nothing makes the rules fail, and a campaign's name can always be stored."""
    name = campaigns.read(query).name
    assert storable(name)
    assert len(name) <= 2048
