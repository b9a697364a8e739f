"""Fixtures: the service over HTTP, pages of other hosts, and a browser that looks at them."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import NoReturn

import pytest

from tests.browser.chrome import Browser, Pages, found
from tests.clients.conftest import aws, beside, people, person
from tests.clients.people import Person

__all__ = ["aws", "beside", "people", "person"]

REQUIRED = os.environ.get("COUNTLESS_BROWSER") == "required"
"""Whether a browser that is missing is a failure: `make browser` says so, `make test` does not."""


def _missing(what: str) -> NoReturn:
    reason = f"{what} is missing: `make browser` runs these tests"
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def browser() -> Iterator[Browser]:
    """A Chromium for all tests."""
    if find_spec("selenium") is None:
        _missing("the library selenium")
    where = found()
    if where is None:
        _missing("Chromium, or its driver,")
    made = Browser.start(*where)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def fresh(browser: Browser) -> Iterator[Browser]:
    """The browser with one tab, on an empty page, with no requests in its log."""
    yield browser
    driver = browser.driver
    first, *others = driver.window_handles
    for other in others:
        driver.switch_to.window(other)
        driver.close()
    driver.switch_to.window(first)
    browser.open("about:blank")
    browser.forget()


@pytest.fixture(scope="session")
def pages(browser: Browser) -> Iterator[Pages]:
    """Where tests put their pages."""
    assert browser
    made = Pages()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def snippet(person: Person) -> str:
    """What the site's owner pastes into pages: as for GoatCounter, with this service's address."""
    at = f"//{person.host}:{person.url.rpartition(':')[2]}"
    return f'<script data-goatcounter="http:{at}/count" async src="{at}/count.js"></script>'
