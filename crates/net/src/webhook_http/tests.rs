//! The connector against a server on loopback: what it sends, what it keeps, and what it refuses to do.

use super::*;
use crate::resolver::StaticResolver;
use crate::tls::{TlsIdentity, server_config};
use postfleet_testkit::http::{FakeHttp, HttpResponse, Responder};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Far longer than anything on loopback takes.
const DEADLINE: Duration = Duration::from_secs(20);

fn loopback() -> Vec<IpNetwork> {
    vec!["127.0.0.0/8".parse().expect("network")]
}

fn client() -> WebhookHttp {
    WebhookHttp::new(loopback())
}

/// A client that resolves names from a table.
fn client_with(resolver: StaticResolver, allow: Vec<IpNetwork>) -> WebhookHttp {
    WebhookHttp::with_options(WebhookHttpOptions {
        allow,
        resolver: Some(Arc::new(resolver)),
        ..WebhookHttpOptions::default()
    })
}

async fn post(client: &WebhookHttp, url: &str) -> Result<HttpAnswer, HttpFailure> {
    client.post(url, &[], Bytes::from_static(b"{}"), DEADLINE).await
}

#[tokio::test]
async fn a_post_arrives_as_it_was_given() {
    let fields = [("Retry-After", "7"), ("Content-Type", "Text/Plain; charset=utf-8")];
    let server = FakeHttp::start(move |_| HttpResponse::new(202, &fields, b"thanks")).await;
    let headers = [("Content-Type", "application/json".to_owned()), ("X-Signature", "abc".to_owned())];
    let answer = client().post(&server.url("/in?a=1"), &headers, Bytes::from_static(b"{\"a\":1}"), DEADLINE).await;
    let answer = answer.expect("answer");
    assert_eq!((answer.status, &answer.body_prefix[..]), (202, &b"thanks"[..]));
    assert_eq!((answer.media_type.as_str(), answer.retry_after), ("text/plain", Some(7)));
    for (name, value) in [("retry-after", "7"), ("content-type", "Text/Plain; charset=utf-8")] {
        assert!(answer.head.fields().any(|field| field == (name, value.as_bytes())), "{name}: {:?}", answer.head);
    }
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/in?a=1"));
    assert_eq!(request.body, b"{\"a\":1}");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-signature"), Some("abc"));
    assert_eq!(request.header("user-agent"), Some(concat!("postfleet/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(request.header("accept-encoding"), None);
}

#[tokio::test]
async fn a_get_returns_the_challenge() {
    let server = FakeHttp::start(|request| HttpResponse::new(200, &[], request.path.as_bytes())).await;
    let answer = client().get(&server.url("/hook?challenge=xyz"), &[], DEADLINE).await.expect("answer");
    assert_eq!(answer.body_prefix, b"/hook?challenge=xyz");
    assert_eq!(server.requests()[0].method, "GET");
}

#[tokio::test]
async fn connections_are_reused() {
    let server = FakeHttp::start(|_| HttpResponse::new(200, &[], b"ok")).await;
    let client = client();
    for _ in 0..20 {
        post(&client, &server.url("/")).await.expect("answer");
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
    // It closes each connection after one answer without a word of it.
    let server = std::thread::spawn(move || {
        for _ in 0..5 {
            let (mut stream, _) = listener.accept().expect("connection");
            let mut request = Vec::new();
            while !request.ends_with(b"{}") {
                let mut octets = [0; 1_024];
                let read = stream.read(&mut octets).expect("request");
                request.extend_from_slice(&octets[..read]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("answer");
            drop(stream);
            closed.send(()).expect("a test that waits");
        }
    });
    let client = client();
    for number in 0..5 {
        let answer = client.notify(&url, &[], Bytes::from_static(b"{}"), DEADLINE).await;
        assert_eq!(answer.map(|answer| answer.status), Ok(200), "{number}");
        is_closed.recv().await.expect("closed");
    }
    server.join().expect("server");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_was_read_is_an_answer() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let (enough, is_enough) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("connection");
        let mut first = [0; 1];
        stream.read_exact(&mut first).expect("request");
        stream.write_all(b"HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n").expect("answer");
        // It reads nothing more, and stays.
        is_enough.recv().expect("a test that ends");
    });
    // More than fits into the buffers of both sides.
    let large = Bytes::from(vec![b'x'; 64 << 20]);
    let answer = client().notify(&url, &[], large, DEADLINE).await;
    assert_eq!(answer.map(|answer| answer.status), Ok(202));
    enough.send(()).expect("a server that waits");
    server.join().expect("server");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let server = FakeHttp::start(|_| HttpResponse::new(302, &[("Location", "/elsewhere")], b"")).await;
    assert_eq!(post(&client(), &server.url("/")).await.expect("answer").status, 302);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_long_answer_is_cut_and_not_waited_for() {
    for (length, kept) in [
        (MAX_ANSWER_OCTETS - 1, MAX_ANSWER_OCTETS - 1),
        (MAX_ANSWER_OCTETS, MAX_ANSWER_OCTETS),
        (MAX_ANSWER_OCTETS + 1, MAX_ANSWER_OCTETS),
    ] {
        let server = FakeHttp::start(move |_| HttpResponse::new(200, &[], &vec![b'x'; length])).await;
        assert_eq!(post(&client(), &server.url("/")).await.expect("answer").body_prefix.len(), kept, "{length}");
    }
    // Announces far more than it ever sends: only the prefix is needed.
    let server = FakeHttp::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        HttpResponse::raw([head.as_slice(), &vec![b'x'; MAX_ANSWER_OCTETS]].concat())
    })
    .await;
    assert_eq!(post(&client(), &server.url("/")).await.expect("answer").body_prefix.len(), MAX_ANSWER_OCTETS);
}

#[tokio::test]
async fn the_deadline_covers_head_and_body() {
    let short = Duration::from_millis(50);
    for response in [HttpResponse::hold(), HttpResponse::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")] {
        let server = FakeHttp::start(move |_| response.clone()).await;
        let answer = client().post(&server.url("/"), &[], Bytes::new(), short).await;
        assert_eq!(answer, Err(HttpFailure::Deadline));
    }
}

#[tokio::test]
async fn a_status_that_says_all_does_not_wait_for_its_body() {
    let half = "HTTP/1.1 204 OK\r\nContent-Length: 10\r\n\r\n";
    for (name, head, status) in [
        ("a body that stops", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 200),
        ("a body without an end", "HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", 202),
        ("no body where one is announced", half, 204),
    ] {
        let server = FakeHttp::start(move |_| HttpResponse::raw(head)).await;
        let answer = client().notify(&server.url("/"), &[], Bytes::new(), DEADLINE).await;
        assert_eq!(answer.map(|answer| answer.status), Ok(status), "{name}");
    }
    // A refusal may say when to come back, and is an answer as a whole.
    let server = FakeHttp::start(|_| HttpResponse::raw("HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nhalf")).await;
    let answer = client().notify(&server.url("/"), &[], Bytes::new(), Duration::from_millis(50)).await;
    assert_eq!(answer, Err(HttpFailure::Deadline));
}

#[tokio::test]
async fn an_answer_has_a_largest_head() {
    let with = |octets: usize| {
        let lines: String = (0..octets / 1_000).map(|n| format!("X-{n:04}: {}\r\n", "x".repeat(990))).collect();
        HttpResponse::raw(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n"))
    };
    for (octets, is_taken) in [(15_000, true), (17_000, false), (1_000_000, false)] {
        let server = FakeHttp::start(move |_| with(octets)).await;
        let answer = client().notify(&server.url("/"), &[], Bytes::new(), DEADLINE).await;
        match answer {
            Ok(answer) => assert!(is_taken && answer.status == 200, "{octets}"),
            Err(failure) => assert!(!is_taken && matches!(failure, HttpFailure::Broken(_)), "{octets}: {failure}"),
        }
    }
}

#[tokio::test]
async fn what_stands_in_a_url_is_not_in_what_is_said_of_it() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("port").local_addr().expect("bound");
    let hangs = FakeHttp::start(|_| HttpResponse::hold()).await;
    let breaks = FakeHttp::start(|_| HttpResponse::hang_up()).await;
    let lies = FakeHttp::start(|_| HttpResponse::raw("not http at all\r\n\r\n")).await;
    for url in [format!("http://{closed}/"), hangs.url("/"), breaks.url("/"), lies.url("/"), "https://10.0.0.1/".into()]
    {
        let url = format!("{url}path-canary?token=query-canary");
        let failure =
            client().post(&url, &[], Bytes::new(), Duration::from_millis(200)).await.expect_err("none answers");
        let said = format!("{failure} {failure:?}");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn broken_and_absent_servers_are_told_apart() {
    for response in [HttpResponse::hang_up(), HttpResponse::raw("not http at all\r\n\r\n")] {
        let server = FakeHttp::start(move |_| response.clone()).await;
        let answer = post(&client(), &server.url("/")).await;
        assert!(matches!(answer, Err(HttpFailure::Broken(_))), "{answer:?}");
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("port");
    let closed = listener.local_addr().expect("bound");
    drop(listener);
    let answer = post(&client(), &format!("http://{closed}/")).await;
    assert!(matches!(answer, Err(HttpFailure::Connect(_))), "{answer:?}");
}

#[tokio::test]
async fn headers_that_would_break_the_request_are_refused() {
    let server = FakeHttp::start(|_| HttpResponse::status(200)).await;
    for (name, value) in [("X-Bad", "a\r\nX-Injected: 1"), ("X Bad", "a"), ("", "a")] {
        let answer = client().get(&server.url("/"), &[(name, value.to_owned())], DEADLINE).await;
        assert_eq!(answer, Err(HttpFailure::Header(name.to_owned())));
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_not_listed() {
    let server = FakeHttp::start(|_| HttpResponse::status(200)).await;
    let strict = WebhookHttp::new(Vec::new());
    let port = server.address().port();
    for url in
        [format!("https://127.0.0.1:{port}/"), format!("https://0x7f.1:{port}/"), format!("https://localhost:{port}/")]
    {
        let expected = TargetRefused::NotPublic(Ipv4Addr::LOCALHOST.into());
        assert_eq!(post(&strict, &url).await, Err(HttpFailure::Refused(expected)), "{url}");
    }
    assert_eq!(post(&strict, &server.url("/")).await, Err(TargetRefused::PlainHttp.into()));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn names_are_judged_by_all_their_addresses() {
    let server = FakeHttp::start(|_| HttpResponse::status(200)).await;
    let port = server.address().port();
    let [local, public, metadata] = [[127, 0, 0, 1], [8, 8, 8, 8], [169, 254, 169, 254]].map(IpAddr::from);
    let resolver = StaticResolver::empty()
        .with_address("local.example", local)
        .with_address("public.example", public)
        .with_address("mixed.example", local)
        .with_address("mixed.example", metadata)
        .with_address("sly.example", local)
        .with_address("sly.example", public)
        .failing("broken.example");
    let client = client_with(resolver, loopback());
    let url = |host: &str| format!("http://{host}:{port}/");

    assert_eq!(post(&client, &url("local.example")).await.expect("listed").status, 200);
    assert_eq!(post(&client, &url("localhost")).await.expect("by definition").status, 200);
    let connections = server.connections();
    for (host, expected) in [
        ("mixed.example", TargetRefused::NotPublic(metadata)),
        ("sly.example", TargetRefused::PlainHttp),
        ("public.example", TargetRefused::PlainHttp),
    ] {
        assert_eq!(client.check_target(&url(host)).await, Err(expected.clone()), "{host}");
        assert_eq!(post(&client, &url(host)).await, Err(HttpFailure::Refused(expected)), "{host}");
    }
    for host in ["nowhere.example", "broken.example"] {
        let answer = post(&client, &url(host)).await;
        assert!(matches!(answer, Err(HttpFailure::Refused(TargetRefused::Unresolvable(_)))), "{host}: {answer:?}");
    }
    assert_eq!(server.connections(), connections, "a refused name is not connected to");
    assert_eq!(client.check_target("https://public.example/").await, Ok(()));
    assert_eq!(client.check_target("https://8.8.8.8/").await, Ok(()));
}

#[tokio::test]
async fn https_names_that_lead_inside_are_refused() {
    let resolver = StaticResolver::empty()
        .with_address("inside.example", IpAddr::from([10, 0, 0, 1]))
        .with_address("mapped.example", "::ffff:10.0.0.1".parse().expect("address"));
    let client = client_with(resolver, Vec::new());
    for host in ["inside.example", "mapped.example"] {
        let answer = post(&client, &format!("https://{host}/")).await;
        assert!(matches!(answer, Err(HttpFailure::Refused(TargetRefused::NotPublic(_)))), "{host}: {answer:?}");
    }
}

/// An HTTPS server for `hooks.example`; returns where it listens and its certificate.
async fn start_https(responder: Responder) -> (SocketAddr, CertificateDer<'static>) {
    let folder = tempfile::tempdir().expect("folder");
    let identity = TlsIdentity::load_or_create(folder.path(), &["hooks.example".to_owned()]).expect("identity");
    let acceptor = TlsAcceptor::from(server_config(&identity).expect("configuration"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                responder.serve(stream).await;
            }
        }
    });
    (address, identity.chain()[0].clone())
}

#[tokio::test]
async fn https_is_verified() {
    let responder = Responder::new(|_| HttpResponse::new(200, &[], b"over tls"));
    let (address, root) = start_https(responder.clone()).await;
    let url = format!("https://hooks.example:{}/", address.port());
    let client = |extra_roots: Vec<CertificateDer<'static>>| {
        WebhookHttp::with_options(WebhookHttpOptions {
            allow: loopback(),
            extra_roots,
            resolver: Some(Arc::new(StaticResolver::everything_at(address.ip()))),
            own: Vec::new(),
        })
    };
    assert_eq!(post(&client(vec![root.clone()]), &url).await.expect("trusted").body_prefix, b"over tls");
    let stranger = post(&client(Vec::new()), &url).await;
    assert!(matches!(stranger, Err(HttpFailure::Certificate(_))), "{stranger:?}");
    let other_name = post(&client(vec![root]), &format!("https://other.example:{}/", address.port())).await;
    assert!(matches!(other_name, Err(HttpFailure::Certificate(_))), "{other_name:?}");
    assert_eq!(responder.requests().len(), 1);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (value, expected) in [
        ("0", Some(0)),
        ("120", Some(120)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ("+5", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("99999999999999999999999", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static(date));
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        assert_eq!(retry_after(&headers), expected, "{value:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new()), None);
}
