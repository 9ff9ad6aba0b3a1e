"""Whether stock that grows too old everywhere at once is the suppliers' doing or ours."""

_OUTAGE_FEEDS = 3  # fewer feeds than this expiring together prove nothing about us


def is_outage(expired: int, feeds: int) -> bool:
    """Return whether `expired` feeds past their limit, of all `feeds` with stock, look like our own outage (DESIGN §3, Age).

    Over half of them, and at least three. Feeds that were judged stale before do not count as expired.
    """
    return expired >= _OUTAGE_FEEDS and 2 * expired > feeds
