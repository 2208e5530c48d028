use super::*;

#[test]
fn what_looks_alike_has_one_skeleton() {
    for (one, other) in [
        ("paypal", "PayPal"),
        ("paypal", "pаypаl"),
        ("paypal", "paypa1"),
        ("paypal", "ΡΑYΡΑL"),
        ("paypal", "рауpal"),
        ("paypal", "pay\u{200b}pal"),
        ("paypal", "páypàl"),
        ("paypal", "ｐａｙｐａｌ"),
        ("paypal", "𝓹𝓪𝔂𝓹𝓪𝓵"),
        ("microsoft", "rnicrosoft"),
        ("microsoft", "micr0s0ft"),
        ("wwf", "vvwf"),
        ("office", "oﬃce"),
        ("Acme  Travel", " acme-travel "),
    ] {
        assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
    }
    for (one, other) in [("paypal", "payball"), ("acme", "acne"), ("a b", "ab"), ("李", "雷")] {
        assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
    }
}

/// Each look-alike in place of its letter in a word of that letter: the skeleton stays, and where the letter is of another
/// script the disguise is seen.
#[test]
fn every_look_alike_is_known_wherever_it_stands() {
    let mut cases = 0;
    for (letter, others) in LOOK_ALIKES {
        for other in others.chars() {
            for word in [format!("{letter}bank"), format!("ba{letter}nk"), format!("bank{letter}")] {
                let disguised = word.replacen(*letter, &other.to_string(), 1);
                assert_eq!(skeleton(&word), skeleton(&disguised), "{word} {disguised}");
                cases += 1;
            }
            let is_foreign = script(other).is_some_and(|script| !matches!(script, Script::Latin | Script::Other));
            if is_foreign {
                assert!(is_disguised(&format!("bank{other}")), "{other} ({letter})");
                assert!(is_disguised(&format!("x@{other}bank.com")), "{other} ({letter})");
            }
        }
    }
    assert!(cases >= 500, "{cases} cases");
}

#[test]
fn words_in_one_script_are_no_disguise() {
    for text in [
        "",
        "Ada",
        "Тамара",
        "МАРТА",
        "сахар",
        "Ελένη",
        "Straße",
        "Łódź",
        "שלום",
        "你好 Ada",
        "Ada Тамара",
        "I/О Тест",
        "x²",
        "N°5",
    ] {
        assert!(!is_disguised(text), "{text}");
    }
    for text in ["Аda", "Adа", "Ѕupport", "αpple", "ⓑank", "bаnk.com", "hello Wоrld"] {
        assert!(is_disguised(text), "{text}");
    }
}

#[test]
fn what_is_ascii_goes_the_short_way_to_the_same_end() {
    for text in ["", "Ada Lovelace", "PayPa1 Support|1!0", "  a\tb\r\nc\u{7}d ", "rnvv.-_@x", "corn Vv RN"] {
        // Nobody sees what is added, and with it the text is not ASCII any more.
        let long_way = format!("{text}\u{200b}");
        assert_eq!(skeleton(text), skeleton(&long_way), "{text:?}");
        assert_eq!(is_disguised(text), is_disguised(&long_way), "{text:?}");
    }
}
