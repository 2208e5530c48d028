//! What a server offers in its answer to EHLO (RFC 5321 §4.1.1.1), as far as it is of use here.

use super::login::Mechanisms;

/// The offer. The default is that of a server that only knows HELO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Extensions {
    pub(super) pipelining: bool,
    /// SIZE is known at all.
    pub(super) size: bool,
    /// The largest message, where there is a fixed limit (RFC 1870 §4).
    pub(super) size_limit: Option<u64>,
    pub(super) eight_bit: bool,
    pub(super) smtputf8: bool,
    pub(super) starttls: bool,
    /// Ways to sign in (RFC 4954).
    pub(super) mechanisms: Mechanisms,
}

impl Extensions {
    /// Reads the text of the reply; its first line is a greeting.
    pub(super) fn parse(text: &str) -> Self {
        text.split('\n').skip(1).fold(Self::default(), Self::with)
    }

    fn with(mut self, line: &str) -> Self {
        let mut words = line.split_ascii_whitespace();
        match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "STARTTLS" => self.starttls = true,
            "AUTH" => words.for_each(|word| self.mechanisms.add(word)),
            // A spelling older than the standard, which some servers still offer besides.
            word if word.starts_with("AUTH=") => {
                let first = word.trim_start_matches("AUTH=").to_owned();
                std::iter::once(first.as_str()).chain(words).for_each(|word| self.mechanisms.add(word));
            }
            "SIZE" => {
                self.size = true;
                self.size_limit = words.next().and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
            }
            _ => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers() {
        let offer = Extensions::parse("STARTTLS\npipelining\nSIZE 100 x\n8BITMIME\nX-OTHER");
        assert_eq!(
            offer,
            Extensions {
                pipelining: true,
                size: true,
                size_limit: Some(100),
                eight_bit: true,
                ..Extensions::default()
            }
        );
        for text in ["x\nSIZE", "x\nSIZE 0", "x\nSIZE many"] {
            assert_eq!(Extensions::parse(text), Extensions { size: true, ..Extensions::default() });
        }
    }
}
