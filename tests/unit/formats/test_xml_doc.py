"""Small XML documents: what is read whatever the prefixes, and what is refused."""

import io

import pytest

from schemas.errors import ConfigError, DeliveryError
from transforms.formats import xml_doc
from transforms.formats.document_options import XmlOptions

STOCK = b"""<?xml version="1.0"?>
<s:stock xmlns:s="urn:one" xmlns="urn:two">
  <s:item id="7"><sku> 001 </sku><q unit="EA">5</q><price t="01">1</price><price t="02">2.50</price></s:item>
  <item xmlns="urn:three" id="8"><sku>M&#228;rz<!-- no --> &amp; <![CDATA[<1>]]></sku><q/><price t="02">3</price></item>
</s:stock>"""
COLUMNS = ("sku", "q", "q/@unit", "@id", "price[@t='02']")


@pytest.mark.parametrize("piece", [1, 2, 3, 64, 1 << 18])
def test_names_count_without_their_prefixes_wherever_a_piece_ends(read_format, monkeypatch, piece):
    monkeypatch.setattr(xml_doc, "_PIECE", piece)
    read = read_format("xml_doc", STOCK, COLUMNS, rows="/stock/item")
    assert read.cells == [("001", "5", "EA", "7", "2.50"), ("März & <1>", "", "", "8", "3")]
    assert read.places == [(1, 3), (2, 4)]


@pytest.mark.parametrize("size", range(1, len(STOCK) - 1))
def test_a_document_that_is_cut_off_anywhere_is_refused(read_format, size):
    with pytest.raises(DeliveryError):
        read_format("xml_doc", STOCK[:size], COLUMNS, rows="/stock/item")


def test_a_record_takes_values_from_the_elements_around_it(read_format):
    data = b"<a><p><at><w>X</w><w>Y</w></at><id>1</id></p><p><id>2</id><at><w>Z</w></at></p></a>"
    read = read_format("xml_doc", data, (".", "../../id"), rows="//p/at/w")
    assert read.cells == [("X", "1"), ("Y", "1"), ("Z", "2")]


def test_where_a_path_is_missing_the_first_batch_tells_what_the_first_record_has():
    data = b'<a v="2"><p n="1"><id>7</id><at><w u="EA"><n>1</n><q><v>1</v><v>2</v></q></w><w><z/></w></at></p></a>'
    options = XmlOptions(rows="//p/at/w", batch_rows=1, expected_columns=("n", "../../id", "q/val"))
    told = [batch.members for batch in xml_doc.read(lambda: io.BytesIO(data), options)]
    assert told == [("@u", "n", "q/v", "../../id", "../../@n"), ()]
    options = XmlOptions(rows="//w", expected_columns=("n", "m"))
    [batch] = xml_doc.read(lambda: io.BytesIO(data), options)
    assert batch.members == ("@u", "n", "q/v")
    [batch] = xml_doc.read(lambda: io.BytesIO(data), XmlOptions(rows="//w", expected_columns=("n",)))
    assert batch.members == ()


def test_a_column_above_what_the_row_path_names_is_a_mistake(read_format):
    with pytest.raises(ConfigError, match="name the elements above"):
        read_format("xml_doc", b"<a/>", ("../id",), rows="//w")


@pytest.mark.parametrize("column", ["a//b", "a/../b", "@id/a", "a[b]", "price[t=02]", "x:a"])
def test_a_column_that_is_no_path_is_a_mistake(read_format, column):
    with pytest.raises(ConfigError, match="column of"):
        read_format("xml_doc", b"<a/>", (column,), rows="//w")


def test_one_of_several_values_is_never_picked_by_chance(read_format):
    data = b"<s><i><k>A</k><p>1</p><p>2</p></i><i><k>B</k><p>3</p></i><i><k>C</k><p><n>4</n></p></i></s>"
    read = read_format("xml_doc", data, ("k", "p"), rows="/s/i")
    assert [(p.row, p.code, p.value) for p in read.problems] == [
        (1, "VALUE-SEVERAL", "1, 2"),
        (3, "VALUE-TYPE", "<p> with <n> inside"),
    ]
    assert read_format("xml_doc", data, ("k", "p[1]"), rows="/s/i").cells[0] == ("A", "1")
    assert read_format("xml_doc", data, ("p[.='2'] | k",), rows="/s/i").cells == [("2",), ("B",), ("C",)]


def test_elements_that_no_column_looks_at_are_checked_and_never_taken_for_others(read_format):
    data = b"<s><i><other><k>X</k><p>9</p><other><k>Y</k></other></other><k>A</k>x<p>1</p></i><i><k>B</k><other/><p>2</p></i></s>"
    assert read_format("xml_doc", data, ("k", "p"), rows="/s/i").cells == [("A", "1"), ("B", "2")]
    assert read_format("xml_doc", data, ("k", "*/k"), rows="/s/i").cells[0] == ("A", "X")
    with pytest.raises(DeliveryError, match="an error"):
        read_format("xml_doc", data.replace(b"<k>Y", b"<bad/><k>Y"), ("k", "p"), rows="/s/i", refuse=["bad"])
    long = data.replace(b"Y", b"Y" * 5000)
    with pytest.raises(DeliveryError, match="one record of more than 4000 bytes"):
        read_format("xml_doc", long, ("k", "p"), rows="/s/i", limits={"line_bytes": 4000})
    with pytest.raises(DeliveryError, match="depth over 4"):
        read_format("xml_doc", data, ("k", "p"), rows="/s/i", limits={"xml_depth": 4})


FAULT = b"""<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value></e:Code>
<e:Reason><e:Text>Who are you</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>"""
DTD = b'<!DOCTYPE s SYSTEM "http://127.0.0.1:9/never.dtd">'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (DTD + b"<s><i>1</i></s>", "names a DTD"),
        (b'<!DOCTYPE s [<!ENTITY a "b">]><s><i>&a;</i></s>', "declares a DTD inside"),
        (b"<s><i>1</i></t>", "mismatched tag"),
        (b"<s><i>1</i>", "ends in the middle"),
        (b"<s><x:i>1</x:i></s>", "unbound prefix"),
        (b"<s><j>1</j></s>", "no record at /s/i in the document; its elements are s, j"),
        (b'{"a": 1}', "not XML but a JSON document"),
        (b"sku,qty", "not XML but text"),
        (b"<html><body/></html>", "an HTML page"),
        (b"  ", "empty"),
        (b'<?xml version="1.0" encoding="klingon"?><s/>', "encoding"),
        (FAULT, "SOAP Fault.*Who are you"),
        (b"<s><errorMessage><code>160</code><description>No stock data</description></errorMessage></s>", "160"),
    ],
)  # fmt: skip
def test_what_is_no_stock_is_refused_with_the_reason(read_format, data, words):
    with pytest.raises(DeliveryError, match=words):
        read_format("xml_doc", data, (".",), rows="/s/i", refuse=("errorMessage",))


def test_a_dtd_that_is_only_named_can_be_ignored_and_is_never_fetched(read_format):
    read = read_format("xml_doc", DTD + b"<s><i>1</i></s>", (".",), rows="/s/i", doctype="ignore")
    assert read.cells == [("1",)]
    assert read.notes == ["the document names a DTD, which was not fetched: http://127.0.0.1:9/never.dtd"]


def test_what_only_the_ignored_dtd_explains_is_never_left_out_silently(read_format):
    with pytest.raises(DeliveryError, match="&half; is explained only in the DTD"):
        read_format("xml_doc", DTD + b"<s><i>1&half;</i></s>", (".",), rows="/s/i", doctype="ignore")


def test_one_record_may_not_be_too_long_nor_too_deep(read_format):
    with pytest.raises(DeliveryError, match="line_bytes"):
        read_format("xml_doc", b"<s><i>" + b"<j/>" * 20_000 + b"</i></s>", (".",), rows="/s/i")
    with pytest.raises(DeliveryError, match="xml_depth"):
        read_format("xml_doc", b"<s><i>" + b"<j>" * 60, (".",), rows="/s/i")


def test_depth_is_limited_at_exactly_the_limit(read_format):
    """The document's own element is 1 deep, a record 2, an element in it 3."""

    def read(depth: int):
        nested = b"<j>" * (depth - 2) + b"</j>" * (depth - 2)
        data = b'<s><i x="A">' + nested + b"</i></s>"
        return read_format("xml_doc", data, ("@x",), rows="/s/i", limits={"xml_depth": 7})

    assert [len(read(depth).cells) for depth in (6, 7)] == [1, 1]
    with pytest.raises(DeliveryError, match="depth over 7") as caught:
        read(8)
    assert caught.value.code == "FILE-LIMIT"


@pytest.mark.parametrize("encoding", ["utf-16", "windows-1251"])
def test_the_declared_encoding_is_used(read_format, encoding):
    data = f'<?xml version="1.0" encoding="{encoding}"?><s><i>Ключ</i></s>'.encode(encoding)
    assert read_format("xml_doc", data, (".",), rows="/s/i").cells == [("Ключ",)]


def test_records_inside_records_are_told_and_not_passed_over(read_format):
    data = b"<s><i><sku>A</sku><qty>1</qty><i><sku>B</sku><qty>2</qty></i></i></s>"
    with pytest.raises(DeliveryError, match="line 1: <i> inside another one"):
        read_format("xml_doc", data, ("sku", "qty"), rows="//i")
    assert read_format("xml_doc", data, ("sku", "qty"), rows="/s/i").cells == [("A", "1")]


def test_of_attributes_that_only_a_prefix_tells_apart_none_is_guessed(read_format):
    data = (
        b"""<s xmlns:a="x" xmlns:b="y"><i sku="A" qty="1" b:qty="5"/><i sku="B" a:qty="2" b:qty="5"/><i sku="C" b:qty="3"/></s>"""
    )
    read = read_format("xml_doc", data, ("@sku", "@qty"), rows="/s/i")
    assert read.cells == [("A", "1"), ("B", ""), ("C", "3")]
    assert [(p.row, p.code, p.value) for p in read.problems] == [(2, "VALUE-SEVERAL", "2, 5")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("before", ["", "<note text='> here'/>", "x" * 300_000])
def test_an_entity_in_an_attribute_that_only_the_dtd_explains_refuses_the_file(read_format, encoding, before):
    text = f"""<!DOCTYPE s SYSTEM "s.dtd"><s>{before}<i sku="A" qty='1&dot;2'/></s>"""
    with pytest.raises(DeliveryError, match="&dot; is explained only in the DTD"):
        read_format("xml_doc", text.encode(encoding), ("@sku", "@qty"), rows="/s/i", doctype="ignore")
    known = text.replace("&dot;", "&#50;").replace("'A'", "'&amp;'")
    read = read_format("xml_doc", known.encode(encoding), ("@sku", "@qty"), rows="/s/i", doctype="ignore")
    assert read.cells == [("A", "122")]
