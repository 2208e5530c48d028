//! Each way in which a receiver can fail, and what becomes of the event: the table in docs/webhooks.md.

use crate::support::Setting;
use postfleet_mailflow::webhooks::{self, Order, Wanted};
use postfleet_mailflow::{Platform, Settings};
use postfleet_net::webhook_http::WebhookHttpOptions;
use postfleet_net::{StaticResolver, WebhookHttp};
use postfleet_schema::webhook::CreateWebhook;
use postfleet_store::webhooks::{UpdateWebhook, Webhook};
use postfleet_testkit::http::{FakeHttp, HttpResponse, Responder};
use postfleet_testkit::tls::{Authority, Certified, FakeHttps};
use postfleet_testkit::world::WorldOptions;
use serde_json::json;
use std::any::Any;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// How long a receiver has to answer here.
const DEADLINE: Duration = Duration::from_millis(700);

/// A receiver, and what keeps it going.
struct Receiver {
    url: String,
    _keeps: Box<dyn Any>,
}

async fn answers(response: HttpResponse) -> Receiver {
    let http = FakeHttp::start(move |_| response.clone()).await;
    Receiver { url: http.url("/hook"), _keeps: Box::new(http) }
}

async fn says(text: impl Into<Vec<u8>>) -> Receiver {
    answers(HttpResponse::raw(text)).await
}

async fn shows(certified: Certified) -> Receiver {
    let https = FakeHttps::start(certified.acceptor, Responder::new(|_| HttpResponse::status(200))).await;
    Receiver { url: format!("https://{}/hook", https.address()), _keeps: Box::new(https) }
}

/// Nobody listens there.
async fn refuses() -> Receiver {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    drop(listener);
    Receiver { url, _keeps: Box::new(()) }
}

/// It answers an octet at a time: whole only after almost four deadlines.
async fn drips() -> Receiver {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let dripping = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // What is not read would be answered with a reset.
            let _ = stream.read(&mut [0; 65_536]).await;
            for octet in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
                let written = stream.write_all(&[*octet]).await;
                if written.is_err() {
                    break;
                }
                // The receiver's own slowness, which is what is tried; slower still, it says the same.
                tokio::time::sleep(DEADLINE / 10).await;
            }
        }
    });
    Receiver { url, _keeps: Box::new(dripping) }
}

/// As this node tells, with a short deadline, and where an authority is trusted.
fn telling(platform: &Platform, authority: &Authority) -> Platform {
    let options = WebhookHttpOptions {
        allow: vec!["127.0.0.0/8".parse().expect("network")],
        extra_roots: vec![authority.root()],
        resolver: Some(Arc::new(StaticResolver::empty())),
        ..WebhookHttpOptions::default()
    };
    let settings = Settings { webhook_deadline: DEADLINE, ..(*platform.settings).clone() };
    Platform { http: Arc::new(WebhookHttp::with_options(options)), settings: Arc::new(settings), ..platform.clone() }
}

/// A webhook whose receiver has moved since it echoed the challenge.
async fn subscribe(platform: &Platform, setting: &Setting, receiver: &Receiver) -> Webhook {
    let echo = FakeHttp::start(|request| {
        let challenge = request.path.split_once("challenge=").map_or("", |(_, challenge)| challenge);
        HttpResponse::new(200, &[], challenge.as_bytes())
    })
    .await;
    let request = json!({"trigger_types": ["message.created"], "webhook_url": echo.url("/")});
    let request: CreateWebhook = serde_json::from_value(request).expect("request");
    let made = webhooks::create(platform, setting.tenant.application_id, &request).await.expect("webhook");
    let moved = Webhook { url: receiver.url.clone(), ..made };
    assert!(platform.store.run(UpdateWebhook(moved.clone())).await.expect("update"));
    moved
}

/// What became of the last event: state and reason, and after how many seconds it is tried again.
async fn told(platform: &Platform, webhook: &Webhook) -> (&'static str, Option<String>, Option<i64>) {
    let webhook = webhooks::find(platform, webhook.application_id, webhook.id).await.expect("webhook");
    let wanted = Wanted { order: Order::NewestFirst, trigger: None, grant: None, since: None, limit: 1, cursor: None };
    let (mut page, _) = webhooks::deliveries(platform, &webhook, wanted).await.expect("deliveries");
    let delivery = page.remove(0);
    let after = delivery.next_attempt_at.map(|at| at - platform.clock.now().as_seconds());
    (delivery.state, delivery.reason, after)
}

#[tokio::test]
async fn each_way_of_failing_has_its_consequence() {
    let setting = Setting::with(WorldOptions::default()).await;
    let (known, unknown) = (Authority::default(), Authority::default());
    let platform = telling(&setting.world.platform, &known);
    let inside = FakeHttp::start(|_| HttpResponse::status(200)).await;
    let later =
        |value: &str| HttpResponse::new(429, &[("Date", "Mon, 23 Nov 2026 10:00:00 GMT"), ("Retry-After", value)], b"");
    let waiting = |reason: &str, after| ("waiting", Some(reason.to_owned()), Some(after));
    let delivered = ("delivered", None, None);
    let moved = HttpResponse::new(302, &[("Location", &inside.url("/secret"))], b"");
    let big = [b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n".as_slice(), &[b'x'; 200_000]].concat();
    let wide = format!("HTTP/1.1 200 OK\r\nX-Wide: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1_000_000));
    let cases = [
        ("it takes it", answers(HttpResponse::status(200)).await, delivered.clone()),
        ("it takes it with another status", answers(HttpResponse::status(204)).await, delivered.clone()),
        ("nobody listens", refuses().await, waiting("connection_failed", 30)),
        (
            "nobody knows its name",
            Receiver { url: "https://nobody.example/hook".to_owned(), _keeps: Box::new(()) },
            waiting("connection_failed", 30),
        ),
        ("it closes without an answer", answers(HttpResponse::hang_up()).await, waiting("connection_broken", 30)),
        ("it stops in its head", says("HTTP/1.1 2").await, waiting("deadline_passed", 30)),
        ("it says something else than HTTP", says("220 mail.example\r\n").await, waiting("connection_broken", 30)),
        ("it does not answer", answers(HttpResponse::hold()).await, waiting("deadline_passed", 30)),
        ("it answers an octet at a time", drips().await, waiting("deadline_passed", 30)),
        (
            "its refusal never ends",
            says("HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nx").await,
            waiting("deadline_passed", 30),
        ),
        ("it fails", answers(HttpResponse::status(500)).await, waiting("status_500", 30)),
        ("it does not know of it", answers(HttpResponse::status(404)).await, waiting("status_404", 30)),
        // Nothing more is sent to it, so that it waits for longer: webhooks_standing.rs.
        ("it is gone", answers(HttpResponse::status(410)).await, waiting("status_410", 30)),
        ("it is busy", answers(HttpResponse::status(429)).await, waiting("status_429", 30)),
        ("it is busy for two minutes", answers(later("120")).await, waiting("status_429", 120)),
        (
            "it is busy until two minutes past ten",
            answers(later("Mon, 23 Nov 2026 10:02:00 GMT")).await,
            waiting("status_429", 120),
        ),
        ("it is busy for 31 years", answers(later("1000000000")).await, waiting("status_429", 1_200)),
        ("it is busy for nonsense", answers(later("soon")).await, waiting("status_429", 30)),
        ("it sends us elsewhere", answers(moved).await, waiting("status_302", 30)),
        ("its answer is large", says(big).await, delivered.clone()),
        ("the head of its answer is large", says(wide).await, waiting("connection_broken", 30)),
        ("it shows a certificate", shows(known.certify("127.0.0.1")).await, delivered.clone()),
        (
            "nobody knows who certified it",
            shows(unknown.certify("127.0.0.1")).await,
            waiting("certificate_untrusted", 30),
        ),
        ("its certificate is over", shows(known.certify_past("127.0.0.1")).await, waiting("certificate_untrusted", 30)),
        (
            "its certificate is another's",
            shows(known.certify("other.example")).await,
            waiting("certificate_untrusted", 30),
        ),
        (
            "it must not be called",
            Receiver { url: "http://10.0.0.1/hook".to_owned(), _keeps: Box::new(()) },
            ("given_up", Some("target_refused".to_owned()), None),
        ),
    ];
    for (name, receiver, expected) in cases {
        let webhook = subscribe(&platform, &setting, &receiver).await;
        let message = format!("From: a@sender.test\r\nSubject: {name}\r\n\r\nHi\r\n");
        setting.world.receive("a@sender.test", "agent@acme.test", message).await.expect("accepted");
        let mut leased = webhooks::lease(&platform).await.expect("lease").remove(0);
        webhooks::round(&platform, &mut leased).await.expect("round");
        assert_eq!(told(&platform, &webhook).await, expected, "{name}");
        webhooks::remove(&platform, webhook.application_id, webhook.id).await.expect("removed");
        setting.world.advance(1);
    }
    assert!(inside.requests().is_empty(), "redirects are not followed");
}
