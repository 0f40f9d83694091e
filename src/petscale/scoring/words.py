"""Splits texts in any script into words, for ROUGE; rouge-score's own tokenizer keeps nothing but a to z and digits."""

from __future__ import annotations

import unicodedata

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # marks of repetition and zero, used among Han characters
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility forms
    (0x20000, 0x3FFFF),  # Han, rare characters
)
"""Scripts that are written without spaces between words."""


def is_beyond_latin(text: str) -> bool:
    """Whether more than half of a text's letters and digits are none of a to z, A to Z and 0 to 9."""
    signs = [char for char in text if char.isalnum()]
    return 2 * sum(not char.isascii() for char in signs) > len(signs)


class AnyScript:
    """A tokenizer for `rouge_score.rouge_scorer.RougeScorer`: words of letters, marks and digits, without stemming.

    In scripts without spaces each character, with the marks on it, is a word, as in the evaluation of Chinese summaries
    by characters (Hu et al. 2015, LCSTS). Forms that Unicode counts as compatible are one (NFKC), and case is ignored.
    """

    def tokenize(self, text: str) -> list[str]:
        """The words of a text in lower case, split by Unicode's classes of characters, for ROUGE."""
        words: list[str] = []
        joins = False  # whether a letter or digit may continue the last word
        marks = False  # whether a mark may
        for char in unicodedata.normalize("NFKC", text).casefold():
            kind = unicodedata.category(char)
            if kind == "Cf":  # joiners, which stand inside of words in Persian and the scripts of India
                continue
            if kind[0] == "M" and marks:
                words[-1] += char
            elif kind[0] in "LN":
                alone = any(first <= ord(char) <= last for first, last in _UNSPACED)
                if joins and not alone:
                    words[-1] += char
                else:
                    words.append(char)
                joins, marks = not alone, True
            else:
                joins = marks = False
        return words
