"""What can go wrong between a client and a Countless service; catch the level that you care about.

CountlessError
├── UnreachableError     no answer, or only 5xx, for as long as the caller's patience lasted
└── RefusedError         the service answered, and the answer is no
    ├── BadRequestError      the request breaks a rule                    (400, 405, 413, 415, …)
    ├── UnauthorizedError    no token, or one that the service does not know  (401)
    ├── ForbiddenError       the token may not do this                    (403)
    ├── NotFoundError        absent, or not the token's                   (404)
    ├── RateLimitedError     the wait asked for is longer than we accept  (429)
    └── UnexpectedError      not what the protocol says
"""


class CountlessError(Exception):
    """The root of everything that this library raises on purpose."""


class UnreachableError(CountlessError):
    """The service could not be reached, or only answered 5xx; whether it took the request is not known."""


class RefusedError(CountlessError):
    """The service answered with `status`, and said `message`; nothing of the request was done."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (status {status})")
        self.status = status
        self.message = message


class BadRequestError(RefusedError):
    """The request breaks a rule of the protocol or of a field."""


class UnauthorizedError(RefusedError):
    """There was no token, or the service does not know it."""


class ForbiddenError(RefusedError):
    """The token is known and lacks the permission."""


class NotFoundError(RefusedError):
    """There is no such thing, or this token may not see it."""


class RateLimitedError(RefusedError):
    """The service asks to wait `seconds`, which is longer than this client is willing to."""

    def __init__(self, status: int, message: str, seconds: int) -> None:
        super().__init__(status, message)
        self.seconds = seconds


class UnexpectedError(RefusedError):
    """An answer that the protocol does not know: often another server at that address, or a proxy's page."""


BY_STATUS: dict[int, type[RefusedError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
}
