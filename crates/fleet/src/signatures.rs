//! Signatures of mailboxes: reading what a request wants, carrying it out, showing what there is, and appending one to a
//! message.

use crate::input;
use postfleet_core::audit::Act;
use postfleet_core::id::{GrantId, SignatureId};
use postfleet_core::{Problem, ProblemKind};
use postfleet_mail::sanitise;
use postfleet_net::Entropy;
use postfleet_schema::signature as schema;
use postfleet_store::Store;
use postfleet_store::signatures::{
    self, CreateOutcome, CreateSignature, RemoveSignature, SIGNATURES_MAX, Signature, UpdateSignature,
};

/// Octets of a signature, as it is given and as it is kept.
pub const BODY_OCTETS_MAX: usize = 100_000;

fn body(text: &str) -> Result<String, Problem> {
    let is_long = |text: &str| text.len() > BODY_OCTETS_MAX;
    // What is escaped is longer.
    let safe = if is_long(text) { String::new() } else { sanitise::sanitise(text) };
    if is_long(text) || is_long(&safe) {
        return Err(Problem::invalid("body", format!("body must have at most {BODY_OCTETS_MAX} bytes")));
    }
    Ok(safe)
}

fn read(request: schema::WriteSignature) -> Result<(Option<String>, Option<String>), Problem> {
    let name = request.name.map(|name| input::name("name", &name)).transpose()?;
    Ok((name, request.body.map(|text| body(&text)).transpose()?))
}

/// Makes a signature.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    grant_id: GrantId,
    request: schema::WriteSignature,
) -> Result<Signature, Problem> {
    let now = act.at;
    let (name, body) = read(request)?;
    let missing = |field: &'static str| move || Problem::invalid(field, format!("{field} must be given"));
    let name = name.ok_or_else(missing("name"))?;
    let body = body.ok_or_else(missing("body"))?;
    let id = SignatureId::new(now, entropy.ten());
    let signature = Signature { id, grant_id, name, body, created_at: now, updated_at: now };
    match store.run(CreateSignature { act, signature: signature.clone() }).await? {
        CreateOutcome::Created => Ok(signature),
        CreateOutcome::NoSuchGrant => Err(Problem::not_found()),
        CreateOutcome::TooMany => {
            let text = format!("an account may have at most {SIGNATURES_MAX} signatures");
            Err(Problem::new(ProblemKind::Conflict, "signatures_max_reached", text))
        }
    }
}

/// Changes a signature; what the request does not name stays.
pub async fn update(
    store: &Store,
    act: Act,
    grant_id: GrantId,
    id: SignatureId,
    request: schema::WriteSignature,
) -> Result<Signature, Problem> {
    let (name, body) = read(request)?;
    store.run(UpdateSignature { act, grant_id, id, name, body }).await?.ok_or_else(Problem::not_found)
}

/// Removes a signature.
pub async fn remove(store: &Store, act: Act, grant_id: GrantId, id: SignatureId) -> Result<(), Problem> {
    let removed = store.run(RemoveSignature { act, grant_id, id }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// A mailbox's signatures.
pub async fn list(store: &Store, grant: GrantId) -> Result<Vec<Signature>, Problem> {
    Ok(signatures::list(&mut store.reader().await?, grant).await?)
}

/// One signature of a mailbox.
pub async fn find(store: &Store, grant: GrantId, id: SignatureId) -> Result<Signature, Problem> {
    signatures::find(&mut store.reader().await?, grant, id).await?.ok_or_else(Problem::not_found)
}

/// Shows a signature.
pub fn show(signature: &Signature) -> schema::Signature {
    schema::Signature {
        id: signature.id.to_string(),
        object: "signature",
        grant_id: signature.grant_id.to_string(),
        name: signature.name.clone(),
        body: signature.body.clone(),
        created_at: signature.created_at.as_seconds(),
        updated_at: signature.updated_at.as_seconds(),
    }
}

/// The signature that a message is to have, by the `signature_id` of a request; none if that is absent or empty.
pub async fn named(store: &Store, grant: GrantId, id: Option<&str>) -> Result<Option<Signature>, Problem> {
    let Some(id) = id.filter(|id| !id.is_empty()) else { return Ok(None) };
    let unknown = || Problem::invalid("signature_id", "signature_id is not a signature of this account");
    let id = id.parse().map_err(|_| unknown())?;
    let found = signatures::find(&mut store.reader().await?, grant, id).await?;
    found.map(Some).ok_or_else(unknown)
}

/// A body with a signature at its very end: behind a line end, and before what closes an HTML page. One that is there already
/// is not put there again.
pub fn signed(body: &str, is_plaintext: bool, signature: &Signature) -> String {
    let (added, end) = if is_plaintext {
        (format!("\n\n{}", sanitise::as_text(&signature.body)), body.len())
    } else {
        let lower = body.to_ascii_lowercase();
        let end = lower.rfind("</body").or_else(|| lower.rfind("</html")).unwrap_or(body.len());
        (format!("<br>{}", signature.body), end)
    };
    let (before, after) = body.split_at(end);
    // On its way through a message, a text gets other line ends.
    let bare = |text: &str| text.replace('\r', "").trim().to_owned();
    if bare(before).ends_with(&bare(&added)) {
        return body.to_owned();
    }
    format!("{before}{added}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::UnixMicros;

    #[test]
    fn a_signature_stands_at_the_end_and_once() {
        let at = UnixMicros::default();
        let signature = Signature {
            id: SignatureId::new(at, [1; 10]),
            grant_id: GrantId::new(at, [2; 10]),
            name: "s".to_owned(),
            body: "<p>Ada &amp; Co<br>\n<a href=\"https://a.example/\">us</a></p>".to_owned(),
            created_at: at,
            updated_at: at,
        };
        for (body, expected) in [
            ("", format!("<br>{}", signature.body)),
            ("<p>Hi</p>", format!("<p>Hi</p><br>{}", signature.body)),
            ("<html><BODY>Hi</BODY></html>", format!("<html><BODY>Hi<br>{}</BODY></html>", signature.body)),
            ("<html>Hi</html>", format!("<html>Hi<br>{}</html>", signature.body)),
        ] {
            let found = signed(body, false, &signature);
            assert_eq!(found, expected, "{body}");
            assert_eq!(signed(&found, false, &signature), found, "{body}: again");
            assert_eq!(
                signed(&found.replace('\n', "\r\n"), false, &signature).replace('\r', ""),
                found,
                "{body}: CRLF"
            );
        }
        let plain = signed("Hi", true, &signature);
        assert_eq!(plain, "Hi\n\nAda & Co\nus<https://a.example/>".replace("us<", "us <"));
        assert_eq!(signed(&format!("{plain}\r\n"), true, &signature), format!("{plain}\r\n"));
    }
}
