"""A mail server on loopback: one mailbox over verified TLS, to which the demo's suppliers send. pymap speaks the protocol.

Never reachable from another machine, keeps nothing on disk, and takes mail from nobody but the demo.
"""

import asyncio
import ssl
import threading
from argparse import Namespace
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Self

USER = "stock@demo.example"
SIGNED_BY = "mx.demo.example"  # what stands in front of this server's own Authentication-Results


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a mail."""

    name: str
    content: bytes
    kind: tuple[str, str] = ("application", "octet-stream")


class MailServer:
    """The running server: a context manager. `port` is known while it runs."""

    def __init__(self, certificate: Path, password: str) -> None:
        self._certificate, self._password, self.port = certificate, password, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo-mail")
        self._login: Any = None
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._do(self._listen()).result(30)
        except BaseException:
            self._end_loop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._do(self._close()).result(30)
        self._end_loop()

    def deliver(self, sender: str, subject: str, *files: Attachment) -> None:
        """Put a mail into the inbox, as a server does that has checked its sender."""
        self._do(self._append(_mail(sender, subject, files))).result(30)

    def _do(self, work: Any) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        from proxyprotocol.reader import ProxyProtocolReader
        from pymap.backend.dict import DictBackend
        from pymap.imap import IMAPServer

        # its TLS is STARTTLS only: here the listening socket itself speaks TLS, as mailboxes do on port 993
        options = Namespace(debug=False, passlib_cfg=None, proxy_protocol=None, host=None, port=0, cert=None, key=None, tls=False)
        options.demo_data, options.demo_user, options.demo_password = False, USER, self._password
        backend, config = await DictBackend.init(options, reject_dnsbl=False)
        config.apply_context()
        self._login = backend.login
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        answer = ProxyProtocolReader(config.proxy_protocol).get_callback(IMAPServer(backend.login, config))
        self._server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _append(self, mail: EmailMessage) -> None:
        from pymap.parsing.message import AppendMessage

        async with self._login.demo_user_identity.new_session() as session:
            inbox = await session.mailbox_set.get_mailbox("INBOX")
            await inbox.append(AppendMessage(mail.as_bytes(), datetime.now(UTC), frozenset()), recent=True)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)


def _mail(sender: str, subject: str, files: tuple[Attachment, ...]) -> EmailMessage:
    domain = sender.partition("@")[2]
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, USER, subject
    mail["Message-ID"] = f"<{datetime.now(UTC):%Y%m%d%H%M%S.%f}@{domain}>"
    mail["Authentication-Results"] = f"{SIGNED_BY}; dmarc=pass header.from={domain}; spf=pass smtp.mailfrom={sender}"
    mail.set_content("Please find our stock attached.\n")
    for file in files:
        mail.add_attachment(file.content, maintype=file.kind[0], subtype=file.kind[1], filename=file.name)
    return mail
