"""What GoatCounter's own commands of v2.7.0 send, request by request (page-view contract, sections 8.4 and 8.5).

They keep no state of their own and believe what they are told, so this is all that there is to them.
"""

import csv
import json
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.clients.people import ask
from tests.front import Reply

BATCH = 500
"""Rows that the import command sends at once."""
COUNT, SITE_READ, STATS = 2, 8, 64
"""The permissions that the commands look for."""
PAGES = (("toprefs", 8), *((page, 4) for page in ("browsers", "systems", "sizes", "locations", "languages")))
"""What the dashboard asks for after totals and paths, with how many rows; campaigns come last."""
UNSET = "0001-01-01T00:00:00Z"
"""How a time looks that nobody has set."""
TRUE = frozenset({"y", "yes", "t", "true", "1", "on"})


class Failed(Exception):
    """The command has given up, and this is what it prints."""


@dataclass
class Commands:
    """The commands against a site, which goes by `url`. They end as soon as something is not as they expect it."""

    url: str
    token: str
    refused: Counter[str] = field(default_factory=Counter)
    """How often they were told to wait, by path."""
    answered: list[str] = field(default_factory=list)
    """What was asked for and answered, in order."""
    complaints: list[str] = field(default_factory=list)
    """What was wrong with single rows."""

    def dashboard(self, start: datetime, end: datetime) -> dict[str, Any]:
        """Ten requests, one after another; one that is refused for now is repeated at once. The figures, by page."""
        self._permitted(SITE_READ | STATS)
        query = f"start={start:%Y-%m-%dT%H:%M:%SZ}&end={end:%Y-%m-%dT%H:%M:%SZ}"
        found = {
            "total": self._get(f"/api/v0/stats/total?{query}"),
            "hits": self._get(f"/api/v0/stats/hits?limit=8&{query}"),
        }
        for page, limit in (*PAGES, ("campaigns", 4)):
            found[page] = self._get(f"/api/v0/stats/{page}?limit={limit}&{query}")
        return found

    def import_csv(self, lines: Iterable[str]) -> int:
        """Sends the rows of an export, by the five hundred; how many there were."""
        self._permitted(COUNT)
        rows = csv.reader(lines)
        if not next(rows)[0].startswith("2"):
            raise Failed("wrong version of the CSV file")
        sessions: dict[str, str] = {}
        hits: list[dict[str, Any]] = []
        sent = 0
        for row in rows:
            hits.append(_hit(row, sessions))
            if len(hits) == BATCH:
                sent += self._send(hits)
                hits = []
        return sent + self._send(hits)  # the last batch is sent even if it is empty: the service then says so

    def _permitted(self, permissions: int) -> None:
        found = self._get("/api/v0/me")["token"]
        if found["permissions"] & permissions != permissions:
            raise Failed("the API key lacks a permission")

    def _get(self, target: str) -> Any:
        while (reply := self._ask("GET", target)).status == 429:
            self.refused[target.partition("?")[0]] += 1
        if reply.status != 200:
            raise Failed(f"{target}: {reply.status}: {reply.text}")
        return reply.json()

    def _send(self, hits: list[dict[str, Any]]) -> int:
        body = json.dumps({"no_sessions": True, "filter": None, "hits": hits})
        while (reply := self._ask("POST", "/api/v0/count", body, {"X-Goatcounter-Import": "yes"})).status == 429:
            self.refused["/api/v0/count"] += 1
            time.sleep(int(reply.headers["x-rate-limit-reset"]))
        if reply.status == 400:
            self.complaints += {int(n): text for n, text in reply.json().get("errors", {}).items()}.values()
        elif reply.status not in (200, 202):
            raise Failed(f"{reply.status}: {reply.text}")
        return len(hits)

    def _ask(
        self, method: str, target: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        own = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        reply = ask(self.url, method, target, {**own, "User-Agent": "Go-http-client/1.1", **(headers or {})}, body)
        if reply.status != 429:
            self.answered.append(f"{method} {target.partition('?')[0]}")
        return reply


def _hit(row: list[str], sessions: dict[str, str]) -> dict[str, Any]:
    """A row of a CSV file as the import command sends it: every key is there; the scheme of the referrer is not."""
    path, title, event, agent, _, _, session, bot, ref, _, size, location, _, at = row
    fresh = sessions.setdefault(session, f"{secrets.randbits(63):x}-{secrets.randbits(63):x}")
    return {
        "path": path,
        "title": title,
        "event": event.lower() in TRUE,
        "ref": ref,
        "size": size,
        "query": "",
        "bot": int(bot),
        "user_agent": agent,
        "location": location,
        "ip": "",
        "created_at": at or UNSET,
        "session": fresh,
    }
