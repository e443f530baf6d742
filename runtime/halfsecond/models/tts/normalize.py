"""What is written, as it is said: markup of language models taken away, symbols in words.

hibari's phonemizer reads English numbers, dates, times, money and most units by itself, and
cn2an reads Chinese numbers; here is what they leave.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)\w*[ \t]*$", re.MULTILINE)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*(?:[-*+•▪◦‣]|>+)[ \t]+", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$", re.MULTILINE)
_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_EMPHASIS = re.compile(r"\*\*|__|~~|`+|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])")
_UNDERSCORES = re.compile(r"(?<!\w)_(?=\S)|(?<=\S)_(?!\w)")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,80}>|<\|[^<>|]*\|>")
_ROLE = re.compile(r"^\s*(?:assistant|system)\s*:\s*", re.IGNORECASE)
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff\ufe0e\ufe0f\u200d\u20e3"
    "\U000e0020-\U000e007f]+"
)
_SMILEY = re.compile(r"(?:(?<=\s)|^)[:;=8][-^']?[)(DPpOo3/|](?=\s|$|[.,!?])")
_URL = re.compile(
    r"(?:https?://|www\.)([^\s<>\"'（）()，。]+[^\s<>\"'（）()，。.,;:!?])", re.IGNORECASE
)
_MAIL = re.compile(r"([\w.+-]+)@([\w-]+(?:\.[\w-]+)+)")
_DOMAIN = re.compile(r"(?<![\w.@])([a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|edu|io|ai))\b", re.I)


def plain_text(text: str) -> str:
    """The words of a piece of markdown, without markup, emoji and what no one reads aloud.

    Works on pieces that were cut anywhere, so half of a pair of marks goes too.
    """
    for pattern in (_FENCE, _RULE, _HEADING, _BULLET, _TAG, _ROLE, _EMOJI, _SMILEY):
        text = pattern.sub("", text)
    text = _LINK.sub(r"\1", _IMAGE.sub(r"\1", text))
    text = _UNDERSCORES.sub("", _EMPHASIS.sub("", text))
    return re.sub(r"[ \t]+", " ", text).strip()


def _say_address(address: str) -> str:
    """ "www.example.com/about" → "example dot com": the host is enough to be found."""
    host = re.sub(r"^www\.", "", re.split(r"[/?#:]", address)[0], flags=re.IGNORECASE)
    return host.replace(".", " dot ").replace("-", " dash ")


def _say_mail(match: re.Match[str]) -> str:
    name = match.group(1).replace(".", " dot ").replace("_", " underscore ").replace("-", " dash ")
    return f"{name} at {match.group(2).replace('.', ' dot ')}"


_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_UNITS = {
    "m": "meter", "g": "gram", "t": "ton", "l": "liter", "L": "liter", "W": "watt", "V": "volt",
    "A": "ampere", "h": "hour", "s": "second", "ha": "hectare", "kcal": "kilocalorie",
    "dB": "decibel", "N": "newton", "J": "joule", "cl": "centiliter", "dl": "deciliter",
    "m²": "square meter", "km²": "square kilometer", "cm²": "square centimeter",
    "m2": "square meter", "km2": "square kilometer",
    "m³": "cubic meter", "cm³": "cubic centimeter",
    "in": "inch", "mm²": "square millimeter",
}  # fmt: skip
_RATES = {"s": "second", "h": "hour", "min": "minute", "kg": "kilogram", "day": "day", "m": "meter"}
_PLURALS = {"inch": "inches"}
_UNIT = re.compile(
    rf"(?<![\w.$£€¥])({_NUMBER})(\s?)("
    + "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
    + r")(?:/(s|h|min|kg|day|m))?(?![\w²³'’])"
)
_MONEY_AFTER = re.compile(rf"(?<![\w.])({_NUMBER})\s?([€£$])(?!\w)")
_PERCENT_RANGE = re.compile(rf"(?<![\w.])({_NUMBER})\s?%?\s?[-–]\s?({_NUMBER})\s?%")
_ROUND_THE_CLOCK = re.compile(r"\b24/7\b")
_AREA_CODE = re.compile(r"\((\d{3})\)\s?(?=\d{3}[- ]\d{4}\b)")
_PHONE = re.compile(
    r"(?<![\w.,/-])(?:\+\d{1,3}|0\d{1,4}|1-\d{3})(?:[ -]\d{2,5}){1,5}(?![\w-]|[.,]\d)"
)
_DIGITS = re.compile(r"(?<![\w.,:/$£€¥-])(?:0\d{2,}|\d{7,})(?![\w,:/]|\.\d)")
_PHRASES = (
    (re.compile(r"\be\.g\.,?", re.IGNORECASE), "for example,"),
    (re.compile(r"\bi\.e\.,?", re.IGNORECASE), "that is,"),
    (re.compile(r"\betc\."), "et cetera."),
    (re.compile(r"(?<=\d)(\s?[ap]m|:\d\d)\s?[-–]\s?(?=\d)", re.IGNORECASE), r"\1 to "),
    (re.compile(r"(?<=\w)\s?&\s?(?=\w)"), " and "),
    (re.compile(r"\b(\d+)\s?[xX]\s?(?=\d)"), r"\1 by "),
    (re.compile(r"(?<=\d)\s?°(?=\s*[,.;!?]|\s*$)"), " degrees"),
    (re.compile(r"(?<=[\d°])\s?(?:℃|° ?C\b)"), " °C"),
    (re.compile(r"(?<=\d)\s?℉"), " °F"),
    (re.compile(r"(?<!\w)-(?=\d)"), "minus "),
)


def english_text(text: str) -> str:
    """Plain English text with what hibari's normalisation does not know put into words."""
    text = _MAIL.sub(_say_mail, text)
    text = _URL.sub(lambda match: _say_address(match.group(1)), text)
    text = _DOMAIN.sub(lambda match: _say_address(match.group(1)), text)
    text = _AREA_CODE.sub(r"\1-", text)
    text = _PHONE.sub(lambda match: _digit_by_digit(match.group()), text)
    text = _DIGITS.sub(lambda match: _digit_by_digit(match.group()), text)
    text = _ROUND_THE_CLOCK.sub("twenty-four seven", text)
    text = _PERCENT_RANGE.sub(r"\1 to \2%", text)
    text = _MONEY_AFTER.sub(r"\2\1", text)
    text = _UNIT.sub(_say_unit, text)
    for pattern, words in _PHRASES:
        text = pattern.sub(words, text)
    return text


def _digit_by_digit(text: str) -> str:
    """ "+44 20 7946" → "plus 4 4, 2 0, 7 9 4 6": groups keep a breath between them."""
    groups = [" ".join(group) for group in re.findall(r"\d+", text)]
    return ("plus " if text.startswith("+") else "") + ", ".join(groups)


def _say_unit(match: re.Match[str]) -> str:
    number, space, unit, rate = match.groups()
    if unit in ("in", "s", "t", "h", "A", "N") and not (space == "" or rate):
        return match.group()  # "5 in a row", "3 A.M.": a word more often than a unit
    if unit in ("s", "in", "t") and not rate and not space:
        return match.group()  # "1990s"
    word = _UNITS[unit] if number == "1" else _PLURALS.get(_UNITS[unit], _UNITS[unit] + "s")
    return f"{number} {word}" + (f" per {_RATES[rate]}" if rate else "")


_HAN_MONEY = {"¥": "元", "￥": "元", "$": "美元", "€": "欧元", "£": "英镑"}
_HAN_UNITS = {
    "km/h": "公里每小时", "m/s": "米每秒", "km": "公里", "cm": "厘米", "mm": "毫米", "m": "米",
    "kg": "公斤", "mg": "毫克", "g": "克", "ml": "毫升", "mL": "毫升", "l": "升", "L": "升",
    "m²": "平方米", "km²": "平方公里", "h": "小时", "min": "分钟", "s": "秒",
}  # fmt: skip
_HAN_UNIT = re.compile(
    r"(?<=\d)\s?("
    + "|".join(sorted(map(re.escape, _HAN_UNITS), key=len, reverse=True))
    + r")(?![A-Za-z0-9²/])"
)
_HAN_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_HAN_PREFIX_MONEY = re.compile(r"([¥￥$€£])\s?(\d+(?:\.\d+)?)")
_HAN_DATE = re.compile(r"(?<!\d)(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)")
_HAN_TIME = re.compile(r"(?<!\d)(\d{1,2})[:：](\d{2})(?![\d:：])")
_HAN_PHONE = re.compile(r"(?<![\d.])(?:\d{2,4}(?:-\d{3,8})+|\d{7,}|0\d{2,})(?![\d.])")
_HAN_RANGE = re.compile(r"(?<=[\d分点%日月])\s?[-–~～]\s?(?=\d)")
_HAN_PAIR = re.compile(r"(?<![\d.第])2(?=[个位张件条只块天岁间家杯本种辆名点万千百次])")
_DIGITS_HAN = dict(zip("0123456789", "零一二三四五六七八九", strict=True))


def chinese_text(text: str) -> str:
    """Plain Chinese text with what cn2an does not know (money, times, units) put into words."""
    text = _MAIL.sub(_say_mail, text)
    text = _URL.sub(lambda match: f" {_say_address(match.group(1))} ", text)
    text = _HAN_THOUSANDS.sub("", text)
    text = _HAN_PREFIX_MONEY.sub(lambda m: _trim_zeros(m.group(2)) + _HAN_MONEY[m.group(1)], text)
    text = re.sub(
        r"\d+\.\d*0(?=\s?(?:元|块|美元|欧元|英镑))", lambda m: _trim_zeros(m.group()), text
    )
    text = _HAN_DATE.sub(lambda m: f"{m.group(1)}年{int(m.group(2))}月{int(m.group(3))}日", text)
    text = _HAN_TIME.sub(_han_time, text)
    text = re.sub(r"(?<=\d)\s?°\s?C", "度", text).replace("℃", "度").replace("℉", "华氏度")
    text = _HAN_UNIT.sub(lambda match: _HAN_UNITS[match.group(1)], text)
    text = _HAN_PHONE.sub(_han_digits, text)
    text = _PERCENT_RANGE.sub(r"\1%到\2%", text)
    text = _HAN_RANGE.sub("到", text)
    text = _HAN_PAIR.sub("两", text)
    return re.sub(r"(?<=\d)\s?%", "%", text)


def _trim_zeros(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _han_digits(match: re.Match[str]) -> str:
    """ "13812345678" → "一三八，一二三四，五六七八": a breath between groups, as they are said."""
    groups = [group for part in match.group().split("-") for group in _digit_groups(part)]
    return "，".join("".join(_DIGITS_HAN[digit] for digit in group) for group in groups)


def _digit_groups(digits: str) -> list[str]:
    """Groups of four from the end; what is before them has one to four digits."""
    first = (len(digits) - 1) % 4 + 1
    return [digits[:first], *(digits[at : at + 4] for at in range(first, len(digits), 4))]


def _han_time(match: re.Match[str]) -> str:
    hour, minute = int(match.group(1)), int(match.group(2))
    if hour > 24 or minute > 59:
        return match.group()
    if minute == 0:
        return f"{hour}点"
    return f"{hour}点半" if minute == 30 else f"{hour}点{'零' if minute < 10 else ''}{minute}分"
