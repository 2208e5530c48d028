//! What is set about recipients, read and checked: where their links lead, and which domains are for minutes only.

use super::Config;
use anyhow::{Context, Result, ensure};
use postfleet_core::Domain;

/// Octets of the public address: with a token behind it, it fits into one line of a header.
const URL_OCTETS_MAX: usize = 200;

impl Config {
    /// Where others reach the interface, without a slash at the end, if it was set.
    pub fn public_url(&self) -> Result<Option<String>> {
        let url = self.server.public_url.trim_end_matches('/');
        if url.is_empty() {
            return Ok(None);
        }
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let is_fit = |octet: u8| octet.is_ascii_graphic() && !b"<>\"?#,".contains(&octet);
        ensure!(
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
                && url.len() <= URL_OCTETS_MAX
                && url.bytes().all(is_fit),
            "server.public_url: {url:?} is not an address such as \"https://mail.example.com\""
        );
        Ok(Some(url.to_owned()))
    }

    /// The domains that give addresses for minutes, besides those that are known to the product.
    pub fn disposable_domains(&self) -> Result<Vec<Domain>> {
        let read = |name: &String| {
            Domain::parse(name).with_context(|| format!("recipients.disposable_domains: {name:?} is not a domain"))
        };
        self.recipients.disposable_domains.iter().map(read).collect()
    }

    /// The domains whose complaints count; all if there are none.
    pub fn feedback_domains(&self) -> Result<Vec<Domain>> {
        let read = |name: &String| {
            Domain::parse(name).with_context(|| format!("reputation.feedback_domains: {name:?} is not a domain"))
        };
        self.reputation.feedback_domains.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT, layers};

    fn config(file: &str) -> Config {
        layers::merge(DEFAULT, file, &[], &[]).expect("config")
    }

    #[test]
    fn a_public_address_is_read_without_its_last_slash() {
        let read = |url: &str| config(&format!("[server]\npublic_url = \"{url}\"")).public_url();
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("https://mail.example.com/").unwrap().as_deref(), Some("https://mail.example.com"));
        assert_eq!(read("http://127.0.0.1:8080/api").unwrap().as_deref(), Some("http://127.0.0.1:8080/api"));
        for bad in ["mail.example.com", "https://", "https:///x", "ftp://a", "https://a b", "https://a?x", "https://a>"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&format!("https://{}", "a".repeat(URL_OCTETS_MAX))).is_err());
    }

    #[test]
    fn domains_that_are_none_are_refused_by_name() {
        let read = |list: &str| config(&format!("[recipients]\ndisposable_domains = {list}")).disposable_domains();
        assert!(config("").disposable_domains().unwrap().is_empty());
        assert_eq!(read("[\"Burner.Example\"]").unwrap()[0].as_str(), "burner.example");
        assert!(read("[\"no domain\"]").unwrap_err().to_string().starts_with("recipients.disposable_domains"));
        let read = |list: &str| config(&format!("[reputation]\nfeedback_domains = {list}")).feedback_domains();
        assert!(config("").feedback_domains().unwrap().is_empty());
        assert_eq!(read("[\"Big.Example\"]").unwrap()[0].as_str(), "big.example");
        assert!(read("[\"no domain\"]").unwrap_err().to_string().starts_with("reputation.feedback_domains"));
    }
}
