"""Results and errors in GoatCounter's words: bodies, headers, pixel (page-view contract, sections 1.4, 1.5, 4.2)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from chalicelib.core.accounts import PAGEVIEWS, Site, User
from chalicelib.core.errors import (
    CountlessError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Taken,
    TooLarge,
    Unauthenticated,
    Uncertain,
)
from chalicelib.core.keys import ONLY_ADMINS, Key
from chalicelib.core.limits import duration
from chalicelib.core.periods import day_text, time_text

from . import user_settings

if TYPE_CHECKING:
    # Types alone: what makes them is loaded with the first question.
    from chalicelib.core.reports import Day, HitLists, Path, Total

    from .breakdowns import Row, Rows

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
GIF = bytes.fromhex("47494638396101000100800100000000ffffff21f904010a0001002c00000000010001000002024c01003b")
LARGEST = 5_500_000
"""Bytes of a body as Lambda sends it: it lets 6 MB through, in base64 if they are compressed."""
_INDENTED = 200_000
"""Bytes up to which a body is indented for people; what is larger is read by programs, which do not care."""
_LOST = "an answer was lost on the way: this took effect once, or not at all"
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


class Said(NamedTuple):
    """An answer."""

    status: int
    body: str | bytes = ""
    headers: Mapping[str, str] = {}


def dumps(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    """JSON as the contract has it: indented, with a newline at the end, and safe inside HTML."""
    compact = orjson.dumps(value)
    if len(compact) > _INDENTED:
        return compact.decode().translate(_ESCAPES) + "\n"
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode().translate(_ESCAPES) + "\n"


def said(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Said:  # noqa: ANN401
    """An answer in JSON."""
    return Said(status, dumps(value), {"Content-Type": JSON, **(headers or {})})


def large(value: Any, accepts: str) -> Said:  # noqa: ANN401
    """An answer in JSON that may be too large to leave as it is; `accepts` is the request's `Accept-Encoding`.

    Raises:
        Invalid: it is too large, and the client does not take gzip.
    """
    answer = said(value)
    # Once more JSON itself: Python 3.11's runtime writes all but ASCII as escapes, each in six or twelve bytes.
    size = len(json.dumps(answer.body))
    if size <= LARGEST:
        return answer
    packed = gzip.compress(str(answer.body).encode(), 3) if "gzip" in accepts.lower() else b""
    if not packed or len(packed) * 4 // 3 > LARGEST:
        raise Invalid(f"the answer would have {size // 1_000_000} MB: ask for fewer days or paths, or accept gzip")
    return Said(200, packed, {**answer.headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"})


class ApiWords:
    """What `/api/v0` says when something is wrong."""

    def failure(self, error: CountlessError) -> Said:
        """A problem of the core's."""
        if isinstance(error, Unauthenticated):
            challenge = {} if error.reason == ONLY_ADMINS else {"WWW-Authenticate": "Basic realm=GoatCounter"}
            return said({"error": error.reason}, 401, challenge)
        if isinstance(error, RateLimited):
            return self._limited(error)
        if isinstance(error, Invalid):
            return said({"errors": error.fields} if error.fields else {"error": error.message}, 400)
        plain = _plain(error)
        return said({"error": plain[1]}, plain[0]) if plain else self.unexpected(500, "0")

    def _limited(self, error: RateLimited) -> Said:
        # One line: clients have been seen to look for exactly this beginning.
        body = f'{{"error": "{_limited(error)}"}}\n'
        return Said(429, body, {"Content-Type": JSON, "Retry-After": str(round(error.reset))})

    def wrong_method(self) -> Said:
        """The path exists, but not for this method."""
        return said({"error": "method not allowed"}, 405)

    def wrong_type(self) -> Said:
        """A body that is not JSON."""
        return Said(415)

    def too_large(self) -> Said:
        """A body larger than a function can be given."""
        return said({"error": "the request's body is too large"}, 413)

    def unexpected(self, status: int, code: str) -> Said:
        """An error of ours."""
        reason = f"unexpected error code ‘{code}’; this has been reported for investigation"  # noqa: RUF001
        return said({"error": reason}, status)


class PixelWords:
    """What `/count` says: a pixel whatever happens, with the reason in a header."""

    def failure(self, error: CountlessError) -> Said:
        """A problem of the core's."""
        if isinstance(error, RateLimited):
            headers = {"Content-Type": TEXT, "Retry-After": str(round(error.reset)), **_PUBLIC}
            return Said(429, f"{_limited(error)}\n", headers)
        if isinstance(error, Invalid):
            return pixel(400, error.message)
        return pixel(*(_plain(error) or (400, "")))

    def wrong_method(self) -> Said:
        """Neither GET, HEAD nor POST."""
        page = "<!doctype html><title>405</title><p>method not allowed</p>\n"
        return Said(405, page, {"Content-Type": "text/html; charset=utf-8"})

    def wrong_type(self) -> Said:
        """Never said: a body is not looked at."""
        return pixel(400)

    def too_large(self) -> Said:
        """As `wrong_type`."""
        return pixel(400)

    def unexpected(self, status: int, code: str) -> Said:
        """An error of ours."""
        return pixel(status, f"unexpected error code {code}")


def _plain(error: CountlessError) -> tuple[int, str] | None:
    """Status and reason of what needs no more than these."""
    match error:
        case Forbidden():
            return 403, error.reason
        case NotFound():
            return 404, "not found"
        case Taken():
            return 409, error.message
        case TooLarge():
            return 413, error.message
        case Uncertain():
            return 500, _LOST
    return None


_PUBLIC = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Strict-Transport-Security": "max-age=7776000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}


def pixel(status: int = 200, reason: str = "") -> Said:
    """The GIF of 43 bytes, with the reason why nothing was counted."""
    headers = {"Content-Type": "image/gif", **_PUBLIC}
    return Said(status, GIF, {**headers, "X-Goatcounter": reason} if reason else headers)


def _limited(error: RateLimited) -> str:
    return f"rate limited exceeded; try again in {duration(error.reset)}"


def paths(found: Sequence[Path], more: bool) -> dict[str, Any]:  # noqa: FBT001 - two halves of one answer
    """The body of `GET /paths`."""
    return {"paths": [path._asdict() for path in found], "more": more}


def total(found: Total) -> dict[str, Any]:
    """The body of `GET /stats/total`."""
    return {
        "total": found.total,
        "total_events": found.total_events,
        "total_utc": found.total_utc,
        "stats": [_day(day) for day in found.days],
    }


def hits(found: HitLists) -> dict[str, Any]:
    """The body of `GET /stats/hits`."""
    return {
        "hits": [
            {
                "count": hit.count,
                "path_id": hit.path_id,
                "path": hit.path,
                "event": hit.event,
                "title": hit.title,
                "max": hit.max,
                "stats": [_day(day) for day in hit.days],
            }
            for hit in found.hits
        ],
        "total": found.total,
        "more": found.more,
    }


def dropped(found: Mapping[tuple[int, str], int]) -> dict[str, Any]:
    """The body of `GET /api/x/drops`: each day of UTC on which something was dropped, with how many and why."""
    days: dict[int, dict[str, int]] = {}
    for (day, reason), count in sorted(found.items()):
        days.setdefault(day, {})[reason] = count
    return {
        "drops": [
            {"day": day_text(day), "total": sum(reasons.values()), "reasons": reasons} for day, reasons in days.items()
        ]
    }


def referrers(found: Rows) -> dict[str, Any]:
    """The body of `GET /stats/hits/{path_id}`."""
    return {"refs": [_row(row) for row in found.rows], "more": found.more}


def breakdown(found: Rows) -> dict[str, Any]:
    """The body of `GET /stats/{page}` and `GET /stats/{page}/{id}`."""
    return {"stats": [_row(row) for row in found.rows], "more": found.more}


def _row(row: Row) -> dict[str, Any]:
    shown: dict[str, Any] = {} if row.id is None else {"id": row.id}
    shown |= {"name": row.name, "count": row.visits}
    return shown if row.scheme is None else {**shown, "ref_scheme": row.scheme}


def _day(day: Day) -> dict[str, Any]:
    shown: dict[str, Any] = {"day": day.day, "hourly": day.hourly, "daily": day.daily}
    if day.weekly:
        shown["weekly"] = day.weekly
    if day.monthly:
        shown["monthly"] = day.monthly
    return shown


def me(user: User, key: Key, parent: Site) -> dict[str, Any]:
    """The body of `GET /me`; `parent` is the account's first site (page-view contract, section 2.1)."""
    return {
        "user": {
            "id": user.id,
            "site": parent.id,
            "email": user.email,
            "email_verified": user.email_verified,
            "totp_enabled": False,
            "access": {"all": user.role.value},
            "login_at": None,
            "open_at": None,
            "reset_at": None,
            "settings": user_settings.shown(user),
            "last_report_at": time_text(user.last_report_at or user.created_at),
            "created_at": time_text(user.created_at),
            "updated_at": None,
        },
        "token": {"name": key.name, "permissions": int(key.permissions & PAGEVIEWS), "sites": list(key.sites)},
    }
