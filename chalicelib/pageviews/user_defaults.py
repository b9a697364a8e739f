"""The settings that a site has for new users and for visitors: which there are, and to what they may be set.

As the page-view contract has it, sections 2.1, 10 and 12.1.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from . import scalars, thousands
from .bodies import as_flag, as_list, as_object, as_text, as_whole, named, refuse
from .faults import Fault, Faults, between, one_of, plain
from .user_settings import DEFAULTS

_MOST = 50
"""Widgets, and views."""
_LONGEST = 255
_TIMEZONE = re.compile(r"(?:[A-Z]{2})?\.[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}", re.ASCII)
_PERIODS = ("day", "week", "month", "quarter", "half-year", "year")
_STYLES = ("line", "bar", "text")


class _Setting(NamedTuple):
    read: Callable[[object, str], Any]
    """The value of the right type, or `Invalid`; told its dotted name."""
    rule: Callable[[Any], Any]
    """The value as it is kept, or `Fault`."""


def decode(value: object, what: str = "user_defaults") -> dict[str, Any]:
    """The settings that a JSON value names, by name, each of the right type; those that are null are not named.

    Raises:
        Invalid: it is no object, has an unknown key, or values of a wrong type.
    """
    fields = named(as_object(value, what), _KNOWN)
    return {name: _SETTINGS[name].read(given, f"{what}.{name}") for name, given in fields.items() if given is not None}


def checked(settings: Mapping[str, Any], faults: Faults, what: str = "user_defaults") -> str:
    """The settings as text, to be kept; empty for none. What is wrong with them is added to `faults`."""
    kept = {name: faults.check(f"{what}.{name}", _SETTINGS[name].rule, value) for name, value in settings.items()}
    return orjson.dumps(kept).decode() if kept and not faults.fields else ""


def shown(kept: str) -> dict[str, Any]:
    """Every setting: those of the text that was kept, and the service's own in the place of the others."""
    own = orjson.loads(kept) if kept else {}
    return {name: own.get(name, default) for name, default in DEFAULTS.items()}


# The rules


def _any(value: Any) -> Any:  # noqa: ANN401 - what was read has its type
    return value


def _among(*allowed: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    def rule(value: Any) -> Any:  # noqa: ANN401
        if value not in allowed:
            raise Fault(one_of(given for given in allowed if given != ""))
        return value

    return rule


def _language(text: str) -> str:
    if not _LANGUAGE.fullmatch(text):
        raise Fault("must be a language, such as ‘en-GB’")  # noqa: RUF001 - the contract's quotes
    return text


def _timezone(text: str) -> str:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - few ever set it

    try:
        known = _TIMEZONE.fullmatch(text) and ZoneInfo(text.partition(".")[2])
    except (KeyError, ValueError, OSError):
        known = None
    if not known:
        raise Fault("must be a time zone, such as ‘NL.Europe/Amsterdam’")  # noqa: RUF001
    return text


def _moment(value: object, what: str) -> str:
    text = as_text(value, what)
    return text if scalars.moment(text) is not None else refuse(f"{what} must be a time like 2026-01-31T23:59:59Z")


def _widgets(value: object, what: str) -> list[dict[str, Any]]:
    found = []
    for index, given in enumerate(as_list(value, what)):
        fields = named(as_object(given, f"{what}[{index}]"), _WIDGET)
        own = fields.get("s")
        found.append({"n": as_text(fields.get("n"), f"{what}[{index}].n"), "s": as_object(own, f"{what}[{index}].s")})
    return found


def _views(value: object, what: str) -> list[dict[str, Any]]:
    found = []
    for index, given in enumerate(as_list(value, what)):
        fields, where = named(as_object(given, f"{what}[{index}]"), _VIEW), f"{what}[{index}]"
        found.append(
            {
                "name": as_text(fields.get("name"), f"{where}.name"),
                "filter": as_text(fields.get("filter"), f"{where}.filter"),
                "group": as_whole(fields.get("group", 0), f"{where}.group"),
                "period": as_text(fields.get("period"), f"{where}.period"),
            }
        )
    return found


def _known_widgets(widgets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(widgets) > _MOST:
        raise Fault(f"must be {_MOST} or fewer")
    for widget in widgets:
        if widget["n"] not in _WIDGET_SETTINGS:
            raise Fault(f"n: {one_of(_WIDGET_SETTINGS)}")
        known = _WIDGET_SETTINGS[widget["n"]]
        for name, value in widget["s"].items():
            if name not in known:
                raise Fault(f"{name}: {one_of(known)}")
            known[name](name, value)
    return widgets


def _number(highest: int) -> Callable[[str, object], None]:
    def rule(name: str, value: object) -> None:
        if type(value) is not int:
            raise Fault(f"{name}: must be a whole number")
        try:
            between(value, 1, highest)
        except Fault as fault:
            raise Fault(*(f"{name}: {message}" for message in fault.messages)) from None

    return rule


def _switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise Fault(f"{name}: {one_of(('true', 'false'))}")


def _style(*styles: str) -> Callable[[str, object], None]:
    def rule(name: str, value: object) -> None:
        if value not in styles:
            raise Fault(f"{name}: {one_of(styles)}")

    return rule


def _key(name: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise Fault(f"{name}: must be shorter than {_LONGEST} characters")
    plain(value, _LONGEST)


_WIDGET, _VIEW = frozenset({"n", "s"}), frozenset({"name", "filter", "group", "period"})
_LIST = {"limit": _number(20), "key": _key}
_WIDGET_SETTINGS: Mapping[str, Mapping[str, Callable[[str, object], None]]] = {
    "pages": {"limit_pages": _number(100), "limit_refs": _number(100), "style": _style(*_STYLES)},
    "totalpages": {"align": _switch, "no-events": _switch, "style": _style(*_STYLES[:2])},
    **dict.fromkeys(("toprefs", "campaigns", "browsers", "systems", "locations"), _LIST),
    "languages": {"limit": _number(20)},
    "sizes": {"sort-count": _switch, "key": _key},
}
"""Every widget, and what may be set of it (page-view contract, section 12.1)."""


def _sound_views(views: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(views) > _MOST:
        raise Fault(f"must be {_MOST} or fewer")
    for view in views:
        for name in ("name", "filter"):
            plain(view[name], _LONGEST)
        between(view["group"], 0, 3)
        if view["period"] not in _PERIODS and not re.fullmatch("[1-9][0-9]{0,4}", view["period"]):
            raise Fault(f"period: {one_of(_PERIODS)}, or a number of days")
    return views


_SETTINGS: Mapping[str, _Setting] = {
    "twenty_four_hours": _Setting(as_flag, _any),
    "sunday_starts_week": _Setting(as_flag, _any),
    "language": _Setting(as_text, _language),
    "date_format": _Setting(as_text, lambda text: plain(text, 50)),
    "number_format": _Setting(as_whole, _among(*thousands.MARKS, thousands.NONE)),
    "timezone": _Setting(as_text, _timezone),
    "widgets": _Setting(_widgets, _known_widgets),
    "views": _Setting(_views, _sound_views),
    "email_reports": _Setting(as_whole, _among(0, 1, 2, 3, 4)),
    "fewer_numbers": _Setting(as_flag, _any),
    "fewer_numbers_lock_until": _Setting(_moment, _any),
    "theme": _Setting(as_text, _among("", "light", "dark")),
    "datepicker": _Setting(as_flag, _any),
}
_KNOWN = frozenset(_SETTINGS)
