"""Links by which whoever gets reports by mail stops them, without signing in (RFC 2369, RFC 8058)."""

from collections.abc import Iterable, Mapping

from chalicelib.core import links
from chalicelib.core.accounts import User

PATH = "/reports/{account}/{user}/stop"
_LASTING = 366 * 86400
"""Seconds for which a link is good: mails are kept, and looked at again."""
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Reports</title></head>
<body>
{}
</body>
</html>
"""
ASK = _PAGE.format('<form method="post">\n<p>Stop the reports that you are mailed?</p>\n<button>Stop</button>\n</form>')
"""Mail programs load links ahead of their time: only a click on the button stops anything."""
DONE = _PAGE.format("<p>You will be mailed no more reports.</p>")
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def link(key: bytes, base: str, user: User, now: float) -> str:
    """Where a user stops the reports; `base` is where clients reach the deployment."""
    path = _path(user.account, str(user.id))
    return f"{base.rstrip('/')}{path}?{links.sign(key, path, int(now) + _LASTING)}"


def holds(keys: Iterable[bytes], account: str, user: str, query: Mapping[str, str], now: float) -> bool:
    """Whether a link is one that was made for this very user, and is still good."""
    return links.holds(keys, _path(account, user), query, now)


def headers(link: str) -> dict[str, str]:
    """What a mail says to programs that have a button for it; nothing without a link. One click is for HTTPS alone."""
    if not link:
        return {}
    named = {"List-Unsubscribe": f"<{link}>"}
    return {**named, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"} if link.startswith("https://") else named


def _path(account: str, user: str) -> str:
    return PATH.format(account=account, user=user)
