//! One connection that speaks HTTP/1.1. Whoever asks over it drives it, too: it has no task of its own, so an exchange takes no
//! way from task to task.

use super::connect::Stream;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use std::future::{poll_fn, ready};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// How large the header fields of an answer may be together, with the line of the status.
pub const MAX_HEAD_OCTETS: usize = 16 * 1_024;

/// A connection, and how requests are put into it.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
}

/// What reads and writes; nothing when that is over. Let go then, since what still waits for it learns of the end by that.
struct Driver(Option<http1::Connection<Stream, Full<Bytes>>>);

/// Why a request was not answered.
pub(super) struct Unanswered {
    pub(super) error: hyper::Error,
    /// The request, if nothing of it was sent.
    pub(super) unsent: Option<Request<Full<Bytes>>>,
}

impl Connection {
    /// In a box, as it goes from hand to hand and has its buffers in itself.
    pub(super) async fn begin(stream: Stream) -> Result<Box<Self>, hyper::Error> {
        let (sender, driver) = http1::Builder::new().max_header_size(MAX_HEAD_OCTETS).handshake(stream).await?;
        Ok(Box::new(Self { sender, driver: Driver(Some(driver)) }))
    }

    /// Sends a request, and reads the head of its answer.
    pub(super) async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        let answer = self.sender.try_send_request(request);
        self.driver.drive(answer).await.map_err(|mut refused| {
            let unsent = refused.take_message();
            Unanswered { error: refused.into_error(), unsent }
        })
    }

    /// The next piece of a body; `None` at its end.
    pub(super) async fn piece(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
        while let Some(frame) = self.driver.drive(body.frame()).await {
            // Trailers say nothing to us.
            if let Ok(piece) = frame?.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Whether another request can be sent at once, when the answer to the last one was read to its end. Who answered before it has read
    /// the request is not waited for.
    pub(super) async fn is_reusable(&mut self) -> bool {
        let Self { sender, driver } = self;
        let mut is_ready = |context: &mut Context<'_>| matches!(sender.poll_ready(context), Poll::Ready(Ok(())));
        driver.drive(poll_fn(|context| Poll::Ready(is_ready(context)))).await
    }

    /// Whether it is still open, as far as it is known here: the other side may have ended it meanwhile.
    pub(super) async fn is_open(&mut self) -> bool {
        self.driver.drive(ready(())).await;
        self.driver.0.is_some() && self.sender.is_ready()
    }
}

impl Driver {
    /// Does some work, and meanwhile what the connection has to do for it.
    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.poll(context);
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            // What the work has just asked for is begun at once.
            self.poll(context);
            work.as_mut().poll(context)
        })
        .await
    }

    /// What it fails with is said by the work that waits for it.
    fn poll(&mut self, context: &mut Context<'_>) {
        if self.0.as_mut().is_some_and(|driver| Pin::new(driver).poll(context).is_ready()) {
            self.0 = None;
        }
    }
}
