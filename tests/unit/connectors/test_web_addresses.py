"""Which web addresses are ever asked: S07's forms of a URL, and the networks behind a name."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.addresses import AllowList, follow, parse_address, parse_host, refusal
from schemas.errors import PermanentError, TransientError

DOUBTFUL = [
    "httpſ://good.example/",
    "https://\u212aelvin.example/",
    "https://good.example:４４３/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://0x7f.0.0.1/",
    "http://127.0.0.0x1/",
    "http://127.0.0.1.1/",
    "http://1.2.3.256/",
    "http://acme@evil.example/",
    "http://acme:secret@evil.example/",
    "http://good.example\\@evil.example/",
    "http://good.example\\.evil.example/",
    "http://evil.example#@good.example/",
    "http://good.example /x",
    "http://good.example/a b",
    "http://good.example\t/",
    "http://good.example\r\n/",
    "http:// good.example/",
    "http://①②⑦.0.0.1/",
    "http://ⓛocalhost/",
    "http://%31%32%37.0.0.1/",
    "http://good.example:0/",
    "http://good.example:65536/",
    "http://good.example:-1/",
    "http://good.example:8x/",
    "http://[::1",
    "http://[fe80::1%25eth0]/",
    "http://[::g]/",
    "http:///path",
    "http://",
    "//good.example/",
    "good.example/x",
    "/x",
    "",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/_x",
    "ftp://good.example/x",
    "dict://127.0.0.1:11211/",
    "javascript:alert(1)",
    "data:,x",
    "http:good.example/",
    "http:/good.example/",
    "http://good..example/",
    "http://.good.example/",
    "http://good.example./",
    "http://-good.example/",
    "http://good.example/\x00",
    "http://good.example/é",
    "https://good.example/#part",
]


@pytest.mark.parametrize("url", DOUBTFUL)
def test_a_doubtful_address_is_refused(url):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://Files.Acme.Example", ("https", "files.acme.example", 443, "/")),
        ("HTTPS://files.acme.example:8443/a%20b.csv?x=1&y=%2F", ("https", "files.acme.example", 8443, "/a%20b.csv?x=1&y=%2F")),
        ("http://127.0.0.1:80/x", ("http", "127.0.0.1", 80, "/x")),
        ("https://[2001:DB8::1]:444?x", ("https", "2001:db8::1", 444, "/?x")),
        ("https://xn--bcher-kva.example/x@y", ("https", "xn--bcher-kva.example", 443, "/x@y")),
    ],
)
def test_a_plain_address_is_taken_as_written(url, parts):
    address = parse_address(url)
    assert (address.scheme, address.host, address.port, address.target) == parts


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_an_error_of_value(text):
    for prefix in ("", "https://", "https://good.example/", "https://good.example:"):
        try:
            address = parse_address(prefix + text)
        except ValueError:
            continue
        assert (prefix + text).isascii()
        assert address.host
        assert "@" not in address.authority


def test_the_query_is_never_shown():
    address = parse_address("https://acme.example/stock.csv?token=canary-1")
    assert "canary" not in address.shown
    assert address.file_name == b"stock.csv"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/b.csv", "https://acme.example:8443/b.csv"),
        ("c.csv", "https://acme.example:8443/a/c.csv"),
        ("../d.csv#part", "https://acme.example:8443/d.csv"),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example/x", "http://other.example/x"),
    ],
)
def test_a_redirect_leads_where_a_browser_would_go(location, shown):
    assert follow(parse_address("https://acme.example:8443/a/b.csv?x=1"), location).shown == shown


@pytest.mark.parametrize("location", [url for url in DOUBTFUL if "://" in url and "#" not in url])
def test_a_redirect_to_a_doubtful_address_is_refused(location):
    with pytest.raises(PermanentError, match="not a plain web address") as caught:
        follow(parse_address("https://acme.example/"), location)
    assert "secret" not in str(caught.value)


def test_hosts_of_the_list_count_with_their_port():
    allowed = AllowList(("acme.example", 8443), (parse_host("cdn.example"), parse_host("files.example:444")))
    admitted = {
        url: allowed.admits(parse_address(url))
        for url in (
            "https://acme.example:8443/",
            "https://acme.example/",
            "https://cdn.example/",
            "http://cdn.example/",
            "https://cdn.example:22/",
            "https://files.example:444/",
            "https://files.example/",
            "https://acme.example.evil.example:8443/",
            "https://evil.example/",
        )
    }
    assert [url for url, yes in admitted.items() if yes] == [
        "https://acme.example:8443/",
        "https://cdn.example/",
        "http://cdn.example/",
        "https://files.example:444/",
    ]


NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "168.63.129.16",
    "100.100.100.200",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "2001:0:1::1",
    "::127.0.0.1",
]
INSIDE = [
    "127.0.0.1",
    "127.255.0.1",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "fc00::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "0.1.2.3",
    "198.18.0.1",
    "192.0.2.1",
    "2001:db8::1",
]
PUBLIC = ["93.184.216.34", "8.8.8.8", "172.32.0.1", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]


def test_networks_are_told_apart():
    judged = {
        text: tuple(refusal(ipaddress.ip_address(text), private=p) is None for p in (False, True))
        for text in NEVER + INSIDE + PUBLIC
    }
    assert judged == dict.fromkeys(NEVER, (False, False)) | dict.fromkeys(INSIDE, (False, True)) | dict.fromkeys(
        PUBLIC, (True, True)
    )


def answers(*ips):
    return lambda _host, port: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ips]


def test_one_inner_address_among_public_ones_is_enough_to_refuse():
    allowed = AllowList(("acme.example", 443))
    assert allowed.resolve(parse_address("https://acme.example/"), answers("8.8.8.8", "8.8.8.8", "8.8.4.4")) == [
        "8.8.8.8",
        "8.8.4.4",
    ]
    with pytest.raises(PermanentError, match="a private network"):
        allowed.resolve(parse_address("https://acme.example/"), answers("8.8.8.8", "10.0.0.1"))


def test_only_the_sources_own_host_may_be_private():
    allowed = AllowList(("intranet.example", 443), (("cdn.example", None),), private=True)
    assert allowed.resolve(parse_address("https://intranet.example/"), answers("10.0.0.1")) == ["10.0.0.1"]
    for url, remedy in (
        ("https://cdn.example/", "Only the source's own host"),
        ("https://intranet.example:444/", "Add it to `hosts`"),
    ):
        with pytest.raises(PermanentError, match=r"(?i)nothing was sent") as caught:
            allowed.resolve(parse_address(url), answers("10.0.0.1"))
        assert caught.value.hint.startswith(remedy)  # `private_host` is set already


def test_an_unknown_name_is_worth_another_try():
    def unknown(_host, _port):
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(TransientError, match=r"acme\.example: the host name is not known"):
        AllowList(("acme.example", 443)).resolve(parse_address("https://acme.example/"), unknown)
