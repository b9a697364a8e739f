"""How many histories Hypothesis makes up where a test takes them, and what it does about one that fails."""

import os

from hypothesis import HealthCheck, Phase, settings


def histories(examples: int) -> settings:
    """So many histories, or as many as `HISTORIES` says.

    One that fails is shown as it was found, for to shorten it takes as long as many others: with `SHRINK` it is.
    """
    shrink = "SHRINK" in os.environ
    return settings(
        max_examples=int(os.environ.get("HISTORIES", examples)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in Phase if shrink or phase is not Phase.shrink],
    )
