"""The signature of OAuth 1.0a: what we sign is what a library that has nothing to do with our code would sign."""

from urllib.parse import urlencode

from hypothesis import example, given
from hypothesis import strategies as st
from oauthlib import oauth1

from connectors.addresses import parse_address
from connectors.oauth_signature import OauthKeys, oauth_header
from schemas.connections import Secret

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
KEY = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@given(
    fields=st.lists(st.tuples(TEXT, TEXT), max_size=5),
    keys=st.tuples(KEY, KEY, KEY, KEY),
    port=st.sampled_from(["", ":8443", ":443"]),
)
@example(fields=[("fields", "items[id,sku],total_count"), ("a", ""), ("a", " +%~/é")], keys=("k&", "s=", "t%", "u+"), port="")
def test_the_header_is_the_one_of_an_independent_library(fields, keys, port):
    query = urlencode(fields)
    url = f"https://Shop.example{port}/rest/all/V1/products" + (f"?{query}" if query else "")
    consumer_key, consumer_secret, token, token_secret = keys
    ours = oauth_header(
        OauthKeys(consumer_key, Secret(consumer_secret), Secret(token), Secret(token_secret)),
        parse_address(url),
        "nonce",
        1_790_000_000,
    )
    client = oauth1.Client(
        consumer_key, consumer_secret, token, token_secret, signature_method=oauth1.SIGNATURE_HMAC_SHA256, nonce="nonce",
        timestamp="1790000000",
    )  # fmt: skip
    theirs = client.sign(url)[1]["Authorization"]
    assert sorted(ours.removeprefix("OAuth ").split(", ")) == sorted(theirs.removeprefix("OAuth ").split(", "))


def test_no_secret_is_in_the_header_or_the_keys_representation():
    keys = OauthKeys("consumer", Secret("consumer-secret"), Secret("token"), Secret("token-secret"))
    header = oauth_header(keys, parse_address("https://shop.example/rest/all/V1/products"), "n", 1)
    assert "secret" not in header
    assert "token-secret" not in repr(keys)
    assert "consumer-secret" not in repr(keys)
