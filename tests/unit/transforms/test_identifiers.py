"""SKUs that must survive, SKUs that must not, and GTINs."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.identifiers import parse_gtins, parse_skus
from transforms.lookalikes import lookalike_groups

SURVIVORS = ["NA", "N/A", "NULL", "null", "None", "NaN", "nan", "-nan", "#N/A", "n/a", "<NA>", "001", "00123", "1E5", "1E400",
    "MARCH1", "True", "FALSE", "é", "e\u0301", "9007199254740993", "45352", "1.10", "=A7", "'; DROP TABLE inventory; --",
    "1-MAR", "MAR-1", "1.2E5", "АВ-1", "AB‑1", "ＡＢ－１", "漢方茶 209g", "A B", "-", "0"]  # fmt: skip


@pytest.mark.parametrize("sku", SURVIVORS)
def test_a_legal_sku_survives_byte_for_byte(sku: str) -> None:
    parsed = parse_skus(pl.Series([f" \t{sku} "]))
    assert parsed.problems.height == 0
    assert parsed.values[0].encode() == sku.encode()


@pytest.mark.parametrize(
    ("sku", "code"),
    [
        ("", "SKU-BLANK"),
        (" \t ", "SKU-BLANK"),
        ("1.23457E+12", "SKU-EXCEL"),
        ("1,23457E+12", "SKU-EXCEL"),
        ("1.00E+10", "SKU-EXCEL"),
        ("1-Mar", "SKU-EXCEL"),
        ("01-Mar-26", "SKU-EXCEL"),
        ("Mar-01", "SKU-EXCEL"),
        ("2026-03-01 00:00:00", "SKU-EXCEL"),
        ("2026-03-01", "SKU-EXCEL"),
        ("123456789012345000", "SKU-EXCEL"),
        ("AB\u200b-1", "SKU-INVISIBLE"),
        ("AB-1\u00a0", "SKU-INVISIBLE"),
        ("AB-1\u202e", "SKU-INVISIBLE"),
        ("AB\u00ad1", "SKU-INVISIBLE"),
        ("A\tB", "SKU-INVISIBLE"),
        ("A\nB", "SKU-INVISIBLE"),
        ("\ue000", "SKU-INVISIBLE"),
        ("\ufeffA", "SKU-INVISIBLE"),
        ("A\ufffd", "SKU-INVISIBLE"),
        ("ㅤA\u3164", "SKU-INVISIBLE"),
        ("x" * 201, "SKU-LONG"),
    ],
)
def test_a_sku_that_cannot_be_a_key_is_rejected_with_its_reason(sku: str, code: str) -> None:
    parsed = parse_skus(pl.Series(["A1", sku]))
    assert parsed.problems.select("at", "code", "severity").rows() == [(1, code, "row")]
    assert parsed.values.to_list() == ["A1", None]


def test_every_problem_of_a_sku_is_reported() -> None:
    assert sorted(parse_skus(pl.Series(["\u200b" + "x" * 201])).problems["code"]) == ["SKU-INVISIBLE", "SKU-LONG"]


@given(st.text(st.characters(categories=["L", "Nd", "Pd"], exclude_characters="\u115f\u1160\u3164\uffa0"), min_size=1, max_size=12))
def test_letters_and_digits_of_any_script_are_never_changed(sku: str) -> None:
    parsed = parse_skus(pl.Series([sku]))
    assert parsed.values[0] in {sku, None}
    assert set(parsed.problems["code"]) <= {"SKU-EXCEL"}


@pytest.mark.parametrize(
    ("text", "gtin"),
    [
        ("4006381333931", "04006381333931"),
        ("100000000007", "00100000000007"),
        ("'100000000007", "00100000000007"),
        ("1 00000 00000 7", "00100000000007"),
        ("978-3-16-148410-0", "09783161484100"),
        ("10000069", "00000010000069"),
        ("10000000001431", "10000000001431"),
        ("", None),
    ],
)
def test_a_right_gtin_is_fourteen_digits(text: str, gtin: str | None) -> None:
    parsed = parse_gtins(pl.Series([text]))
    assert (parsed.values[0], parsed.problems.height) == (gtin, 0)


@pytest.mark.parametrize("text", ["4006381333932", "123", "4.00638E+12", "abc", "400638133393", "4006381333931.0", "٤٠٠٦٣٨١٣٣٣٩٣١"])
def test_a_wrong_gtin_is_noted_and_null_or_rejects_the_row(text: str) -> None:
    for policy, severity in (("note", "note"), ("reject", "row")):
        parsed = parse_gtins(pl.Series(["4006381333931", text]), policy)
        assert parsed.values.to_list() == ["04006381333931", None]
        assert parsed.problems.select("at", "value", "code", "severity").rows() == [(1, text, "GTIN-CHECK", severity)]


@given(st.integers(0, 10**13 - 1))
def test_exactly_one_check_digit_is_right(body: int) -> None:
    digits = f"{body:013d}"
    weighted = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(digits))
    right = digits + str(-weighted % 10)
    parsed = parse_gtins(pl.Series([digits + str(d) for d in range(10)]))
    assert parsed.values.drop_nulls().to_list() == [right]


def test_keys_that_look_alike_are_grouped_and_never_others() -> None:
    keys = pl.Series(["AB-1", "ab-1", "ＡＢ－１", "é", "e\u0301", "x", None, "x", "straße", "STRASSE"])
    groups = lookalike_groups(keys).group_by("group").agg(pl.col("key").sort()).sort("group")
    assert groups["key"].to_list() == [["AB-1", "ab-1", "ＡＢ－１"], ["STRASSE", "straße"], ["e\u0301", "é"]]
    assert lookalike_groups(pl.Series(["a", "b"])).is_empty()
