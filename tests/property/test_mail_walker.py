"""The mail walker meets any bytes without an exception, and finds again what a mail was made of."""

from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from connectors.mail_parts import walk
from tests.fuzz import mail

names = st.text(
    st.characters(
        min_codepoint=33,
        max_codepoint=0x2FFF,
        blacklist_characters='/\\"',
        blacklist_categories=("Cs", "Cc", "Cf", "Zs", "Zl", "Zp", "Cn", "Co"),
    ),
    min_size=1,
    max_size=40,
).filter(lambda name: name.strip(".") and "=?" not in name)


@given(st.binary(max_size=3000))
def test_any_bytes_are_a_mail_of_some_kind(data):
    mail.one_mail(data)


def test_mails_of_broken_pieces_end_without_an_exception():
    assert mail.main(4000, 20261127) == 4000


@given(
    st.lists(st.tuples(names, st.binary(min_size=1, max_size=300)), min_size=1, max_size=4, unique_by=lambda one: one[0].lower())
)
def test_files_and_names_come_out_as_they_went_in(files):
    message = EmailMessage()
    message["From"] = "stock@acme.example"
    message.set_content("see attachment")
    for name, content in files:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    found = walk(message.as_bytes())
    assert [(part.name, part.content) for part in found.parts if part.name.lower() != "winmail.dat"] == [
        one for one in files if one[0].lower() != "winmail.dat"
    ]
