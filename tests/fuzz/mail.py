"""Mails made of broken pieces for the mail walker: no exception, no hang. `one_mail(data)` is one case, from any bytes.

`python -m tests.fuzz.mail RUNS SEED` makes cases from a seed and prints how many were run; the slowest is shown.
"""

import random
import sys
import time

from connectors.mail_parts import walk
from connectors.mail_sender import senders_of, spoofed

SLOWEST = 5.0  # seconds
_PIECES = [
    b"From: a@acme.example\r\n", b'From: "x" <a@acme.example>, b\r\n', b"Subject: =?x-nope?B?////?= =?utf-8?Q?=FF?=\r\n",
    b"MIME-Version: 1.0\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/mixed; boundary=\r\n",
    b"Content-Type: multipart/mixed\r\n", b"Content-Type: message/rfc822\r\n",
    b"Content-Type: message/partial; id=1; number=x\r\n",
    b"Content-Type: message/delivery-status\r\n",
    b"Content-Type: text/csv; charset*=x''%FF; name*1=a; name*0*=utf-8''%GG\r\n",
    b"Content-Type: application/ms-tnef; name=winmail.dat\r\n",
    b"Content-Disposition: attachment; filename*=''; filename=\"\\\"\r\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''st%6f; filename*1*=ck%2e; filename*2=csv\r\n",
    b"Content-Disposition: inline; filename==?utf-8?b?w6Qu?=\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n", b"Content-Transfer-Encoding: x-uuencode\r\n", b"\r\n", b"\n", b"\r", b"\0",
    b"--b\r\n", b"--b--\r\n", b"--\r\n", b"begin 644 x\r\n", b"#0V%T\r\nend\r\n", b"c2t1LGRlc2Ny\r\n", b"====\r\n", b"=\r\n=ZZ=41",
    b"\x78\x9f\x3e\x22\x01\x00\x01\x06\x90\x08\x00\x04\x00\x00\x00\x00\x00", b"\xff\xfe\xed", b"A" * 1200, b" folded\r\n", b":\r\n",
    b"Authentication-Results: mx.buyer.example; dmarc=pass (((( header.from=acme.example\r\n", b"Authentication-Results: ;;=;\r\n",
]  # fmt: skip


def one_mail(data: bytes) -> None:
    """Walk one mail as a supplier's server might send it; raises only if the walker does."""
    from email.parser import BytesHeaderParser
    from email.policy import compat32

    mail = walk(data)
    for part in mail.parts:
        assert isinstance(part.content, bytes)
        assert "/" not in part.name
        assert part.name
    headers = BytesHeaderParser(policy=compat32).parsebytes(data)
    spoofed(headers, senders_of(headers) or ("a@acme.example",), "mx.buyer.example")


def made(chance: random.Random) -> bytes:
    """One mail of pieces, some of them bent."""
    data = bytearray(b"".join(chance.choice(_PIECES) for _ in range(chance.randrange(1, 30))))
    for _ in range(chance.randrange(4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def main(runs: int, seed: int) -> int:
    """Run the cases; return how many there were. Raises at the first that fails, naming its number."""
    slowest = 0.0
    for number in range(runs):
        data = made(random.Random(f"{seed}-{number}"))
        began = time.monotonic()
        try:
            one_mail(data)
        except BaseException as error:
            error.add_note(f"seed {seed}, case {number}: {data!r}")
            raise
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < SLOWEST, slowest
    print(f"{runs} mails, seed {seed}, no exception, slowest {slowest:.3f} s")
    return runs


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
