//! Asking the DNS about many domains at once: each once, a bounded number at a time, and no longer than until a given
//! moment. A domain without an answer by then is not in what comes back: nothing is known of it. The resolver keeps
//! answers, so that asking again soon costs nothing.

use futures::StreamExt;
use futures::future::{Either, select};
use postfleet_core::{Domain, UnixMicros};
use postfleet_net::{Clock, DnsError, MxAnswer, Resolver};
use std::collections::{HashMap, HashSet};

/// Domains that are asked about at the same time.
const AT_ONCE: usize = 32;

/// What the DNS said of a domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// These hosts take its mail.
    Hosts(Vec<String>),
    /// It takes none (RFC 7505).
    NullMx,
    /// It does not exist, or has neither a usable MX record nor an address.
    NoMailServer,
}

impl Answer {
    pub(super) fn takes_mail(&self) -> Option<bool> {
        Some(matches!(self, Self::Hosts(_)))
    }

    pub(super) fn exists(&self) -> Option<bool> {
        Some(!matches!(self, Self::NoMailServer))
    }

    pub(super) fn hosts(&self) -> Vec<String> {
        match self {
            Self::Hosts(hosts) => hosts.clone(),
            Self::NullMx | Self::NoMailServer => Vec::new(),
        }
    }
}

/// The answers that came until `until`.
pub(super) async fn all(
    resolver: &dyn Resolver,
    clock: &dyn Clock,
    domains: HashSet<Domain>,
    until: UnixMicros,
) -> HashMap<Domain, Answer> {
    let mut answers = HashMap::with_capacity(domains.len());
    let ask = |domain: Domain| async move {
        let answer = resolver.mx(&domain).await;
        (domain, answer)
    };
    let mut lookups = futures::stream::iter(domains).map(ask).buffer_unordered(AT_ONCE);
    let mut end = clock.sleep_until(until);
    while let Either::Left((Some((domain, answer)), _)) = select(lookups.next(), &mut end).await {
        if let Some(answer) = read(answer) {
            answers.insert(domain, answer);
        }
    }
    answers
}

fn read(answer: Result<MxAnswer, DnsError>) -> Option<Answer> {
    match answer {
        Ok(MxAnswer::Hosts(hosts)) => Some(Answer::Hosts(hosts.iter().map(|host| host.host.to_string()).collect())),
        Ok(MxAnswer::Null) => Some(Answer::NullMx),
        Ok(MxAnswer::NoSuchDomain) | Err(DnsError::NotFound) => Some(Answer::NoMailServer),
        Err(DnsError::Temporary(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use postfleet_net::{MxHost, SimulatedClock};
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Answers for every domain but those whose name begins with `silent`, and counts what it is asked.
    #[derive(Default)]
    struct Partly(AtomicUsize);

    impl Resolver for Partly {
        fn mx<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<MxAnswer, DnsError>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if domain.as_str().starts_with("silent") {
                return Box::pin(std::future::pending());
            }
            let host = MxHost { preference: 0, host: domain.clone() };
            Box::pin(std::future::ready(Ok(MxAnswer::Hosts(vec![host]))))
        }
        fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, DnsError>> {
            Box::pin(std::future::ready(Err(DnsError::NotFound)))
        }
        fn codes<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Ipv4Addr>, DnsError>> {
            Box::pin(std::future::ready(Err(DnsError::NotFound)))
        }
        fn txt<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
            Box::pin(std::future::ready(Err(DnsError::NotFound)))
        }
        fn published_txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, DnsError>> {
            self.txt(name)
        }
        fn published_mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<(u16, String)>, DnsError>> {
            Box::pin(std::future::ready(Err(DnsError::NotFound)))
        }
    }

    fn domains(names: impl IntoIterator<Item = String>) -> HashSet<Domain> {
        names.into_iter().map(|name| Domain::parse(&name).expect("domain")).collect()
    }

    #[test]
    fn what_answers_is_known_and_silence_ends_at_the_deadline() {
        let (clock, resolver) = (SimulatedClock::stopped_at(UnixMicros::from_seconds(1)), Partly::default());
        let wanted = domains(["a.example".into(), "silent.example".into(), "b.example".into()]);
        let mut looking = Box::pin(all(&resolver, &clock, wanted, clock.now().plus(Duration::from_secs(3))));
        assert!((&mut looking).now_or_never().is_none(), "it waits for the silent one");
        clock.advance(Duration::from_secs(3));
        let answers = looking.now_or_never().expect("over");
        let mut names: Vec<_> = answers.keys().map(Domain::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["a.example", "b.example"]);
    }

    #[test]
    fn only_so_many_are_asked_at_once() {
        let (clock, resolver) = (SimulatedClock::stopped_at(UnixMicros::from_seconds(1)), Partly::default());
        let wanted = domains((0..AT_ONCE * 2).map(|number| format!("silent{number}.example")));
        let mut looking = Box::pin(all(&resolver, &clock, wanted, clock.now().plus(Duration::from_secs(3))));
        assert!((&mut looking).now_or_never().is_none());
        assert_eq!(resolver.0.load(Ordering::Relaxed), AT_ONCE);
    }
}
