//! What rules see of a message: addresses, their domains and last labels, all in lower case and each value once.

use super::{Field, Found, OutboundType};
use crate::EmailAddress;
use crate::list::ListKind;

/// What rules see of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    addresses: Values,
    domains: Values,
    tlds: Values,
    outbound_type: Option<OutboundType>,
    found: Option<Box<Found>>,
}

/// The distinct values of one kind, and who has which.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Values {
    texts: Vec<String>,
    authors: Vec<usize>,
    recipients: Vec<usize>,
}

impl Input {
    /// A message that is about to arrive, of which only the envelope sender is known. An empty reverse path is no author
    /// to look at.
    pub fn inbound(from: Option<&EmailAddress>) -> Self {
        Self::new(from.into_iter(), std::iter::empty(), None, None)
    }

    /// A message that arrived, with everyone whom it names as its author and what was found of it.
    pub fn received<'a>(authors: impl IntoIterator<Item = &'a EmailAddress>, found: Found) -> Self {
        Self::new(authors.into_iter(), std::iter::empty(), None, Some(Box::new(found)))
    }

    /// A message that is sent, with everyone who gets it: To, Cc, Bcc and the envelope.
    pub fn outbound<'a>(
        from: &EmailAddress,
        recipients: impl IntoIterator<Item = &'a EmailAddress>,
        outbound_type: OutboundType,
    ) -> Self {
        Self::new(std::iter::once(from), recipients.into_iter(), Some(outbound_type), None)
    }

    fn new<'a, 'b>(
        authors: impl Iterator<Item = &'a EmailAddress>,
        recipients: impl Iterator<Item = &'b EmailAddress>,
        outbound_type: Option<OutboundType>,
        found: Option<Box<Found>>,
    ) -> Self {
        let (addresses, domains, tlds) = Default::default();
        let mut input = Self { addresses, domains, tlds, outbound_type, found };
        for author in authors {
            for (values, index) in input.intern(author) {
                add(&mut values.authors, index);
            }
        }
        for recipient in recipients {
            for (values, index) in input.intern(recipient) {
                add(&mut values.recipients, index);
            }
        }
        input
    }

    fn intern(&mut self, address: &EmailAddress) -> [(&mut Values, usize); 3] {
        let domain = address.domain().as_str();
        let tld = domain.rsplit('.').next().unwrap_or(domain);
        let Self { addresses, domains, tlds, .. } = self;
        let places = [addresses.intern(address.key()), domains.intern_str(domain), tlds.intern_str(tld)];
        let [address, domain, tld] = places;
        [(addresses, address), (domains, domain), (tlds, tld)]
    }

    /// The author's address, domain and last label, of several those of the first; none for an empty reverse path.
    pub fn from(&self) -> Option<[&str; 3]> {
        Some([self.addresses.author()?, self.domains.author()?, self.tlds.author()?])
    }

    /// The addresses of all authors, each once.
    pub fn authors(&self) -> impl Iterator<Item = &str> {
        self.addresses.authors.iter().map(|index| self.addresses.texts[*index].as_str())
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

    /// What was found of it; none for what is sent, and before it is there.
    pub fn found(&self) -> Option<&Found> {
        self.found.as_deref()
    }

    /// The words that a field sees.
    pub(super) fn words(&self, field: Field) -> Vec<&str> {
        match field {
            Field::OutboundType => self.outbound_type.map(OutboundType::name).into_iter().collect(),
            field => self.found.as_deref().map(|found| found.words(field)).unwrap_or_default(),
        }
    }

    /// How much it looks like spam, in hundredths.
    pub(super) fn spam_score(&self) -> i64 {
        self.found.as_deref().map_or(0, |found| found.spam_score)
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

    fn author(&self) -> Option<&str> {
        self.authors.first().map(|index| self.texts[*index].as_str())
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
            field if field.is_of_author() => &self.authors,
            _ => &self.recipients,
        }
    }
}

fn add(places: &mut Vec<usize>, index: usize) {
    if !places.contains(&index) {
        places.push(index);
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
