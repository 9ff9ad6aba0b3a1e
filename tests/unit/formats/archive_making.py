"""Archives of every kind made in memory, and unpacked again."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import zstandard

from transforms.formats.archives import unpack
from transforms.formats.options import DelimitedOptions

TABLE = b"sku,quantity\n" + b"".join(b"AB-%05d,%d\n" % (n, n % 17) for n in range(500))


def zipped(members, method=zipfile.ZIP_DEFLATED, *, mode=None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as package:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            info.external_attr = (mode or 0o100600) << 16
            package.writestr(info, content)
    return buffer.getvalue()


def tarred(members, form=tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


PACK = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
    "zip": lambda data: zipped([("stock.csv", data)]),
    "tar": lambda data: tarred([("stock.csv", data)]),
}
PACK |= {f"tar.{kind}": lambda data, kind=kind: PACK[kind](PACK["tar"](data)) for kind in ("gz", "bz2", "xz", "zst")}
STREAMS = ("gz", "bz2", "xz", "zst")


def opened(data: bytes, archive: str = "auto", model=DelimitedOptions, **options):
    """Unpack `data`; the content and what it was unpacked from."""
    target = io.BytesIO()
    found = unpack(io.BytesIO(data), target, io.BytesIO, model(archive=archive, **options))
    return target.getvalue(), found
