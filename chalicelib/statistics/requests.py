"""What callers of `/v1/api` send, decoded into typed values or refused by name: bodies, queries, headers, paths.

The rules are those of the statistics contract. Nothing but `Invalid` and `TooLarge` ever leaves here. Fields and
parameters that a call does not know are refused: a misspelt date would else count for today. What answers say of
objects may be sent back with them, and is passed over. Of a parameter that is given several times the last one counts.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from chalicelib.core import statistics
from chalicelib.core.crowds import crowded
from chalicelib.core.errors import Invalid, TooLarge
from chalicelib.core.pages import LARGEST_PAGE
from chalicelib.core.statistics import LARGEST_BATCH, Interval, Method, Once, Span, Update

Query = Mapping[str, Sequence[str]]
MOST_SENT = 120_000
"""Values of a body: who sends back a statistic that was answered sends the days of a century, each with two texts."""
MOST_UPDATED = 32_000
"""Values of a batch: updates have five each, and some of what answers say of statistics."""
_TOO_MANY = f"updates: must be at most {LARGEST_BATCH} in one request"
PAGE = 100
"""Entries of a page of a list, if none are asked for."""
MOST_DAYS = 36_600
"""Days of the longest range: a century."""
MOST_INTERVALS = 18_300
"""Days of the longest range that is told day by day with sum, mean and more: an answer of more is more than a function
may give.
"""
GROUP_IDS = re.compile(r"grp_[0-9a-z]{1,60}")
STATISTIC_IDS = re.compile(r"sta_[0-9a-z]{1,60}")
DOMAIN_IDS = re.compile(r"dom_[0-9a-z]{1,60}")
EXPORT_IDS = re.compile(r"exp_[0-9a-z]{1,60}")
_METHODS = {method.value: method for method in Method if method is not Method.CREATE}
_MOVES_BY_ONE = (Method.INCREMENT, Method.DECREMENT)
_TRUE, _FALSE = {"true", "True", "1"}, {"false", "False", "0", ""}
_ANSWERED = {"id", "object", "key", "statistics", "values", "created_at", "updated_at"}
"""Fields of objects in answers: whoever changes one and sends all of it back means the others no harm."""
_CREATED = {"group", "name", "value", "reference_date"}
_UPDATED = _CREATED | {"method"}
_ONCE = re.compile(r"[\x20-\x7e]{1,255}")
_LIMIT = re.compile(r"[0-9]{1,4}")


class Paging(NamedTuple):
    """Which page of a list is asked for."""

    limit: int
    after: str
    """The id to go on after; empty for the first page."""


class Asked(NamedTuple):
    """Which values of a statistic are asked for, and how they are put together."""

    span: Span | None
    """None: the newest ones."""
    interval: Interval | None


class Change(NamedTuple):
    """An update of what a path names, with what its body calls the same thing, if it does."""

    update: Update
    group: str | None
    name: str | None


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its names came twice."""

    repeated: str | None = None


# Bodies


def decode_name(body: bytes) -> str:
    """The name in the body of a call that creates or renames.

    Raises:
        Invalid: there is none, or it breaks the rules for names.
    """
    return statistics.name("name", _required(_object(_parse(body), {"name"}), "name"))


def decode_creation(body: bytes, today: str) -> Update:
    """The statistic that is to be created, as an update of its first day.

    Raises:
        Invalid: with the name of the field that is wrong.
    """
    fields = _object(_parse(body), _CREATED)
    return Update(
        group=statistics.name("group", _required(fields, "group")),
        statistic=statistics.name("name", _required(fields, "name")),
        method=Method.CREATE,
        value=statistics.number("value", _required(fields, "value")),
        day=_day(fields, today),
    )


def decode_change(body: bytes, group: str, statistic: str, today: str) -> Change:
    """The update of the statistic that a path names: by group and name, or by an id alone (then `group` is empty).

    Raises:
        Invalid: with the name of the field that is wrong.
    """
    fields = _object(_parse(body), _UPDATED)
    update = _update(
        fields,
        group=statistics.name("group", group) if group else "",
        statistic=statistics.name("name", statistic),
        today=today,
    )
    return Change(update, _same(fields, "group"), _same(fields, "name"))


def decode_batch(body: bytes, today: str) -> list[Update | Invalid]:
    """The updates of a batch in their order; in the place of one that is malformed, what is wrong with it.

    Raises:
        Invalid: there is no list of updates.
        TooLarge: there are more than 500.
    """
    if crowded(body, MOST_UPDATED):
        raise TooLarge(_TOO_MANY)
    given = _parse(body)
    entries = given if isinstance(given, list) else _required(_object(given, {"updates"}), "updates")
    if not isinstance(entries, list):
        raise Invalid("updates: must be an array")
    if len(entries) > LARGEST_BATCH:
        raise TooLarge(_TOO_MANY)
    return [_entry(entry, today) for entry in entries]


def decode_export(body: bytes) -> str:
    """The name or id of the group that is to be exported; empty for the whole domain.

    Raises:
        Invalid: the group is not named by a text, or the format is not CSV.
    """
    fields = _object(_parse(body), {"group", "format"})
    if fields.get("format", "csv") not in ("csv", None):
        raise Invalid("format: must be csv")
    group = fields.get("group")
    return "" if group is None else statistics.name("group", group)


def decode_safe(query: Query) -> bool:
    """Whether an export is to be safe to open in a spreadsheet.

    Raises:
        Invalid: `safe` says neither, or there are other parameters.
    """
    _only(query, {"safe"})
    given = _last(query, "safe") or ""
    if given not in _TRUE | _FALSE:
        raise Invalid("safe: must be true or false")
    return given in _TRUE


def _entry(entry: object, today: str) -> Update | Invalid:
    try:
        fields = _object(entry, _UPDATED, "update")
        return _update(
            fields,
            group=statistics.name("group", _required(fields, "group")),
            statistic=statistics.name("name", _required(fields, "name")),
            today=today,
        )
    except Invalid as error:
        return error


def _update(fields: Mapping[str, Any], *, group: str, statistic: str, today: str) -> Update:
    method = _method(fields)
    return Update(
        group=group,
        statistic=statistic,
        method=method,
        value=Decimal(1) if method in _MOVES_BY_ONE else statistics.number("value", _required(fields, "value")),
        day=_day(fields, today),
    )


def _method(fields: Mapping[str, Any]) -> Method:
    given = fields.get("method")
    if given is None:
        return Method.SET
    found = _METHODS.get(given) if isinstance(given, str) else None
    if found is None:
        raise Invalid(f"method: must be one of {', '.join(_METHODS)}")
    return found


def _day(fields: Mapping[str, Any], today: str) -> str:
    given = fields.get("reference_date")
    return today if given is None else statistics.day("reference_date", given)


def _same(fields: Mapping[str, Any], field: str) -> str | None:
    given = fields.get(field)
    return None if given is None else statistics.name(field, given)


def _required(fields: Mapping[str, Any], field: str) -> object:
    if field not in fields:
        raise Invalid(f"{field}: is required")
    return fields[field]


def _object(value: object, known: AbstractSet[str], what: str = "body") -> Mapping[str, Any]:
    if not isinstance(value, _Object):
        raise Invalid(f"{what}: must be a JSON object")
    if value.repeated is not None:
        raise Invalid(f"{_shown(value.repeated)}: is given more than once")
    for field, member in value.items():
        if field not in known | _ANSWERED:
            raise Invalid(f"{_shown(field)}: is no field of this call; it knows {', '.join(sorted(known))}")
        if isinstance(member, Decimal) and not member.is_finite():
            raise Invalid(f"{_shown(field)}: must be a finite number")
    return value


def _shown(field: str) -> str:
    """A field's name for a message: callers choose it."""
    return "".join(letter if letter.isprintable() else "?" for letter in field[:100])


def _parse(body: bytes) -> object:
    """What a JSON text holds, numbers exactly as they stand there; of nothing at all an object without fields."""
    if crowded(body, MOST_SENT):
        raise TooLarge(f"body: must hold at most {MOST_SENT} values")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Invalid("body: must be UTF-8") from None
    if not text.strip(" \t\r\n"):
        return _Object()
    try:
        return json.loads(
            text, parse_float=_decimal, parse_int=_decimal, parse_constant=Decimal, object_pairs_hook=_pairs
        )
    except RecursionError:
        raise Invalid("body: is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"body: is no JSON: {error.msg} at character {error.pos}") from None


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        # An exponent that even Decimal cannot hold. As small or large as can be is wrong enough to be refused.
        mantissa, _, exponent = digits.lower().partition("e")
        return Decimal(f"1e{exponent[:1]}1000000") if mantissa.strip("-0.") else Decimal(0)


def _pairs(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                found.repeated = name
            seen.add(name)
    return found


# Queries


def decode_paging(query: Query, ids: re.Pattern[str], *more: str) -> Paging:
    """Which page of a list is asked for; `ids` is what the ids of its entries look like, `more` are parameters that
    the list has besides.

    Raises:
        Invalid: `limit` or `after` cannot be read, or there is a parameter that the list does not have.
    """
    _only(query, {"limit", "after", *more})
    limit, after = _last(query, "limit"), _last(query, "after")
    if limit is not None and not (_LIMIT.fullmatch(limit) and 1 <= int(limit) <= LARGEST_PAGE):
        raise Invalid(f"limit: must be a whole number from 1 to {LARGEST_PAGE}")
    if after is not None and not ids.fullmatch(after):
        raise Invalid("after: must be the id of an entry of this list")
    return Paging(PAGE if limit is None else int(limit), after or "")


def decode_group(query: Query) -> str:
    """The name or id of the group that a list is about; empty for all.

    Raises:
        Invalid: it can be neither.
    """
    group = _last(query, "group")
    return "" if group is None else statistics.name("group", group)


def decode_asked(query: Query) -> Asked:
    """Which values of a statistic are asked for. Who gives one end of a range alone gets a century from there, or half
    of one in intervals of a day.

    Raises:
        Invalid: an end is no day, the range is longer than that, or there is no such interval.
    """
    _only(query, {"from", "to", "interval"})
    first, last, interval = (_last(query, name) for name in ("from", "to", "interval"))
    if interval is not None and interval not in set(Interval):
        raise Invalid(f"interval: must be one of {', '.join(Interval)}")
    most = MOST_INTERVALS if interval == Interval.DAY else MOST_DAYS
    span = None if first is None and last is None else _span(first, last, most)
    return Asked(span, None if interval is None else Interval(interval))


def _span(first: str | None, last: str | None, most: int) -> Span:
    begin = None if first is None else date.fromisoformat(statistics.day("from", first)).toordinal()
    end = None if last is None else date.fromisoformat(statistics.day("to", last)).toordinal()
    if begin is not None and end is not None:
        if end < begin:
            raise Invalid("to: must not be before from")
        if end - begin >= most:
            raise Invalid(f"to: must be less than {most} days after from")
    if begin is None:
        begin = max((end or 0) - most + 1, date.min.toordinal())
    if end is None:
        end = min(begin + most - 1, date.max.toordinal())
    return Span(date.fromordinal(begin).isoformat(), date.fromordinal(end).isoformat())


def decode_removal(query: Query) -> str | None:
    """The day whose value is to be deleted; None for the statistic as a whole.

    Raises:
        Invalid: neither is asked for, or both, or one cannot be read.
    """
    _only(query, {"reference_date", "purge"})
    given, purge = _last(query, "reference_date"), _last(query, "purge") or ""
    if purge not in _TRUE | _FALSE:
        raise Invalid("purge: must be true or false")
    if given is None and purge in _FALSE:
        raise Invalid("reference_date: is required, or purge=true to delete the statistic with every day's value")
    if given is not None and purge in _TRUE:
        raise Invalid("purge: deletes every day's value, so there must be no reference_date")
    return None if given is None else statistics.day("reference_date", given)


def following(query: Query, after: str) -> list[tuple[str, str]]:
    """The query that asks for the page after this one: all that was asked for, and where to go on."""
    kept = [(name, value) for name, values in query.items() for value in values if name != "after"]
    return [*kept, ("after", after)]


def _only(query: Query, known: AbstractSet[str]) -> None:
    for name in query:
        if name not in known:
            raise Invalid(f"{_shown(name)}: is no parameter of this call; it knows {', '.join(sorted(known))}")


def _last(query: Query, name: str) -> str | None:
    values = query.get(name)
    return values[-1] if values else None


# Headers


def decode_once(headers: Mapping[str, str], key: str, method: str, path: str, body: bytes) -> Once | None:
    """What makes a request count once: its idempotency key, for the key (by id) that it came with. None without one.

    Raises:
        Invalid: the header is none that can be told apart from others for sure.
    """
    given = headers.get("idempotency-key")
    if given is None:
        return None
    if not _ONCE.fullmatch(given):
        raise Invalid("Idempotency-Key: must have 1 to 255 printable ASCII characters")
    said = f"{method}\n{path}\n".encode(errors="surrogatepass") + body
    return Once(hashlib.sha256(f"{key}\n{given}".encode()).hexdigest(), hashlib.sha256(said).hexdigest())
