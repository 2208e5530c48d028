"""Texts that are hard to carry: twenty scripts and what else people write, and values that are meant to do harm."""

import itertools

SCRIPTS = {
    "latin": "Žluťoučký kůň pěl ďábelské ódy – Straße, façade, İstanbul, Việt Nam",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "cyrillic": "Съешь же ещё этих мягких французских булок, да выпей чаю",
    "armenian": "Բել դղյակի ձախ ժամն օֆ ազգությանը ցպահանջ",
    "georgian": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი",
    "hebrew": "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "arabic": "نص حكيم له سر قاطع وذو شأن عظيم",
    "persian": "می‌خواهم نامه‌ای بنویسم که «به‌راستی» برسد",
    "devanagari": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा",
    "bengali": "আমি কাঁচ খেতে পারি, তাতে আমার কোনো ক্ষতি হয় না",
    "tamil": "யாமறிந்த மொழிகளிலே தமிழ்மொழி போல்",
    "telugu": "నేను గాజు తినగలను మరియు అలా చేసినా",
    "sinhala": "මට වීදුරු කෑමට හැකියි එයින් මට කිසි හානියක්",
    "thai": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่ากว่าบรรดาฝูงสัตว์",
    "khmer": "ខ្ញុំអាចញ៉ាំកញ្ចក់បាន ដោយគ្មានបញ្ហា",
    "tibetan": "ཤེལ་སྒོ་ཟ་ནས་ང་ན་གི་མ་རེད།",
    "amharic": "ሰማይ አይታረስ ንጉሥ አይከሰስ።",
    "cherokee": "ᎣᏏᏲ ᏙᎯᏧ ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "han": "天地玄黃宇宙洪荒日月盈昃辰宿列張，視野無限廣窗外有藍天",
    "kana": "いろはにほへとちりぬるを ワカヨタレソツネナラム ﾊﾝｶｸ",
    "hangul": "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다",
    "mongolian": "ᠬᠦᠮᠦᠨ ᠪᠦᠷ ᠲᠥᠷᠥᠵᠦ ᠮᠡᠨᠳᠡᠯᠡᠬᠦ",
}

# What no script has for itself.
OTHERS = {
    "emoji": "👩‍👩‍👧‍👦 family, 🏳️‍🌈 flag, 👍🏽 skin, 🇪🇺 letters, 1️⃣ keycap",
    "both ways": "English עברית 123 العربية end, \u2067right\u2069 to \u2066left\u2069 \u200f\u200e",
    "combined": "Z\u0351\u036b\u0343 e\u0301\u0323 ﬁ Å Å \ufeffmark \u00a0 \u200bnothing",
    "beyond the plane": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𒀀 𓂀 𠜎",
    "long word": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2,
    "long ascii word": "x" * 200,
    "like an encoded word": "=?utf-8?Q?not_one?= =?x =?utf-8?B?eA==?=",
    "like a header": "Subject: no, Bcc: nobody@people.test; x=\"y\\z\"",
    "signs": "\"quoted\" \\back\\ (comment) <angle> [square] ,;:@ 'single' `tick` %41 &amp; *star* #1 +1 _under_ = ~ | ^ {brace}",
    "spaces": "one  two   three    four",
    "edges": "  both ends  ",
    "dots": "... .dot ...",
    "everything ascii": "".join(map(chr, range(0x20, 0x7F))),
}

VICTIM = "victim@evil.test"
_FIELD = f"Bcc: {VICTIM}"

# What may end a line, or look to some reader as if it did.
_BREAKS = [
    "\r\n", "\n", "\r", "\n\r", "\r\n\r\n", "\n\n", "\r\r\n", "\r\n ", "\r\n\t", "\x00", "\x0b", "\x0c", "\x1c", "\x1d",
    "\x1e", "\x1f", "\x85", "\u2028", "\u2029", "\u010a", "\u560d\u560a", "\uff0d\uff0a", "%0d%0a", "%0a", "%250d%250a",
    "\\r\\n", "\\n", "&#13;&#10;", "=0D=0A", "=\r\n", "\x08", "\x1b[2J", "\x7f", "\u202e", "\ufeff", "\ud800",
]  # fmt: skip
_AFTER = [_FIELD, f"To: {VICTIM}"]

# What ends a phrase, an address, a parameter, a part or a message.
_OTHERS = [
    f"x>, <{VICTIM}", f"\" <{VICTIM}>, \"", f"x\" <{VICTIM}>, \"y", f"\\\" <{VICTIM}>, \"", f"(c) <{VICTIM}>, (", f"x, {VICTIM}",
    f"x; {VICTIM}", f"group: {VICTIM};", f"<{VICTIM}>", VICTIM, f"x <{VICTIM}>", f"x@people.test, {VICTIM}",
    f"x@people.test>, <{VICTIM}", f"x@people.test\", <{VICTIM}>", f"=?utf-8?Q?x=0D=0ABcc:_{VICTIM}?=",
    "=?utf-8?B?eA0KQmNjOiB2aWN0aW1AZXZpbC50ZXN0?=", f"=?utf-8?Q?x=22_=3C{VICTIM}=3E,?=", f"=?utf-8?Q?=3E,_<{VICTIM}>?=",
    f"x=?utf-8?Q?=00?= {VICTIM}", f"x\"; filename=\"{VICTIM}", f"x\"; filename*=utf-8''evil.exe; x=\"", "x\"\r\nContent-Type: text/html",
    "../../etc/passwd", "C:\\windows\\evil.exe", "x.exe\u202efdp.x", "name\x00.exe", "..", "/", "x; charset=utf-7", "text/html; boundary=x",
    "multipart/mixed; boundary=x", "message/rfc822", "message/partial; id=x; number=1", "text/html\"; x=\"", "--x--", "\r\n.\r\nMAIL FROM:<>",
    "\r\n--=_x\r\n", "\n.\n", ".", "", " ", "\t", "x" * 70_000, "\u00e4" * 5_000, "@", "a@", "@b", "a@b@c", "\"a\r\n b\"@people.test", "a b@people.test",
    "<script>alert(1)</script>", "${jndi:ldap://x}", "{{7*7}}", "' OR 1=1 --", "\x01\x02\x03", "\u0000\u0001", "x\\", "\\", "\"", "(", ")", "<", ">", ";", ",", ":",
]  # fmt: skip


def hostile():
    """More than a hundred values, none twice."""
    broken = [f"x{mark}{after}" for mark, after in itertools.product(_BREAKS, _AFTER)]
    leading = [f"{mark}{_FIELD}" for mark in _BREAKS[:12]]
    values = list(dict.fromkeys(broken + leading + _OTHERS))
    assert len(values) >= 100
    return values
