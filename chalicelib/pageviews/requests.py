"""What callers send, decoded into typed values or refused: the body of `POST /api/v0/count` and the query of `/count`.

The rules are those of the page-view contract, sections 1.7, 3.1 and 4.1. Nothing but `Invalid` ever leaves here.
"""

import json
import re
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from chalicelib.core.errors import Invalid

from . import scalars
from .bodies import CROWDED, MAX_INT, as_flag, as_list, as_object, as_text, as_whole, named, parse, refuse
from .texts import mended

MAX_HITS = 500
_TOO_MANY = f"maximum amount of pageviews in one batch is {MAX_HITS}"
_FILTERS = frozenset({"ip"})
MAX_FILTERS = 100


class RawHit(NamedTuple):
    """A hit as its sender gives it, with the right types and nothing else checked. Empty texts mean "not given"."""

    path: str = ""
    title: str = ""
    ref: str = ""
    query: str = ""
    user_agent: str = ""
    location: str = ""
    language: str = ""
    ip: str = ""
    session: str = ""
    event: bool = False
    bot: int = 0
    size: tuple[int, ...] = ()
    """Width first, cut to whole pixels."""
    created_at: float | None = None
    """Unix seconds; None: now."""


class CountBatch(NamedTuple):
    """The body of `POST /api/v0/count`."""

    hits: list[RawHit]
    no_sessions: bool = False
    filters: frozenset[str] = _FILTERS


class PixelView(NamedTuple):
    """The parameters of `/count`."""

    path: str = ""
    title: str = ""
    ref: str = ""
    query: str = ""
    event: bool = False
    no_session: bool = False
    bot: int = 0
    size: tuple[int, ...] = ()
    target_length: int = 0
    """Bytes of the request's target, which a refusal of a long path mentions."""


# --- the API's JSON -------------------------------------------------------------------------------------------------


def decode_batch(body: bytes) -> CountBatch:
    """The batch that a JSON body holds: 1 to 500 hits.

    Raises:
        Invalid: it is no JSON, of the wrong shape, holds an unknown key or filter, or no hits or too many.
    """
    crowd = _TOO_MANY if body.count(b"{") > MAX_HITS else CROWDED
    fields = named(as_object(parse(body, crowd), "the body"), _BATCH_KEYS)
    hits = as_list(fields.get("hits"), "hits")
    if not hits:
        raise Invalid("no hits")
    if len(hits) > MAX_HITS:
        raise Invalid(_TOO_MANY)
    batch = CountBatch(
        [_hit(index, value) for index, value in enumerate(hits)],
        as_flag(fields.get("no_sessions"), "no_sessions"),
        _filters(fields.get("filter")),
    )
    unknown = [name for name in batch.filters if name not in _FILTERS]
    if unknown:
        raise Invalid(f"unknown value in Filter: [{mended(' '.join(sorted(unknown))[:200])}]")
    return batch


_BATCH_KEYS = frozenset({"no_sessions", "filter", "hits"})
_TEXTS = RawHit._fields[:9]
_BLANKS = ("",) * len(_TEXTS)
_ALL_TEXT = {str}
_HIT_KEYS = frozenset(RawHit._fields)


def _hit(index: int, value: object) -> RawHit:
    fields = named(as_object(value, f"hits[{index}]"), _HIT_KEYS)
    get = fields.get
    texts = list(map(get, _TEXTS, _BLANKS))
    if set(map(type, texts)) != _ALL_TEXT:
        texts = [as_text(text, f"hits[{index}].{name}") for name, text in zip(_TEXTS, texts, strict=True)]
    event, bot, size, created_at = get("event"), get("bot"), get("size"), get("created_at")
    return RawHit._make(
        (
            *texts,
            event is not None and event is not False and _loose_flag(event, f"hits[{index}].event"),
            0 if bot is None else as_whole(bot, f"hits[{index}].bot"),
            () if size is None else _size(size, f"hits[{index}].size"),
            None if created_at is None else _moment(created_at, f"hits[{index}].created_at"),
        )
    )


_FLAGS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


def _loose_flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    if (type(value) is int and value in {0, 1}) or isinstance(value, str):
        found = _FLAGS.get(str(value)[:8].lower())
        if found is not None:
            return found
    return refuse(f"{what} must be true or false")


def _filters(value: object) -> frozenset[str]:
    if value is None:
        return _FILTERS
    names = as_list(value, "filter")
    if len(names) > MAX_FILTERS:
        refuse(f"filter must have at most {MAX_FILTERS} values")
    return frozenset(as_text(name, "filter") for name in names)


def _size(value: object, what: str) -> tuple[int, ...]:
    if isinstance(value, str):
        numbers = scalars.size(value)
    else:
        numbers = scalars.whole(value if isinstance(value, list) else [value])
    return refuse(f"{what} must be numbers") if numbers is None else numbers


def _moment(value: object, what: str) -> float | None:
    moment = scalars.moment(value) if isinstance(value, str) else None
    if moment is None:
        refuse(f"{what} must be a time like 2026-01-31T23:59:59Z")
    return None if moment == scalars.ZERO_TIME else moment


# --- the pixel's query ----------------------------------------------------------------------------------------------


def decode_view(parameters: Mapping[str, str], target_length: int = 0) -> PixelView:
    """The view that the query of `/count` speaks of; unknown parameters are ignored.

    `parameters` holds the first value of each key, decoded; `target_length` is the length of the request's target.

    Raises:
        Invalid: with the text for the `X-Goatcounter` header.
    """
    get = parameters.get
    return PixelView(
        path=get("p", ""),
        title=get("t", ""),
        ref=get("r", ""),
        query=get("q", ""),
        event=_parameter_flag("e", get("e")),
        no_session=_FLAGS.get(get("ns", "")[:8].lower(), False),
        bot=_parameter_bot(get("b", "")),
        size=_parameter_size(get("s", "")),
        target_length=target_length,
    )


def _parameter_flag(name: str, text: str | None) -> bool:
    if text is None:
        return False
    flag = _FLAGS.get(text[:8].lower())
    return _refuse_parameter(name, text, "true or false") if flag is None else flag


def _parameter_size(text: str) -> tuple[int, ...]:
    size = scalars.size(text)
    return _refuse_parameter("s", text, "numbers") if size is None else size


def _parameter_bot(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch("[+-]?[0-9]{1,10}", text) or abs(int(text)) > MAX_INT:
        _refuse_parameter("b", text, "a whole number")
    return int(text)


def _refuse_parameter(name: str, text: str, kind: str) -> NoReturn:
    shown = "".join(letter for letter in text[:40] if letter.isascii() and letter.isprintable())
    raise Invalid(f"error decoding parameters: {name}: {json.dumps(shown)} must be {kind}")
