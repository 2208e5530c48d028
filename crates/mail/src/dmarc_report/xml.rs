//! The document (RFC 7489 appendix C), its elements in the order of the schema. What strangers chose stands in it as text
//! and nothing else.

use super::Report;
use crate::authentication::dmarc::Record;
use postfleet_core::authentication::AuthResult;
use postfleet_core::dmarc_report::Sighting;

pub(super) fn write(report: &Report<'_>) -> String {
    let mut xml = Xml::default();
    xml.0.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.inside("feedback", |xml| {
        xml.text("version", "1.0");
        xml.inside("report_metadata", |xml| metadata(xml, report));
        xml.inside("policy_published", |xml| policy(xml, report.domain.as_str(), report.record));
        for (sighting, messages) in report.seen {
            xml.inside("record", |xml| record(xml, sighting, *messages));
        }
    });
    xml.0
}

fn metadata(xml: &mut Xml, report: &Report<'_>) {
    let (begin, end) = report.seconds();
    xml.text("org_name", report.organization);
    xml.text("email", report.contact);
    xml.text("report_id", &report.id());
    xml.inside("date_range", |xml| {
        xml.text("begin", &begin.to_string());
        xml.text("end", &end.to_string());
    });
    if report.left_out > 0 {
        xml.text("error", &format!("{} messages are left out: there were too many kinds", report.left_out));
    }
}

fn policy(xml: &mut Xml, domain: &str, record: &Record) {
    let mode = |is_strict| if is_strict { "s" } else { "r" };
    xml.text("domain", domain);
    xml.text("adkim", mode(record.is_dkim_strict));
    xml.text("aspf", mode(record.is_spf_strict));
    xml.text("p", record.policy.word());
    xml.text("sp", record.of_subdomains.unwrap_or(record.policy).word());
    xml.text("pct", &record.percent.to_string());
    xml.text("fo", &record.failure_options);
}

fn record(xml: &mut Xml, seen: &Sighting, messages: u64) {
    let word = |is_aligned| if is_aligned { AuthResult::Pass } else { AuthResult::Fail }.word();
    xml.inside("row", |xml| {
        xml.text("source_ip", &seen.source.to_string());
        xml.text("count", &messages.to_string());
        xml.inside("policy_evaluated", |xml| {
            xml.text("disposition", seen.disposition.word());
            xml.text("dkim", word(seen.dkim_aligned));
            xml.text("spf", word(seen.spf_aligned));
            if let Some(exception) = &seen.exception {
                xml.inside("reason", |xml| {
                    xml.text("type", exception.reason.word());
                    xml.text("comment", &exception.comment);
                });
            }
        });
    });
    xml.inside("identifiers", |xml| {
        xml.text("envelope_from", &seen.envelope_from);
        xml.text("header_from", &seen.header_from);
    });
    xml.inside("auth_results", |xml| {
        for signature in &seen.signatures {
            xml.inside("dkim", |xml| {
                xml.text("domain", &signature.domain);
                xml.text("selector", &signature.selector);
                xml.text("result", signature.result.word());
            });
        }
        xml.inside("spf", |xml| {
            xml.text("domain", &seen.spf.domain);
            xml.text("scope", if seen.spf.is_helo { "helo" } else { "mfrom" });
            xml.text("result", seen.spf.result.word());
        });
    });
}

#[derive(Default)]
struct Xml(String);

impl Xml {
    fn inside(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.0.push_str(&format!("<{name}>\n"));
        content(self);
        self.0.push_str(&format!("</{name}>\n"));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.0.push_str(&format!("<{name}>"));
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                // What no document may have in it (XML 1.0 §2.2), and ends of lines, which no value of ours has.
                '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.0.push(' '),
                other => self.0.push(other),
            }
        }
        self.0.push_str(&format!("</{name}>\n"));
    }
}
