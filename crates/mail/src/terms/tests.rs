//! Texts of many scripts with their words, and what is kept of a message.

use super::*;
use postfleet_core::search::evaluate::of_vector;
use postfleet_core::search::vector::Entries;
use proptest::prelude::*;

fn term(word: &str) -> Term {
    let mut hash = words::Hash::default();
    word.bytes().for_each(|octet| hash.push(octet));
    hash.finish()
}

/// Script, text, and its words parted by blanks.
const TEXTS: &[(&str, &str, &str)] = &[
    ("Latin", "Hello, World!", "hello world"),
    ("Latin", "don't e-mail ada@people.test", "don t e mail ada people test"),
    ("Latin", "file_name-2026.11.22 (v2).pdf", "file name 2026 11 22 v2 pdf"),
    ("Latin", "https://shop.test/a?b=c#d", "https shop test a b c d"),
    ("Latin", "Grüße GRÜSSE grüsse Straße STRASSE", "grusse grusse grusse strasse strasse"),
    ("Latin", "ẞ ſ", "ss s"),
    ("Latin", "café cafe\u{301} CAFÉ", "cafe cafe cafe"),
    ("Latin", "Łódź Ørsted đội œuvre Ægir", "lodz orsted doi oeuvre aegir"),
    ("Latin", "İstanbul ISPARTA ısı", "istanbul isparta isi"),
    ("Latin", "Việt Nam, tiếng", "viet nam tieng"),
    ("Latin", "ﬁnance ｆｕｌｌ　ｗｉｄｔｈ ①②", "finance full width 12"),
    ("Latin", "𝐁𝐨𝐥𝐝 𝓼𝓬𝓻𝓲𝓹𝓽 ⓐⓑ", "bold script ab"),
    ("Latin", "in\u{ad}vis\u{200b}ible\u{feff}", "invisible"),
    ("Latin", "a\u{0}b\tc\r\nd", "ab c d"),
    ("Latin", "x² H₂O ½", "x2 h2o 1 2"),
    ("Latin", "naïve façade señor Ångström Zürich", "naive facade senor angstrom zurich"),
    ("Latin", "İİ", "ii"),
    ("Greek", "Αθήνα ΑΘΉΝΑ αθηνα", "αθηνα αθηνα αθηνα"),
    ("Greek", "ΟΔΥΣΣΕΥΣ Ὀδυσσεύς", "οδυσσευσ οδυσσευσ"),
    ("Cyrillic", "Счёт-фактура СЧЕТ Йошкар", "счет фактура счет иошкар"),
    ("Cyrillic", "Київ їжак ЖУРНАЛ", "киів іжак журнал"),
    ("Armenian", "Բարեւ ԲԱՐԵՒ", "բարեւ բարեւ"),
    ("Georgian", "გამარჯობა ᲒᲐᲛᲐᲠᲯᲝᲑᲐ", "გამარჯობა გამარჯობა"),
    ("Hebrew", "שלום שָׁלוֹם עולם", "שלום שלום עולם"),
    ("Arabic", "فاتورة مُحَمَّد محمد كـــتاب", "فاتورة محمد محمد كتاب"),
    ("Persian", "می\u{200c}خواهم ۱۲", "میخواهم ۱۲"),
    ("Devanagari", "नमस्ते दुनिया, हिन्दी।", "नमस्ते दुनिया हिन्दी"),
    ("Bengali", "বাংলা ভাষা", "বাংলা ভাষা"),
    ("Gurmukhi", "ਪੰਜਾਬੀ ਬੋਲੀ", "ਪੰਜਾਬੀ ਬੋਲੀ"),
    ("Gujarati", "ગુજરાતી ભાષા", "ગુજરાતી ભાષા"),
    ("Tamil", "தமிழ் மொழி", "தமிழ் மொழி"),
    ("Telugu", "తెలుగు భాష", "తెలుగు భాష"),
    ("Kannada", "ಕನ್ನಡ ಭಾಷೆ", "ಕನ್ನಡ ಭಾಷೆ"),
    ("Malayalam", "മലയാളം ഭാഷ", "മലയാളം ഭാഷ"),
    ("Sinhala", "සිංහල භාෂාව", "සිංහල භාෂාව"),
    ("Ethiopic", "ሰላም ዓለም።", "ሰላም ዓለም"),
    ("Cherokee", "ᏣᎳᎩ ꮳꮃꭹ", "ꮳꮃꭹ ꮳꮃꭹ"),
    ("Tibetan", "བོད་སྐད", "བོད སྐད"),
    ("Thai", "สวัสดี", "ส ว ั ส ด ี"),
    ("Lao", "ລາວ", "ລ າ ວ"),
    ("Khmer", "ខ្មែរ", "ខ ្ ម ែ រ"),
    ("Myanmar", "မြန်မာ", "မ ြ န ် မ ာ"),
    ("Han", "发票2026年，送金", "发 票 2026 年 送 金"),
    ("Han", "請在3天內付款。", "請 在 3 天 內 付 款"),
    ("Han", "𠮷野家", "𠮷 野 家"),
    ("Hiragana", "ありがとう、ございます", "あ り が と う ご ざ い ま す"),
    ("Katakana", "ガガ カ\u{3099} ｶﾞ パーティー", "ガ ガ ガ ガ パ ー テ ィ ー"),
    ("Hangul", "안녕하세요 세계", "안 녕 하 세 요 세 계"),
    ("Hangul", "\u{1112}\u{1161}\u{11ab}글 가\u{11a8}", "한 글 각"),
    ("Bopomofo", "ㄅㄆ ok", "ㄅ ㄆ ok"),
    ("Mongolian", "ᠮᠣᠩᠭᠣᠯ", "ᠮᠣᠩᠭᠣᠯ"),
    ("several", "会議は10時から@Zoom（東京）", "会 議 は 10 時 か ら zoom 東 京"),
    ("none", "!?… — 🎉 «»", ""),
    ("none", "", ""),
];

#[test]
fn text_of_every_script_comes_to_its_words() {
    let scripts: std::collections::BTreeSet<_> = TEXTS.iter().map(|(script, ..)| script).collect();
    println!("{} texts of {} scripts", TEXTS.len(), scripts.len());
    assert!(scripts.len() >= 20);
    for (script, text, words) in TEXTS {
        let expected: Vec<Term> = words.split(' ').filter(|word| !word.is_empty()).map(term).collect();
        let found = of_text(text);
        let known: Vec<_> = found.iter().map(|one| words.split(' ').find(|word| term(word) == *one)).collect();
        assert_eq!(found, expected, "{script} {text:?}: {known:?}");
    }
}

fn head() -> Head<'static> {
    Head {
        subject: "Invoice 42",
        people: vec![
            Named { role: Role::From, name: "Ada Lovelace", email: "Ada@People.test" },
            Named { role: Role::To, name: "", email: "bob@shop.test" },
        ],
        files: vec!["Rechnung Nr 7.pdf", "plan.txt"],
    }
}

#[test]
fn a_query_is_found_in_each_field_and_across_none() {
    let vector = vector(&head(), "Please pay by Friday. Zahlung über 100 EUR, 送金してください");
    for (query, expected) in [
        ("invoice", Some(8)),
        ("INVOICE pay", Some(9)),
        ("ada", Some(4)),
        ("lovelace", Some(4)),
        ("\"ada people test\"", Some(4)),
        ("Ada@people.TEST", Some(4)),
        ("bob@shop.test", Some(4)),
        ("rechnung", Some(2)),
        ("plan.txt", Some(2)),
        ("friday", Some(1)),
        ("\"by friday\"", Some(1)),
        ("\"friday zahlung\"", Some(1)),
        ("送金", Some(1)),
        ("金送", None),
        ("UBER", Some(1)),
        ("100 EUR", Some(2)),
        ("\"lovelace ada\"", None),
        ("\"test bob\"", None),
        ("\"pdf plan\"", None),
        ("\"42 ada\"", None),
        ("\"invoice 42\"", Some(8)),
        ("invoice -friday", None),
        ("-monday", Some(0)),
        ("invoice -monday", Some(8)),
        ("monday OR friday", Some(1)),
        ("monday OR friday OR ada", Some(5)),
        ("(monday OR friday) invoice", Some(9)),
        ("invoice & pay", Some(9)),
        ("from:ada", None),
    ] {
        let query = Query::parse(query).expect(query).expect(query);
        let sought = of_query(&query).expect("words");
        assert_eq!(of_vector(&sought, &sought.terms(), &vector), expected, "{query}");
    }
    let named = |role, email| Sought::Terms(vec![named_as(role, email)]);
    for (sought, expected) in [
        (named(Role::From, "ada@people.test"), Some(0)),
        (named(Role::To, "BOB@shop.test"), Some(0)),
        (named(Role::To, "ada@people.test"), None),
        (named(Role::From, "ada@people"), None),
    ] {
        assert_eq!(of_vector(&sought, &sought.terms(), &vector), expected);
    }
}

#[test]
fn a_query_without_letters_seeks_nothing() {
    for text in ["!", "\"…\"", "🎉 OR -", "-!", "(& *)", "--"] {
        assert_eq!(of_query(&Query::parse(text).expect(text).expect(text)), None, "{text}");
    }
    let sought = |text: &str| of_query(&Query::parse(text).unwrap().unwrap()).unwrap();
    assert_eq!(sought("a & b"), sought("a b"));
    assert_eq!(sought("a -!"), sought("a"));
}

#[test]
fn what_is_kept_of_a_message_is_bounded() {
    let words = |count: usize| (0..count).map(|number| format!("w{number} ")).collect::<String>();
    let positions = |vector: &[u8]| Entries::of(vector).flat_map(|found| found.positions().collect::<Vec<_>>()).count();
    let nobody = Head::default();
    assert_eq!(positions(&vector(&nobody, &words(20_000))), 20_000);
    assert_eq!(positions(&vector(&nobody, &words(20_001))), 20_000);
    assert_eq!(positions(&vector(&nobody, &"a".repeat(5 << 20))), 1);
    let (subject, name) = (words(5_000), words(3_000));
    let people = vec![Named { role: Role::Cc, name: &name, email: "a@b.test" }; 1_000];
    let head = Head { subject: &subject, people, files: vec![&name; 1_000] };
    let vector = vector(&head, &words(50_000));
    assert!(positions(&vector) < 0x1_0000, "{}", positions(&vector));
    assert!(Entries::of(&vector).all(|found| found.positions().all(|at| at < 0x1_0000)));
}

#[test]
fn the_text_is_that_of_the_body() {
    let raw = b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: text/html; charset=utf-8\r\n\r\n<p>Gr&uuml;&szlig;e aus <b>Bonn</b></p><script>hidden()</script>\r\n--b\r\n\
        Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nsecret\r\n--b--\r\n";
    let vector = of_message(raw, &Head::default());
    let is_there = |word: &str| Entries::of(&vector).any(|found| found.term == term(word));
    assert!(is_there("grusse") && is_there("bonn"));
    assert!(!is_there("secret") && !is_there("hidden") && !is_there("uuml"));
}

#[test]
fn the_vector_of_a_long_text_is_made_when_it_is_needed() {
    let message = |text: usize, file: usize| {
        let (text, file) = ("word ".repeat(text / 5), "A".repeat(file));
        format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b\r\n\
             Content-Type: application/pdf\r\n\r\n{file}\r\n--b--\r\n"
        )
    };
    for (text, file, is_kept) in
        [(10, 10, true), (2_990, 0, true), (3_010, 0, false), (30_000, 0, false), (3_010, 66_000, true)]
    {
        let raw = message(text, file);
        let kept = kept(raw.as_bytes(), &head());
        assert_eq!(kept.is_some(), is_kept, "{text} {file}");
        assert_eq!(kept_of(&Parsed::read(raw.as_bytes()), &head()), kept, "{text} {file}");
        if let Some(kept) = kept {
            assert_eq!(kept, of_message(raw.as_bytes(), &head()));
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_split(text in "\\PC{0,300}", other in "[\\u{0300}-\\u{036f}\\u{3099}\\u{1100}-\\u{11ff}a-c가-각か-が ]{0,60}") {
        let whole = of_text(&text);
        // A phrase of a text is found in it.
        if !whole.is_empty() {
            let vector = vector(&Head { subject: &text, ..Head::default() }, &text);
            let sought = Sought::Terms(whole);
            prop_assert!(of_vector(&sought, &sought.terms(), &vector).is_some());
        }
        let _ = of_text(&other);
    }
}
