use super::*;
use postfleet_core::id::{EventId, MessageId};
use postfleet_store::events::NewEvent;
use uuid::Uuid;

fn application(number: u128) -> ApplicationId {
    ApplicationId::from_uuid(Uuid::from_u128(number))
}

fn grant(number: u128) -> GrantId {
    GrantId::from_uuid(Uuid::from_u128(number))
}

fn event(position: i64, of: u128, mailbox: u128, trigger: Trigger) -> Event {
    let event = NewEvent {
        id: EventId::from_uuid(Uuid::from_u128(position as u128)),
        application_id: application(of),
        grant_id: grant(mailbox),
        grant_sequence: 1,
        trigger,
        message_id: Some(MessageId::from_uuid(Uuid::nil())),
        data: "{}".to_owned(),
        at: UnixMicros::from_seconds(position),
    };
    Event { position, event, trace: None }
}

fn created(position: i64, of: u128, mailbox: u128) -> Event {
    event(position, of, mailbox, Trigger::MessageCreated)
}

fn of_mailbox(mailbox: u128) -> Arc<Listening> {
    Arc::new(Listening { grant: Some(grant(mailbox)), ..Listening::default() })
}

/// What a look finds, in a form that can be compared.
#[derive(Debug, PartialEq)]
enum Found {
    Current(i64),
    Told(Vec<i64>, i64),
    Stored { is_read: bool },
}

fn look(audience: &mut Audience, id: u64, at: i64) -> Found {
    match audience.look(id, at) {
        Look::Current(upto) => Found::Current(upto),
        Look::Told(told, upto) => Found::Told(told.iter().map(|told| told.event.position).collect(), upto),
        Look::Stored { is_read } => Found::Stored { is_read },
    }
}

fn is_called(audience: &mut Audience, id: u64) -> bool {
    audience.poll_called(id, &mut Context::from_waker(Waker::noop())).is_ready()
}

fn enter(audience: &mut Audience, of: u128, listening: Arc<Listening>) -> u64 {
    audience.enter(application(of), listening, UnixMicros::from_seconds(1_000))
}

#[test]
fn what_is_remembered_is_told_and_what_is_not_is_in_the_store() {
    let mut audience = Audience::default();
    assert_eq!(audience.upto(), None, "nobody listens");
    let all = enter(&mut audience, 1, Arc::default());
    assert_eq!((audience.upto(), look(&mut audience, all, 5)), (Some(None), Found::Stored { is_read: false }));
    drop(audience.begin(10));
    assert!(is_called(&mut audience, all), "it looks again");
    assert_eq!(look(&mut audience, all, 9), Found::Stored { is_read: true });
    assert_eq!(look(&mut audience, all, 10), Found::Current(10));
    drop(audience.add(vec![created(11, 1, 7), created(12, 2, 7), created(13, 1, 8)], 15));
    assert_eq!(look(&mut audience, all, 10), Found::Told(vec![11, 13], 15));
    assert_eq!(look(&mut audience, all, 11), Found::Told(vec![13], 15));
    // A place that others have not reached yet stays what it is.
    assert_eq!(look(&mut audience, all, 20), Found::Current(20));
    // Who comes later finds what was told since somebody of the application listens, and nobody's else.
    let one = enter(&mut audience, 1, of_mailbox(8));
    assert_eq!(look(&mut audience, one, 10), Found::Told(vec![13], 15));
    let other = enter(&mut audience, 2, Arc::default());
    assert_eq!(look(&mut audience, other, 10), Found::Stored { is_read: true });
    assert_eq!(look(&mut audience, other, 15), Found::Current(15));
}

#[test]
fn who_is_called_may_want_something_and_who_wants_nothing_is_left_asleep() {
    let mut audience = Audience::default();
    let junk = NewEvent { data: r#"{"junk":true}"#.to_owned(), ..created(4, 1, 7).event };
    let names = |name| Arc::new(Listening { names: Some([name].into()), ..Listening::default() });
    let since =
        |seconds| Arc::new(Listening { since: Some(UnixMicros::from_seconds(seconds)), ..Listening::default() });
    let junk_too = Arc::new(Listening { include_junk: true, ..Listening::default() });
    for (case, listening, event, is_wanted) in [
        ("all", Arc::default(), created(4, 1, 7), true),
        ("another application", Arc::default(), created(4, 2, 7), false),
        ("its mailbox", of_mailbox(7), created(4, 1, 7), true),
        ("another mailbox", of_mailbox(8), created(4, 1, 7), false),
        ("its trigger", names("message.created"), created(4, 1, 7), true),
        ("another trigger", names("message.updated"), created(4, 1, 7), false),
        ("an older name", names("message.transactional.bounced"), event(4, 1, 7, Trigger::MessageBounced), true),
        ("since then", since(4), created(4, 1, 7), true),
        ("since later", since(5), created(4, 1, 7), false),
        ("junk", Arc::default(), Event { position: 4, event: junk.clone(), trace: None }, false),
        ("junk too", junk_too, Event { position: 4, event: junk.clone(), trace: None }, true),
    ] {
        let id = enter(&mut audience, 1, listening);
        drop(audience.begin(3));
        assert!(is_called(&mut audience, id), "{case}");
        assert_eq!(look(&mut audience, id, 3), Found::Current(3), "{case}");
        drop(audience.add(vec![event], 4));
        assert_eq!(is_called(&mut audience, id), is_wanted, "{case}");
        // Its place moves on all the same, without a look at what is not for it.
        let expected = if is_wanted { Found::Told(vec![4], 4) } else { Found::Current(4) };
        assert_eq!(look(&mut audience, id, 3), expected, "{case}");
        drop(audience.leave(id));
    }
    assert!(audience.groups.is_empty() && audience.memories.is_empty() && audience.beats.is_empty());
}

/// What comes between the look that finds nothing and going to sleep.
#[test]
fn nothing_is_missed_between_a_look_and_the_sleep() {
    let mut audience = Audience::default();
    let id = enter(&mut audience, 1, Arc::default());
    drop(audience.begin(3));
    assert!(is_called(&mut audience, id));
    assert_eq!(look(&mut audience, id, 3), Found::Current(3));
    drop(audience.add(vec![created(4, 1, 7)], 4));
    assert!(is_called(&mut audience, id));
    // While it is at work it is not called again: it looks before it sleeps.
    drop(audience.add(vec![created(5, 1, 7)], 5));
    assert!(!is_called(&mut audience, id));
    assert_eq!(look(&mut audience, id, 4), Found::Told(vec![5], 5));
    assert_eq!(look(&mut audience, id, 5), Found::Current(5));
}

#[test]
fn a_look_takes_up_a_chunk_and_what_is_too_much_is_forgotten_from_the_beginning() {
    let mut audience = Audience::default();
    let (all, one) = (enter(&mut audience, 1, Arc::default()), enter(&mut audience, 1, of_mailbox(8)));
    drop(audience.begin(0));
    let mut upto = 0;
    while upto < REMEMBERED_MAX as i64 {
        let many: Vec<_> = (upto + 1..=upto + 4_096).map(|position| created(position, 1, 7)).collect();
        upto += 4_096;
        drop(audience.add(many, upto));
    }
    assert!(audience.octets <= REMEMBERED_OCTETS_MAX && audience.order.len() <= REMEMBERED_MAX);
    assert_eq!(look(&mut audience, all, 0), Found::Stored { is_read: true });
    let first = audience.memories[&application(1)].first;
    assert!(first > 0);
    let Found::Told(told, told_upto) = look(&mut audience, all, first) else { panic!("not remembered") };
    assert_eq!((told.len(), told.first().copied(), told_upto), (TAKEN_MAX, Some(first + 1), first + TAKEN_MAX as i64));
    // Who wants none of it does not go through all of it at once.
    assert_eq!(look(&mut audience, one, first), Found::Told(vec![], first + LOOKED_AT_MAX as i64));
}

#[test]
fn signs_of_life_are_called_for_when_they_are_due_each_once() {
    let mut audience = Audience::default();
    let at = UnixMicros::from_seconds;
    let one = audience.enter(application(1), Arc::default(), at(10));
    let other = audience.enter(application(1), Arc::default(), at(20));
    let due = |audience: &mut Audience, now| {
        drop(audience.due(at(now)));
        (is_called(audience, one), is_called(audience, other))
    };
    assert_eq!(due(&mut audience, 9), (false, false));
    assert_eq!(due(&mut audience, 10), (true, false));
    assert_eq!(due(&mut audience, 11), (false, false), "called already");
    audience.set_beat(one, at(25));
    assert_eq!(due(&mut audience, 24), (false, true));
    assert_eq!(due(&mut audience, 25), (true, false));
    drop((audience.leave(one), audience.leave(other)));
    assert!(audience.beats.is_empty());
}
