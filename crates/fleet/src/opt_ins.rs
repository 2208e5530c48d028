//! Opt-ins: the links by which people answer, what a request says, taking back, and showing what there is.
//!
//! A link names the question under a code that only the installation can make: nobody agrees for somebody else by guessing.
//! It ends with the question, whose id begins with the time.

use crate::input;
use crate::keys::KeyHasher;
use crate::pages::{self, Page};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, OptInId};
use postfleet_core::opt_in::{LIFETIME, PURPOSE_CHARS_MAX, State, URL_CHARS_MAX, USER_AGENT_CHARS_MAX};
use postfleet_core::{EmailAddress, Problem, UnixMicros};
use postfleet_schema::opt_in as schema;
use postfleet_store::Store;
use postfleet_store::opt_ins::{self, Filter, OptIn, Said, Source, WithdrawOptIn, WithdrawOutcome};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use uuid::Uuid;

/// What the key of links is made for; another purpose gives another key.
const KEY: &str = "postfleet opt-in link 1";

/// Octets of the code: 128 bits cannot be guessed.
const CODE_OCTETS: usize = 16;

/// Characters of a token that are looked at; ours are shorter.
const CHARS_MAX: usize = 64;

/// The token of a link.
pub fn sign(hasher: &KeyHasher, id: OptInId) -> Result<String, Problem> {
    let mut octets = id.uuid().as_bytes().to_vec();
    let code = mac(hasher, &octets)?.finalize().into_bytes();
    octets.extend_from_slice(&code[..CODE_OCTETS]);
    Ok(URL_SAFE_NO_PAD.encode(octets))
}

/// Reads a token of this installation; `None` for every other text.
pub fn read(hasher: &KeyHasher, token: &str) -> Option<OptInId> {
    let octets = URL_SAFE_NO_PAD.decode(Some(token).filter(|token| token.len() <= CHARS_MAX)?).ok()?;
    let (signed, code) = octets.split_at_checked(octets.len().checked_sub(CODE_OCTETS)?)?;
    // Compared in constant time.
    mac(hasher, signed).ok()?.verify_truncated_left(code).ok()?;
    Uuid::from_slice(signed).ok().map(OptInId::from_uuid)
}

fn mac(hasher: &KeyHasher, octets: &[u8]) -> Result<Hmac<Sha256>, Problem> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&hasher.derive(KEY)).map_err(Problem::internal)?;
    mac.update(octets);
    Ok(mac)
}

/// Whom to ask, and about what.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Whom.
    pub address: EmailAddress,
    /// What they are called.
    pub name: Option<String>,
    /// For what.
    pub purpose: String,
    /// In which language.
    pub language: String,
    /// What is known of who asked for it.
    pub source: Source,
    /// Where they are led after confirming.
    pub redirect_url: Option<String>,
}

/// Reads a request.
pub fn wish(request: schema::RequestOptIn) -> Result<Wish, Problem> {
    let address = address("email", &request.email)?;
    let purpose = purpose("purpose", &request.purpose)?;
    let name = request.name.filter(|name| !name.trim().is_empty());
    let name = name.map(|name| input::name("name", &name)).transpose()?;
    if request.language.as_deref().is_some_and(|language| !["", "en"].contains(&language)) {
        return Err(Problem::invalid("language", "language must be en"));
    }
    let given = request.source.unwrap_or_default();
    let ip = given.ip.filter(|ip| !ip.is_empty());
    let no_ip = |_| Problem::invalid("source.ip", "source.ip must be an IP address");
    let ip = ip.map(|ip| ip.trim().parse::<IpAddr>().map_err(no_ip)).transpose()?.map(|ip| ip.to_string());
    let text = |field: &str, value: Option<String>, chars_max| -> Result<Option<String>, Problem> {
        let value = value.filter(|value| !value.is_empty());
        input::text(field, value.as_deref().unwrap_or_default(), chars_max)?;
        Ok(value)
    };
    let source = Source {
        ip,
        user_agent: text("source.user_agent", given.user_agent, USER_AGENT_CHARS_MAX)?,
        url: text("source.url", given.url, URL_CHARS_MAX)?,
    };
    let redirect_url = text("redirect_url", request.redirect_url, URL_CHARS_MAX)?;
    if redirect_url.as_deref().is_some_and(|url| !is_secure(url)) {
        return Err(Problem::invalid("redirect_url", "redirect_url must be an address that begins with https://"));
    }
    Ok(Wish { address, name, purpose, language: "en".to_owned(), source, redirect_url })
}

/// What somebody agrees to, without the space around it.
pub fn purpose(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::invalid(field, format!("{field} must have 1 to {PURPOSE_CHARS_MAX} characters")));
    }
    input::text(field, text, PURPOSE_CHARS_MAX)?;
    Ok(text.to_owned())
}

/// The hash by which a purpose is found.
pub fn purpose_hash(purpose: &str) -> [u8; 32] {
    Sha256::digest(purpose.as_bytes()).into()
}

/// Whether it is an address of a page that is reached encrypted: a host, and nothing that could end it in a page.
fn is_secure(url: &str) -> bool {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
    let is_host = |host: &str| {
        !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-:[]".contains(&octet))
    };
    host.is_some_and(is_host) && url.bytes().all(|octet| octet.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&octet))
}

/// Space around an address does not matter.
fn address(field: &str, text: &str) -> Result<EmailAddress, Problem> {
    let parsed = EmailAddress::parse(text.trim());
    parsed.map_err(|error| Problem::invalid(field, format!("{field} is not an address: {error}")))
}

/// What is kept of what a program calls itself.
pub fn user_agent(said: &str) -> Option<String> {
    let kept: String = said.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect();
    (!kept.trim().is_empty()).then_some(kept)
}

/// One opt-in of an application.
pub async fn find(store: &Store, application: ApplicationId, id: OptInId) -> Result<OptIn, Problem> {
    opt_ins::find(&mut store.reader().await?, application, id).await?.ok_or_else(Problem::not_found)
}

/// Which opt-ins a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// How many at most.
    pub limit: usize,
    /// Where the page goes on.
    pub page_token: Option<&'a str>,
    /// Only those that are so now.
    pub state: Option<&'a str>,
    /// Only those for this purpose.
    pub purpose: Option<&'a str>,
    /// Only those of this address.
    pub email: Option<&'a str>,
}

/// A page of an application's opt-ins, newest first.
pub async fn list(
    store: &Store,
    application: ApplicationId,
    query: Query<'_>,
    now: UnixMicros,
) -> Result<Page<OptIn>, Problem> {
    let bad_state = || Problem::invalid("state", format!("state must be one of {}", State::NAMES.join(", ")));
    let filter = Filter {
        state: query.state.map(|name| State::named(name).ok_or_else(bad_state)).transpose()?,
        purpose_hash: query.purpose.map(|text| purpose("purpose", text)).transpose()?.as_deref().map(purpose_hash),
        address: query.email.map(|text| address("email", text)).transpose()?,
    };
    let before = pages::after(query.page_token)?;
    let found = opt_ins::list(&mut store.reader().await?, application, &filter, before, (now, query.limit + 1)).await?;
    Ok(pages::cut(found, query.limit, |one| one.id))
}

/// Takes back what somebody agreed to, or was asked, with all else about the same purpose.
pub async fn withdraw(store: &Store, act: Act, application_id: ApplicationId, id: OptInId) -> Result<OptIn, Problem> {
    match store.run(WithdrawOptIn { act, application_id, id }).await? {
        WithdrawOutcome::Over(opt_in) => Ok(*opt_in),
        WithdrawOutcome::NotFound => Err(Problem::not_found()),
    }
}

/// Shows an opt-in as it is at `now`.
pub fn show(one: &OptIn, now: UnixMicros) -> schema::OptIn {
    let said = |said: &Option<Said>| {
        said.as_ref().map(|said| schema::OptInAnswer {
            at: said.at.as_seconds(),
            ip: said.ip.clone(),
            user_agent: said.user_agent.clone(),
        })
    };
    let hash = Sha256::digest(one.words.as_bytes());
    schema::OptIn {
        id: one.id.to_string(),
        object: "opt_in",
        application_id: one.application_id.to_string(),
        grant_id: one.grant_id.to_string(),
        email: one.address.to_string(),
        name: one.name.clone(),
        purpose: one.purpose.clone(),
        language: one.language.clone(),
        state: one.state.at(now, one.asked_at).name(),
        text: one.words.clone(),
        text_sha256: hash.iter().map(|octet| format!("{octet:02x}")).collect(),
        message_id: one.message_id.to_string(),
        source: schema::OptInSource {
            ip: one.source.ip.clone(),
            user_agent: one.source.user_agent.clone(),
            url: one.source.url.clone(),
        },
        redirect_url: one.redirect_url.clone(),
        asked_at: one.asked_at.as_seconds(),
        expires_at: one.asked_at.plus(LIFETIME).as_seconds(),
        confirmed: said(&one.confirmed),
        declined: said(&one.declined),
        withdrawn_at: one.withdrawn_at.map(UnixMicros::as_seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_here_and_nowhere_else_and_no_changed_octet_is() {
        let hasher = KeyHasher::new([1; 32]);
        let id = OptInId::new(UnixMicros::from_seconds(1_800_000_000), [7; 10]);
        let token = sign(&hasher, id).unwrap();
        assert_eq!(read(&hasher, &token), Some(id));
        assert_eq!(read(&KeyHasher::new([2; 32]), &token), None);
        let octets = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for index in 0..octets.len() {
            let mut forged = octets.clone();
            forged[index] ^= 1;
            assert_eq!(read(&hasher, &URL_SAFE_NO_PAD.encode(&forged)), None, "octet {index}");
            assert_eq!(read(&hasher, &URL_SAFE_NO_PAD.encode(&octets[..index])), None, "the first {index}");
        }
        for text in ["", "x", "%%", &"A".repeat(10_000), &format!("{token}AAAA")] {
            assert_eq!(read(&hasher, text), None, "{text}");
        }
    }

    #[test]
    fn a_page_to_be_led_to_is_reached_encrypted() {
        for url in ["https://shop.example", "https://shop.example/thanks?a=1#b", "https://shop.example:8443/"] {
            assert!(is_secure(url), "{url}");
        }
        for url in [
            "http://shop.example",
            "https://",
            "https:///x",
            "javascript:alert(1)",
            "https://a@b.example/",
            "https://a.example/\"x",
            "https://a.example/ x",
            "//a.example",
            "https://ä.example",
        ] {
            assert!(!is_secure(url), "{url}");
        }
    }
}
