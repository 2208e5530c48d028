//! A server, or somebody before it, that says more in the clear than the answer to STARTTLS (RFC 3207 §6).

use futures::FutureExt;
use postfleet_core::{EmailAddress, ReversePath};
use postfleet_net::mx_transport::{MxTransport, MxTransportConfig, Target, TlsRule};
use postfleet_wire::smtp::client::{RecipientResult, Transaction};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Says its lines, each after something was heard; what it heard, and whether it was connected to again.
async fn serve(listener: TcpListener, injected: &'static str) -> (String, bool) {
    let (mut stream, _) = listener.accept().await.expect("connected");
    let (mut octets, mut heard) = ([0; 1_024], Vec::new());
    for words in ["220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", &format!("220 go\r\n{injected}")] {
        stream.write_all(words.as_bytes()).await.expect("said");
        let count = stream.read(&mut octets).await.unwrap_or(0);
        heard.extend_from_slice(&octets[..count]);
    }
    while let Ok(count @ 1..) = stream.read(&mut octets).await {
        heard.extend_from_slice(&octets[..count]);
    }
    (String::from_utf8(heard).expect("lines"), listener.accept().now_or_never().is_some())
}

/// It ends the attempt: nothing is said to whoever put it there, and it is not tried again without TLS.
#[tokio::test]
async fn words_behind_the_answer_to_starttls_end_the_attempt() {
    let words = [
        "250 evil.example\r\n",
        "250 evil.example\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n",
        "421 go away\r\n",
        "2",
        "\r\n",
    ];
    for tls in [TlsRule::Opportunistic, TlsRule::Watched, TlsRule::Encrypted, TlsRule::Verified] {
        for injected in words {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
            let target = Target::new(listener.local_addr().expect("bound"), "mx.example", tls.clone());
            let server = tokio::spawn(serve(listener, injected));
            let transaction = Transaction {
                reverse_path: ReversePath::Null,
                recipients: vec![EmailAddress::parse("b@mx.example").expect("address")],
                message: vec![Arc::new(b"Subject: x\r\n\r\nx\r\n".to_vec())],
                smtputf8: false,
                eight_bit: false,
            };
            let transport = MxTransport::new(MxTransportConfig::new("c.example"), &[]);
            let handed_over = transport.deliver(&target, transaction).await;
            let result = &handed_over.recipients[0].result;
            assert!(matches!(result, RecipientResult::Lost { during: "STARTTLS", ambiguous: false, .. }), "{result:?}");
            assert!(handed_over.tls.is_some_and(|session| session.result.is_err()));
            let (heard, is_connected_again) = server.await.expect("served");
            assert_eq!(
                (heard.as_str(), is_connected_again),
                ("EHLO c.example\r\nSTARTTLS\r\n", false),
                "{tls:?}: {injected:?}"
            );
        }
    }
}
