"""`stockfeed channels`: where we sell, what would be sent, and a person's decisions about it.

Never sends anything: `stockfeed publish` does.
"""

import click

from stockfeed.cli.output import as_row, emit, emit_json, show_rows
from stockfeed.cli.session import Session, actor, instant, json_option, pass_session, reason_option

_LIST = (
    ("channel", "channel"), ("code", "channel"), ("kind", "kind"), ("state", "state"), ("approved_at", "approved"),
    ("paused_at", "paused"), ("listings", "listings"), ("pending", "pending"), ("held", "held"), ("failed", "failed"),
    ("reconciled_at", "reconciled"), ("last_error", "last error"),
)  # fmt: skip
_PREVIEW = (
    ("sku", "SKU"), ("location", "location"), ("shown", "shown now"), ("quantity", "would be"), ("held", "held"),
    ("cause", "cause"),
)  # fmt: skip


@click.group()
def channels() -> None:
    """Places where we sell.

    \b
    Example:
      stockfeed channels list
    """


@channels.command("list")
@json_option
@pass_session
def list_channels(session: Session, *, as_json: bool) -> None:
    """List the channels with their state.

    \b
    Example:
      stockfeed channels list
    """
    with session.app() as app:
        from stockfeed import reports

        show_rows(reports.channels(app), _LIST, as_json=as_json, nothing="No channels are configured.")


@channels.command()
@click.argument("channel")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="At most so many.")
@json_option
@pass_session
def preview(session: Session, channel: str, limit: int, *, as_json: bool) -> None:
    """Show what the next publish would change.

    \b
    Example:
      stockfeed channels preview shop --limit 20
    """
    with session.app() as app:
        from stockfeed.pipeline.preview import channel_preview

        found = channel_preview(app, channel, limit)
    if as_json:
        emit_json({"type": "preview", **found})
        return
    state = "paused" if found["paused"] else "approved" if found["approved"] else "not approved yet"
    emit(f"Channel {channel} ({state}): {found['waiting']:,} values wait, {found['held']:,} are held.")
    for finding in found["findings"]:
        emit(f"HOLD {finding['code']}: {finding['message']}")
    show_rows(found["items"], _PREVIEW, as_json=False, nothing="Nothing would change.")
    for hold in found["hold_ids"]:
        emit(f"To let it out: stockfeed channels approve {channel} --hold {hold} --reason …")


@channels.command()
@click.argument("channel")
@click.option("--hold", type=int, help="Let out what this hold keeps back; publish names it.")
@reason_option("approve it")
@json_option
@pass_session
def approve(session: Session, channel: str, hold: int | None, *, reason: str, as_json: bool) -> None:
    """Allow the first publish of a channel, or what a hold keeps back.

    \b
    Example:
      stockfeed channels approve shop --reason "preview looked right"
      stockfeed channels approve shop --hold 4 --reason "real sell-out"
    """
    with session.app() as app:
        from stockfeed.pipeline.channel_acts import approve_channel, release_publish_hold

        app.config.channel(channel)
        if hold is None:
            approve_channel(app, channel, actor=actor(), reason=reason)
            _told(channel, "approved", as_json=as_json)
        else:
            freed = release_publish_hold(app, hold, actor=actor(), reason=reason, channel=channel)
            _told(channel, "approved", as_json=as_json, waiting=freed)


@channels.command()
@click.argument("channel")
@reason_option("stop it")
@json_option
@pass_session
def pause(session: Session, channel: str, *, reason: str, as_json: bool) -> None:
    """Send nothing to a channel until it is resumed.

    \b
    Example:
      stockfeed channels pause shop --reason "price update running"
    """
    with session.app() as app:
        from stockfeed.pipeline.channel_acts import pause_channel

        app.config.channel(channel)
        pause_channel(app, channel, actor=actor(), reason=reason)
        _told(channel, "paused", as_json=as_json)


@channels.command()
@click.argument("channel")
@reason_option("go on")
@json_option
@pass_session
def resume(session: Session, channel: str, *, reason: str, as_json: bool) -> None:
    """Send to a paused channel again, with the quantities of that moment.

    \b
    Example:
      stockfeed channels resume shop --reason "price update done"
    """
    with session.app() as app:
        from stockfeed.pipeline.channel_acts import resume_channel

        app.config.channel(channel)
        waiting = resume_channel(app, channel, actor=actor(), reason=reason)
        _told(channel, "resumed", as_json=as_json, waiting=waiting)


@channels.command()
@click.argument("channel")
@click.option("--at", required=True, metavar="INSTANT", help='Go back to what was offered then, e.g. "2026-11-02T08:00Z".')
@reason_option("go back")
@json_option
@pass_session
def rollback(session: Session, channel: str, at: str, *, reason: str, as_json: bool) -> None:
    """Pause a channel and send what it was offered before.

    Of each listing the smaller of the earlier value and what is available
    now is sent: nothing is oversold.

    \b
    Example:
      stockfeed channels rollback shop --at 2026-11-02T08:00Z --reason "bad map"
    """
    moment = instant(at)
    with session.app() as app:
        from stockfeed.pipeline.channel_acts import rollback_channel

        app.config.channel(channel)
        result = rollback_channel(app, channel, actor=actor(), reason=reason, at=moment)
    if as_json:
        emit_json({"type": "rolled back", **as_row(result)})
    else:
        emit(f"Channel {channel} was rolled back and is paused: {result.sent:,} sent, {result.confirmed:,} confirmed.")


def _told(channel: str, act: str, *, as_json: bool, waiting: int | None = None) -> None:
    if as_json:
        emit_json({"type": act, "channel": channel, "waiting": waiting})
        return
    emit(f"Channel {channel} was {act}." + (f" {waiting:,} values wait for the next `stockfeed publish`." if waiting else ""))
