"""Character error rate of Chinese: on characters as they are said, however they are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from halfsecond_bench.wer import WordErrors, summed_errors

_OLD = "門開點歡迎來這館張學東邊樓請問會講們個嗎語裡後時間為麼幫經過電視說話聲廳對務員機"
_NEW = "门开点欢迎来这馆张学东边楼请问会讲们个吗语里后时间为么帮经过电视说话声厅对务员机"
_OLD += "書買賣飛艙號屬頭圍場園紅藍綠體飯麵湯鮮雲雨傘觀參費謝臨際國進輕孩歲還遠鏡師傅導線"
_NEW += "书买卖飞舱号属头围场园红蓝绿体饭面汤鲜云雨伞观参费谢临际国进轻孩岁还远镜师傅导线"
_OLD += "閉禮貌貼簡單應該聽見覺讀寫員圖畫錢幣價種類實驗術環繞爾黨義氣燈車輛媽爺誰讓當從掛鍛煉"
_NEW += "闭礼貌贴简单应该听见觉读写员图画钱币价种类实验术环绕尔党义气灯车辆妈爷谁让当从挂锻炼"
_OLD += "屬於倆雙夠樣現發處動業東務達萬與兒適將據點計設備護證認識記憶連接網絡碼導覽陽陰雞魚"
_NEW += "属于俩双够样现发处动业东务达万与儿适将据点计设备护证认识记忆连接网络码导览阳阴鸡鱼"
_OLD += "鳥斷戀漲頂溫"
_NEW += "鸟断恋涨顶温"
_MODERN = str.maketrans(_OLD, _NEW)
"""Whisper writes some characters in their old form; both are said alike."""
_KEPT = re.compile(r"[\u4e00-\u9fff]|[a-z0-9]+")


def character_errors(pairs: Iterable[tuple[str, str]]) -> WordErrors:
    """The errors of (reference, hypothesis) pairs, summed, by the least number of edits.

    A word of Latin letters or a number counts as one character; punctuation does not count.
    """
    return summed_errors(pairs, spoken_characters)


def spoken_characters(text: str) -> list[str]:
    """The characters of a text in their modern form."""
    plain = unicodedata.normalize("NFKC", text).translate(_MODERN).lower()
    found: list[str] = _KEPT.findall(plain)
    return found
