"""The control connection: replies of several lines, replies that never end, and commands that would be two."""

import socket

import pytest

from connectors.ftp_control import Control, Reply
from schemas.connections import Secret
from schemas.errors import ConfigError, PermanentError, TransientError


@pytest.fixture
def ends():
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def control(near: socket.socket, idle: float = 2.0, **clock) -> Control:
    return Control(near, "ftps://acme.example", idle, **clock)


@pytest.mark.parametrize(
    ("sent", "code", "lines"),
    [
        (b"220 ready\r\n", 220, (b"ready",)),
        (b"220\r\n", 220, (b"",)),
        (b"220 ready\n", 220, (b"ready",)),
        (b"220-one\r\ntwo\r\n220-three\r\n220 four\r\n", 220, (b"one", b"two", b"three", b"four")),
        (b"211-x\r\n 211 not yet\r\n211 end\r\n", 211, (b"x", b" 211 not yet", b"end")),
    ],
)
def test_a_reply_is_read_to_its_end_and_no_further(ends, sent, code, lines):
    near, far = ends
    far.sendall(sent + b"250 next\r\n")
    talk = control(near)
    assert talk.read_reply() == Reply(code, lines)
    assert talk.read_reply().code == 250


@pytest.mark.parametrize("sent", [b"22 ready\r\n", b"ready\r\n", b"920 x\r\n", b"2200 x\r\n", b"\r\n", b"220xready\r\n"])
def test_what_is_no_reply_is_named(ends, sent):
    near, far = ends
    far.sendall(sent)
    with pytest.raises(PermanentError, match="does not speak FTP"):
        control(near).read_reply()


def test_a_reply_that_drips_ends_with_the_time_for_it(ends):
    near, far = ends
    seconds = iter(range(100))

    def look_at_the_clock() -> float:
        far.sendall(b"x")  # there is always one more byte, so no single wait is long
        return float(next(seconds))

    with pytest.raises(TimeoutError):
        control(near, 30.0, monotonic=look_at_the_clock).read_reply()
    assert next(seconds) == 31


@pytest.mark.parametrize("argument", [b"a\r\nDELE b", b"a\nb", b"a\rb", b"a\0b"])
def test_an_argument_never_becomes_a_second_command(ends, argument):
    near, far = ends
    far.settimeout(0.05)
    with pytest.raises(PermanentError, match="FTP cannot carry"):
        control(near).command("RETR", argument)
    with pytest.raises(TimeoutError):
        far.recv(1)


def test_the_password_is_in_no_text_of_the_server_that_is_shown():
    near, far = socket.socketpair()
    with near, far:
        talk = control(near)
        talk.hide(Secret("pässword"))
        for shown in (Reply(530, ("no pässword".encode(),)), Reply(530, ("no pässword".encode("latin-1"),))):
            assert "ssword" not in talk.words(shown)


@pytest.mark.parametrize(
    ("code", "words", "error"),
    [(421, b"busy", TransientError), (450, b"busy", TransientError), (550, b"no such file", TransientError),
     (550, b"Permission denied", ConfigError), (553, b"Access is denied.", ConfigError), (502, b"unknown", PermanentError)],
)  # fmt: skip
def test_a_refusal_is_the_right_kind_of_error(ends, code, words, error):
    refused = control(ends[0]).refusal("x was refused", Reply(code, (words,)), "a\x1b[31m.csv")
    assert type(refused) is error
    assert refused.message.isprintable()
    assert refused.hint
