//! Why somebody did not take an event.

/// What came instead of a yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An answer with this status.
    Status(u16),
    /// No connection could be made.
    Connection,
    /// The certificate of the receiver is not trusted.
    Certificate,
    /// It did not answer in time.
    Deadline,
    /// The connection broke, or what came is not HTTP.
    Broken,
    /// The URL must not be called.
    Target,
    /// The notification could not be written.
    Internal,
    /// The mail that tells of it was not accepted for sending.
    Mail,
}

const STATUS: &str = "status_";

impl Cause {
    const NAMED: [(Self, &'static str); 7] = [
        (Self::Connection, "connection_failed"),
        (Self::Certificate, "certificate_untrusted"),
        (Self::Deadline, "deadline_passed"),
        (Self::Broken, "connection_broken"),
        (Self::Target, "target_refused"),
        (Self::Internal, "internal_error"),
        (Self::Mail, "mail_refused"),
    ];

    /// The word for it in the store and on the wire.
    pub fn name(self) -> String {
        match self {
            Self::Status(status) => format!("{STATUS}{status}"),
            _ => Self::NAMED.iter().find(|(cause, _)| *cause == self).map_or("", |(_, name)| name).to_owned(),
        }
    }

    /// What such a word says.
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_prefix(STATUS) {
            Some(status) => status.parse().ok().map(Self::Status),
            None => Self::NAMED.iter().find(|(_, one)| *one == name).map(|(cause, _)| *cause),
        }
    }

    /// Whether nothing of the event came to the receiver: whatever was to be told, it would have been the same.
    pub const fn is_of_endpoint(self) -> bool {
        matches!(self, Self::Connection | Self::Certificate | Self::Target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_read_as_it_is_written() {
        let named = Cause::NAMED.map(|(cause, _)| cause);
        for cause in named.into_iter().chain([Cause::Status(503), Cause::Status(0), Cause::Status(u16::MAX)]) {
            assert!(!cause.name().is_empty());
            assert_eq!(Cause::named(&cause.name()), Some(cause));
        }
        for name in ["", "status_", "status_x", "status_65536", "status", "gone"] {
            assert_eq!(Cause::named(name), None, "{name}");
        }
    }
}
