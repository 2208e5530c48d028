//! What rules see of a message: addresses, their domains and last labels, all in lower case and each value once.

use super::{Field, OutboundType};
use crate::EmailAddress;
use crate::list::ListKind;

/// What rules see of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    addresses: Values,
    domains: Values,
    tlds: Values,
    outbound_type: Option<OutboundType>,
}

/// The distinct values of one kind, and who has which.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Values {
    texts: Vec<String>,
    from: Option<usize>,
    recipients: Vec<usize>,
}

impl Input {
    /// A message that arrives. One with an empty reverse path has no author to look at.
    pub fn inbound(from: Option<&EmailAddress>) -> Self {
        Self::new(from, std::iter::empty(), None)
    }

    /// A message that is sent, with everyone who gets it: To, Cc, Bcc and the envelope.
    pub fn outbound<'a>(
        from: &EmailAddress,
        recipients: impl IntoIterator<Item = &'a EmailAddress>,
        outbound_type: OutboundType,
    ) -> Self {
        Self::new(Some(from), recipients.into_iter(), Some(outbound_type))
    }

    fn new<'a>(
        from: Option<&EmailAddress>,
        recipients: impl Iterator<Item = &'a EmailAddress>,
        outbound_type: Option<OutboundType>,
    ) -> Self {
        let (addresses, domains, tlds) = Default::default();
        let mut input = Self { addresses, domains, tlds, outbound_type };
        if let Some(from) = from {
            let [address, domain, tld] = input.intern(from);
            (input.addresses.from, input.domains.from, input.tlds.from) = (Some(address), Some(domain), Some(tld));
        }
        for recipient in recipients {
            let [address, domain, tld] = input.intern(recipient);
            input.addresses.add_recipient(address);
            input.domains.add_recipient(domain);
            input.tlds.add_recipient(tld);
        }
        input
    }

    fn intern(&mut self, address: &EmailAddress) -> [usize; 3] {
        let domain = address.domain().as_str();
        let tld = domain.rsplit('.').next().unwrap_or(domain);
        [self.addresses.intern(address.key()), self.domains.intern_str(domain), self.tlds.intern_str(tld)]
    }

    /// The author's address, domain and last label; none for an empty reverse path.
    pub fn from(&self) -> Option<[&str; 3]> {
        Some([self.addresses.author()?, self.domains.author()?, self.tlds.author()?])
    }

    /// The recipients' values of a kind, each once.
    pub fn recipients(&self, kind: ListKind) -> impl Iterator<Item = &str> {
        let values = self.values(kind);
        values.recipients.iter().map(|index| values.texts[*index].as_str())
    }

    /// Whether it begins a conversation; none for what arrives.
    pub fn outbound_type(&self) -> Option<OutboundType> {
        self.outbound_type
    }

    pub(super) fn values(&self, kind: ListKind) -> &Values {
        match kind {
            ListKind::Address => &self.addresses,
            ListKind::Domain => &self.domains,
            ListKind::Tld => &self.tlds,
        }
    }
}

impl Values {
    fn intern(&mut self, text: String) -> usize {
        match self.texts.iter().position(|known| *known == text) {
            Some(index) => index,
            None => {
                self.texts.push(text);
                self.texts.len() - 1
            }
        }
    }

    fn intern_str(&mut self, text: &str) -> usize {
        match self.texts.iter().position(|known| known == text) {
            Some(index) => index,
            None => self.intern(text.to_owned()),
        }
    }

    fn add_recipient(&mut self, index: usize) {
        if !self.recipients.contains(&index) {
            self.recipients.push(index);
        }
    }

    fn author(&self) -> Option<&str> {
        self.from.map(|index| self.texts[index].as_str())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn text(&self, index: usize) -> &str {
        &self.texts[index]
    }

    /// Those that a field looks at.
    pub(super) fn seen_by(&self, field: Field) -> &[usize] {
        match field {
            Field::FromAddress | Field::FromDomain | Field::FromTld => self.from.as_slice(),
            _ => &self.recipients,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    #[test]
    fn values_are_lower_case_and_there_once() {
        let recipients = ["Bob@One.Example", "bob@one.example", "carol@one.example", "me@agents.test"].map(address);
        let input = Input::outbound(&address("Me@Agents.Test"), &recipients, OutboundType::Reply);
        assert_eq!(input.from(), Some(["me@agents.test", "agents.test", "test"]));
        let of = |kind| input.recipients(kind).collect::<Vec<_>>();
        assert_eq!(of(ListKind::Address), ["bob@one.example", "carol@one.example", "me@agents.test"]);
        assert_eq!(of(ListKind::Domain), ["one.example", "agents.test"]);
        assert_eq!(of(ListKind::Tld), ["example", "test"]);
        assert_eq!(input.outbound_type(), Some(OutboundType::Reply));
        assert_eq!(input.values(ListKind::Address).len(), 3, "the author is one of the recipients");
    }

    #[test]
    fn an_empty_reverse_path_has_no_author() {
        let input = Input::inbound(None);
        assert_eq!((input.from(), input.outbound_type()), (None, None));
        let input = Input::inbound(Some(&address("a@localhost")));
        assert_eq!(input.from(), Some(["a@localhost", "localhost", "localhost"]));
    }
}
