//! The address to which failures of one message are reported: it names the message and the day on which it was sent,
//! under a keyed hash (HMAC-SHA-256, RFC 2104), at the sender's own domain. Whoever reports a failure there was given
//! the address by a server on the message's way; nobody can make one up.
//!
//! `b-` and 48 characters of base 32 (RFC 4648 §6, in lower case): 16 octets of id, 2 of day, 12 of hash. Case does not
//! matter, because some servers on the way change it.

use crate::address::EmailAddress;
use crate::domain::Domain;
use crate::id::MessageId;
use crate::secret::Secret;
use crate::time::{UnixMicros, UtcDay};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Days for which a report is believed. Servers try for five days, some for two weeks, and then report.
pub const DAYS_MAX: i64 = 30;

/// What every such address begins with.
const PREFIX: &str = "b-";

const ID_OCTETS: usize = 16;
const DAY_OCTETS: usize = 2;
const HASH_OCTETS: usize = 12;
const OCTETS: usize = ID_OCTETS + DAY_OCTETS + HASH_OCTETS;

/// Characters behind the prefix: five bits each, none left over, so that every token has one spelling but for case.
const CHARS: usize = OCTETS * 8 / 5;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Makes and reads return paths, under a key that only the installation has.
#[derive(Clone, Debug)]
pub struct ReturnPaths(Secret<[u8; 32]>);

/// What an address is found to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// It is not of this form.
    Other,
    /// It has the form and was not made here for this domain: somebody made it up, or changed it.
    Forged {
        /// The message that it claims to be about.
        claimed: MessageId,
    },
    /// It was made here, too long ago.
    Expired {
        /// The message.
        message: MessageId,
    },
    /// It was made here, for this message.
    Genuine {
        /// The message.
        message: MessageId,
    },
}

impl ReturnPaths {
    /// Under this key, which serves no other purpose.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Secret::new(key))
    }

    /// The return path of a message that is sent from `domain` now. `None` only for a time that no clock shows.
    pub fn make(&self, message: MessageId, domain: &Domain, now: UnixMicros) -> Option<EmailAddress> {
        let day = u16::try_from(now.day().number()).ok()?;
        let mut token = Vec::with_capacity(OCTETS);
        token.extend_from_slice(message.uuid().as_bytes());
        token.extend_from_slice(&day.to_be_bytes());
        let hash = self.mac(&token, domain)?.finalize().into_bytes();
        token.extend_from_slice(&hash[..HASH_OCTETS]);
        EmailAddress::parse(&format!("{PREFIX}{}@{domain}", encode(&token))).ok()
    }

    /// What an address is.
    pub fn read(&self, address: &EmailAddress, now: UnixMicros) -> Reading {
        let Some(token) = token(address.local()) else { return Reading::Other };
        let (signed, hash) = token.split_at(ID_OCTETS + DAY_OCTETS);
        let (id, day) = signed.split_at(ID_OCTETS);
        let Ok(message) = Uuid::from_slice(id).map(MessageId::from_uuid) else { return Reading::Other };
        // Compared in constant time.
        let is_genuine = self.mac(signed, address.domain()).is_some_and(|mac| mac.verify_truncated_left(hash).is_ok());
        if !is_genuine {
            return Reading::Forged { claimed: message };
        }
        let day = day.try_into().map_or(0, u16::from_be_bytes);
        match is_current(UtcDay::from_number(i64::from(day)), now) {
            true => Reading::Genuine { message },
            false => Reading::Expired { message },
        }
    }

    /// The domain is part of what is signed: an address does not open another tenant's door.
    fn mac(&self, signed: &[u8], domain: &Domain) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).ok()?;
        mac.update(signed);
        mac.update(domain.as_str().as_bytes());
        Some(mac)
    }
}

/// A clock that is a day behind another one is forgiven.
fn is_current(day: UtcDay, now: UnixMicros) -> bool {
    let age = now.day().number() - day.number();
    (-1..=DAYS_MAX).contains(&age)
}

fn token(local: &str) -> Option<Vec<u8>> {
    let prefix = local.get(..PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(PREFIX))?;
    decode(&local[prefix.len()..])
}

/// Thirty octets as 48 characters of base 32.
pub(crate) fn encode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(CHARS);
    let (mut bits, mut held) = (0_u32, 0);
    for octet in octets {
        bits = bits << 8 | u32::from(*octet);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
    }
    text
}

/// The octets of 48 characters, in either case.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() != CHARS {
        return None;
    }
    let mut octets = Vec::with_capacity(OCTETS);
    let (mut bits, mut held) = (0_u32, 0);
    for c in text.bytes() {
        let five = ALPHABET.iter().position(|letter| *letter == c.to_ascii_lowercase())?;
        bits = bits << 5 | u32::try_from(five).ok()?;
        held += 5;
        if held >= 8 {
            held -= 8;
            octets.push((bits >> held & 255) as u8);
        }
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_772_445_600);

    fn here() -> ReturnPaths {
        ReturnPaths::new([7; 32])
    }

    fn acme() -> Domain {
        Domain::parse("acme.test").unwrap()
    }

    fn message() -> MessageId {
        MessageId::new(NOW, [9; 10])
    }

    fn made() -> EmailAddress {
        here().make(message(), &acme(), NOW).unwrap()
    }

    fn parse(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    #[test]
    fn what_is_made_is_read_in_any_case() {
        let address = made();
        assert_eq!(address.local().len(), PREFIX.len() + CHARS);
        assert!(address.local().len() <= 64, "RFC 5321 §4.5.3.1.1");
        assert_eq!(address.to_string(), address.key(), "lower case");
        let genuine = Reading::Genuine { message: message() };
        assert_eq!(here().read(&address, NOW), genuine);
        assert_eq!(here().read(&parse(&address.to_string().to_uppercase()), NOW), genuine);
    }

    #[test]
    fn another_domain_key_or_message_is_forged() {
        let address = made();
        let forged = Reading::Forged { claimed: message() };
        assert_eq!(here().read(&parse(&format!("{}@other.test", address.local())), NOW), forged);
        assert_eq!(ReturnPaths::new([8; 32]).read(&address, NOW), forged);
        let other = MessageId::new(NOW, [10; 10]);
        let mixed =
            format!("{}{}@acme.test", &here().make(other, &acme(), NOW).unwrap().local()[..28], &address.local()[28..]);
        assert!(matches!(here().read(&parse(&mixed), NOW), Reading::Forged { .. }));
    }

    #[test]
    fn other_addresses_are_other_addresses() {
        let address = made();
        for other in [
            "agent@acme.test",
            "b-@acme.test",
            "b-agent@acme.test",
            &format!("{}a@acme.test", address.local()),
            &format!("{}@acme.test", &address.local()[..49]),
            &format!("{}0@acme.test", &address.local()[..49]),
            &format!("x{}@acme.test", &address.local()[1..]),
        ] {
            assert_eq!(here().read(&parse(other), NOW), Reading::Other, "{other}");
        }
    }

    #[test]
    fn age_at_the_limit_and_one_day_above() {
        let address = made();
        let after = |days: i64| NOW.plus(Duration::from_secs(days as u64 * 86_400));
        assert_eq!(here().read(&address, after(DAYS_MAX)), Reading::Genuine { message: message() });
        assert_eq!(here().read(&address, after(DAYS_MAX + 1)), Reading::Expired { message: message() });
        let before = |days: u64| NOW.minus(Duration::from_secs(days * 86_400));
        assert_eq!(here().read(&address, before(1)), Reading::Genuine { message: message() });
        assert_eq!(here().read(&address, before(2)), Reading::Expired { message: message() });
        assert_eq!(here().make(message(), &acme(), UnixMicros::from_seconds(-1)), None);
    }

    proptest! {
        #[test]
        fn octets_round_trip(octets in prop::collection::vec(any::<u8>(), OCTETS)) {
            prop_assert_eq!(decode(&encode(&octets)), Some(octets));
        }

        #[test]
        fn any_changed_character_is_noticed(at in PREFIX.len()..PREFIX.len() + CHARS, letter in 0_usize..32) {
            let address = made();
            let mut local = address.local().as_bytes().to_vec();
            prop_assume!(local[at] != ALPHABET[letter]);
            local[at] = ALPHABET[letter];
            let changed = parse(&format!("{}@acme.test", String::from_utf8(local).unwrap()));
            let is_forged = matches!(here().read(&changed, NOW), Reading::Forged { .. });
            prop_assert!(is_forged);
        }

        #[test]
        fn any_address_is_read(local in "b-[a-z2-7]{46,50}|[!-?A-~]{1,64}|\\PC{1,20}") {
            if let Ok(address) = EmailAddress::parse(&format!("{local}@acme.test")) {
                let is_genuine = matches!(here().read(&address, NOW), Reading::Genuine { .. });
                prop_assert!(!is_genuine);
            }
        }
    }
}
