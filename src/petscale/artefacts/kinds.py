"""Recognises files that are not what their name says: archives, pointers, web pages, text in another encoding."""

from __future__ import annotations

_STARTS = (
    (b"\x1f\x8b", "compressed with gzip; unpack it"),
    (b"BZh", "compressed with bzip2; unpack it"),
    (b"\xfd7zXZ", "compressed with xz; unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet; unpack it, or export it as csv"),
    (b"version https://git-lfs", "a Git LFS pointer and not the file itself; run `git lfs pull` where it comes from"),
    (b"version https://hawser", "a Git LFS pointer and not the file itself; run `git lfs pull` where it comes from"),
    (b"\xff\xfe", "text in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16; save it as UTF-8"),
)

_SEEN = 512
"""Number of bytes that `foreign` looks at."""


def foreign(head: bytes) -> str | None:
    """What a file is that ought to be text, parquet or safetensors, from its first bytes; None if it may be that.

    Args:
        head: the first bytes of the file, some hundred of them.
    """
    for start, what in _STARTS:
        if head.startswith(start):
            return what
    head = head[:_SEEN]
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page; the download gave a page instead of the file"
    # UTF-16 without a mark: every second byte of ASCII text is zero.
    pairs = len(head) // 2
    if pairs > 1 and max(head[0::2].count(0), head[1::2].count(0)) == pairs and head.count(0) == pairs:
        return "text in UTF-16; save it as UTF-8"
    return None
