//! Events that wait for no other of their mailbox: each is a lane of its own, whose key is not a mailbox but says which event
//! it is.

use crate::id::GrantId;
use uuid::Uuid;

/// The key of the lane of one event. No mailbox has such an id: those of mailboxes begin with their time.
pub fn alone(position: i64) -> GrantId {
    GrantId::from_uuid(Uuid::from_u128(u128::from(position.unsigned_abs())))
}

/// The position of the event whose lane has this key; `None` if it is that of a mailbox, or of what is of none.
pub fn alone_at(key: GrantId) -> Option<i64> {
    let number = key.uuid().as_u128();
    i64::try_from(number).ok().filter(|position| *position > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMicros;

    #[test]
    fn the_key_of_an_event_is_none_of_a_mailbox() {
        for position in [1, 2, 1_000_000, i64::MAX] {
            assert_eq!(alone_at(alone(position)), Some(position));
        }
        assert_eq!(alone_at(GrantId::from_uuid(Uuid::nil())), None, "of no mailbox");
        assert_eq!(alone_at(GrantId::new(UnixMicros::from_seconds(1), [0; 10])), None);
    }
}
