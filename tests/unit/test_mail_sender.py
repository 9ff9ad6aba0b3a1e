"""Whose mail it is: only addresses count, and only what our own mail server says about them."""

from email import message_from_string

import pytest

from connectors.mail_sender import senders_of, spoofed

OURS = "mx.buyer.example"


def headers(*lines: str):
    return message_from_string("\n".join([*lines, "", ""]))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("stock@acme.example", ("stock@acme.example",)),
        ("Acme <Stock@Acme.Example>", ("stock@acme.example",)),
        ('"stock@acme.example" <evil@attacker.example>', ("evil@attacker.example",)),
        ("=?utf-8?q?stock=40acme=2Eexample?= <evil@attacker.example>", ("evil@attacker.example",)),
        ("nobody", ()),
        ("", ()),
    ],
)
def test_the_address_counts_and_never_the_name_beside_it(written, found):
    assert senders_of(headers(f"From: {written}")) == found


def test_a_mail_without_a_sender_has_none():
    assert senders_of(headers("Subject: x")) == ()


def test_two_senders_are_both_told():
    assert senders_of(headers("From: a@x.example", "From: b@x.example")) == ("a@x.example", "b@x.example")


@pytest.mark.parametrize(
    "result",
    [
        f"{OURS}; dmarc=pass header.from=acme.example",
        f"{OURS} 1; spf=fail smtp.mailfrom=x.example; dmarc=pass (p=reject dis=none) header.from=ACME.example",
        f"{OURS}; dkim=pass header.d=acme.example header.s=k1",
        f"{OURS}; dkim=pass header.i=@acme.example",
        f"{OURS}; spf=pass (ok; really) smtp.mailfrom=bounce@acme.example",
    ],
)
def test_our_server_vouches_for_the_senders_domain(result):
    assert spoofed(headers(f"Authentication-Results: {result}"), ["stock@acme.example"], OURS) is None


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("mx.attacker.example; dmarc=pass header.from=acme.example",),
        (f"{OURS}; dmarc=fail header.from=acme.example",),
        (f"{OURS}; none",),
        (f"{OURS}; dmarc=pass header.from=attacker.example",),
        (f"{OURS}; dkim=pass header.d=attacker.example",),
        (f"{OURS}; spf=pass smtp.mailfrom=evil@acme.example.attacker.example",),
        (f"{OURS}; dmarc=fail header.from=acme.example; dkim=pass header.d=acme.example",),
        (f"{OURS}; dmarc=none", f"{OURS}; dmarc=pass header.from=acme.example"),
        (f"{OURS}; x=y (dmarc=pass header.from=acme.example)",),
        (f"{OURS}.attacker.example; dmarc=pass header.from=acme.example",),
        ("(" * 4000,),
        # what the sender chose (the envelope's address, quoted) is never read as a result of our server
        (f'{OURS}; spf=pass smtp.mailfrom="a; dmarc=pass header.from=acme.example; x"@attacker.example',),
        (f'{OURS}; spf=pass smtp.mailfrom="acme.example"@attacker.example',),
        (f'{OURS}; spf=pass smtp.mailfrom="x@acme.example"@attacker.example',),
        (f'{OURS}; spf=pass smtp.mailfrom="x\\" smtp.mailfrom=acme.example "@attacker.example',),
        (f'{OURS}; spf=pass smtp.mailfrom="never closed; dkim=pass header.d=acme.example',),
        (f'{OURS}; spf=pass reason="ok; dkim=pass header.d=acme.example" smtp.mailfrom=attacker.example',),
        (f"{OURS}; spf=pass (a (b smtp.mailfrom=x.example; dkim=pass header.d=acme.example",),
        (f"{OURS}; spf=pass (a) b) smtp.mailfrom=x.example; dkim=pass header.d=acme.example",),
        (f"{OURS}; dkim=pass header.d=acme.example@attacker.example",),
        (f"{OURS}; spf=pass smtp.mailfrom=a@acme.example smtp.mailfrom=x@attacker.example",),
        (f"{OURS}; dkim=pass header.d=acme.example; {'x=y; ' * 2000}dmarc=fail header.from=acme.example",),
    ],
)
def test_a_forged_missing_or_failed_result_is_a_finding_that_holds(lines):
    finding = spoofed(headers(*(f"Authentication-Results: {line}" for line in lines)), ["stock@acme.example"], OURS)
    assert finding is not None
    assert (finding.code, finding.severity) == ("MAIL-SPOOFED", "hold")
    assert "Authentication-Results" in finding.message


def test_microsoft_365_writes_its_results_without_a_name():
    said = "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=acme.example; dmarc=pass header.from=acme.example;compauth=pass"
    assert spoofed(headers(f"Authentication-Results: {said}"), ["stock@acme.example"], "microsoft365") is None
    named = f"Authentication-Results: mx.attacker.example; {said}"
    assert spoofed(headers(named), ["stock@acme.example"], "microsoft365") is not None
