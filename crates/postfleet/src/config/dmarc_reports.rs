//! The section `[dmarc_reports]`, read and checked.

use super::{Config, DmarcReports};
use anyhow::{Context, Result, ensure};
use postfleet_core::EmailAddress;
use postfleet_mailflow::dmarc_reports::DmarcReportSettings;

/// Characters of the name under which it is reported.
const ORGANIZATION_CHARS_MAX: usize = 200;

impl Config {
    /// As whom owners of domains are told of mail in their names; `None` if they are not.
    pub fn dmarc_reports(&self) -> Result<Option<DmarcReportSettings>> {
        let DmarcReports { from, organization, contact } = &self.dmarc_reports;
        let is_name =
            organization.chars().count() <= ORGANIZATION_CHARS_MAX && !organization.contains(char::is_control);
        ensure!(is_name, "dmarc_reports.organization must be a line of at most {ORGANIZATION_CHARS_MAX} characters");
        let contact = address("dmarc_reports.contact", contact)?;
        let Some(from) = address("dmarc_reports.from", from)? else { return Ok(None) };
        let organization = match organization.as_str() {
            "" => self.server.hostname.0.to_string(),
            name => name.to_owned(),
        };
        Ok(Some(DmarcReportSettings { contact: contact.unwrap_or_else(|| from.clone()), from, organization }))
    }
}

/// The address of a mailbox; none if the text is empty.
pub(super) fn address(key: &str, text: &str) -> Result<Option<EmailAddress>> {
    let parse = || EmailAddress::parse(text).with_context(|| format!("{key}: {text:?}"));
    (!text.is_empty()).then(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT, layers};

    fn settings(lines: &str) -> Result<Option<DmarcReportSettings>> {
        layers::merge(DEFAULT, &format!("[dmarc_reports]\n{lines}"), &[], &[])?.dmarc_reports()
    }

    #[test]
    fn nobody_is_told_unless_a_mailbox_is_named() {
        assert_eq!(settings("").unwrap(), None);
        assert_eq!(settings("organization = \"Fleet\"").unwrap(), None);
        let set = settings("from = \"dmarc@mx.test\"").unwrap().unwrap();
        assert_eq!((set.from.to_string(), set.contact.to_string()), ("dmarc@mx.test".into(), "dmarc@mx.test".into()));
        assert!(!set.organization.is_empty());
        let lines = "from = \"dmarc@mx.test\"\norganization = \"Fleet & Co\"\ncontact = \"ask@mx.test\"";
        let set = settings(lines).unwrap().unwrap();
        assert_eq!((set.organization.as_str(), set.contact.to_string()), ("Fleet & Co", "ask@mx.test".into()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (lines, key) in [
            ("from = \"nobody\"".to_owned(), "dmarc_reports.from"),
            ("contact = \"nobody\"".to_owned(), "dmarc_reports.contact"),
            (format!("organization = \"{}\"", "x".repeat(201)), "dmarc_reports.organization"),
            ("organization = \"a\\nb\"".to_owned(), "dmarc_reports.organization"),
        ] {
            let error = settings(&lines).unwrap_err();
            assert!(format!("{error:#}").contains(key), "{lines}: {error:#}");
        }
        assert!(settings(&format!("organization = \"{}\"", "x".repeat(200))).is_ok());
    }
}
