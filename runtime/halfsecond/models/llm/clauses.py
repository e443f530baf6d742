"""Cutting an answer into clauses for speech while it is still being written.

The first clause is short, so that speech starts early; later ones are longer, so that it sounds
whole. A cut depends on the text alone and never on how it arrived: a place that cannot be judged
before more text is known (is "3." a number or an end?) waits for that text.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES = _words(
    "dr mr mrs ms prof st mt ft gen gov sen rep capt lt col sgt rev hon pres messrs "
    "vs e.g i.e cf viz approx est eds ca u.s u.k u.n e.u d.c ph.d"
)
"""Words whose full stop never ends a sentence, in lower case and without it."""

_BEFORE_NUMBERS = _words("no nos fig figs vol vols ch pp p art sec")
"""Words whose full stop ends no sentence where a number follows."""

_LEADS_A_PHRASE = _words(
    "and but or nor so yet because although though while whereas unless until since if when where "
    "which who whose that than in on at from with without for by about into through during before "
    "after between under over near as to"
)
"""Words before which a speaker may pause."""

_LEANS_FORWARD = _LEADS_A_PHRASE | _words(
    "a an the this these those my your his her its our their some any no every each of is are was "
    "were be been am will would can could should may might must do does did have has had not very "
    "more most too i you he she we they it what how there here it's i'm you're that's there's "
    "i'll i've he's she's we're they're"
)
"""Words after which a pause would sound like a mistake."""

_CLOSERS = "\"'”’)]}】」』》）*_`"
_ENDERS = ".!?…。！？"
_PAUSES = ",;:，；：、—–-"
_WIDE = "。！？，；：、…—"
_MIN_LATER_WORDS = 4
"""A later clause is cut at no comma that leaves fewer words: short ones sound hurried."""

_CJK = "\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_]+(?:['’.,:@/_-]+[^\W_]+)*", re.UNICODE)
_IS_CJK = re.compile(rf"[{_CJK}]")
_ADDRESS = re.compile(r"https?:|www\.|mailto:|@", re.IGNORECASE)
_INITIAL = re.compile(r"[A-HJ-Z]|(?:[^\W\d_]\.)+[^\W\d_]")
_CLOCK_HALF = re.compile(r"[ap]\.m", re.IGNORECASE)
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*\(?\d{1,2}$")

_WAIT = -1
_NONE = 0


class ClauseCutter:
    """Takes an answer piece by piece and gives clauses as soon as they are certain.

    The clauses joined are the text as it was pushed, but for white space at its very end.
    """

    def __init__(
        self, *, first_max_words: int | None = 6, first_min_words: int = 1, max_words: int = 14
    ) -> None:
        """A word is a word of English or two Chinese characters.

        Args:
            first_max_words: where the first clause is cut if no punctuation comes before. Fewer
                start the speech earlier, sound worse, and leave less time to make the second.
                None: the first clause is like all others.
            first_min_words: a shorter beginning ("Sure,") waits for more; raise it for a voice
                that takes longer to make the second clause than "Sure" lasts.
            max_words: longer sentences are cut at their commas.
        """
        self._has_short_first = first_max_words is not None
        self._first_max = first_max_words or max_words
        self._first_min = first_min_words
        self._max = max_words
        self._text = ""
        self._is_first = self._has_short_first

    def push(self, piece: str) -> list[str]:
        """The clauses that this piece of text completes, often none."""
        self._text += piece
        return self._cut(is_end=False)

    def flush(self) -> list[str]:
        """The clauses that are left when the answer ends; what is pushed next is a new answer."""
        clauses = self._cut(is_end=True)
        if self._text.strip():
            clauses.append(self._text)
        self._text = ""
        self._is_first = self._has_short_first
        return clauses

    def _cut(self, *, is_end: bool) -> list[str]:
        clauses: list[str] = []
        while (at := self._next_cut(is_end=is_end)) > 0:
            clauses.append(self._text[:at])
            self._text = self._text[at:]
            self._is_first = False
        return clauses

    def _next_cut(self, *, is_end: bool) -> int:
        """Where the clause at the start of the text ends; `_NONE` or `_WAIT` while unknown."""
        text = self._text
        last_pause = 0
        at = len(text) - len(text.lstrip())
        while at < len(text):
            char = text[at]
            if char in _ENDERS or char == "\n":
                end = _sentence_end(text, at, is_end=is_end)
                cut = end if end > 0 and self._is_long_enough(end) else min(end, _NONE)
            elif char in _PAUSES:
                end = _pause_end(text, at, is_end=is_end)
                cut = self._cut_at_pause(last_pause, end) if end > 0 else end
                last_pause = end if end > 0 else last_pause
            elif char.isspace():
                end = _NONE
                cut = self._cut_at_space(last_pause, at)
            else:
                at += 1
                continue
            if cut != _NONE:
                return cut
            at = max(end, at + 1)
        return _NONE

    def _is_long_enough(self, end: int) -> bool:
        words = count_words(self._text[:end])
        return words > 0 and (not self._is_first or words >= self._first_min)

    def _cut_at_pause(self, last: int, end: int) -> int:
        words = count_words(self._text[:end])
        if self._is_first:
            return end if words >= max(self._first_min, 0.5) else _NONE
        if words < self._max or words < _MIN_LATER_WORDS:
            return _NONE
        return last if self._is_whole(last) else end

    def _is_whole(self, end: int) -> bool:
        return end > 0 and count_words(self._text[:end]) >= _MIN_LATER_WORDS

    def _cut_at_space(self, last: int, at: int) -> int:
        """A cut where the text has no punctuation to cut at, judged when a word is complete."""
        words = count_words(self._text[:at])
        if not self._is_first and words > self._max and self._is_whole(last):
            return last
        limit = self._first_max if self._is_first else 2 * self._max
        if words < min(limit, 3):
            return _NONE
        last_word = self._text[:at].split()[-1]
        before = len(self._text[: at - len(last_word)].rstrip())
        if words > max(limit - 2, 3) and _may_pause(self._text[:before], last_word):
            return before
        if words < limit or at + 1 == len(self._text):
            return _NONE
        return at if _may_follow(last_word, self._text[at + 1]) else _NONE


def count_words(text: str) -> float:
    """Words to be said: those of English, and half as many as there are Chinese characters."""
    return sum(0.5 if _IS_CJK.match(word) else 1.0 for word in _WORD.findall(text))


def _sentence_end(text: str, at: int, *, is_end: bool) -> int:
    """The end of the sentence whose last mark is at `at`, closing quotes included."""
    if text[at] == "\n":
        return at + 1
    end = _skip(text, at, _ENDERS)
    stop = _skip(text, end, _CLOSERS)
    if stop == len(text) and not is_end:
        return _WAIT
    is_wide = text[end - 1] in _WIDE
    if stop < len(text) and not (text[stop].isspace() or is_wide or _IS_CJK.match(text[stop])):
        return _NONE
    if set(text[at:end]) <= {".", "…"}:
        return _full_stop_end(text, at, stop, is_end=is_end)
    return stop


def _full_stop_end(text: str, at: int, stop: int, *, is_end: bool) -> int:
    """`stop` if the full stop at `at` ends a sentence, by the word before it and that after."""
    words = text[:at].split()
    word = words[-1].lstrip("(\"“'‘*_") if words else ""
    if word.lower() in _TITLES or _LIST_NUMBER.search(text[:at]):
        return _NONE
    after = text[stop:].lstrip()
    # The white space right behind it: a later line may not have come yet.
    has_line_end = "\n" in text[stop : len(text) - len(after)]
    if not after:
        return stop if is_end or has_line_end else _WAIT
    if _INITIAL.fullmatch(word) and not _CLOCK_HALF.fullmatch(word):
        return _NONE
    if word.lower() in _BEFORE_NUMBERS and after[0].isdigit():
        return _NONE
    return _NONE if after[0].islower() and not has_line_end else stop


def _pause_end(text: str, at: int, *, is_end: bool) -> int:
    """The end of the comma, colon, semicolon or dash at `at`, if a speaker would pause there."""
    char = text[at]
    end = _skip(text, at, _PAUSES)
    token = text[:at].split()[-1] if text[:at].split() else ""
    if char in "，；：、":
        return at + 1  # at once, so what follows cannot matter: it may not have come yet
    if _ADDRESS.search(token):
        return _NONE
    if char in ",;" and token[-1:].isalpha() and not _is_inside_quotes(text[:at]):
        return at + 1
    if end == len(text):
        return end if is_end else _WAIT
    if char == "—" or (char == "-" and end - at > 1):
        return end
    is_apart = text[end].isspace()
    if char in "-–":
        return end if is_apart and text[at - 1 : at].isspace() else _NONE
    stop = _skip(text, end, _CLOSERS)
    if stop == len(text):
        return stop if is_end else _WAIT
    return stop if text[stop].isspace() or _IS_CJK.match(text[stop]) else _NONE


def _may_pause(before: str, word: str) -> bool:
    """True if a speaker may pause between `before` and `word`, a conjunction or preposition."""
    words = before.split()
    last = words[-1] if words else ""
    is_free = last.lower() not in _LEANS_FORWARD and last[-1:].isalpha()
    return word.lower() in _LEADS_A_PHRASE and is_free and count_words(before) >= 3


def _may_follow(word: str, after: str) -> bool:
    """True if a clause may end after `word`, where the next word begins with `after`."""
    bare = word.strip(_CLOSERS + "“‘(")
    if bare.lower().rstrip(".") in _LEANS_FORWARD | _TITLES or not bare or not after.isalpha():
        return False
    is_name = bare[0].isupper() and after.isupper()
    return not (is_name or bare[-1].isdigit() or bare[0] in "$€£¥#+")


def _is_inside_quotes(text: str) -> bool:
    return text.count('"') % 2 == 1 or text.count("“") > text.count("”")


def _skip(text: str, at: int, chars: str) -> int:
    while at < len(text) and text[at] in chars:
        at += 1
    return at
