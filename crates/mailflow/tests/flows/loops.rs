//! Machines that answer each other, over the real ways in and out, with a clock that is moved by hand: pairs, rings,
//! chains without references, and people, who are left alone.

use crate::support::Setting;
use postfleet_core::audit::Act;
use postfleet_core::hold::Reason;
use postfleet_core::id::{AuditId, EventId, StopId};
use postfleet_core::{EmailAddress, Problem};
use postfleet_mail::Participant;
use postfleet_mailflow::submit::explain::{Question, explain};
use postfleet_mailflow::submit::{Outgoing, Sent, send};
use postfleet_schema::message::Message;
use postfleet_store::grants::Grant;
use postfleet_store::organizations;
use postfleet_store::stops::{Lift, LiftStop, Within};
use postfleet_testkit::world::WorldOptions;
use std::collections::{BTreeMap, HashSet};

/// Mailboxes, each driven by a machine that sees every message that comes in once.
struct Fleet {
    setting: Setting,
    agents: Vec<Grant>,
    seen: HashSet<String>,
}

impl Fleet {
    async fn new(count: usize) -> Self {
        let setting = Setting::with(WorldOptions::default()).await;
        let mut agents = Vec::new();
        for number in 0..count {
            agents.push(setting.world.mailbox(&setting.tenant, &format!("a{number}")).await);
        }
        Self { setting, agents, seen: HashSet::new() }
    }

    async fn write(
        &self,
        from: usize,
        to: &str,
        subject: &str,
        body: &str,
        answers: Option<&str>,
    ) -> Result<Sent, Problem> {
        let outgoing = Outgoing {
            to: vec![person(to)],
            subject: subject.to_owned(),
            body: body.to_owned(),
            is_plaintext: true,
            reply_to_message_id: answers.map(str::to_owned),
            ..Outgoing::default()
        };
        send(&self.setting.world.platform, &self.agents[from], outgoing).await
    }

    fn address(&self, agent: usize) -> String {
        self.agents[agent].email.to_string()
    }

    /// What came in for an agent and was not seen before.
    async fn news(&mut self, agent: usize) -> Vec<Message> {
        let inbox = self.setting.folder(&self.agents[agent], "inbox").await;
        let mut news: Vec<Message> =
            inbox.into_iter().filter(|message| self.seen.insert(format!("{agent}/{}", message.id))).collect();
        news.reverse();
        news
    }

    /// Lets everybody answer what came in, to whom `to` says, `rounds` times, with so many seconds in between; answers how
    /// many messages left by agent.
    async fn run(
        &mut self,
        (rounds, seconds): (usize, u64),
        to: impl Fn(usize, &Message) -> String,
    ) -> BTreeMap<usize, usize> {
        let mut left = BTreeMap::new();
        for round in 0..rounds {
            while self.setting.world.deliver_due().await > 0 {}
            self.setting.world.advance(seconds);
            for agent in 0..self.agents.len() {
                for message in self.news(agent).await {
                    let (to, subject) = (to(agent, &message), message.subject.clone());
                    // A machine that has something to say.
                    let body = format!("{} {}", word(round), word(agent + 100));
                    let sent = self.write(agent, &to, &subject, &body, Some(&message.id)).await.expect("no refusal");
                    *left.entry(agent).or_default() += usize::from(sent.held.is_none());
                }
            }
        }
        left
    }

    async fn stops(&self) -> usize {
        self.setting.events("sending.stopped").await.len()
    }
}

fn person(email: &str) -> Participant {
    Participant { name: String::new(), email: email.to_owned() }
}

/// A word of letters that is another one for each number.
fn word(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'k')).collect()
}

fn author(_: usize, message: &Message) -> String {
    message.from[0].email.clone()
}

#[tokio::test]
async fn two_machines_stop_after_twenty_messages_and_their_neighbours_go_on() {
    let mut fleet = Fleet::new(4).await;
    fleet.write(0, &fleet.address(1), "Plan", "Shall we?", None).await.expect("sent");
    let left = fleet.run((140, 1), author).await;
    let in_all = 1 + left.values().sum::<usize>();
    assert!((12..=20).contains(&in_all), "{in_all} {left:?}");
    assert_eq!(fleet.stops().await, 1, "whoever is first over the line");
    let stopped = &fleet.setting.events("sending.stopped").await[0];
    assert_eq!((stopped["kind"].as_str(), stopped["scope"].as_str()), (Some("loop"), Some("thread")), "{stopped}");
    assert_eq!(stopped["evidence"]["sign"], "machine_speed");
    assert_eq!(fleet.setting.events("message.held").await.len(), 1, "held, and not lost");
    // Others of the fleet, and other conversations of the two.
    for (from, to) in [(2, 3), (0, 2), (0, 1)] {
        let sent = fleet.write(from, &fleet.address(to), "Other", "Something else", None).await.expect("sent");
        assert!(sent.held.is_none(), "{from} to {to}");
    }
}

#[tokio::test]
async fn what_goes_round_becomes_slower() {
    let mut fleet = Fleet::new(2).await;
    fleet.write(0, &fleet.address(1), "Plan", "Shall we?", None).await.expect("sent");
    let mut arrived = Vec::new();
    for turn in 0..5 {
        let from = (turn + 1) % 2;
        let at_once = fleet.setting.world.deliver_due().await;
        fleet.setting.world.advance(5);
        arrived.push((at_once, fleet.setting.world.deliver_due().await));
        let message = fleet.news(from).await.pop().expect("it has arrived");
        fleet.write(from, &fleet.address(turn % 2), "Re: Plan", &word(turn), Some(&message.id)).await.expect("sent");
    }
    assert_eq!(arrived, [(1, 0), (1, 0), (0, 1), (0, 1), (0, 1)], "from the second answer on");
    // Who writes to somebody else meanwhile is not slowed.
    fleet.write(0, &fleet.address(1), "Other", "Something else", None).await.expect("sent");
    assert_eq!(fleet.setting.world.deliver_due().await, 1);
}

#[tokio::test]
async fn what_would_be_stopped_because_of_a_send_is_told_without_sending_it() {
    let mut fleet = Fleet::new(2).await;
    fleet.write(0, &fleet.address(1), "Plan", "Shall we?", None).await.expect("sent");
    let mut told = 0;
    for round in 0..30 {
        // The slower ones arrive within five seconds.
        fleet.setting.world.deliver_due().await;
        fleet.setting.world.advance(5);
        fleet.setting.world.deliver_due().await;
        let (agent, other) = ((round + 1) % 2, fleet.address(round % 2));
        let [message] = fleet.news(agent).await.try_into().expect("one came in");
        let question = Question {
            recipients: vec![EmailAddress::parse(&other).expect("address")],
            reply_to_message_id: Some(message.id.clone()),
            by: None,
        };
        let before = (fleet.stops().await, fleet.setting.events("message.held").await.len());
        let grant = &fleet.agents[agent];
        let (against, held_for) = explain(&fleet.setting.world.platform, grant, &question).await.expect("told");
        assert_eq!(
            (fleet.stops().await, fleet.setting.events("message.held").await.len()),
            before,
            "nothing is stopped"
        );
        told = round;
        let body = format!("{} {}", word(round), word(agent + 100));
        let sent = fleet.write(agent, &other, &message.subject, &body, Some(&message.id)).await.expect("no refusal");
        assert_eq!(held_for, sent.held.is_some().then_some(Reason::Loop), "round {round}: {against:?}");
        assert_eq!(
            against.iter().map(|one| one.code).collect::<Vec<_>>(),
            match &sent.held {
                Some(_) => vec!["held_by_loop"],
                None => vec![],
            }
        );
        if sent.held.is_some() {
            assert!(against[0].stop.as_ref().expect("stop").id.uuid().is_nil(), "it was not there yet");
            // Now it is.
            let (against, _) = explain(&fleet.setting.world.platform, grant, &question).await.expect("told");
            assert!(against.len() == 1 && !against[0].stop.as_ref().expect("stop").id.uuid().is_nil(), "{against:?}");
            break;
        }
    }
    assert!((10..20).contains(&told), "{told}");
}

#[tokio::test]
async fn twenty_pairs_stop_each_for_itself() {
    let mut fleet = Fleet::new(40).await;
    for pair in 0..20 {
        fleet.write(pair * 2, &fleet.address(pair * 2 + 1), "Plan", "Shall we?", None).await.expect("sent");
    }
    let left = fleet.run((140, 1), author).await;
    for pair in 0..20 {
        let in_all = 1 + left.get(&(pair * 2)).unwrap_or(&0) + left.get(&(pair * 2 + 1)).unwrap_or(&0);
        assert!((12..=20).contains(&in_all), "pair {pair}: {in_all}");
    }
    assert_eq!(fleet.stops().await, 20);
}

#[tokio::test]
async fn a_ring_of_five_that_takes_its_time_stops_by_its_hops() {
    let mut fleet = Fleet::new(5).await;
    fleet.write(0, &fleet.address(1), "Relay", "Pass it on", None).await.expect("sent");
    let ring: Vec<String> = (0..5).map(|agent| fleet.address(agent)).collect();
    // Each answers what it got by writing to the next, after two minutes.
    let left = fleet.run((40, 120), move |agent, _| ring[(agent + 1) % 5].clone()).await;
    assert_eq!(left.values().sum::<usize>(), 20, "{left:?}");
    let stopped = fleet.setting.events("sending.stopped").await;
    assert_eq!(stopped.len(), 1);
    assert_eq!(
        (stopped[0]["evidence"]["sign"].as_str(), stopped[0]["evidence"]["count"].as_u64()),
        (Some("hops"), Some(21))
    );
}

#[tokio::test]
async fn a_chain_without_references_stops_because_it_says_the_same() {
    let mut fleet = Fleet::new(2).await;
    let mut left = 0;
    for turn in 0..60 {
        let (from, to) = (turn % 2, fleet.address((turn + 1) % 2));
        let body = format!("Ticket {turn}: please handle this at {turn}:00.");
        let sent = fleet.write(from, &to, &format!("Ticket {turn}"), &body, None).await.expect("sent");
        left += usize::from(sent.held.is_none());
        fleet.setting.world.advance(1);
    }
    assert_eq!(left, 40, "twenty of each in the hour");
    assert_eq!(fleet.stops().await, 0, "nothing else of the mailboxes is stopped");
    let other = fleet.write(0, &fleet.address(1), "News", "Something else entirely", None).await.expect("sent");
    assert!(other.held.is_none());
    let elsewhere = fleet.write(0, "ann@null.test", "Ticket", "Ticket 1: please handle this at 1:00.", None).await;
    assert!(elsewhere.expect("sent").held.is_none(), "a customer is not of the fleet");
    fleet.setting.world.advance(3_600);
    let later = fleet.write(0, &fleet.address(1), "Ticket", "Ticket 1: please handle this at 1:00.", None).await;
    assert!(later.expect("sent").held.is_none());
    fleet.news(0).await;
}

#[tokio::test]
async fn a_conversation_of_people_is_never_held() {
    let mut fleet = Fleet::new(2).await;
    fleet.write(0, &fleet.address(1), "Novel", "Chapter one", None).await.expect("sent");
    // A hundred messages on fifty days.
    let left = fleet.run((100, 43_200), author).await;
    assert_eq!(left.values().sum::<usize>(), 100);
    assert_eq!(fleet.stops().await, 0);
}

/// A person outside of the fleet, who writes again so many seconds after each answer.
async fn person_writes(seconds: &[u64]) -> (usize, usize) {
    let mut fleet = Fleet::new(1).await;
    let (mut left, mut held, mut references) = (0, 0, String::new());
    for (number, seconds) in seconds.iter().enumerate() {
        fleet.setting.world.advance(*seconds);
        let text = format!(
            "From: ann@sender.test\r\nTo: a0@acme.test\r\nSubject: Re: Help\r\nMessage-ID: <p{number}@sender.test>\r\n\
             {references}\r\n{}\r\n",
            word(number)
        );
        let to = fleet.address(0);
        fleet.setting.world.receive("ann@sender.test", &to, text).await.expect("received");
        fleet.setting.world.advance(3);
        for message in fleet.news(0).await {
            let sent = fleet.write(0, "ann@sender.test", "Re: Help", &word(number + 50), Some(&message.id)).await;
            let sent = sent.expect("no refusal");
            left += usize::from(sent.held.is_none());
            held += usize::from(sent.held.is_some());
        }
        references = format!("References: <p0@sender.test>\r\nIn-Reply-To: <p{number}@sender.test>\r\n");
    }
    (left, held)
}

#[tokio::test]
async fn somebody_who_pauses_now_and_then_is_answered_all_day() {
    // Thirty quick questions of a person: every fifth takes more than a minute.
    let paces: Vec<u64> = (0..30).map(|number| if number % 5 == 4 { 75 } else { 20 }).collect();
    assert_eq!(person_writes(&paces).await, (30, 0));
}

#[tokio::test]
async fn somebody_who_never_pauses_is_taken_for_a_machine() {
    assert_eq!(person_writes(&[20; 13]).await, (10, 3));
}

#[tokio::test]
async fn the_fifty_first_answer_of_a_day_is_held() {
    assert_eq!(person_writes(&[120; 53]).await, (50, 3));
}

#[tokio::test]
async fn whoever_lifts_the_stop_lets_the_count_begin_anew() {
    let mut fleet = Fleet::new(2).await;
    fleet.write(0, &fleet.address(1), "Plan", "Shall we?", None).await.expect("sent");
    let before: usize = fleet.run((140, 1), author).await.values().sum();
    let stopped = fleet.setting.events("sending.stopped").await;
    let id: StopId = stopped[0]["id"].as_str().expect("id").parse().expect("id");
    let world = &fleet.setting.world;
    let act = Act {
        record_id: AuditId::new(world.platform.clock.now(), world.platform.entropy.ten()),
        ..world.act(&fleet.setting.tenant)
    };
    let event_id = EventId::new(world.platform.clock.now(), world.platform.entropy.ten());
    let lift = Lift { act, event_id, reason: "they were told to stop thanking".to_owned() };
    let within = Within::Operator(organizations::Scope::All);
    world.platform.store.run(LiftStop { id, kind: None, within, lift }).await.expect("lifted");
    world.advance(1);
    let (from, to) = if stopped[0]["email"] == fleet.address(0).as_str() { (0, 1) } else { (1, 0) };
    let latest = fleet.setting.folder(&fleet.agents[from], "inbox").await.remove(0);
    let sent = fleet.write(from, &fleet.address(to), "Re: Plan", "once more", Some(&latest.id)).await.expect("sent");
    assert!(sent.held.is_none(), "the old numbers count no more");
    // The other side was not let go on: for it a pause does.
    fleet.setting.world.advance(61);
    let after: usize = fleet.run((140, 1), author).await.values().sum();
    assert!(before > 10 && (5..=20).contains(&after), "{before} {after}");
    assert_eq!(fleet.stops().await, 2, "and the new ones do");
}

#[tokio::test]
async fn an_account_does_not_answer_itself() {
    let fleet = Fleet::new(1).await;
    let own = fleet.address(0);
    let sent = fleet.write(0, &own, "Note", "Remember the milk", None).await.expect("notes to oneself are fine");
    let refused = fleet.write(0, &own, "Re: Note", "Which milk?", Some(&sent.message.id)).await.expect_err("refused");
    assert_eq!(refused.code, "answers_itself");
    fleet
        .setting
        .world
        .receive("ann@sender.test", &own, "From: ann@sender.test\r\nSubject: Hi\r\nMessage-ID: <q@s>\r\n\r\nHi\r\n")
        .await
        .expect("received");
    let inbox = fleet.setting.folder(&fleet.agents[0], "inbox").await;
    let asked = inbox.iter().find(|message| message.subject == "Hi").expect("there");
    fleet.write(0, &own, "Fwd: Hi", "to myself", Some(&asked.id)).await.expect("somebody else's mail is kept so");
}

#[tokio::test]
async fn machines_answer_no_machine() {
    let fleet = Fleet::new(1).await;
    let own = fleet.address(0);
    let world = &fleet.setting.world;
    for (number, (from, header)) in [
        ("l@sender.test", "List-Id: <l.sender.test>\r\n"),
        ("", ""),
        ("b@sender.test", "Auto-Submitted: auto-replied\r\n"),
        ("p@sender.test", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let text =
            format!("From: p@sender.test\r\nSubject: S{number}\r\nMessage-ID: <m{number}@s>\r\n{header}\r\nHi\r\n");
        world.receive(from, &own, text).await.expect("received");
    }
    for message in fleet.setting.folder(&fleet.agents[0], "inbox").await {
        let outgoing = || Outgoing {
            to: vec![person("p@sender.test")],
            body: "I am away".to_owned(),
            reply_to_message_id: Some(message.id.clone()),
            ..Outgoing::default()
        };
        let automatic =
            Outgoing { custom_headers: vec![("Auto-Submitted".into(), "auto-replied".into())], ..outgoing() };
        let answer = send(&world.platform, &fleet.agents[0], automatic).await;
        match message.subject.as_str() {
            "S3" => assert!(answer.is_ok(), "a person"),
            other => assert_eq!(answer.expect_err(other).code, "automatic_answer_refused"),
        }
        send(&world.platform, &fleet.agents[0], outgoing()).await.expect("what is no automatic answer leaves");
    }
}

#[tokio::test]
async fn what_strangers_write_of_hops_is_not_believed() {
    let fleet = Fleet::new(1).await;
    let own = fleet.address(0);
    let world = &fleet.setting.world;
    let text = "X-Postfleet-Hops: 900; 0123456789abcdef01234567\r\nFrom: ann@sender.test\r\nSubject: Hi\r\nMessage-ID: <h@s>\r\n\r\nHi\r\n";
    world.receive("ann@sender.test", &own, text).await.expect("received");
    let inbox = fleet.setting.folder(&fleet.agents[0], "inbox").await;
    let sent = fleet.write(0, "ann@sender.test", "Re: Hi", "yes", Some(&inbox[0].id)).await.expect("sent");
    assert!(sent.held.is_none());
    let headers = fleet.setting.folder(&fleet.agents[0], "sent").await.remove(0).headers.expect("headers");
    let hops = headers.iter().find(|header| header.name == "X-Postfleet-Hops").expect("counted");
    assert!(hops.value.starts_with("1; "), "{}", hops.value);
}
