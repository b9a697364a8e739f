"""Rate limits: the plans, and exact fixed windows that start at a caller's first request.

What is stored of a caller is one small record with, for each window, when it opened and how much of it is
used. `plan_step` says what a request may do to that record; whoever stores it makes the step conditional on
nothing having changed its premises (`aws.limits`). A request charges all of its windows or none: one that the
window of a second refuses costs nothing in the window of an hour (page-view contract, sections 8.5 and 9).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .errors import RateLimited


class Window(NamedTuple):
    """At most `requests` in `seconds`, from the caller's first request on."""

    name: str
    requests: int
    seconds: int


PLANS: Mapping[str, Window] = {
    window.name: window
    for window in (
        Window("count", 4, 1),
        Window("api2", 500, 3600),
        Window("api", 4, 1),
        Window("api-count", 60, 120),
        Window("export", 1, 3600),
        Window("login", 20, 60),
    )
}
"""What everybody gets unless the deployment says otherwise (page-view contract, section 9)."""

_CHANGE = re.compile(r"([a-z0-9-]+):(?:(none)|([1-9][0-9]{0,8})/([1-9][0-9]{0,6}))")


def plans(text: str) -> dict[str, Window]:
    """The plans of a deployment: `on`, `off`, or the changes to them, such as `api:8/1,export:none`.

    Raises:
        ValueError: the text is none of these.
    """
    if text == "off":
        return {}
    out = dict(PLANS)
    for part in text.split(",") if text != "on" else ():
        match = _CHANGE.fullmatch(part.strip())
        if match is None or match[1] not in PLANS:
            raise ValueError(f"not a limit: {part!r}")
        if match[2]:
            out.pop(match[1], None)
        else:
            out[match[1]] = Window(match[1], int(match[3]), int(match[4]))
    return out


@dataclass(frozen=True, slots=True)
class Used:
    """A window of one caller: when it opened, in Unix milliseconds, and how many requests passed since."""

    opened: int
    count: int


Record = Mapping[str, Used]
"""A caller's windows by name, as last seen."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands after a request; what the `X-Rate-Limit-*` headers tell."""

    limit: int
    remaining: int
    reset: float
    """Seconds until the window ends."""
    charged: bool = True
    """False if nobody could say, so that the request passed uncounted."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a request does to a caller's record: windows to open anew, and open ones to charge."""

    opens: tuple[Window, ...]
    charges: tuple[tuple[Window, Used], ...]


def is_open(window: Window, used: Used | None, now: int) -> bool:
    """Whether the window is still running at `now`, in Unix milliseconds."""
    return used is not None and now < used.opened + window.seconds * 1000


def plan_step(windows: Sequence[Window], record: Record, now: int) -> Step:
    """What a request may do at `now` (Unix milliseconds) to a record that was last seen so.

    Raises:
        RateLimited: the first window that is used up refuses it. As a window only fills while it is open,
        that holds
            for the true record too, however old `record` is.
    """
    opens, charges = [], []
    for window in windows:
        used = record.get(window.name)
        if used is None or not is_open(window, used, now):
            opens.append(window)
            continue
        if used.count >= window.requests:
            raise RateLimited(window.requests, (used.opened + window.seconds * 1000 - now) / 1000)
        charges.append((window, used))
    return Step(tuple(opens), tuple(charges))


def standing(window: Window, record: Record, now: int) -> Standing:
    """How much of a window is left in a record, at `now` in Unix milliseconds."""
    used = record.get(window.name)
    if used is None or not is_open(window, used, now):
        return Standing(window.requests, window.requests, 0.0)
    ends = used.opened + window.seconds * 1000
    return Standing(window.requests, max(window.requests - used.count, 0), (ends - now) / 1000)


class Local:
    """Windows in this process's memory alone: for counting pixels, where a write for each would cost too
    much.
    """

    def __init__(self, window: Window, size: int = 10_000) -> None:
        self._window = window
        self._size = size
        self._records: dict[str, Used] = {}

    def untouched(self) -> Standing:
        """Where a caller stands who is not charged."""
        return Standing(self._window.requests, self._window.requests, 0.0)

    def take(self, caller: str, now: float) -> Standing:
        """Charges one request.

        Raises:
            RateLimited: the window is used up.
        """
        at = round(now * 1000)
        name = self._window.name
        before = self._records.get(caller)
        step = plan_step((self._window,), {name: before} if before else {}, at)
        after = Used(at, 1) if step.opens else Used(step.charges[0][1].opened, step.charges[0][1].count + 1)
        if before is None and len(self._records) >= self._size:
            self._make_room(at)
        self._records[caller] = after
        return standing(self._window, {name: after}, at)

    def _make_room(self, now: int) -> None:
        self._records = {caller: used for caller, used in self._records.items() if is_open(self._window, used, now)}
        if len(self._records) >= self._size:
            self._records.clear()


def duration(seconds: float) -> str:
    """A span as clients of GoatCounter know it, to a tenth of a second: `59m59.2s`, `1s`, `800ms`."""
    tenths = max(math.floor(seconds * 10 + 0.5), 0)
    if 0 < tenths < 10:
        return f"{tenths * 100}ms"
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 10}.{rest % 10}s" if rest % 10 else f"{rest // 10}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
