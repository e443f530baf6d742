from __future__ import annotations

import pytest

from halfsecond.models.tts.normalize import chinese_text, english_text, plain_text


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("**Bold** and *soft* and __hard__ and ~~gone~~", "Bold and soft and hard and gone"),
        ("a half **bold", "a half bold"),
        ("Use `make demo` now", "Use make demo now"),
        ("```python\nrun()\n```", "run()"),
        ("## Opening hours", "Opening hours"),
        ("- bread\n* milk\n> said", "bread\nmilk\nsaid"),
        ("-5 degrees", "-5 degrees"),
        ("2 * 3 is 6", "2 * 3 is 6"),
        ("snake_case stays, _this_ goes", "snake_case stays, this goes"),
        ("[our shop](https://a.org/x) and ![a ship](s.png)", "our shop and a ship"),
        ("[evil](/həlˈO/)", "evil"),
        ("Hi 😀👍🏽 there 🇬🇧!", "Hi there !"),
        ("20 °C, 50 ½ © ™", "20 °C, 50 ½ © ™"),
        ("Good :) bye ;-)", "Good bye"),
        ("at 7:30, ratio 3:1", "at 7:30, ratio 3:1"),
        ("<b>big</b><br/>1 < 2 > 0<|im_end|>", "big1 < 2 > 0"),
        ("Assistant: Yes.", "Yes."),
        ("---\nNext", "Next"),
        ("**好的**，开门 😀", "好的，开门"),
    ],
)
def test_markup_and_emoji_are_not_spoken(written: str, plain: str) -> None:
    assert plain_text(written) == plain


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("5 m wide, 5m", "5 meters wide, 5 meters"),
        ("1 kg of 3 L", "1 kg of 3 liters"),
        ("10 m/s and 20 m²", "10 meters per second and 20 square meters"),
        ("$5m and the 1990s", "$5m and the 1990s"),
        ("5 in a row", "5 in a row"),
        ("20€ or 3.50 £", "€20 or £3.50"),
        ("5-10% of it", "5 to 10% of it"),
        ("-5℃ outside", "minus 5 °C outside"),
        ("9am-5pm, 9:00–17:00", "9am to 5pm, 9:00 to 17:00"),
        ("open 24/7", "open twenty-four seven"),
        ("e.g. ships, i.e. boats", "for example, ships, that is, boats"),
        ("see www.my-site.org/a?b=1.", "see my dash site dot org."),
        ("mail jo.b@x.org", "mail jo dot b at x dot org"),
        ("call +44 20 7946 0958", "call plus 4 4, 2 0, 7 9 4 6, 0 9 5 8"),
        ("call (555) 123-4567", "call 555-123-4567"),
        ("code 007 of 12345678", "code 0 0 7 of 1 2 3 4 5 6 7 8"),
        ("2024-03-03 and 1,250.75", "2024-03-03 and 1,250.75"),
        ("bed & breakfast 3 x 4", "bed and breakfast 3 by 4"),
    ],
)
def test_english_symbols_become_words(written: str, said: str) -> None:
    assert english_text(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("门票3.50元", "门票3.5元"),
        ("¥3.50或$5", "3.5元或5美元"),
        ("共1,250人", "共1250人"),
        ("9:30到17:05，10:00", "9点半到17点零5分，10点"),
        ("2024-03-05", "2024年3月5日"),
        ("20 °C和20℃", "20度和20度"),
        ("长5km，重3 kg，每小时120km/h", "长5公里，重3公斤，每小时120公里每小时"),
        ("电话010-12345678", "电话零一零，一二三四，五六七八"),
        ("手机13812345678", "手机一三八，一二三四，五六七八"),
        ("9-17点", "9到17点"),
        ("5-10%", "5%到10%"),
        ("2个人在第2层，12个，2点", "两个人在第2层，12个，两点"),
    ],
)
def test_chinese_symbols_become_words(written: str, said: str) -> None:
    assert chinese_text(written) == said
