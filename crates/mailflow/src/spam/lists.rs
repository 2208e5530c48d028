//! Asking block lists in the DNS (RFC 5782) about whom a message comes from and where its links lead. Answers are
//! remembered for a while, lists are believed by their test points alone, and what has no answer in time says nothing.

use super::SpamSettings;
use crate::platform::Platform;
use futures::future::join_all;
use parking_lot::Mutex;
use postfleet_core::block_list::{Answer, Subject, Verdict, doubt, is_public, judge};
use postfleet_core::{Domain, UnixMicros};
use postfleet_net::DnsError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

/// How long an answer is remembered, and how long that there was none.
const KNOWN_FOR: Duration = Duration::from_secs(600);
const FAILED_FOR: Duration = Duration::from_secs(30);

/// Answers that are remembered; beyond, all are forgotten that are over, and then all.
const ANSWERS_MAX: usize = 20_000;

/// Questions about one message, test points not counted.
const QUESTIONS_MAX: usize = 64;

/// Questions of this node at once; beyond, none are asked.
const UNDER_WAY_MAX: usize = 512;

/// What lists have of a message: each thing with the list that has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Listed {
    /// Addresses.
    pub(crate) addresses: Vec<(String, String)>,
    /// Domains.
    pub(crate) domains: Vec<(String, String)>,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Lists {
    answers: Mutex<HashMap<String, (Answer, UnixMicros)>>,
    under_way: Mutex<usize>,
}

/// A list, and what it is asked.
struct List<'a> {
    zone: &'a Domain,
    /// The names of its test points: what it must have, and what it must not.
    test_points: [String; 2],
    /// Things that it may have, each with the name by which it is asked about.
    subjects: Vec<(&'a Subject, String)>,
}

impl<'a> List<'a> {
    fn asked_about(zone: &'a Domain, subjects: &'a [Subject]) -> Option<Self> {
        let test_points = subjects.first()?.test_points().map(|point| point.question(zone));
        let subjects = subjects.iter().map(|subject| (subject, subject.question(zone))).collect();
        Some(Self { zone, test_points, subjects })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.test_points.iter().chain(self.subjects.iter().map(|(_, name)| name)).map(String::as_str)
    }
}

/// Asks all lists about an address and some domains.
pub(crate) async fn ask(platform: &Platform, ip: IpAddr, domains: &[String]) -> Listed {
    let settings = &platform.settings.spam;
    let ip = ip.to_canonical();
    let address: Vec<Subject> = is_public(&ip).then_some(Subject::Address(ip)).into_iter().collect();
    let names = domains.iter().filter(|name| Domain::parse(name).is_ok()).map(|name| Subject::Name(name.clone()));
    let names: Vec<Subject> = names.take(names_max(settings)).collect();
    let of_address = settings.address_zones.iter().filter_map(|zone| List::asked_about(zone, &address));
    let of_names = settings.domain_zones.iter().filter_map(|zone| List::asked_about(zone, &names));
    let lists: Vec<List<'_>> = of_address.chain(of_names).collect();
    let answers = answers(platform, &lists).await;
    let mut listed = Listed::default();
    for list in &lists {
        read(platform, list, &answers, &mut listed);
    }
    listed
}

/// Names that each list is asked about.
fn names_max(settings: &SpamSettings) -> usize {
    QUESTIONS_MAX.saturating_sub(settings.address_zones.len()) / settings.domain_zones.len().max(1)
}

/// What a list has of what it was asked about.
fn read(platform: &Platform, list: &List<'_>, answers: &Answers<'_>, listed: &mut Listed) {
    let not_asked = Answer::Failed("not asked".to_owned());
    let of = |name: &String| answers.get(name.as_str()).unwrap_or(&not_asked);
    let [present, absent] = &list.test_points;
    let doubt = doubt(of(present), of(absent));
    let mut tally: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (subject, name) in &list.subjects {
        let verdict = match &doubt {
            Some(why) => Verdict::Unknown(why.clone()),
            None => judge(of(name)),
        };
        *tally.entry(verdict.name()).or_default() += 1;
        if let Verdict::Listed(..) = verdict {
            let hits = if matches!(subject, Subject::Address(_)) { &mut listed.addresses } else { &mut listed.domains };
            hits.push((subject.to_string(), list.zone.to_string()));
        }
    }
    for (answer, count) in tally {
        platform.metrics.block_list_answered(list.zone.to_string(), answer, count);
    }
}

/// Answers by the names that were asked about.
type Answers<'a> = BTreeMap<&'a str, Answer>;

/// The answers to all questions: remembered ones, and others as far as they come in time.
async fn answers<'a>(platform: &Platform, lists: &'a [List<'_>]) -> Answers<'a> {
    let (memory, now) = (&platform.spam.lists, platform.clock.now());
    let mut answers = memory.remembered(lists.iter().flat_map(List::names), now);
    let names: BTreeSet<&str> = lists.iter().flat_map(List::names).filter(|name| !answers.contains_key(name)).collect();
    if names.is_empty() {
        return answers;
    }
    let Some(_room) = memory.room_for(names.len()) else { return answers };
    let deadline = now.plus(platform.settings.spam.list_deadline);
    let found = join_all(names.into_iter().map(async |name| (name, look_up(platform, name, deadline).await))).await;
    memory.remember(&found, platform.clock.now());
    answers.extend(found);
    answers
}

async fn look_up(platform: &Platform, name: &str, deadline: UnixMicros) -> Answer {
    let answered = tokio::select! {
        biased;
        answered = platform.resolver.codes(name) => answered,
        () = platform.clock.sleep_until(deadline) => Err(DnsError::Temporary("no answer in time".to_owned())),
    };
    match answered {
        Ok(codes) => Answer::Codes(codes),
        Err(DnsError::NotFound) => Answer::Nothing,
        Err(error @ DnsError::Temporary(_)) => Answer::Failed(error.to_string()),
    }
}

impl Lists {
    fn remembered<'a>(&self, names: impl Iterator<Item = &'a str>, now: UnixMicros) -> Answers<'a> {
        let answers = self.answers.lock();
        let known = |name: &'a str| {
            let (answer, until) = answers.get(name)?;
            (*until > now).then(|| (name, answer.clone()))
        };
        names.filter_map(known).collect()
    }

    fn remember(&self, found: &[(&str, Answer)], now: UnixMicros) {
        let mut answers = self.answers.lock();
        if answers.len() + found.len() > ANSWERS_MAX {
            answers.retain(|_, (_, until)| *until > now);
            if answers.len() + found.len() > ANSWERS_MAX {
                answers.clear();
            }
        }
        for (name, answer) in found {
            let time = if matches!(answer, Answer::Failed(_)) { FAILED_FOR } else { KNOWN_FOR };
            answers.insert((*name).to_owned(), (answer.clone(), now.plus(time)));
        }
    }

    fn room_for(&self, count: usize) -> Option<Room<'_>> {
        let mut under_way = self.under_way.lock();
        if *under_way + count > UNDER_WAY_MAX {
            return None;
        }
        *under_way += count;
        Some(Room { lists: self, count })
    }
}

/// Room for questions, which is given back.
struct Room<'a> {
    lists: &'a Lists,
    count: usize,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        *self.lists.under_way.lock() -= self.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_grows_old() {
        let (lists, at) = (Lists::default(), UnixMicros::from_seconds);
        lists.remember(&[("a", Answer::Nothing), ("b", Answer::Failed("x".to_owned()))], at(0));
        for (now, expected) in [(0, 2), (29, 2), (30, 1), (599, 1), (600, 0)] {
            assert_eq!(lists.remembered(["a", "b"].into_iter(), at(now)).len(), expected, "{now}");
        }
        let names: Vec<String> = (0..ANSWERS_MAX).map(|number| number.to_string()).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), Answer::Nothing)).collect();
        lists.remember(&many, at(1));
        assert!(lists.answers.lock().len() <= ANSWERS_MAX);
    }

    #[test]
    fn no_more_is_asked_at_once_than_may_be() {
        let lists = Lists::default();
        let room = lists.room_for(UNDER_WAY_MAX);
        assert!(room.is_some() && lists.room_for(1).is_none());
        drop(room);
        assert!(lists.room_for(1).is_some());
    }
}
