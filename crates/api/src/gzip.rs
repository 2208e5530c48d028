//! Answers packed with gzip (RFC 9110 §8.4.1.3), for clients that ask for it. Files and streams are sent as they are.

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// Octets below which packing saves nothing.
const OCTETS_MIN: u64 = 200;

/// Octets that are packed before others get a turn.
const PIECE_OCTETS: usize = 64 << 10;

/// What is worth packing.
const TEXTS: &[&str] = &["application/json", "text/html", "text/plain"];

/// Whether the client would rather have it packed.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for coding in lists.flat_map(|list| list.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight_of(weight);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => gzip = weight,
            name if name.eq_ignore_ascii_case("identity") => identity = weight,
            "*" => any = weight,
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// A weight in thousandths (RFC 9110 §12.4.2): all of it where none is given, none where it is no number.
fn weight_of(parameter: &str) -> Option<u32> {
    let parameter = parameter.trim();
    if parameter.is_empty() {
        return Some(1_000);
    }
    let number = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    let weight =
        number.and_then(|number| number.trim().parse::<f32>().ok()).filter(|weight| (0.0..=1.0).contains(weight));
    Some(weight.map_or(0, |weight| (weight * 1_000.0) as u32))
}

/// Packs an answer if it is worth it and `is_wanted`; says in any case that it depends on who asks.
pub(crate) async fn pack(response: Response, is_wanted: bool) -> Response {
    if !is_packable(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    if !is_wanted {
        return Response::from_parts(parts, body);
    }
    let Ok(octets) = to_bytes(body, usize::MAX).await else {
        // It was in memory already.
        return Response::from_parts(parts, Body::empty());
    };
    match packed(&octets).await {
        Ok(packed) => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(packed))
        }
        Err(_) => Response::from_parts(parts, Body::from(octets)),
    }
}

fn is_packable(response: &Response) -> bool {
    let headers = response.headers();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_file = [header::CONTENT_DISPOSITION, header::CONTENT_ENCODING, header::CONTENT_RANGE]
        .iter()
        .any(|name| headers.contains_key(name));
    TEXTS.contains(&kind)
        && !is_file
        && response.status() != StatusCode::PARTIAL_CONTENT
        && response.body().size_hint().exact().is_some_and(|octets| octets >= OCTETS_MIN)
}

async fn packed(octets: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(octets.len() / 4), Compression::fast());
    for (index, piece) in octets.chunks(PIECE_OCTETS).enumerate() {
        if index > 0 {
            tokio::task::yield_now().await;
        }
        encoder.write_all(piece)?;
    }
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_gets_it_packed() {
        let wants = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            is_wanted(&headers)
        };
        for value in ["gzip", "gzip, deflate, br, zstd", "GZIP;q=0.5", "x-gzip", "*", "br;q=1, *;q=0.1", "gzip;q=0.001"]
        {
            assert!(wants(value), "{value}");
        }
        let unwanted = [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=0.0, *",
            "*;q=0",
            "identity, gzip;q=0.5",
            "gzip;q=x",
            "gzip;q=2",
        ];
        for value in unwanted {
            assert!(!wants(value), "{value}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
