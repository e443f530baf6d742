"""What `bench voices` has read aloud: plain sentences, and texts that are not said as written.

All are about a museum, as what a kiosk says; none was chosen for how well it was heard.
"""

from __future__ import annotations

SENTENCES = {
    "en": (
        "Welcome to the space museum. How can I help you today?",
        "The planetarium show begins in the dome on the upper floor.",
        "You will find the restrooms next to the main entrance.",
        "Yes, the moon rock is real, and you may touch it gently.",
        "I am sorry, but I do not know that. Please ask at the desk.",
        "Children under six may come in free with an adult.",
        "The gift shop sells books, models and freeze dried ice cream.",
        "Sally Ride was the first American woman to fly in space.",
        "Please keep your voice down while the film is running.",
        "The cafe serves soup, sandwiches and fresh fruit all day.",
        "You can park behind the building and walk through the garden.",
        "The oldest telescope in our collection was made by a baker.",
    ),
    "zh": (
        "欢迎来到航天博物馆，请问有什么可以帮您？",
        "天文馆在二楼，请坐电梯上去。",
        "洗手间在大门的左边。",
        "这块月球石头是真的，您可以轻轻地摸一下。",
        "对不起，这个问题我不知道，请到服务台问一下。",
        "六岁以下的孩子可以免费参观。",
        "商店里有书、模型和明信片。",
        "她是第一位进入太空的美国女性。",
        "看电影的时候请小声说话。",
        "咖啡厅全天供应汤、面包和水果。",
        "停车场在大楼后面，穿过花园就到了。",
        "我们最老的望远镜是一位面包师傅做的。",
        "下雨天请把雨伞放在门口。",
        "请不要在展厅里拍照。",
        "如果您迷路了，可以跟着地上的蓝线走。",
        "今天的讲解员会说中文和英文。",
        "飞船的模型挂在大厅的天花板上。",
        "宇航员在太空里也要锻炼身体。",
        "晚上可以在屋顶上看星星。",
        "谢谢您的光临，欢迎再来。",
    ),
}
"""Without digits, so that an error is one of words and not of how they are written."""

READINGS = {
    "en": (
        (
            "It costs $3.50 for a child.",
            r"\$ ?3\.50|(three|3) dollars and (fifty|50)",
        ),
        ("The ticket is £12.", r"£ ?12|twelve pounds|12 pounds"),
        ("It opened on July 20, 1969.", r"july (20th|twentieth|20),? (1969|nineteen sixty.nine)"),
        ("We close at 5:30 pm.", r"(5[:.]30|five thirty) ?p\.?m"),
        ("The rocket weighs 2,800 tons.", r"2,?800 tons|twenty.eight hundred tons"),
        ("It flew at 28,000 km/h.", r"28,?000 ((kilomet\w+|km) (per|an) hour|km/h)"),
        ("The room is 20 °C.", r"(20|twenty) ?(degrees celsius|degrees c|°c)"),
        ("About 71% is water.", r"(71|seventy.one) ?(%|percent)"),
        ("It is 3.7 meters tall.", r"(3\.7|three point seven) met"),
        ("He was the 2nd man there.", r"(second|2nd) man"),
        ("Open from 9 to 17.", r"(9|nine) to (17|seventeen)"),
        ("It has 1,250 exhibits.", r"1,?250 exhibits|twelve.fifty exhibits"),
        ("The film lasts 45 min.", r"(45|forty.five) min"),
        ("Room 12 is on floor 3.", r"room (12|twelve) is on floor (3|three)"),
    ),
    "zh": (
        ("这里共有1,250件展品。", r"1,?250|一千[二两]百五十"),
        ("儿童票3.5元。", r"(3\.5|三点五) ?[元圆]"),
        ("成人票¥60。", r"(60|六十) ?[元圆块]|¥60"),
        ("门票$12。", r"(12|十二) ?美[元圆]|\$12"),
        ("1969年7月20日登月。", r"(1969|一九六九) ?年 ?(7|七) ?月 ?(20|二十) ?[日号]"),
        ("今天是2026-11-29。", r"(2026|二[零〇]二六) ?年 ?(11|十一) ?月 ?(29|二十九) ?[日号]"),
        ("我们下午5:30关门。", r"下午 ?(5|五)([:：]30|[点點]半|[点點]三十|点30)"),
        ("室内温度是20℃。", r"(20|二十) ?(度|摄氏度|℃|°C)"),
        ("水占71%。", r"71%|百分之七十一"),
        ("火箭高36.7m。", r"(36\.7|三十六点七) ?米"),
        ("速度是28,000km/h。", r"(28,?000|两万八千|2万8000|2万8千|2\.8万).*公里"),
        ("电影长45分钟。", r"(45|四十五) ?分[钟鐘]"),
        ("一共2个人。", r"[两兩2二] ?[个個]"),
        ("请打电话12345678。", r"1 ?2 ?3 ?4 ?5 ?6 ?7 ?8|[一幺]二三四五六七八"),
    ),
}
"""Written, and a pattern of what must be heard, however Whisper writes it."""

MIXED = (
    ("我叫Tom，来自New York。", r"new york"),
    ("请连接Wi-Fi，密码在门口。", r"wi-?fi"),
    ("这是NASA的照片。", r"nasa"),
    ("您可以用iPhone扫码。", r"iphone|i ?phone"),
    ("欢迎来到Space Museum。", r"space museum"),
    ("Apollo的展厅在一楼。", r"apollo"),
    ("Hello，很高兴见到您。", r"hello|哈[喽囉啰罗]"),
    ("请说OK。", r"ok"),
)
"""Chinese with English in it, and the English that must be heard."""
