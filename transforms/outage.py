"""When feeds that expire together mean that we stood still, not their suppliers. Never reads a clock."""

_FEWEST = 3  # fewer feeds than this expiring together prove nothing about us


def is_our_outage(expiring: int, dated: int) -> bool:
    """Return whether `expiring` of the `dated` feeds (those with any stock) reaching their age limit at once is our outage.

    Over half of all (DESIGN §3): then nothing expires until a person confirms it.
    """
    return expiring >= _FEWEST and 2 * expiring > dated
