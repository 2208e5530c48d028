//! Opt-ins: however many ask or answer at once, one mail leaves and one answer holds; lists are told from what has expired.

use crate::support::{NOON, Tenant, all_events, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::event::Trigger;
use postfleet_core::id::{EventId, GrantId, MessageId, OptInId, QueueId};
use postfleet_core::opt_in::{LIFETIME, Say, State};
use postfleet_core::{EmailAddress, UnixMicros};
use postfleet_store::Store;
use postfleet_store::applications::{RemoveApplication, RemoveOutcome};
use postfleet_store::opt_ins::{
    self, AnswerOptIn, AskOptIn, AskOutcome, Filter, OptIn, Said, Source, TakeBackOptIn, WithdrawOptIn, WithdrawOutcome,
};
use postfleet_store::organizations::Scope;
use postfleet_store::outbound::{Submit, SubmitOutcome};

const NEWS: [u8; 32] = [1; 32];

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("address")
}

pub fn question(tenant: &Tenant, grant: GrantId, to: &str, when: UnixMicros) -> OptIn {
    OptIn {
        id: OptInId::new(when, fresh().as_bytes()[6..].try_into().expect("ten octets")),
        application_id: tenant.application,
        grant_id: grant,
        address: address(to),
        name: None,
        purpose: "News".into(),
        purpose_hash: NEWS,
        language: "en".into(),
        words: "I agree".into(),
        message_id: MessageId::from_uuid(fresh()),
        source: Source { ip: Some("192.0.2.1".into()), ..Source::default() },
        redirect_url: None,
        state: State::Pending,
        asked_at: when,
        confirmed: None,
        declined: None,
        withdrawn_at: None,
    }
}

async fn asked(store: &Store, opt_in: &OptIn) {
    assert_eq!(store.run(AskOptIn { opt_in: opt_in.clone() }).await.expect("ask"), AskOutcome::Kept);
}

fn saying(id: OptInId, say: Say, at: UnixMicros) -> AnswerOptIn {
    let said = Said { at, ip: Some("192.0.2.7".into()), user_agent: Some("Browser".into()) };
    AnswerOptIn { id, say, said, event_id: EventId::from_uuid(fresh()) }
}

async fn listed(store: &Store, tenant: &Tenant, filter: Filter, now: UnixMicros) -> Vec<OptInId> {
    let mut reader = store.reader().await.expect("reader");
    let found = opt_ins::list(&mut reader, tenant.application, &filter, None, (now, 10)).await.expect("list");
    found.iter().map(|one| one.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_send_one_mail() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grants = [tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await];
        let wish = |index: usize| {
            let to = if index.is_multiple_of(2) { "Ada@elsewhere.example" } else { "ada@ELSEWHERE.example" };
            AskOptIn { opt_in: question(&tenant, grants[index % 2], to, NOON) }
        };
        let outcomes = at_once(store, (0..12).map(wish).collect()).await;
        let kept = outcomes.iter().filter(|outcome| **outcome == AskOutcome::Kept).count();
        assert_eq!(kept, 1, "{outcomes:?}");
        let code = |outcome: &AskOutcome| match outcome {
            AskOutcome::Refused(problem) => problem.code,
            _ => "",
        };
        assert_eq!(outcomes.iter().filter(|outcome| code(outcome) == "opt_in_limit_exceeded").count(), 11);
        assert_eq!(number(store, "SELECT count(*) FROM opt_ins", &[]).await, 1);
        // One whose mail could not be sent was never asked.
        let id = listed(store, &tenant, Filter::default(), NOON).await[0];
        store.run(TakeBackOptIn { id }).await.expect("take back");
        asked(store, &question(&tenant, grants[0], "ada@elsewhere.example", NOON)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_answers_at_once_are_one_and_told_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let opt_in = question(&tenant, grant, "ada@elsewhere.example", NOON);
        asked(store, &opt_in).await;
        let yes = (0..8).map(|_| saying(opt_in.id, Say::Yes, at(5))).collect();
        let outcomes = at_once(store, yes).await;
        assert_eq!(outcomes.iter().flatten().filter(|answered| answered.is_new).count(), 1);
        assert!(outcomes.iter().flatten().all(|answered| answered.opt_in.state == State::Confirmed));
        let no = (0..4).map(|_| saying(opt_in.id, Say::No, at(6))).collect();
        let outcomes = at_once(store, no).await;
        assert_eq!(outcomes.iter().flatten().filter(|answered| answered.is_new).count(), 1);
        let told: Vec<_> = all_events(store).await.into_iter().map(|event| event.event).collect();
        let told: Vec<_> = told
            .iter()
            .filter(|event| [Trigger::OptInConfirmed, Trigger::OptInDeclined].contains(&event.trigger))
            .map(|event| (event.trigger, event.grant_id))
            .collect();
        assert_eq!(told, [(Trigger::OptInConfirmed, grant), (Trigger::OptInDeclined, grant)]);
        let mut reader = store.reader().await.expect("reader");
        let kept = opt_ins::find(&mut reader, tenant.application, opt_in.id).await.expect("find").expect("kept");
        assert_eq!(kept.confirmed.map(|said| (said.at, said.ip)), Some((at(5), Some("192.0.2.7".to_owned()))));
        assert_eq!((kept.state, kept.declined.map(|said| said.at)), (State::Declined, Some(at(6))));
        assert!(store.run(saying(OptInId::from_uuid(fresh()), Say::Yes, NOON)).await.expect("answer").is_none());
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_taken_and_told_when_the_mailbox_is_gone() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let opt_in = question(&tenant, grant, "ada@elsewhere.example", NOON);
        asked(store, &opt_in).await;
        store.run(tenant.removal(grant, NOON)).await.expect("removed");
        let answered = store.run(saying(opt_in.id, Say::Yes, at(1))).await.expect("answer").expect("kept");
        assert_eq!(answered.opt_in.state, State::Confirmed);
        let events = all_events(store).await;
        let told = &events.last().expect("an event").event;
        assert_eq!((told.trigger, told.grant_sequence), (Trigger::OptInConfirmed, 0));
        assert!(told.grant_id.uuid().is_nil());
        let remove =
            RemoveApplication { act: tenant.act(NOON), id: tenant.application, scope: Scope::Of(tenant.organization) };
        assert_eq!(store.run(remove).await.expect("remove"), RemoveOutcome::Removed);
        assert_eq!(number(store, "SELECT count(*) FROM opt_ins", &[]).await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_waits_and_what_has_expired_are_told_apart_to_the_microsecond() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let opt_in = question(&tenant, grant, "ada@elsewhere.example", NOON);
        asked(store, &opt_in).await;
        let end = NOON.plus(LIFETIME);
        let just_before = UnixMicros::from_micros(end.as_micros() - 1);
        for (now, pending) in [(NOON, true), (just_before, true), (end, false)] {
            for (state, expected) in [(State::Pending, pending), (State::Expired, !pending)] {
                for (purpose_hash, reader) in [(None, None), (Some(NEWS), None), (Some(NEWS), Some(&opt_in.address))] {
                    let filter = Filter { state: Some(state), purpose_hash, address: reader.cloned() };
                    let found = listed(store, &tenant, filter, now).await;
                    assert_eq!(!found.is_empty(), expected, "{state:?} at {now:?}");
                }
            }
        }
        let late = store.run(saying(opt_in.id, Say::Yes, end)).await.expect("answer").expect("kept");
        assert!(!late.is_new && late.opt_in.confirmed.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_send_that_needs_it_goes_to_those_who_agreed_alone() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let (grant, foreign) = (tenant.mailbox(store, "a").await, other.mailbox(store, "a").await);
        let send = async |by: &Tenant, grant, to: &[&str], purpose| {
            let recipients = to.iter().map(|to| (QueueId::from_uuid(fresh()), address(to))).collect();
            let submit = by.submission(store, grant, 1, at(10)).await;
            let submit = Submit { recipients, require_opt_in: Some(purpose), ..submit };
            match store.run(submit).await.expect("submit") {
                SubmitOutcome::Accepted { .. } => String::new(),
                SubmitOutcome::Refused(problem) => format!("{}: {}", problem.code, problem.public),
                other => panic!("{other:?}"),
            }
        };
        let ada = question(&tenant, grant, "Ada@elsewhere.example", NOON);
        asked(store, &ada).await;
        assert!(send(&tenant, grant, &["ada@elsewhere.example"], NEWS).await.starts_with("no_opt_in"), "not yet");
        store.run(saying(ada.id, Say::Yes, at(1))).await.expect("answer").expect("kept");
        assert_eq!(send(&tenant, grant, &["ada@ELSEWHERE.example"], NEWS).await, "");
        let refused = send(&tenant, grant, &["ada@elsewhere.example", "bob@elsewhere.example"], NEWS).await;
        assert!(refused.starts_with("no_opt_in") && refused.ends_with(": bob@elsewhere.example"), "{refused}");
        assert!(send(&tenant, grant, &["ada@elsewhere.example"], [2; 32]).await.starts_with("no_opt_in"));
        assert!(send(&other, foreign, &["ada@elsewhere.example"], NEWS).await.starts_with("no_opt_in"), "of others");

        let foreign = WithdrawOptIn { act: other.act(at(2)), application_id: other.application, id: ada.id };
        assert_eq!(store.run(foreign).await.expect("withdraw"), WithdrawOutcome::NotFound);
        let own = WithdrawOptIn { act: tenant.act(at(2)), application_id: tenant.application, id: ada.id };
        let WithdrawOutcome::Over(over) = store.run(own).await.expect("withdraw") else { panic!("not found") };
        assert_eq!((over.state, over.withdrawn_at), (State::Withdrawn, Some(at(2))));
        assert!(send(&tenant, grant, &["ada@elsewhere.example"], NEWS).await.starts_with("no_opt_in"));
    })
    .await;
}
