"""Small EDI files made for tests: an 846 and an INVRPT of any number of lines, and parts of them changed."""

ISA = "ISA*00*          *00*          *ZZ*SUPPLIER       *ZZ*BUYER          *261123*1253*U*00401*{control:09}*0*P*>~"


def x12(*body: str, control: int = 905, purpose: str = "00", said: int | None = None, kind: str = "846") -> bytes:
    """One interchange with one transaction set of these segments between BIA and SE."""
    inside = [f"ST*{kind}*0001", f"BIA*{purpose}*DD*STK1*20261123*1253", *body]
    segments = [
        "GS*IB*SUPPLIER*BUYER*20261123*1253*1*X*004010", *inside, f"SE*{said or len(inside) + 1}*0001", "GE*1*1",
        f"IEA*1*{control:09}",
    ]  # fmt: skip
    return (ISA.format(control=control) + "~".join(segments) + "~").encode()


def lines(count: int) -> list[str]:
    return [part for n in range(1, count + 1) for part in (f"LIN*{n}*VP*AB-{n:05}", f"QTY*33*{n}*EA")]


def invrpt(
    *body: str,
    control: str = "905",
    una: str = "UNA:+.? '",
    said: int | None = None,
    kind: str = "INVRPT:D:96A:UN:EAN004",
    encoding: str = "latin-1",
) -> bytes:
    """One interchange with one message of these segments between BGM and UNT."""
    inside = [f"UNH+1+{kind}", "BGM+35+STK1+9", "DTM+137:20261123:102", *body]
    segments = [
        "UNB+UNOC:3+SUPPLIER:14+BUYER:14+261123:1253+" + control,
        *inside,
        f"UNT+{said or len(inside) + 1}+1",
        f"UNZ+1+{control}",
    ]
    return (una + "'".join(segments) + "'").encode(encoding)
