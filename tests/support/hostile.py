"""The datagrams that cost most to decode."""

from gansynth_server.osc.codec import encode, encode_bundle


def pad(data: bytes) -> bytes:
    return data + bytes(4 - len(data) % 4)


def message(address: bytes, tags: bytes, data: bytes = b"") -> bytes:
    return pad(address) + pad(b"," + tags) + data


EMPTY = encode_bundle(None)
WORST = {
    "tags alone": encode_bundle(None, *[message(b"/a", b"T" * 16000)] * 4),
    "mixed": message(b"/a", b"if" * 6000, bytes(4 * 12000)),
    "strings": message(b"/a", b"s" * 8000, b"ab\0\0" * 8000),
    "blobs": message(b"/a", b"b" * 8000, bytes(4 * 8000)),
    "pairs of floats": message(b"/a", b"ffii" * 3000, bytes(4 * 12000)),
    "messages": encode_bundle(None, *[encode("/status")] * 3000),
    "notes": encode_bundle(None, *[encode("/note", 60, 100.0, 7, "z")] * 1400),
    "bundles": encode_bundle(None, *[EMPTY] * 3200),
    "all the way down": b"#bundle\0" + bytes(8) + bytes(65000),
}
