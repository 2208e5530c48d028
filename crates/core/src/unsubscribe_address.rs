//! The address to which the reader of one message writes to get no more mail (the `mailto` of List-Unsubscribe, RFC 2369
//! §3.2): it names the message under a keyed hash (HMAC-SHA-256, RFC 2104), at the sender's own domain. Nobody but whoever
//! got the message knows it, and nobody can make one up. It does not end, since mail is kept for years.
//!
//! `u-` and 48 characters of base 32, as return paths have: 16 octets of id, 14 of hash. Case does not matter.

use crate::address::EmailAddress;
use crate::domain::Domain;
use crate::id::MessageId;
use crate::return_path::{decode, encode};
use crate::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// What every such address begins with.
const PREFIX: &str = "u-";

const ID_OCTETS: usize = 16;
const HASH_OCTETS: usize = 14;

/// Makes and reads such addresses, under a key that only the installation has.
#[derive(Clone, Debug)]
pub struct UnsubscribeAddresses(Secret<[u8; 32]>);

impl UnsubscribeAddresses {
    /// Under this key, which serves no other purpose.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Secret::new(key))
    }

    /// The address for the reader of a message that is sent from `domain`.
    pub fn make(&self, message: MessageId, domain: &Domain) -> Option<EmailAddress> {
        let mut token = message.uuid().as_bytes().to_vec();
        let hash = self.mac(&token, domain)?.finalize().into_bytes();
        token.extend_from_slice(&hash[..HASH_OCTETS]);
        EmailAddress::parse(&format!("{PREFIX}{}@{domain}", encode(&token))).ok()
    }

    /// The message that an address is about; `None` if it was not made here for its domain.
    pub fn read(&self, address: &EmailAddress) -> Option<MessageId> {
        let local = address.local();
        local.get(..PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(PREFIX))?;
        let token = decode(&local[PREFIX.len()..])?;
        let (id, hash) = token.split_at_checked(ID_OCTETS)?;
        // Compared in constant time.
        self.mac(id, address.domain())?.verify_truncated_left(hash).ok()?;
        Uuid::from_slice(id).ok().map(MessageId::from_uuid)
    }

    /// The domain is part of what is signed: an address does not open another tenant's door.
    fn mac(&self, signed: &[u8], domain: &Domain) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).ok()?;
        mac.update(signed);
        mac.update(domain.as_str().as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::return_path::ReturnPaths;
    use crate::time::UnixMicros;
    use proptest::prelude::*;

    fn here() -> UnsubscribeAddresses {
        UnsubscribeAddresses::new([7; 32])
    }

    fn acme() -> Domain {
        Domain::parse("acme.test").unwrap()
    }

    fn message() -> MessageId {
        MessageId::new(UnixMicros::from_seconds(1_772_445_600), [9; 10])
    }

    fn parse(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    #[test]
    fn what_is_made_is_read_in_any_case_and_nowhere_else() {
        let address = here().make(message(), &acme()).unwrap();
        assert!(address.local().len() <= 64, "RFC 5321 §4.5.3.1.1");
        assert_eq!(here().read(&address), Some(message()));
        assert_eq!(here().read(&parse(&address.to_string().to_uppercase())), Some(message()));
        assert_eq!(here().read(&parse(&format!("{}@other.test", address.local()))), None);
        assert_eq!(UnsubscribeAddresses::new([8; 32]).read(&address), None);
        for other in
            ["agent@acme.test", "u-@acme.test", "u-agent@acme.test", &format!("x{}@acme.test", address.local())]
        {
            assert_eq!(here().read(&parse(other)), None, "{other}");
        }
        // Under the same key they would still be two kinds of addresses.
        let path = ReturnPaths::new([7; 32]).make(message(), &acme(), UnixMicros::from_seconds(1_772_445_600)).unwrap();
        assert_eq!(here().read(&path), None);
        assert_eq!(here().read(&parse(&format!("u-{}@acme.test", &path.local()[2..]))), None);
    }

    proptest! {
        #[test]
        fn any_changed_character_is_noticed(at in 2_usize..50, letter in "[a-z2-7]") {
            let address = here().make(message(), &acme()).unwrap();
            let mut local = address.local().to_owned();
            prop_assume!(local[at..=at] != letter);
            local.replace_range(at..=at, &letter);
            prop_assert_eq!(here().read(&parse(&format!("{local}@acme.test"))), None);
        }
    }
}
