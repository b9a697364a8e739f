"""How the paths of pages and the names of events are stored (page-view contract, section 7.1)."""

import re
from urllib.parse import parse_qsl, urlencode

from .texts import BLANKS, NO_UTF8, remembered, storable

NO_EVENT_NAME = "(no event name)"

_LONGEST = 16_384

_OFFLINE_READER = re.compile(r"/storage/emulated/0/Android/data/jonas\.tool\.saveForOffline/files/[^/]+/")
_ARCHIVE = re.compile(r"/web/20[0-9]{2,12}(?:[a-z]{2}_)?/https?:/{1,2}[^/?]*")
_NOISE = frozenset({
    "fbclid", "ref", "mc_cid", "mc_eid", "gclid", "nsukey", "isappinstalled", "__cf_chl_captcha_tk__",
    "__cf_chl_jschl_tk__", "continueFlag", "_x_tr_sl", "_x_tr_hl", "_x_tr_pto", "_x_tr_tl",
})  # fmt: skip
_SHARED_FROM = frozenset({"singlemessage", "groupmessage"})


@remembered(4096)
def page(path: str) -> str:
    """A page's path: one leading slash, none trailing, and a query without what trackers add.

    What validation will refuse stays as it is: what is empty, far too long, or cannot be stored.
    """
    path = path.strip()
    if not path or len(path) > _LONGEST or not storable(path):
        return path
    path = _without_wrapping(_slashed(path)).rstrip("?&/" + BLANKS)  # in one pass: what was behind one may be another
    path, _, query = path.partition("?")
    kept = _kept(query) if query else ""
    return _slashed(f"{path}?{kept}" if kept else path)


@remembered(1024)
def event(name: str) -> str:
    """An event's name: without leading slashes, and never empty."""
    return name.lstrip("/" + BLANKS).rstrip() or NO_EVENT_NAME


def ignored(path: str) -> bool:
    """Whether a normalised path is one that nobody wants to see counted; the hit is dropped silently."""
    return path == "/favicon.ico" or path.startswith("/servlet/redirect.srv/") or "<html>" in path or "<HTML>" in path


def _slashed(path: str) -> str:
    """One leading slash, no trailing one; blanks at the ends go as well."""
    return "/" + path.strip("/" + BLANKS)


def _without_wrapping(path: str) -> str:
    """The path that an offline reader or a web archive has wrapped in one of its own."""
    if found := _OFFLINE_READER.match(path):
        path = "/" + path[found.end() :]
    while found := _ARCHIVE.match(path):
        path = _slashed(path[found.end() :])
    return path


def _kept(query: str) -> str:
    """The query, encoded anew with sorted keys, without what is noise; the values of one key keep their order.

    Escapes that are no UTF-8 stay.
    """
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True, errors=NO_UTF8) if not _noise(*pair)]
    return urlencode(sorted(pairs, key=lambda pair: pair[0]), errors=NO_UTF8)


def _noise(key: str, value: str) -> bool:
    return key in _NOISE or key.startswith("utm_") or (key == "from" and value in _SHARED_FROM)
