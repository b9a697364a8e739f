"""The page that a service shows to whoever opens its address: what it is, and how a page or a program counts with it.

It holds nothing that was counted, and nothing of an account but the code of a site that the address names.
"""

from base64 import b64encode
from dataclasses import dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jinja2 import Template


class State(Enum):
    """What the service can do at an address."""

    COUNTS = "counts"
    """It takes page views for one site."""
    SEVERAL = "several"
    """It knows no site that is meant: there are several, or none."""
    AWAY = "away"
    """It cannot reach what it keeps, and says so to whoever counts."""


@dataclass(frozen=True, slots=True)
class Start:
    """What the page speaks of."""

    root: str
    """The address of the service, without a slash at its end."""
    local: bool
    """Whether that is an address of the machine itself, whose pages are counted only where that is asked for."""
    code: str
    """The site's code, if the address names one."""
    state: State
    version: str

    @property
    def base(self) -> str:
        """The address of the site, as clients are given it."""
        return f"{self.root}/s/{self.code}" if self.code else self.root


class Shown(NamedTuple):
    """The page, and what it has to be allowed to do."""

    html: str
    policy: str
    """The `Content-Security-Policy`: its own style, and nothing else."""


def show(start: Start) -> Shown:
    """The page: all that it shows of an address is escaped."""
    style = _text("start.css")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    html = _template().render(
        start=start, state=start.state.value, style=style, script=snippet(start.base, local=start.local)
    )
    return Shown(html, f"{policy}; frame-ancestors 'none'")


def snippet(base: str, *, local: bool) -> str:
    """The tag that makes a page count, for the site at this address."""
    settings = """ data-goatcounter-settings='{"allow_local": true}'""" if local else ""
    return f'<script data-goatcounter="{base}/count"{settings} async src="{base}/count.js"></script>'


def _text(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _template() -> "Template":
    import jinja2  # noqa: PLC0415 - only pages need it, and it takes its time to load

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text("start.html"))
