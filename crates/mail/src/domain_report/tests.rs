use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use proptest::prelude::*;
use std::io::Write;

const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <report_metadata>
    <org_name>Big &amp; Mail&#33;</org_name><email>noreply@big.test</email><report_id>2024.17</report_id>
    <date_range><begin>1700000000</begin><end>1700086399</end></date_range>
  </report_metadata>
  <policy_published><domain>acme.test</domain><adkim>r</adkim><p>none</p><pct>100</pct></policy_published>
  <record>
    <row><source_ip>192.0.2.1</source_ip><count>90</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>acme.test</header_from></identifiers>
    <auth_results><dkim><domain>acme.test</domain><result>pass</result></dkim></auth_results>
  </record>
  <record>
    <row><source_ip>2001:db8::7</source_ip><count>7</count>
      <policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>acme.test</header_from></identifiers>
  </record>
  <record>
    <row><source_ip>2001:db8::7</source_ip><count>3</count>
      <policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>acme.test</header_from></identifiers>
  </record>
</feedback>"#;

const JSON: &str = r#"{"organization-name": "Big", "date-range": {"start-datetime": "2023-11-14T00:00:00Z",
  "end-datetime": "2023-11-14T23:59:59Z"}, "contact-info": "tls@big.test", "report-id": "r1", "policies": [
  {"policy": {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "Acme.test"},
   "summary": {"total-successful-session-count": 100, "total-failure-session-count": 5},
   "failure-details": [
     {"result-type": "certificate-expired", "receiving-mx-hostname": "mx.acme.test", "failed-session-count": 4},
     {"result-type": "starttls-not-supported", "failed-session-count": 1}]},
  {"policy": {"policy-type": "no-policy-found", "policy-domain": "acme.test"},
   "summary": {"total-successful-session-count": 10, "total-failure-session-count": 0}}]}"#;

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets).expect("written");
    encoder.finish().expect("packed")
}

/// An archive with one deflated file, as APPNOTE 4.3 has it.
fn zip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(octets).expect("written");
    let packed = encoder.finish().expect("packed");
    let mut crc = flate2::Crc::new();
    crc.update(octets);
    let mut common = Vec::new();
    for word in [20_u16, 0, 8, 0, 0x21] {
        common.extend(word.to_le_bytes());
    }
    for long in [crc.sum(), packed.len() as u32, octets.len() as u32] {
        common.extend(long.to_le_bytes());
    }
    common.extend(5_u16.to_le_bytes());
    common.extend(0_u16.to_le_bytes());
    let local = [b"PK\x03\x04".as_slice(), &common, b"r.xml", &packed].concat();
    let mut central = [b"PK\x01\x02".as_slice(), &20_u16.to_le_bytes(), &common].concat();
    central.extend([0; 14]);
    central.extend(b"r.xml");
    let mut end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec();
    end.extend((central.len() as u32).to_le_bytes());
    end.extend((local.len() as u32).to_le_bytes());
    end.extend([0, 0]);
    [local, central, end].concat()
}

fn message(content_type: &str, attachment: &[u8]) -> Vec<u8> {
    let head = format!(
        "From: r@big.test\r\nSubject: Report\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/plain\r\n\r\nSee the file.\r\n--b\r\nContent-Type: {content_type}\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n"
    );
    [head.as_bytes(), STANDARD.encode(attachment).as_bytes(), b"\r\n--b--\r\n"].concat()
}

fn of_mail(report: &DomainReport) -> &MailSeen {
    let [About { seen: Seen::Mail(seen), .. }] = report.about.as_slice() else { panic!("{report:?}") };
    seen
}

#[test]
fn a_dmarc_report_is_read_however_it_is_packed() {
    let xml = XML.as_bytes();
    for (content_type, octets) in [
        ("application/gzip", gzip(xml)),
        ("application/octet-stream", gzip(xml)),
        ("application/zip", zip(xml)),
        ("text/xml", xml.to_vec()),
    ] {
        let report = read(&message(content_type, &octets)).expect(content_type);
        assert_eq!((report.reporter.as_str(), report.report_id.as_str()), ("Big & Mail!", "2024.17"));
        assert_eq!(report.contact, "noreply@big.test");
        assert_eq!((report.begins_at.as_seconds(), report.ends_at.as_seconds()), (1_700_000_000, 1_700_086_399));
        assert_eq!(
            (report.about[0].domain.as_str(), report.about[0].policy.as_str()),
            ("acme.test", "adkim=r p=none pct=100")
        );
        let seen = of_mail(&report);
        assert_eq!((seen.messages, seen.unaligned, seen.quarantined, seen.rejected), (100, 10, 0, 10));
        assert_eq!(seen.sources.len(), 2, "what is alike is added up");
        assert_eq!((seen.sources[0].0.address.to_string(), seen.sources[0].1), ("192.0.2.1".to_owned(), 90));
        assert_eq!((seen.sources[0].0.dkim_aligned, seen.sources[0].0.spf_aligned), (true, false));
        assert_eq!((seen.sources[1].0.disposition.as_str(), seen.sources[1].1), ("reject", 10));
    }
}

#[test]
fn a_report_may_be_the_message_itself() {
    let raw = [
        b"Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n".as_slice(),
        STANDARD.encode(gzip(XML.as_bytes())).as_bytes(),
    ]
    .concat();
    assert_eq!(of_mail(&read(&raw).expect("report")).messages, 100);
}

#[test]
fn authors_are_told_apart() {
    let xml = XML.replacen("<header_from>acme.test", "<header_from>Sub.acme.test", 1);
    let report = read(&message("application/gzip", &gzip(xml.as_bytes()))).expect("report");
    let mut domains: Vec<_> = report.about.iter().map(|about| about.domain.as_str()).collect();
    domains.sort();
    assert_eq!(domains, ["acme.test", "sub.acme.test"]);
    let mut about = report.about.into_iter();
    let (mut all, more) = (about.next().expect("one").seen, about.next().expect("two").seen);
    all.add(more);
    let Seen::Mail(all) = all else { panic!("mail") };
    assert_eq!((all.messages, all.unaligned, all.sources.len()), (100, 10, 2));
}

#[test]
fn a_tls_report_is_read() {
    for octets in [gzip(JSON.as_bytes()), JSON.as_bytes().to_vec()] {
        let report = read(&message("application/tlsrpt+gzip", &octets)).expect("report");
        assert_eq!((report.reporter.as_str(), report.report_id.as_str()), ("Big", "r1"));
        let [About { domain, policy, seen: Seen::Connections(seen) }] = report.about.as_slice() else { panic!() };
        assert_eq!((domain.as_str(), policy.as_str()), ("acme.test", "sts"));
        assert_eq!((seen.connections, seen.failed), (115, 5));
        let first = &seen.failures[0];
        assert_eq!((first.0.host.as_str(), first.0.kind.as_str(), first.1), ("mx.acme.test", "certificate-expired", 4));
    }
}

#[test]
fn what_is_none_says_why() {
    let refusal = |octets: &[u8]| read(&message("application/octet-stream", octets)).expect_err("no report");
    assert_eq!(read(b"Subject: Hi\r\n\r\nHello"), Err(Unreadable::NoReport));
    assert_eq!(refusal(b"Hello"), Unreadable::NoReport);
    assert_eq!(refusal(b"<html><body>Hello</body></html>"), Unreadable::NoReport);
    assert_eq!(refusal(b"<feedback><record></feedback>"), Unreadable::Malformed);
    assert_eq!(refusal(b"<feedback><record>"), Unreadable::Malformed);
    assert_eq!(refusal(b"<feedback></feedback>"), Unreadable::Incomplete);
    let doctype = XML.replacen("<feedback", "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><feedback", 1);
    assert_eq!(refusal(doctype.as_bytes()), Unreadable::Malformed);
    assert_eq!(refusal(XML.replace("&amp;", "&b;").as_bytes()), Unreadable::Malformed);
    assert_eq!(refusal("<a>".repeat(100).as_bytes()), Unreadable::Malformed);
    assert_eq!(refusal(XML.replace("1700086399", "1").as_bytes()), Unreadable::Incomplete);
    assert_eq!(refusal(XML.replace("1700086399", "99999999999999").as_bytes()), Unreadable::Incomplete);
    assert_eq!(refusal(XML.replace("2024.17", " ").as_bytes()), Unreadable::Incomplete);
    assert_eq!(refusal(b"{\"policies\": ["), Unreadable::Malformed);
    assert_eq!(refusal(b"{\"policies\": []}"), Unreadable::Incomplete);
    assert_eq!(refusal(JSON.replace("\"r1\"", "\"\"").as_bytes()), Unreadable::Incomplete);
    assert_eq!(refusal(JSON.replace("Acme.test", "not a name").as_bytes()), Unreadable::Incomplete);
    assert_eq!(refusal(&gzip(XML.as_bytes())[..60]), Unreadable::Packed);
    assert_eq!(refusal(&zip(XML.as_bytes())[..60]), Unreadable::Packed);
}

/// A thousand times what it is packed: unpacking ends at the limit.
#[test]
fn what_is_packed_too_small_is_not_unpacked() {
    let bomb = vec![b' '; UNPACKED_MAX + 1];
    for packed in [gzip(&bomb), zip(&bomb)] {
        assert!(packed.len() < bomb.len() / 500);
        assert_eq!(read(&message("application/zip", &packed)), Err(Unreadable::TooLarge));
    }
    let many = gzip(b" ").repeat(300_000);
    assert_eq!(read(&message("application/gzip", &many)), Err(Unreadable::TooLarge), "packed it is too large, too");
    let json = format!("{{\"policies\": [{}]}}", "0,".repeat(2 << 20));
    assert_eq!(read(&message("application/gzip", &gzip(json.as_bytes()))), Err(Unreadable::TooLarge));
}

#[test]
fn what_is_huge_is_counted_and_not_kept() {
    let record = |number: u32| {
        let address = std::net::Ipv4Addr::from(number);
        format!("<record><row><source_ip>{address}</source_ip><count>18446744073709551615</count></row></record>")
    };
    let records: String = (0..1_000).map(record).collect();
    let xml = XML.replacen("<record>", &format!("{records}<record>"), 1);
    let report = read(&message("application/gzip", &gzip(xml.as_bytes()))).expect("report");
    let kept: usize = report
        .about
        .iter()
        .map(|about| match &about.seen {
            Seen::Mail(seen) => seen.sources.len(),
            Seen::Connections(_) => 0,
        })
        .sum();
    assert!(kept <= 2 * ROWS_MAX, "{kept}");
    assert!(report.about.iter().all(|about| match &about.seen {
        Seen::Mail(seen) => seen.messages <= COUNT_MAX,
        Seen::Connections(_) => false,
    }));
}

proptest! {
    /// Whatever is cut out, put in or turned over: an answer, and no panic.
    #[test]
    fn no_change_makes_it_fail(
        kind in 0_usize..4,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..12),
        is_inside in any::<bool>(),
    ) {
        let mut octets = if kind == 3 { JSON.as_bytes().to_vec() } else { XML.as_bytes().to_vec() };
        let pack = |octets: &[u8]| match kind {
            0 | 3 => gzip(octets),
            1 => zip(octets),
            _ => octets.to_vec(),
        };
        let edit = |octets: &mut Vec<u8>| {
            for (place, octet, what) in &edits {
                let at = place.index(octets.len().max(1));
                match what {
                    0 if at < octets.len() => octets[at] = *octet,
                    1 => octets.insert(at.min(octets.len()), *octet),
                    _ if at < octets.len() => { octets.remove(at); }
                    _ => {}
                }
            }
        };
        if is_inside {
            edit(&mut octets);
        }
        let mut packed = pack(&octets);
        if !is_inside {
            edit(&mut packed);
        }
        if let Ok(report) = read(&message("application/octet-stream", &packed)) {
            prop_assert!(!report.about.is_empty() && report.begins_at <= report.ends_at);
            for about in &report.about {
                match &about.seen {
                    Seen::Mail(seen) => prop_assert!(seen.unaligned <= seen.messages && seen.sources.len() <= ROWS_MAX),
                    Seen::Connections(seen) => prop_assert!(seen.failed <= seen.connections),
                }
            }
        }
    }

    #[test]
    fn no_octets_make_it_fail(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&octets);
        let _ = read(&message("application/octet-stream", &octets));
        for magic in [b"\x1f\x8b\x08\0".as_slice(), b"PK\x03\x04", b"<feedback>", b"{"] {
            let _ = read(&message("application/octet-stream", &[magic, &octets].concat()));
        }
    }
}
