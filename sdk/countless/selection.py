"""Decides which requests of a web server's log are page views: what a person asked for and got to see."""

from countless.lines import Line, Reason

PARTS: dict[str, tuple[str, ...]] = {
    "styles, scripts and their data": ("css", "js", "mjs", "map", "json", "wasm", "webmanifest"),
    "images": ("png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "bmp", "ico", "cur", "tif", "tiff"),
    "fonts": ("ttf", "otf", "woff", "woff2", "eot"),
    "sound": ("mp3", "m4a", "ogg", "oga", "opus", "wav", "flac", "aac"),
    "film": ("mp4", "m4v", "ogv", "avi", "mov", "mkv", "webm", "flv", "swf"),
    "feeds and site maps": ("xml", "rss", "atom", "xsl", "xslt"),
}
"""Endings of files that a page loads or a program fetches; documents (pdf, txt, zip) are content."""

ROBOTS_FILES = frozenset({"robots.txt", "ads.txt", "app-ads.txt"})
WELL_KNOWN = "/.well-known/"

_ENDINGS = frozenset(ending for endings in PARTS.values() for ending in endings)

_NOT_MODIFIED = 304


def exclusion(line: Line) -> Reason | None:
    """Why this line is no page view, or None if it is one; the first reason that applies.

    Page views are GET requests answered with 2xx or 304 (seen from a browser's cache) for a path that neither
    ends in one of `PARTS`, nor is one of `ROBOTS_FILES`, nor lies below `WELL_KNOWN`; these in any case.
    """
    if line.method != "GET":
        return Reason.METHOD
    if not 200 <= line.status <= 299 and line.status != _NOT_MODIFIED:
        return Reason.STATUS
    return Reason.STATIC if _is_static(line.path.lower()) else None


def _is_static(path: str) -> bool:
    name = path.rpartition("/")[2]
    _, dot, ending = name.rpartition(".")
    return (bool(dot) and ending in _ENDINGS) or name in ROBOTS_FILES or path.startswith(WELL_KNOWN)
