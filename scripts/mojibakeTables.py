"""
Writes src/core/mojibakeTables.ts: the byte tables of single-byte encodings, from Python's codecs, and the classes of
characters that ftfy tells wrongly decoded text by, from an installed ftfy.

    pip install ftfy==6.3.1
    python scripts/mojibakeTables.py > src/core/mojibakeTables.ts
    npx prettier --write src/core/mojibakeTables.ts

Run again only when ftfy's classes change.
"""

import unicodedata

from ftfy.badness import MOJIBAKE_CATEGORIES

HEADER = """/**
 * Tables for the repair of wrongly decoded text, made by scripts/mojibakeTables.py: what bytes 80 to FF stand for in the
 * encodings that are told apart, and the classes of characters that ftfy 6.3 (Robyn Speer, Apache-2.0) judges text by.
 */

/** The 128 characters of bytes 80 to FF. Unassigned bytes stand for the control characters of their number. */"""

# In the order in which they are tried; see mojibake.ts.
ENCODINGS = [
    "latin-1",
    "windows-1252",
    "windows-1251",
    "windows-1250",
    "windows-1253",
    "windows-1254",
    "windows-1257",
    "iso-8859-2",
    "mac-roman",
    "cp437",
]

# ftfy's names and ours.
CLASSES = {
    "bad": "bad",
    "common": "common",
    "law": "law",
    "currency": "currency",
    "start_punctuation": "opening",
    "end_punctuation": "closing",
    "numeric": "numeric",
    "kaomoji": "faces",
    "upper_accented": "upperAccented",
    "lower_accented": "lowerAccented",
    "upper_common": "upperCommon",
    "lower_common": "lowerCommon",
    "box": "box",
}


def quoted(character):
    """As it stands in a string of TypeScript: invisible and private characters by number."""
    code = ord(character)
    if unicodedata.category(character)[0] in "CZM":
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    return character


def high_half(encoding):
    """Characters of bytes 80 to FF."""
    return [bytes([byte]).decode(encoding, errors="ignore") or chr(byte) for byte in range(0x80, 0x100)]


def members(pattern):
    """Code points of the inside of a character class that has no escapes."""
    codes = set()
    at = 0
    while at < len(pattern):
        last = at + 2 if pattern[at + 1 : at + 2] == "-" else at
        codes.update(range(ord(pattern[at]), ord(pattern[last]) + 1))
        at = last + 1
    return sorted(codes)


def ranges(codes):
    """Inside of a character class: runs of three or more as ranges."""
    out = ""
    while codes:
        count = 1
        while count < len(codes) and codes[count] == codes[0] + count:
            count += 1
        run = [quoted(chr(code)) for code in codes[:count]]
        out += "".join(run) if count < 3 else f"{run[0]}-{run[-1]}"
        codes = codes[count:]
    return out


def main():
    print(HEADER)
    print("export const highHalves = {")
    for encoding in ENCODINGS:
        characters = high_half(encoding)
        assert len(set(characters)) == 128, encoding
        print(f"  '{encoding}':\n    '{''.join(map(quoted, characters))}',")
    print("} as const satisfies Readonly<Record<string, string>>;\n")
    print("/** The classes, each the inside of a character class of a regular expression. */")
    print("export const characterClasses = {")
    for name, ours in CLASSES.items():
        print(f"  {ours}: '{ranges(members(MOJIBAKE_CATEGORIES[name]))}',")
    print("} as const satisfies Readonly<Record<string, string>>;")


main()
