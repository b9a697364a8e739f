"""Visitor counters: what is asked for in their URLs, and how a number looks in each of the formats.

Page-view contract, section 5. Pages show them inside themselves, and style them by the ids of their elements.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from string import Template
from typing import TYPE_CHECKING, NamedTuple, NoReturn
from urllib.parse import unquote

import orjson

from chalicelib.core.errors import Invalid
from chalicelib.core.periods import DAY

from . import thousands

if TYPE_CHECKING:
    from chalicelib.core.accounts import Site

TOTAL = "TOTAL"
"""The name that asks for the whole site."""
CREDIT = "counted by Countless"
WIDTH, HEIGHT, HEIGHT_WITHOUT_CREDIT = 200, 80, 60
_AGO = {"week": 7, "month": 30, "year": 365}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PURPLE = "#9a15a4"


class Question(NamedTuple):
    """What a counter's URL asks for."""

    spellings: tuple[str, ...]
    """The path, in the order in which to look for it; none for the whole site."""
    extension: str
    start: int | None
    """In Unix seconds; None for the beginning."""
    end: int
    """Hours that begin later do not count."""
    span: str
    """Start and end as they were asked for."""
    style: str
    credit: bool
    """Whether the counter says who counts."""


def decode(target: str, query: Mapping[str, Sequence[str]], now: float) -> Question:
    """What a URL asks for; `target` is what follows `/counter/` in it. Unknown parameters are for caches.

    Some gateways hand paths over decoded and some do not: both readings are looked for.

    Raises:
        Invalid: the extension or a date, or the end is before the start.
    """
    given = {name: values[0] for name, values in query.items() if values}
    name, _, extension = target.rpartition(".") if "." in target else (target, "", "")
    if extension not in SHOWN:
        raise Invalid(f"unknown extension: {json.dumps(extension)}")
    names = tuple(dict.fromkeys((name, unquote(name))))
    spellings = tuple(dict.fromkeys((*names, *("/" + text.strip("/") for text in names))))
    start, end = given.get("start", ""), given.get("end", "")
    first = _start(start, now) if start else None
    last = _midnight("end", end, "a date (YYYY-MM-DD)") if end else None
    if first is not None and last is not None and last < first:
        raise Invalid(f"end: {json.dumps(end)} is before start: {json.dumps(start)}")
    return Question(
        spellings=() if name == TOTAL else spellings,
        extension=extension,
        start=first,
        end=int(now) if last is None else last,
        span=f"{start}/{end}",
        style=given.get("style", ""),
        credit=not given.get("no_branding"),
    )


def _start(text: str, now: float) -> int:
    if text in _AGO:
        return int(now) - _AGO[text] * DAY
    return _midnight("start", text, "a date (YYYY-MM-DD), week, month or year")


def _midnight(name: str, text: str, kind: str) -> int:
    if not _DATE.fullmatch(text):
        _refuse(name, text, kind)
    try:
        moment = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        _refuse(name, text, kind)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def _refuse(name: str, text: str, kind: str) -> NoReturn:
    raise Invalid(f"{name}: {json.dumps(text[:100])} is not {kind}")


def separator(site: Site) -> str:
    """What stands between the thousands of a site's numbers; a narrow space unless its settings say otherwise."""
    try:
        code = orjson.loads(site.user_defaults or "{}").get("number_format")
    except (orjson.JSONDecodeError, AttributeError):
        code = None
    return thousands.mark(code)


class Shown(NamedTuple):
    """A counter as it is sent."""

    body: str | bytes
    media_type: str


def show(asked: Question, number: str) -> Shown:
    """A number in the format that was asked for."""
    return SHOWN[asked.extension](asked, number)


def _as_json(_: Question, number: str) -> Shown:
    text = json.dumps(number, ensure_ascii=False)
    return Shown(f'{{"count_unique":{text}, "count":{text}}}\n', "application/json")


_HTML = Template("""\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$views</title>
<style>
html, body { margin: 0; padding: 0; height: 100%; background-color: #fff; color: $colour; }
body { box-sizing: border-box; border: 1px solid $colour; border-radius: .4em; overflow: hidden;
  text-align: center; font: 14px/1.35 sans-serif; padding-top: 4px; }
#gcvc-for, #gcvc-views, #gcvc-by { display: block; }
#gcvc-views { font-size: 20px; font-weight: bold; }
#gcvc-by { font-size: 11px; }
$style
</style></head>
<body><span id="gcvc-for">$for_</span><span id="gcvc-views">$views</span>$by</body></html>
""")


def _as_html(asked: Question, number: str) -> Shown:
    by = f'<span id="gcvc-by">{CREDIT}</span>' if asked.credit else ""
    # Text of a style element is taken as it is up to `</style`. A slash after a backslash is the same to CSS.
    style = _NOT_XML.sub("", asked.style).replace("</", "<\\/")
    page = _HTML.substitute(
        colour=_PURPLE, style=style, for_=html.escape(_label(asked)), views=html.escape(number), by=by
    )
    return Shown(page, "text/html;charset=utf-8")


_SVG = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" id="gcvc" width="$width" height="$height" viewBox="0 0 $width $height" \
role="img" aria-label="$for_ $views">
<style>
#gcvc-for, #gcvc-views, #gcvc-by { fill: $colour; font-family: sans-serif; text-anchor: middle; }
#gcvc-for { font-size: 14px; }
#gcvc-views { font-size: 20px; font-weight: bold; }
#gcvc-by { font-size: 11px; }
#gcvc-border { fill: #fff; stroke: $colour; }
$style
</style>
<rect id="gcvc-border" x=".5" y=".5" width="$inner_width" height="$inner_height" rx="6"/>
<text id="gcvc-for" x="50%" y="22">$for_</text>
<text id="gcvc-views" x="50%" y="47">$views</text>
$by</svg>
""")


def _as_svg(asked: Question, number: str) -> Shown:
    height = _height(asked)
    picture = _SVG.substitute(
        width=WIDTH,
        height=height,
        inner_width=WIDTH - 1,
        inner_height=height - 1,
        colour=_PURPLE,
        style=html.escape(_NOT_XML.sub("", asked.style), quote=False),
        for_=html.escape(_label(asked)),
        views=html.escape(number),
        by=f'<text id="gcvc-by" x="50%" y="69">{CREDIT}</text>\n' if asked.credit else "",
    )
    return Shown(picture, "image/svg+xml")


def _as_png(asked: Question, number: str) -> Shown:
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - few counters are pictures

    height = _height(asked)
    picture = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 0, WIDTH - 1, height - 1), radius=6, outline=_PURPLE)
    # The font knows no spaces but one.
    lines = [(_label(asked), 14, 17), (re.sub(r"\s", " ", number), 20, 40)]
    for text, size, middle in [*lines, (CREDIT, 11, 65)] if asked.credit else lines:
        draw.text((WIDTH / 2, middle), text, fill=_PURPLE, font=ImageFont.load_default(size), anchor="mm")
    file = io.BytesIO()
    picture.save(file, "PNG")
    return Shown(file.getvalue(), "image/png")


def _label(asked: Question) -> str:
    return "Views for this page:" if asked.spellings else "Views for this site:"


def _height(asked: Question) -> int:
    return HEIGHT if asked.credit else HEIGHT_WITHOUT_CREDIT


SHOWN = {"json": _as_json, "html": _as_html, "svg": _as_svg, "png": _as_png}
"""How a number is shown, by extension."""
