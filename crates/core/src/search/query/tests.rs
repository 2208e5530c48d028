//! Each query with its tree, or what is wrong with it and where.

use super::*;
use Fault::*;
use proptest::prelude::*;

/// `a` a word, `'a b'` a phrase, `(& a b)` both, `(| a b)` either, `!a` not.
fn tree(query: &Query) -> String {
    let many = |sign: char, parts: &[Query]| {
        let parts: String = parts.iter().map(|part| format!(" {}", tree(part))).collect();
        format!("({sign}{parts})")
    };
    match query {
        Query::Word(text) => text.clone(),
        Query::Phrase(text) => format!("'{text}'"),
        Query::All(parts) => many('&', parts),
        Query::Any(parts) => many('|', parts),
        Query::Not(inner) => format!("!{}", tree(inner)),
    }
}

const TREES: &[(&str, &str)] = &[
    // words
    ("a", "a"),
    ("  a  ", "a"),
    ("\t\n a\u{3000}", "a"),
    ("invoice", "invoice"),
    ("Invoice", "Invoice"),
    ("a b", "(& a b)"),
    ("a b c", "(& a b c)"),
    ("a\u{a0}b", "(& a b)"),
    ("a\u{3000}b", "(& a b)"),
    ("a\nb", "(& a b)"),
    ("grüße", "grüße"),
    ("発票 送金", "(& 発票 送金)"),
    ("🎉", "🎉"),
    ("from:ada", "from:ada"),
    ("subject:x y", "(& subject:x y)"),
    ("ada@people.test", "ada@people.test"),
    ("<a@b.test>", "<a@b.test>"),
    ("don't", "don't"),
    ("a,b", "a,b"),
    ("a*", "a*"),
    ("a\\b", "a\\b"),
    ("[a]", "[a]"),
    ("{a}", "{a}"),
    ("“a b”", "(& “a b”)"),
    ("a|b", "a|b"),
    ("a&b", "a&b"),
    ("\u{0}", "\u{0}"),
    // operators, in capitals alone
    ("a AND b", "(& a b)"),
    ("a AND b AND c", "(& a b c)"),
    ("a AND b c", "(& a b c)"),
    ("a b AND c", "(& a b c)"),
    ("a OR b", "(| a b)"),
    ("a OR b OR c", "(| a b c)"),
    ("a and b", "(& a and b)"),
    ("a or b", "(& a or b)"),
    ("a And b", "(& a And b)"),
    ("a Or b", "(& a Or b)"),
    ("a NOT b", "(& a NOT b)"),
    ("ANDROID ORDER", "(& ANDROID ORDER)"),
    ("a ANDb", "(& a ANDb)"),
    ("a AND: b", "(& a AND: b)"),
    ("\"AND\"", "'AND'"),
    ("\"OR\" a", "(& 'OR' a)"),
    ("a OR \"OR\"", "(| a 'OR')"),
    ("-AND", "!AND"),
    ("a -OR", "(& a !OR)"),
    ("a AND -AND", "(& a !AND)"),
    ("a AND\"b\"", "(& a 'b')"),
    ("a OR(b)", "(| a b)"),
    ("(a)OR(b)", "(| a b)"),
    ("(a)AND(b)", "(& a b)"),
    ("\"a\"OR\"b\"", "(| 'a' 'b')"),
    ("a\u{3000}OR\u{3000}b", "(| a b)"),
    // AND binds closer than OR
    ("a b OR c", "(| (& a b) c)"),
    ("a OR b c", "(| a (& b c))"),
    ("a OR b AND c", "(| a (& b c))"),
    ("a AND b OR c AND d", "(| (& a b) (& c d))"),
    ("a b OR c d OR e f", "(| (& a b) (& c d) (& e f))"),
    ("a OR -b c", "(| a (& !b c))"),
    // phrases
    ("\"a\"", "'a'"),
    ("\"a b\"", "'a b'"),
    ("\" a \"", "' a '"),
    ("\"a\" \"b\"", "(& 'a' 'b')"),
    ("\"a\"\"b\"", "(& 'a' 'b')"),
    ("a\"b c\"d", "(& a 'b c' d)"),
    ("\"a (b) -c\"", "'a (b) -c'"),
    ("\"(\"", "'('"),
    ("\"-\"", "'-'"),
    ("\"a\\\" b", "(& 'a\\' b)"),
    ("\"a\nb\"", "'a\nb'"),
    ("\"送 金\"", "'送 金'"),
    // negation
    ("-a", "!a"),
    ("- a", "(& - a)"),
    ("a - b", "(& a - b)"),
    ("-", "-"),
    ("a -", "(& a -)"),
    ("(-)", "-"),
    ("(a -)", "(& a -)"),
    ("--a", "!-a"),
    ("--", "!-"),
    ("---", "!--"),
    ("-\u{3000}a", "(& - a)"),
    ("-\"a b\"", "!'a b'"),
    ("-(a)", "!a"),
    ("-(a b)", "!(& a b)"),
    ("-(a OR b)", "!(| a b)"),
    ("-(-a)", "!!a"),
    ("-(-(-a))", "!!!a"),
    ("a -b", "(& a !b)"),
    ("a -b -c", "(& a !b !c)"),
    ("-a -b", "(& !a !b)"),
    ("-a OR -b", "(| !a !b)"),
    ("a AND -b", "(& a !b)"),
    ("a OR -(b c)", "(| a !(& b c))"),
    ("e-mail", "e-mail"),
    ("a-", "a-"),
    ("a--b", "a--b"),
    ("\"a\"-b", "(& 'a' !b)"),
    ("(a)-b", "(& a !b)"),
    ("a-(b)", "(& a- b)"),
    ("a-\"b\"", "(& a- 'b')"),
    ("-5", "!5"),
    ("2026-11-22", "2026-11-22"),
    ("\u{2212}a", "\u{2212}a"),
    ("–a", "–a"),
    // parentheses
    ("(a)", "a"),
    ("((a))", "a"),
    ("( a )", "a"),
    ("(a b)", "(& a b)"),
    ("(a OR b) c", "(& (| a b) c)"),
    ("a (b OR c)", "(& a (| b c))"),
    ("a(b)c", "(& a b c)"),
    ("(a)(b)", "(& a b)"),
    ("(a b) c", "(& (& a b) c)"),
    ("(a OR b) OR c", "(| (| a b) c)"),
    ("(a OR b) (c OR d)", "(& (| a b) (| c d))"),
    ("((a b) OR (c d)) -e", "(& (| (& a b) (& c d)) !e)"),
    ("((((((((a))))))))", "a"),
    ("(a) (((((((b)))))))", "(& a b)"),
];

const WRONG: &[(&str, usize, Fault)] = &[
    ("AND", 0, NothingBefore),
    ("OR", 0, NothingBefore),
    ("  OR", 2, NothingBefore),
    ("AND a", 0, NothingBefore),
    ("OR a", 0, NothingBefore),
    ("a AND", 2, NothingBehind),
    ("a OR", 2, NothingBehind),
    ("a OR  ", 2, NothingBehind),
    ("ü OR", 3, NothingBehind),
    ("a AND AND b", 2, NothingBehind),
    ("a AND OR b", 2, NothingBehind),
    ("a OR AND b", 2, NothingBehind),
    ("a OR OR b", 2, NothingBehind),
    ("a b OR", 4, NothingBehind),
    ("(a OR)", 3, NothingBehind),
    ("(a AND)", 3, NothingBehind),
    ("(OR a)", 1, NothingBefore),
    ("a (AND b)", 3, NothingBefore),
    ("-(OR a)", 2, NothingBefore),
    ("(", 0, OpenParenthesis),
    ("(a", 0, OpenParenthesis),
    ("a (", 2, OpenParenthesis),
    ("(a b", 0, OpenParenthesis),
    ("((a)", 0, OpenParenthesis),
    ("(a (b)", 0, OpenParenthesis),
    ("-(", 1, OpenParenthesis),
    ("-(a", 1, OpenParenthesis),
    ("a OR (b", 5, OpenParenthesis),
    ("()", 0, EmptyParentheses),
    ("( )", 0, EmptyParentheses),
    ("a ()", 2, EmptyParentheses),
    ("-()", 1, EmptyParentheses),
    ("(())", 1, EmptyParentheses),
    (")", 0, LooseParenthesis),
    ("a)", 1, LooseParenthesis),
    ("a )", 2, LooseParenthesis),
    ("(a))", 3, LooseParenthesis),
    (") a", 0, LooseParenthesis),
    ("-a)", 2, LooseParenthesis),
    ("- )", 2, LooseParenthesis),
    ("\"", 0, OpenQuote),
    ("\"a", 0, OpenQuote),
    ("a \"b", 2, OpenQuote),
    ("a\"", 1, OpenQuote),
    ("\"a\" \"", 4, OpenQuote),
    ("-\"", 1, OpenQuote),
    ("(\"a)", 1, OpenQuote),
    ("\"\"", 0, EmptyQuotes),
    ("\" \"", 0, EmptyQuotes),
    ("a \"\"", 2, EmptyQuotes),
    ("-\"\"", 1, EmptyQuotes),
    ("(((((((((a)))))))))", 8, TooDeep),
    ("a (((((((((a)))))))))", 10, TooDeep),
];

#[test]
fn every_query_has_its_tree_or_its_error() {
    assert!(TREES.len() + WRONG.len() >= 150, "{}", TREES.len() + WRONG.len());
    println!("{} queries with a tree, {} that are wrong", TREES.len(), WRONG.len());
    for (text, expected) in TREES {
        let query = Query::parse(text).unwrap_or_else(|wrong| panic!("{text:?}: {wrong}")).expect(text);
        assert_eq!(tree(&query), *expected, "{text:?}");
        let printed = query.to_string();
        assert_eq!(Query::parse(&printed), Ok(Some(query)), "{text:?} printed as {printed:?}");
    }
    for (text, octet, fault) in WRONG {
        assert_eq!(Query::parse(text), Err(Wrong { octet: *octet, fault: *fault }), "{text:?}");
    }
}

#[test]
fn nothing_is_asked_by_nothing() {
    for text in ["", " ", "\t\r\n", "\u{3000}\u{a0}"] {
        assert_eq!(Query::parse(text), Ok(None), "{text:?}");
    }
}

#[test]
fn every_limit_at_its_edge() {
    let long = "a".repeat(OCTETS_MAX);
    assert!(Query::parse(&long).is_ok());
    assert_eq!(Query::parse(&(long + "a")), Err(Wrong { octet: 512, fault: TooLong }));
    let of_two = "ü".repeat(256);
    assert!(Query::parse(&of_two).is_ok());
    assert_eq!(Query::parse(&(of_two + " ")), Err(Wrong { octet: 512, fault: TooLong }));

    // 32 words and the 31 operators between them, and a negation.
    let words = vec!["a"; 32].join(" ");
    assert!(Query::parse(&words).is_ok());
    assert!(Query::parse(&format!("-{words}")).is_ok());
    assert_eq!(Query::parse(&format!("-{words} a")), Err(Wrong { octet: 65, fault: TooMany }));
    assert_eq!(Query::parse(&format!("{words} a")), Err(Wrong { octet: 64, fault: TooMany }));
    let alternatives = vec!["a"; 32].join(" OR ");
    assert!(Query::parse(&alternatives).is_ok());
    let at = alternatives.len() + " OR ".len();
    assert_eq!(Query::parse(&format!("{alternatives} OR b")), Err(Wrong { octet: at, fault: TooMany }));
    let negations = vec!["-a"; 21].join(" ");
    assert!(Query::parse(&negations).is_ok());
    assert_eq!(Query::parse(&format!("{negations} -a b")), Err(Wrong { octet: 64, fault: TooMany }));

    let deep = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Query::parse(&deep(DEPTH_MAX)).is_ok());
    assert_eq!(Query::parse(&deep(DEPTH_MAX + 1)), Err(Wrong { octet: DEPTH_MAX, fault: TooDeep }));
    assert_eq!(Query::parse(&deep(250)), Err(Wrong { octet: DEPTH_MAX, fault: TooDeep }));
    assert!(Query::parse(&format!("{} {}", deep(DEPTH_MAX), deep(DEPTH_MAX))).is_ok());
}

#[test]
fn what_is_wrong_is_said_with_its_octet() {
    let said = |text: &str| Query::parse(text).map_err(|wrong| wrong.to_string());
    assert_eq!(said("a OR"), Err("has an operator with nothing behind it at octet 2".into()));
    assert_eq!(said(&"a".repeat(513)), Err("may have at most 512 octets at octet 512".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_printed_reads_the_same(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "b", "-", "-a", "(", ")", "\"", "\"a b\"", " ", "  ", "AND", "OR", "-(", "ü", "送金", "\u{3000}", "e-mail", "and", "--",
            ]),
            0..40,
        ),
    ) {
        let text = parts.concat();
        if let Ok(Some(query)) = Query::parse(&text) {
            prop_assert_eq!(Query::parse(&query.to_string()), Ok(Some(query.clone())), "{:?} as {}", text, query);
        }
    }

    #[test]
    fn any_text_is_read(text in "\\PC{0,200}") {
        if let Err(wrong) = Query::parse(&text) {
            prop_assert!(wrong.octet <= text.len());
            prop_assert!(!wrong.to_string().is_empty());
        }
    }
}
