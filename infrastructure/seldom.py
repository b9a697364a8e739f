"""`countless paths purge --at-most-visits`: removes the paths that hardly anybody has seen, in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countless.printing import confirm, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.core.accounts import Site
    from chalicelib.core.redactions import Done
    from chalicelib.core.reports import Path

AT_ONCE = 10_000
"""Paths that go in one step: it reads the whole log, and names the paths in an item of 400 KB at most."""


def purge_seldom(
    site: Site,
    most: int,
    paths: Callable[[Site], Iterator[Path]],
    carry_out: Callable[..., Done],
    *,
    yes: bool,
) -> None:
    """Removes a site's paths that have so many visits at most, with all that was counted for them up to now.

    What comes in the meantime stays, and its path with it. The path that stands for all that there was no room for
    is none of them.
    """
    from chalicelib import wiring  # noqa: PLC0415 - reads its settings from the environment
    from chalicelib.core.names import OTHER  # noqa: PLC0415
    from chalicelib.core.wishes import Act  # noqa: PLC0415

    now = int(wiring.now())
    visits = wiring.tallies().paths(site.stream)
    every = list(paths(site))
    seldom = [path.id for path in every if path.path != OTHER and visits.get(path.id, 0) <= most]
    if not seldom:
        say("There is no such path.")
        return
    which = f"{len(seldom):,} of {len(every):,} paths of {site.code}, those with at most {_visits(most)}"
    if not yes:
        confirm(f"Remove {which}?")
    for start in range(0, len(seldom), AT_ONCE):
        carry_out(site, Act.PURGE, paths=tuple(seldom[start : start + AT_ONCE]), end=now)
        say(f"{min(start + AT_ONCE, len(seldom)):,} of {len(seldom):,} paths removed")


def _visits(number: int) -> str:
    return f"{number:,} visit{'' if number == 1 else 's'}"
