"""Passwords: hashed with argon2, which is slow on purpose because people choose passwords that can be
guessed.
"""


def hashed(password: str) -> str:
    """What is stored of a password. Takes some 50 ms of processor time."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - only sign-in and account creation need it

    return PasswordHasher().hash(password)


def fits(password: str, stored: str) -> bool:
    """Whether this is the password that `stored` was made from."""
    from argon2 import PasswordHasher  # noqa: PLC0415
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415

    try:
        return PasswordHasher().verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
