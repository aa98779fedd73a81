"""Text that people read: the one form in which it is kept, and what is refused because it is invisible.

Two names that look the same must be the same. So text is kept in Unicode's NFC, trimmed, with each run of white space
as one space, and must not hold characters that show nothing. Letters of different scripts that look alike are
different.
"""

import unicodedata
from dataclasses import dataclass

UNPRINTABLE = frozenset({"Cc", "Cs"})
"""The Unicode categories of control characters, and of the lone surrogates that stand for bytes that are no text."""
FORMAT = "Cf"
VISIBLE_FORMAT = frozenset(map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)))
"""Format characters that show: those with the property Prepended_Concatenation_Mark (Unicode 15, PropList.txt)."""
BLANK = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x17B4, 0x17B5, 0x2065, 0x16FE4),  # joiners and fillers of scripts
            *(0x115F, 0x1160, 0x3164, 0xFFA0),  # Hangul fillers
            *(0x2800, 0x1D159, 0xFFFC),  # symbols that stand for nothing
            *(0x180B, 0x180C, 0x180D, 0x180F, *range(0xFE00, 0xFE10)),  # variation selectors
            *range(0xFFF0, 0xFFF9),
            *range(0xE0000, 0xE1000),  # tags, and more variation selectors
        ),
    )
)
"""Other characters that show nothing: most are Default_Ignorable_Code_Point (DerivedCoreProperties.txt)."""
ZWNJ, ZWJ, EMOJI_STYLE = "\u200c", "\u200d", "\ufe0f"
SYMBOLS = frozenset({"So", "Sm", "Sk"})
VIRAMA_CLASS = 9


@dataclass(frozen=True, slots=True)
class TextRule:
    """What a text has to be.

    Attributes:
        longest: How many characters (code points) it may have, as sent and as kept.
        may_be_empty: Whether it may be left out.
    """

    longest: int
    may_be_empty: bool = False

    def problem(self, text: str) -> str | None:
        """Return what would be right, if the text is not; None if it is."""
        kept = clean(text) if len(text) <= self.longest else text
        length = f"must be {'at most' if self.may_be_empty else '1 to'} {self.longest:,} characters"
        not_blank = "" if self.may_be_empty else ", not blank"
        if len(kept) > self.longest or any(unicodedata.category(each) in UNPRINTABLE for each in text):
            return f"{length}{not_blank}, without control characters"
        if (hidden := _first_invisible(kept)) is not None:
            return f"must not hold the invisible character U+{ord(hidden):04X}; leave it out"
        if not self.may_be_empty and not any(map(_shows, kept)):
            return f"{length}{not_blank}, without control characters"
        return None


NAME = TextRule(200)
"""For names of people, cinemas and auditoriums, and for titles."""
RATING = TextRule(200, may_be_empty=True)
SYNOPSIS = TextRule(5_000, may_be_empty=True)


def clean(text: str) -> str:
    """Return a text as it is kept: in NFC, trimmed, with each run of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _shows(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LNPS" or category == "Co"


def _first_invisible(text: str) -> str | None:
    if text.isascii():
        return None
    for place, character in enumerate(text):
        if character in BLANK or (unicodedata.category(character) == FORMAT and character not in VISIBLE_FORMAT):
            before, after = text[:place], text[place + 1 :]
            if not _has_a_use(character, before[-1:], after[:1]):
                return character
    return None


def _has_a_use(character: str, before: str, after: str) -> bool:
    """Return whether a character that shows nothing changes how its neighbours look.

    A joiner does between the letters of Arabic script and after the virama of an Indic script, as in Persian and Hindi
    names; and within an emoji, as does the selector of the emoji style after a symbol.
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
