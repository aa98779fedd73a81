"""Rules for text that people read.

Names that look equal must be equal. So text is stored in Unicode's NFC, trimmed, with each run of white space as one
space, and without invisible characters. Similar letters of different scripts stay different.
"""

import unicodedata
from dataclasses import dataclass

UNPRINTABLE = frozenset({"Cc", "Cs"})
"""Unicode categories of control characters and of lone surrogates, which stand for bytes that are not text."""
FORMAT = "Cf"
VISIBLE_FORMAT = frozenset(map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)))
"""Visible format characters: the property Prepended_Concatenation_Mark (Unicode 15, PropList.txt)."""
BLANK = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x17B4, 0x17B5, 0x2065, 0x16FE4),  # joiners and fillers of scripts
            *(0x115F, 0x1160, 0x3164, 0xFFA0),  # Hangul fillers
            *(0x2800, 0x1D159, 0xFFFC),  # blank symbols
            *(0x180B, 0x180C, 0x180D, 0x180F, *range(0xFE00, 0xFE10)),  # variation selectors
            *range(0xFFF0, 0xFFF9),
            *range(0xE0000, 0xE1000),  # tags, and more variation selectors
        ),
    )
)
"""Other invisible characters: most are Default_Ignorable_Code_Point (DerivedCoreProperties.txt)."""
ZWNJ, ZWJ, EMOJI_STYLE = "\u200c", "\u200d", "\ufe0f"
SYMBOLS = frozenset({"So", "Sm", "Sk"})
VIRAMA_CLASS = 9


@dataclass(frozen=True, slots=True)
class TextRule:
    """A rule for a text field.

    Attributes:
        longest: Maximum characters (code points), both as sent and as stored.
        may_be_empty: Whether the text may be empty or blank.
    """

    longest: int
    may_be_empty: bool = False

    def problem(self, text: str) -> str | None:
        """Return what the text must be if it breaks the rule, else None."""
        stored = clean(text) if len(text) <= self.longest else text
        least, blank = ("at most", "") if self.may_be_empty else ("1 to", ", not blank")
        requirement = f"must be {least} {self.longest:,} characters{blank}, without control characters"
        if len(stored) > self.longest or any(unicodedata.category(each) in UNPRINTABLE for each in text):
            return requirement
        if (hidden := _first_invisible(stored)) is not None:
            return f"must not contain the invisible character U+{ord(hidden):04X}; remove it"
        return None if self.may_be_empty or any(map(_is_visible, stored)) else requirement


NAME = TextRule(200)
"""For names of people, cinemas and auditoriums, and for titles."""
GATE = TextRule(64)
RATING = TextRule(200, may_be_empty=True)
SYNOPSIS = TextRule(5_000, may_be_empty=True)
REASON = TextRule(200, may_be_empty=True)
"""For why staff do something. Where a reason is required, the protos say so."""
PROOF = TextRule(100, may_be_empty=True)
"""For what the door asks for, such as "student card"."""


def clean(text: str) -> str:
    """Return the stored form of a text: NFC, trimmed, with each run of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _is_visible(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LNPS" or category == "Co"


def _first_invisible(text: str) -> str | None:
    if text.isascii():
        return None
    for index, character in enumerate(text):
        if character in BLANK or (unicodedata.category(character) == FORMAT and character not in VISIBLE_FORMAT):
            before, after = text[max(0, index - 1) : index], text[index + 1 : index + 2]
            if not _changes_neighbours(character, before, after):
                return character
    return None


def _changes_neighbours(character: str, before: str, after: str) -> bool:
    """Return whether an invisible character changes how its neighbours look.

    A joiner does between Arabic letters and after the virama of an Indic script, as in Persian and Hindi names. Within
    an emoji, a joiner and the emoji style selector do.
    """
    if not before:
        return False
    is_symbol = unicodedata.category(before) in SYMBOLS and before not in BLANK
    if character == EMOJI_STYLE:
        return is_symbol
    if character not in {ZWNJ, ZWJ} or not after:
        return False
    if unicodedata.combining(before) == VIRAMA_CLASS:
        return True
    if character == ZWJ and (is_symbol or before == EMOJI_STYLE):
        return unicodedata.category(after) in SYMBOLS and after not in BLANK
    return unicodedata.bidirectional(before) == unicodedata.bidirectional(after) == "AL"
