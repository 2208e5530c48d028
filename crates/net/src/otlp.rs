//! HTTP to the collector of telemetry, which the operator names: unlike the targets of webhooks it may be anywhere. What
//! is exported is made elsewhere; here it is sent.

use crate::tls::client_config_with_roots;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use reqwest::Client;
use std::time::Duration;

/// Octets of an answer that are read: it says little.
const ANSWER_OCTETS_MAX: usize = 64 << 10;

/// How long one export may take, from the name to the last octet of the answer.
pub const EXPORT_DEADLINE: Duration = Duration::from_secs(10);

/// Sends exports. Keeps its connection.
#[derive(Clone, Debug)]
pub struct OtlpHttp(Client);

impl OtlpHttp {
    /// Over HTTPS with public authorities, or in the clear if the operator's URL says so. No redirect is followed and no
    /// proxy used.
    pub fn new() -> Self {
        let client = Client::builder()
            .tls_backend_preconfigured(client_config_with_roots(&[]))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("postfleet/", env!("CARGO_PKG_VERSION")))
            .timeout(EXPORT_DEADLINE)
            .build();
        Self(client.expect("the configuration is fixed and valid"))
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let mut answer = request.send().await?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        let mut octets = BytesMut::new();
        while let Some(piece) = answer.chunk().await? {
            if octets.len() + piece.len() > ANSWER_OCTETS_MAX {
                break;
            }
            octets.extend_from_slice(&piece);
        }
        *response.body_mut() = octets.freeze();
        Ok(response)
    }
}

impl Default for OtlpHttp {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient for OtlpHttp {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> BoxFuture<'b, Result<Response<Bytes>, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.clone().send(request))
    }
}
