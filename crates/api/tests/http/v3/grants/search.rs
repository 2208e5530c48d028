//! `GET /v3/grants/{grant}/messages?search_query_native=…`: what is found, in which order, and what is no query.

use crate::support::Harness;
use serde_json::json;

fn message(from: &str, subject: &str, body: &str) -> String {
    format!(
        "From: {from}\r\nTo: agent@acme.test\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n--b\r\n\
         Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"{}-plan.pdf\"\r\n\r\nsecret\r\n--b--\r\n",
        subject.split(' ').next().unwrap_or_default().to_lowercase()
    )
}

fn query(text: &str) -> String {
    text.bytes()
        .map(
            |octet| if octet.is_ascii_alphanumeric() { char::from(octet).to_string() } else { format!("%{octet:02X}") },
        )
        .collect()
}

#[tokio::test]
async fn what_fits_best_comes_first() {
    let harness = Harness::new().await;
    let body =
        harness.receive(&message("Bob <bob@sender.test>", "Lunch", "the invoice of Friday, 送金してください")).await;
    let name = harness.receive(&message("Invoice Desk <desk@sender.test>", "Hello", "see you")).await;
    let both = harness.receive(&message("Ada <ada@sender.test>", "Invoice 42", "your invoice, bitte überweisen")).await;
    let none = harness.receive(&message("Ada <ada@sender.test>", "Weather", "rain")).await;
    harness.world.advance(1);
    let send = json!({"to": [{"email": "ada@sender.test"}], "bcc": [{"email": "dee@secret.test"}], "subject": "Re: Weather", "body": "sun"});
    let sent = harness.post(&harness.at("/messages/send"), &send).await;
    let sent = sent.is_ok().data()["id"].as_str().expect("id").to_owned();
    let draft = harness.post(&harness.at("/drafts"), &json!({"subject": "invoice draft"})).await;
    draft.is_ok();
    for (text, expected) in [
        ("invoice", vec![&both, &name, &body]),
        ("INVOICE", vec![&both, &name, &body]),
        ("invoice -desk", vec![&both, &body]),
        ("invoice AND friday", vec![&body]),
        ("\"invoice of friday\"", vec![&body]),
        ("\"friday of invoice\"", vec![]),
        ("(lunch OR weather) -re", vec![&none, &body]),
        ("送金", vec![&body]),
        ("UBERWEISEN", vec![&both]),
        ("überweisen", vec![&both]),
        ("desk@sender.test", vec![&name]),
        ("dee@secret.test", vec![&sent]),
        ("weather-plan.pdf", vec![&none]),
        ("secret -dee", vec![]),
        ("sun", vec![&sent]),
        ("nothing", vec![]),
        ("!!!", vec![]),
        ("-invoice -weather", vec![]),
        ("-invoice", vec![&sent, &none]),
    ] {
        for name in ["search_query_native", "q"] {
            let seen = harness.ids(&harness.at(&format!("/messages?{name}={}", query(text)))).await;
            assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{name}={text}");
        }
    }
    for (text, expected) in [
        ("search_query_native=&in=inbox", vec![&none, &both, &name, &body]),
        ("search_query_native=invoice&q=weather", vec![&both, &name, &body]),
        ("q=ada&in=sent", vec![&sent]),
        ("q=ada&from=ada@sender.test", vec![&none, &both]),
        ("q=invoice&has_attachment=true&subject=lunch", vec![&body]),
        ("q=invoice&unread=false", vec![]),
        ("q=invoice&select=id,subject", vec![&both, &name, &body]),
        ("q=invoice&fields=include_headers", vec![&both, &name, &body]),
    ] {
        let seen = harness.ids(&harness.at(&format!("/messages?{text}"))).await;
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{text}");
    }
    let full = harness.get(&harness.at("/messages?q=friday")).await;
    assert!(full.data()[0]["body"].as_str().expect("body").contains("the invoice of Friday"));
}

#[tokio::test]
async fn pages_hold_every_hit_once() {
    let harness = Harness::new().await;
    for number in 0..7 {
        let subject = if number % 2 == 0 { "invoice" } else { "other" };
        harness.receive(&message("ada@sender.test", subject, "invoice")).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = harness.get(&harness.at(&format!("/messages?q=invoice&limit=2&page_token={cursor}"))).await;
        seen.extend(crate::support::ids(&page));
        match page.json.get("next_cursor").and_then(|next| next.as_str()) {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    let by_subject: Vec<_> = harness.ids(&harness.at("/messages?subject=invoice")).await;
    assert_eq!(seen[..4], by_subject);
    let other: Vec<_> = harness.ids(&harness.at("/messages?subject=other")).await;
    assert_eq!(seen[4..], other);
    let answer = harness.get(&harness.at(&format!("/messages?page_token={cursor}"))).await;
    answer.refuses(400, "invalid_request", Some("page_token")).says("page_token is not a cursor of this list");
}

#[tokio::test]
async fn what_is_no_query_is_refused_with_the_octet() {
    let harness = Harness::new().await;
    for (text, said) in [
        ("a OR", "has an operator with nothing behind it at octet 2"),
        ("(a", "has a parenthesis that is not closed at octet 0"),
        ("ü \"b", "has a quote that is not closed at octet 3"),
        (&"a".repeat(513), "may have at most 512 octets at octet 512"),
    ] {
        for name in ["search_query_native", "q"] {
            let answer = harness.get(&harness.at(&format!("/messages?{name}={}", query(text)))).await;
            answer.refuses(400, "invalid_request", Some(name)).says(&format!("{name} {said}"));
        }
    }
}

#[tokio::test]
async fn nobody_finds_what_is_in_another_mailbox() {
    let harness = Harness::new().await;
    harness.world.receive("a@b.test", "agent@other.test", "Subject: secret\r\n\r\nsecret").await.expect("accepted");
    assert!(harness.ids(&harness.at("/messages?q=secret")).await.is_empty());
    assert!(harness.ids(&harness.at("/messages?q=-nothing")).await.is_empty());
}

#[tokio::test]
async fn threads_are_found_by_their_best_message_each_once() {
    let harness = Harness::new().await;
    let mut threads = Vec::new();
    for (number, (subject, body)) in
        [("Rain", "invoice"), ("Invoice 7", "invoice"), ("Sun", "nothing"), ("Snow", "invoice")].into_iter().enumerate()
    {
        harness.world.advance(1);
        let id = format!("Message-ID: <{number}@sender.test>\r\n");
        let found = harness.receive(&(id + &message("ada@sender.test", subject, body))).await;
        let found = harness.get(&harness.at(&format!("/messages/{found}"))).await;
        threads.push(found.data()["thread_id"].as_str().expect("thread").to_owned());
    }
    harness.world.advance(1);
    let answer =
        "In-Reply-To: <0@sender.test>\r\n".to_owned() + &message("bob@sender.test", "Re: Rain", "invoice invoice");
    harness.receive(&answer).await;
    let [rain, invoice, _, snow] = &threads[..] else { panic!("{threads:?}") };
    for (text, expected) in [
        ("q=invoice", vec![invoice, rain, snow]),
        ("search_query_native=invoice&from=ada@sender.test", vec![invoice, snow, rain]),
        ("q=invoice&in=sent", vec![]),
        ("q=-invoice&subject=rain", vec![]),
    ] {
        let seen = harness.ids(&harness.at(&format!("/threads?{text}"))).await;
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{text}");
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = harness.get(&harness.at(&format!("/threads?{text}&limit=1&page_token={cursor}"))).await;
            paged.extend(crate::support::ids(&page));
            match page.json.get("next_cursor").and_then(|next| next.as_str()) {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(paged, seen, "{text}");
    }
    let answer = harness.get(&harness.at("/threads?q=%28invoice")).await;
    answer.refuses(400, "invalid_request", Some("q")).says("q has a parenthesis that is not closed at octet 0");
}
