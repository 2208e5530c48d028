//! The links by which a reader wants no more mail (RFC 8058): making them, and reading them again.
//!
//! A link names the application, the mailbox, the message and the reader, under a code that only the installation can
//! make: nobody unsubscribes somebody else by guessing. It does not end, since mail is kept for years.

use crate::keys::KeyHasher;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use postfleet_core::id::{ApplicationId, GrantId, MessageId};
use postfleet_core::{EmailAddress, Problem};
use sha2::Sha256;
use uuid::Uuid;

/// What the key is made for; another purpose gives another key.
const PURPOSE: &str = "postfleet unsubscribe link 1";

/// The first octet of what is signed.
const VERSION: u8 = 1;

/// Octets of the code: 128 bits cannot be guessed, and keep the header short.
const CODE_OCTETS: usize = 16;

/// Octets before the address.
const IDS_OCTETS: usize = 1 + 3 * 16;

/// Characters of a token that are looked at; ours are shorter.
const CHARS_MAX: usize = 1_024;

/// Who wants no more of whose mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Whose mail.
    pub application_id: ApplicationId,
    /// Which mailbox sent it.
    pub grant_id: GrantId,
    /// The message with the link.
    pub message_id: MessageId,
    /// Who got it.
    pub recipient: EmailAddress,
}

/// The token of a link.
pub fn sign(hasher: &KeyHasher, link: &Link) -> Result<String, Problem> {
    let mut octets = vec![VERSION];
    for id in [link.application_id.uuid(), link.grant_id.uuid(), link.message_id.uuid()] {
        octets.extend_from_slice(id.as_bytes());
    }
    octets.extend_from_slice(link.recipient.to_string().as_bytes());
    let code = mac(hasher, &octets)?.finalize().into_bytes();
    octets.extend_from_slice(&code[..CODE_OCTETS]);
    Ok(URL_SAFE_NO_PAD.encode(octets))
}

/// Reads a token of this installation; `None` for every other text.
pub fn read(hasher: &KeyHasher, token: &str) -> Option<Link> {
    let octets = URL_SAFE_NO_PAD.decode(Some(token).filter(|token| token.len() <= CHARS_MAX)?).ok()?;
    let (signed, code) = octets.split_at_checked(octets.len().checked_sub(CODE_OCTETS)?)?;
    // Compared in constant time.
    mac(hasher, signed).ok()?.verify_truncated_left(code).ok()?;
    let (ids, recipient) = signed.split_at_checked(IDS_OCTETS)?;
    let id = |index: usize| Uuid::from_slice(&ids[1 + index * 16..1 + (index + 1) * 16]).ok();
    (ids[0] == VERSION).then_some(())?;
    Some(Link {
        application_id: ApplicationId::from_uuid(id(0)?),
        grant_id: GrantId::from_uuid(id(1)?),
        message_id: MessageId::from_uuid(id(2)?),
        recipient: EmailAddress::parse(std::str::from_utf8(recipient).ok()?).ok()?,
    })
}

fn mac(hasher: &KeyHasher, octets: &[u8]) -> Result<Hmac<Sha256>, Problem> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&hasher.derive(PURPOSE)).map_err(Problem::internal)?;
    mac.update(octets);
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(recipient: &str) -> Link {
        Link {
            application_id: ApplicationId::new(Default::default(), [1; 10]),
            grant_id: GrantId::new(Default::default(), [2; 10]),
            message_id: MessageId::new(Default::default(), [3; 10]),
            recipient: EmailAddress::parse(recipient).unwrap(),
        }
    }

    #[test]
    fn what_was_signed_is_read_here_and_nowhere_else() {
        let hasher = KeyHasher::new([1; 32]);
        for recipient in ["ada@example.com", "\"a b\"@example.com", &format!("{}@example.com", "a".repeat(64))] {
            let token = sign(&hasher, &link(recipient)).unwrap();
            assert_eq!(read(&hasher, &token), Some(link(recipient)));
            assert!(token.len() <= CHARS_MAX && token.bytes().all(|octet| octet.is_ascii_graphic()));
            assert_eq!(read(&KeyHasher::new([2; 32]), &token), None);
        }
    }

    #[test]
    fn no_changed_octet_is_read() {
        let hasher = KeyHasher::new([1; 32]);
        let token = sign(&hasher, &link("ada@example.com")).unwrap();
        let octets = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for index in 0..octets.len() {
            for flip in [1, 0x20, 0x80] {
                let mut forged = octets.clone();
                forged[index] ^= flip;
                assert_eq!(read(&hasher, &URL_SAFE_NO_PAD.encode(&forged)), None, "octet {index}");
            }
            assert_eq!(read(&hasher, &URL_SAFE_NO_PAD.encode(&octets[..index])), None, "the first {index}");
        }
        for text in ["", "x", "%%", &"A".repeat(10_000), &format!("{token}AAAA"), &token[1..]] {
            assert_eq!(read(&hasher, text), None, "{text}");
        }
    }
}
