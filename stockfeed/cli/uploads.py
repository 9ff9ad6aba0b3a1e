"""`stockfeed serve-uploads`: the HTTP door for suppliers who push their files."""

import importlib
from pathlib import Path

import click

from stockfeed.cli.output import emit
from stockfeed.cli.session import Session, pass_session

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("serve-uploads")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8484, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--certificate", type=_FILE, help="PEM file: certificate and chain.")
@click.option("--key", type=_FILE, help="PEM file: its private key.")
@click.option("--behind-proxy", is_flag=True, help="A proxy in front speaks TLS.")
@pass_session
def serve_uploads(
    session: Session, host: str, port: int, certificate: Path | None, key: Path | None, *, behind_proxy: bool
) -> None:
    """Take files that suppliers push, until Ctrl-C.

    For feeds with the source "upload"; `stockfeed feeds token` makes a token.

    \b
    Example:
      stockfeed serve-uploads --port 8484
    """
    server = importlib.import_module("stockfeed.web.server")  # by name: the web stands beside the command line, not below it
    where = server.Listening(host, port, certificate, key, behind_proxy)
    where.check()
    where.check_free()
    with session.app() as app:
        uploads = {code: feed.source for code, feed in app.config.feeds.items() if feed.source.type == "upload"}
        feeds = [code for code, source in uploads.items() if source.options.get("tokens")]
        emit(
            f"Taking files for {', '.join(feeds) or 'no feed yet'} at http{'s' if certificate else ''}://{host}:{port}/v1/feeds/FEED/deliveries/NAME"
        )
        for closed in uploads.keys() - feeds:
            emit(f"{closed} has no `tokens` in its file: nobody can push to it. `stockfeed feeds token` makes one.")
        server.serve(app, where)
