"""Page views as a busy site has them: few paths that most read, many that few do, and visitors who come once."""

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate

from chalicelib.core.events import Hit
from chalicelib.core.messages import Message

COUNTRIES = [f"{first}{second}" for first in "ABDEG" for second in "ABDEFGILMS"]
BROWSERS = [f"{name} {version}" for name in ("Chrome", "Firefox", "Safari", "Edge") for version in range(131, 142)]
SYSTEMS = ["Windows 10", "Windows 11", "macOS 10.15", "Android 14", "Android 15", "iOS 18.5", "iOS 26.1", "Linux"]
LANGUAGES = ["eng", "deu", "fra", "spa", "por", "nld", "jpn", "zho"]
REFERRERS = [("", "o")] * 5 + [("Google", "g")] * 3 + [(f"site-{i}.example/page", "h") for i in range(200)]
WIDTHS = [0, 360, 390, 412, 768, 1280, 1366, 1440, 1536, 1920, 2560]
RETURNING = 0.1
"""Share of views by somebody who was here before; all others are by somebody new."""


def _falling(count: int) -> list[float]:
    """Cumulative weights by Zipf's law: the second is half as frequent as the first, and so on."""
    return list(accumulate(1 / rank for rank in range(1, count + 1)))


class Traffic:
    """An endless supply of views; the same for the same seed."""

    def __init__(self, paths: int, seed: int = 1, *, listed: bool = False) -> None:
        """`listed`: exports may list each of them."""
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._paths = [f"/articles/{2000 + rank % 26}/{rank:05}-a-title" for rank in range(paths)]
        self._titles = {path: f"What there is to say about {path[-13:-8]}" for path in self._paths}
        self._weights = _falling(paths)
        agents = [(browser, system) for browser in BROWSERS for system in SYSTEMS]
        self._agents = self._random.sample(agents, 60)
        self._recent: list[int] = [1]
        self._listed = listed

    def hits(self, moments: Sequence[int]) -> list[Hit]:
        """One view for each moment."""
        count, choices = len(moments), self._random.choices
        paths = choices(self._paths, cum_weights=self._weights, k=count)
        agents = choices(self._agents, cum_weights=_falling(len(self._agents)), k=count)
        referrers = choices(REFERRERS, k=count)
        places = choices(COUNTRIES, cum_weights=_falling(len(COUNTRIES)), k=count)
        languages = choices(LANGUAGES, cum_weights=_falling(len(LANGUAGES)), k=count)
        widths = choices(WIDTHS, k=count)
        views = zip(paths, agents, referrers, places, languages, widths, moments, strict=True)
        return [
            Hit(
                path,
                self._titles[path],
                False,
                ref,
                scheme,
                "",
                browser,
                system,
                place,
                language,
                width,
                at,
                *self._visitor(),
                self._listed,
            )
            for path, (browser, system), (ref, scheme), place, language, width, at in views
        ]

    def lone(self, stream: str, moments: Sequence[int]) -> list[Message]:
        """The same, each in a message of its own."""
        return [self._message(stream, (hit,)) for hit in self.hits(moments)]

    def batch(self, stream: str, moments: Sequence[int]) -> Message:
        """The same, in one message."""
        return self._message(stream, tuple(self.hits(moments)))

    def day(self, start: int, views: int) -> list[int]:
        """When a day's views happen: at random, in order."""
        return sorted(self._random.choices(range(start, start + 86400), k=views))

    def _message(self, stream: str, hits: tuple[Hit, ...]) -> Message:
        return Message(self._random.getrandbits(63) or 1, hits[-1].at, stream, derived=False, hits=hits)

    def _visitor(self) -> tuple[int, int]:
        if self._random.random() < RETURNING:
            key = self._random.choice(self._recent)
        else:
            key = self._random.getrandbits(63) or 1
            if len(self._recent) > 5000:
                self._recent[self._random.randrange(5000)] = key
            else:
                self._recent.append(key)
        return key, key >> 1 or 1


def windows(moments: Sequence[int], seconds: int, pollers: int) -> Iterator[list[int]]:
    """Moments as a queue hands them over, in the order of the batches' ends.

    Pollers take messages in turn; each gathers for so many seconds from its first message on.
    """
    batches = [batch for poller in range(pollers) for batch in _windows(moments[poller::pollers], seconds)]
    return iter(sorted(batches, key=lambda batch: batch[-1]))


def _windows(moments: Sequence[int], seconds: int) -> Iterator[list[int]]:
    batch: list[int] = []
    for moment in moments:
        if batch and moment - batch[0] >= seconds:
            yield batch
            batch = []
        batch.append(moment)
    if batch:
        yield batch
