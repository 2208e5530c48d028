//! Asking block lists in the DNS (RFC 5782) about whom a message comes from and where its links lead. Answers are
//! remembered for a while, lists are believed by their test points alone, and what has no answer in time says nothing.

use crate::platform::Platform;
use futures::future::join_all;
use parking_lot::Mutex;
use postfleet_core::block_list::{Answer, Subject, Verdict, doubt, is_public, judge};
use postfleet_core::{Domain, UnixMicros};
use postfleet_net::DnsError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
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
    answers: Mutex<HashMap<String, (Arc<Answer>, UnixMicros)>>,
    under_way: Mutex<usize>,
}

/// A question to a list, and those about its test points.
struct Question<'a> {
    zone: &'a Domain,
    subject: &'a Subject,
    name: String,
    present: String,
    absent: String,
}

impl<'a> Question<'a> {
    fn of(zone: &'a Domain, subject: &'a Subject) -> Self {
        let [present, absent] = subject.test_points().map(|point| point.question(zone));
        Self { zone, subject, name: subject.question(zone), present, absent }
    }

    fn names(&self) -> [&str; 3] {
        [&self.name, &self.present, &self.absent]
    }
}

/// Asks all lists about an address and some domains.
pub(crate) async fn ask(platform: &Platform, ip: IpAddr, domains: &[String]) -> Listed {
    let settings = &platform.settings.spam;
    let address = Some(ip.to_canonical()).filter(is_public).map(Subject::Address);
    let names = domains.iter().filter(|name| Domain::parse(name).is_ok()).map(|name| Subject::Name(name.clone()));
    let subjects: Vec<Subject> = address.into_iter().chain(names).collect();
    let zones_of = |subject: &Subject| match subject {
        Subject::Address(_) => &settings.address_zones,
        Subject::Name(_) => &settings.domain_zones,
    };
    let all = subjects.iter().flat_map(|one| zones_of(one).iter().map(move |zone| Question::of(zone, one)));
    let questions: Vec<Question<'_>> = all.take(QUESTIONS_MAX).collect();
    let answers = answers(platform, &questions).await;
    let not_asked = Answer::Failed("not asked".to_owned());
    let of = |name: &str| answers.get(name).map_or(&not_asked, |answer| &**answer);
    let mut listed = Listed::default();
    let mut tally: BTreeMap<(&Domain, &'static str), u64> = BTreeMap::new();
    for Question { zone, subject, name, present, absent } in &questions {
        let verdict = match doubt(of(present), of(absent)) {
            Some(why) => Verdict::Unknown(why),
            None => judge(of(name)),
        };
        *tally.entry((zone, verdict.name())).or_default() += 1;
        if let Verdict::Listed(..) = verdict {
            let hits = if matches!(subject, Subject::Address(_)) { &mut listed.addresses } else { &mut listed.domains };
            hits.push((subject.to_string(), zone.to_string()));
        }
    }
    for ((zone, answer), count) in tally {
        platform.metrics.block_list_answered(zone.to_string(), answer, count);
    }
    listed
}

/// The answers to questions and to those about the test points of their lists: remembered ones, and others as far as they
/// come in time.
async fn answers<'a>(platform: &Platform, questions: &'a [Question<'_>]) -> BTreeMap<&'a str, Arc<Answer>> {
    let names: BTreeSet<&str> = questions.iter().flat_map(Question::names).collect();
    let (lists, now) = (&platform.spam.lists, platform.clock.now());
    let mut answers = lists.remembered(&names, now);
    let missing: Vec<&str> = names.into_iter().filter(|name| !answers.contains_key(name)).collect();
    if missing.is_empty() {
        return answers;
    }
    let Some(_room) = lists.room_for(missing.len()) else { return answers };
    let deadline = now.plus(platform.settings.spam.list_deadline);
    let lookups = missing.into_iter().map(async |name| {
        let answer = look_up(platform, name, deadline).await;
        (name, Arc::new(answer))
    });
    let found = join_all(lookups).await;
    lists.remember(&found, platform.clock.now());
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
    fn remembered<'a>(&self, names: &BTreeSet<&'a str>, now: UnixMicros) -> BTreeMap<&'a str, Arc<Answer>> {
        let answers = self.answers.lock();
        let known = |name: &&'a str| {
            let (answer, until) = answers.get(*name)?;
            (*until > now).then(|| (*name, answer.clone()))
        };
        names.iter().filter_map(known).collect()
    }

    fn remember(&self, found: &[(&str, Arc<Answer>)], now: UnixMicros) {
        let mut answers = self.answers.lock();
        if answers.len() + found.len() > ANSWERS_MAX {
            answers.retain(|_, (_, until)| *until > now);
            if answers.len() + found.len() > ANSWERS_MAX {
                answers.clear();
            }
        }
        for (name, answer) in found {
            let time = if matches!(**answer, Answer::Failed(_)) { FAILED_FOR } else { KNOWN_FOR };
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
        let failed = Arc::new(Answer::Failed("x".to_owned()));
        lists.remember(&[("a", Arc::new(Answer::Nothing)), ("b", failed)], at(0));
        let names: BTreeSet<&str> = ["a", "b"].into();
        for (now, expected) in [(0, 2), (29, 2), (30, 1), (599, 1), (600, 0)] {
            assert_eq!(lists.remembered(&names, at(now)).len(), expected, "{now}");
        }
        let names: Vec<String> = (0..ANSWERS_MAX).map(|number| number.to_string()).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), Arc::new(Answer::Nothing))).collect();
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
