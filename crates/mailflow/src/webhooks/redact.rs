//! What is kept of a request and its answer has no secrets in it: queries of URLs often hold a password, and a receiver may
//! say back what it was asked.

use std::collections::BTreeSet;

/// What stands for something that is not shown.
const HIDDEN: &str = "…";

/// A text of fewer octets is no secret, and would be found everywhere.
const SECRET_MIN: usize = 4;

/// So many texts are looked for; of the answer to a URL with more parameters nothing is kept.
const SECRETS_MAX: usize = 32;

/// A URL without its query, of which it is only said that there is one.
pub(super) fn url(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    match url.split_once('?') {
        Some((before, _)) => format!("{before}?{HIDDEN}"),
        None => url.to_owned(),
    }
}

/// A header of a request, as it is kept.
pub(super) fn of_request<'a>(name: &str, value: &'a str) -> &'a str {
    if matches!(name, "x-nylas-signature" | "webhook-signature") { HIDDEN } else { value }
}

/// What must not be kept of an answer.
#[derive(Debug)]
pub(super) struct Secrets {
    /// In no order that matters but that longer ones come first; `None` if there are too many.
    texts: Option<Vec<Vec<u8>>>,
}

impl Secrets {
    /// The query of a URL and the values in it, as they stand there and as they are meant, and the signatures of a request.
    pub(super) fn of(url: &str, signatures: impl Iterator<Item = String>) -> Self {
        let mut texts = BTreeSet::new();
        let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
        texts.insert(query.as_bytes().to_vec());
        for part in query.split('&') {
            let value = part.split_once('=').map_or(part, |(_, value)| value);
            texts.insert(value.as_bytes().to_vec());
            texts.insert(meant(value));
        }
        for value in signatures {
            // With their version before them, and without.
            let each = value.split(' ').flat_map(|one| [one, one.split_once(',').map_or(one, |(_, bare)| bare)]);
            texts.extend(each.map(|one| one.as_bytes().to_vec()));
        }
        let mut texts: Vec<Vec<u8>> = texts.into_iter().filter(|text| text.len() >= SECRET_MIN).collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self { texts: (texts.len() <= SECRETS_MAX).then_some(texts) }
    }

    /// A text of an answer without them.
    pub(super) fn hide(&self, text: &[u8]) -> Vec<u8> {
        let Some(texts) = &self.texts else { return HIDDEN.as_bytes().to_vec() };
        texts.iter().fold(text.to_vec(), |text, secret| without(&text, secret))
    }

    /// The value of a header of an answer without them.
    pub(super) fn hide_header(&self, name: &str, value: &[u8]) -> String {
        if name.eq_ignore_ascii_case("set-cookie") {
            return HIDDEN.to_owned();
        }
        String::from_utf8_lossy(&self.hide(value)).into_owned()
    }
}

fn without(text: &[u8], secret: &[u8]) -> Vec<u8> {
    let (mut kept, mut rest) = (Vec::with_capacity(text.len()), text);
    while !rest.is_empty() {
        if rest.starts_with(secret) {
            kept.extend_from_slice(HIDDEN.as_bytes());
            rest = &rest[secret.len()..];
        } else {
            kept.push(rest[0]);
            rest = &rest[1..];
        }
    }
    kept
}

/// What a value of a query means: with its `%41` and `+` read.
fn meant(value: &str) -> Vec<u8> {
    let (mut read, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let Some((&first, behind)) = rest.split_first() {
        let code = behind.get(..2).filter(|_| first == b'%');
        let octet = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        rest = if octet.is_some() { &behind[2..] } else { behind };
        read.push(octet.unwrap_or(if first == b'+' { b' ' } else { first }));
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_kept_without_its_query() {
        for (given, kept) in [
            ("https://a.test/hook", "https://a.test/hook"),
            ("https://a.test/hook?token=secret", "https://a.test/hook?…"),
            ("https://a.test?", "https://a.test?…"),
            ("https://a.test/x?a=b#c", "https://a.test/x?…"),
            ("https://a.test/x#secret?", "https://a.test/x"),
            ("", ""),
        ] {
            assert_eq!(url(given), kept, "{given}");
        }
    }

    #[test]
    fn an_answer_that_says_a_secret_back_is_kept_without_it() {
        let url = "https://a.test/hook?token=s%65cret%2Fone&b=c&pass=two+words#frag";
        let secrets = Secrets::of(url, ["v1,AAAA v1,BBBB".to_owned()].into_iter());
        for (said, kept) in [
            ("nothing of it", "nothing of it"),
            ("token=s%65cret%2Fone&b=c&pass=two+words", "…"),
            ("at /other?token=s%65cret%2Fone", "at /other?token=…"),
            ("you are secret/one, aren't you", "you are …, aren't you"),
            ("two words or two+words", "… or …"),
            ("signed v1,BBBBv1,AAAA or AAAA", "signed …… or …"),
            ("b=c stays, it is too short", "b=c stays, it is too short"),
        ] {
            assert_eq!(String::from_utf8_lossy(&secrets.hide(said.as_bytes())), kept, "{said}");
        }
        assert_eq!(secrets.hide_header("Set-Cookie", b"session=1"), "…");
        assert_eq!(secrets.hide_header("Location", b"/x?token=secret/one"), "/x?token=…");
        assert_eq!(secrets.hide_header("X", b"\xff1"), "\u{fffd}1");
    }

    #[test]
    fn of_the_answer_to_a_url_with_too_many_secrets_nothing_is_kept() {
        let query: Vec<String> = (0..SECRETS_MAX).map(|number| format!("a{number}=value{number}")).collect();
        let secrets = Secrets::of(&format!("https://a.test/?{}", query.join("&")), std::iter::empty());
        assert_eq!(secrets.hide(b"harmless"), HIDDEN.as_bytes());
    }
}
