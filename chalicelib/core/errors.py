"""The family of problems that the core speaks of; each surface words them for its own clients.

CountlessError
├── Unauthenticated        no credential, or none that is known        (401, or 403 where a surface says so)
├── Forbidden              known, but not allowed to do this           (403)
├── NotFound               absent, or not the caller's                 (404)
├── Invalid                the request breaks a rule                   (400)
├── Taken                  what is to be made is there already         (409)
├── TooLarge               more in one request than may be             (413)
├── RateLimited            too many requests; says when to come back   (429)
├── Unavailable            a service we stand on cannot answer now     (503)
├── Uncertain              a write whose answer was lost               (500)
├── Conflict               somebody else wrote first; try again        (never leaves the process)
├── BrokenLog              the log contradicts itself                  (500, with an alarm)
├── Damaged                an operator's list that cannot be meant     (changes nothing, with an alarm)
└── Poison                 a message that no retry can mend            (parked in the dead-letter queue)
"""


class CountlessError(Exception):
    """The root of everything that we raise on purpose."""


class Unauthenticated(CountlessError):
    """No credential, a malformed one, or one that nobody knows. `reason` never repeats the credential."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Forbidden(CountlessError):
    """The caller is known and may not do this."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotFound(CountlessError):
    """There is no such thing, or it is not the caller's: the two are never told apart."""


class Invalid(CountlessError):
    """The request breaks a rule.

    Either one sentence (`message`), or for each field a list of them (`fields`); never both.
    """

    def __init__(self, message: str = "", fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(message or repr(fields))
        self.message = message
        self.fields = fields or {}


class Taken(CountlessError):
    """What is to be made is there already; the message says what, in a sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TooLarge(CountlessError):
    """More in one request than may be; the message says of what, and how much may be."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RateLimited(CountlessError):
    """The caller's window is used up.

    `limit` is its size, `reset` the seconds (a fraction) until it opens again, `name` that of its plan.
    """

    def __init__(self, limit: int, reset: float, name: str = "") -> None:
        super().__init__(f"{limit} requests are used up for another {reset:.1f} s")
        self.limit = limit
        self.reset = reset
        self.name = name


class Unavailable(CountlessError):
    """Something we stand on cannot answer now; nothing was accepted, the caller may try again."""


class Uncertain(CountlessError):
    """The answer of a write that must not be repeated was lost: it took effect once, or not at all."""


class Conflict(CountlessError):
    """A conditional write lost to another writer. Whoever raised it knows how to look again and retry."""


class BrokenLog(CountlessError):
    """The log contradicts itself: a gap in its numbers or a checksum that does not fit. Never skipped over."""


class Damaged(CountlessError):
    """A list that cannot be what its operator means; `line` says where, from 1, or is 0 for the whole of it."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {what}" if line else what)
        self.line = line


class Poison(CountlessError):
    """A message that can never be processed, however often it is delivered."""
