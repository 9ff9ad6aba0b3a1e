"""An HTTP connection that is ended when its request's headers do not come: the few there are stay free for those who send.

Never waits for ever for somebody who has shown no token yet; the waits for a body are `uploads`'s own.
"""

import asyncio
from typing import Any

HEADER_SECONDS = 15.0


def protocol() -> type[asyncio.Protocol]:
    """Return the class of the connections, for the server to make."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect_headers()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._expect_headers()

        def _expect_headers(self) -> None:
            self.loop.call_later(HEADER_SECONDS, self._end_if_waiting, self.cycle)

        def _end_if_waiting(self, cycle: object) -> None:
            if self.cycle is cycle and self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.close()

    return Impatient
