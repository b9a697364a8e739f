"""What a report's words are made of."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.accounts import EmailReports, User
from chalicelib.core.errors import Invalid
from chalicelib.core.mail import Mailbox
from chalicelib.pageviews.reporting import NEW, Line, Report, Section, compose, growth

SENDER = Mailbox("reports@countless.example")


@pytest.mark.parametrize(
    ("visits", "before", "said"),
    [(5, 0, NEW), (5, 5, "0%"), (10, 5, "+100%"), (5, 10, "-50%"), (1, 3, "-67%"), (1000, 999, "0%"), (0, 4, "-100%")],
)
def test_growth_is_in_percent_of_before(visits: int, before: int, said: str) -> None:
    assert growth(visits, before) == said


def report(name: str, **section: Any) -> Report:
    found = Section(**{"name": name, "total": "1", "growth": "(new)", "paths": [], "referrers": []} | section)
    return Report("9 – 15", "2 – 8", "UTC", name, "every week", f"Ask {name}.", [found])  # noqa: RUF001


def ann(email: str = "ann@example.com") -> User:
    return User(1, "a", "ann", email, email_reports=EmailReports.WEEKLY)


@given(st.text("<>&\"'/ab=", min_size=1, max_size=20))
def test_every_name_is_escaped_in_html_and_as_it_is_in_text(name: str) -> None:
    """Wherever it stands: site, page, referrer, user, help."""
    line = Line(name, "1", "0%", event=True)
    mail = compose(report(name, paths=[line], referrers=[line]), ann(), SENDER)
    escaped = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;")
    assert mail.html.count(escaped.replace('"', "&#34;")) >= 5
    assert mail.text.count(name) >= 5
    plain = compose(report("x", paths=[line._replace(name="x")], referrers=[line._replace(name="x")]), ann(), SENDER)
    assert mail.html.count("<") == plain.html.count("<")


def test_a_list_without_rows_says_so() -> None:
    mail = compose(report("site", paths=[Line("/", "1", "0%")]), ann(), SENDER)
    assert mail.text.count("(no data)") == mail.html.count("(no data)") == 1


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(Invalid) as raised:
        compose(report("site"), ann("nobody"), SENDER)
    assert list(raised.value.fields) == ["email"]
