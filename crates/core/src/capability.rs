//! What may be sent with a key, beside what its permissions say: to whom, in answer to what, with what, and to how many
//! whom it never wrote to. Judged by the envelope, whichever way the message came.

use crate::address::EmailAddress;
use crate::domain::Domain;
use crate::problem::{Exhausted, Problem, ProblemKind};
use crate::time::UnixMicros;
use std::collections::HashSet;

/// What may be sent with a key at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sending {
    /// Anything.
    #[default]
    All,
    /// Answers to what the mailbox received, to whomever.
    Replies,
    /// Answers to what the mailbox received, to those who are in the conversation.
    ThreadRecipients,
    /// Nothing.
    Nothing,
}

impl Sending {
    /// All four.
    pub const ALL: [Self; 4] = [Self::All, Self::Replies, Self::ThreadRecipients, Self::Nothing];

    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Replies => "replies",
            Self::ThreadRecipients => "thread_recipients",
            Self::Nothing => "none",
        }
    }

    /// Finds the one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sending| sending.name() == name)
    }
}

/// Domains that a key may name.
pub const DOMAINS_MAX: usize = 100;
/// The most that a number of new recipients may be.
pub const NEW_RECIPIENTS_MAX: u64 = 1_000_000;
/// Days for which a key knows an address that it wrote to; after that the address is new again.
pub const KNOWN_DAYS: i64 = 400;

/// What may be sent with a key. The default is anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// What at all.
    pub sending: Sending,
    /// The domains that may be written to, exactly these; `None` is any.
    pub recipient_domains: Option<Vec<Domain>>,
    /// Addresses that may be written to on a UTC day although nothing was sent to them with the key before; `None` is
    /// any number.
    pub new_recipients_per_day: Option<u64>,
    /// Whether anything may be attached.
    pub attachments: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { sending: Sending::All, recipient_domains: None, new_recipients_per_day: None, attachments: true }
    }
}

impl Capabilities {
    /// Whether anything is not allowed.
    pub fn is_limited(&self) -> bool {
        *self != Self::default()
    }

    /// Whether it matters what the message answers, and who is in that conversation.
    pub fn asks_for_conversation(&self) -> bool {
        matches!(self.sending, Sending::Replies | Sending::ThreadRecipients) || self.new_recipients_per_day.is_some()
    }
}

/// Those who are in a conversation of a mailbox.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conversation {
    /// Whether the mailbox received anything in it.
    pub is_received: bool,
    /// The keys of the addresses of those in it.
    pub people: HashSet<String>,
}

/// One use of a limited key: a message that is to be sent with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// What people call the key.
    pub name: String,
    /// What may be sent with it.
    pub capabilities: Capabilities,
    /// The envelope.
    pub recipients: Vec<EmailAddress>,
    /// Other addresses than the mailbox's own to which answers are asked.
    pub reply_to: Vec<String>,
    /// How many things are attached.
    pub attachments: usize,
    /// The conversation that the message joins, if it was looked for.
    pub conversation: Conversation,
    /// Those of the recipients to whom nothing was sent with the key before, and who are not in the conversation.
    pub new_recipients: Vec<EmailAddress>,
    /// New recipients of the day so far.
    pub new_today: u64,
    /// When the day ends.
    pub resets_at: UnixMicros,
}

impl KeyUse {
    /// Everything that the key does not allow, in the order in which it is asked.
    pub fn refusals(&self) -> Vec<Problem> {
        let mut refusals = Vec::new();
        refusals.extend(self.sending());
        refusals.extend(self.attached());
        refusals.extend(self.outside_domains());
        refusals.extend(self.outside_conversation());
        refusals.extend(self.too_many_new());
        refusals
    }

    /// New recipients of the day once this message is accepted.
    pub fn new_after(&self) -> u64 {
        self.new_today.saturating_add(self.new_recipients.len() as u64)
    }

    fn sending(&self) -> Option<Problem> {
        match self.capabilities.sending {
            Sending::Nothing => {
                Some(may_not_send(&format!("the key {:?} may send nothing (sending is none)", self.name)))
            }
            Sending::Replies | Sending::ThreadRecipients if !self.conversation.is_received => {
                let word = self.capabilities.sending.name();
                let text = format!(
                    "the key {:?} may send nothing but answers to messages that the mailbox received (sending is {word}), \
                     and this is none",
                    self.name
                );
                Some(refusal("key_may_only_reply", "reply_to_message_id", text))
            }
            _ => None,
        }
    }

    fn attached(&self) -> Option<Problem> {
        if self.capabilities.attachments || self.attachments == 0 {
            return None;
        }
        let text = format!(
            "the key {:?} may attach nothing (attachments is false); the message has {}",
            self.name, self.attachments
        );
        Some(refusal("attachments_not_allowed", "attachments", text))
    }

    fn outside_domains(&self) -> Option<Problem> {
        let domains = self.capabilities.recipient_domains.as_ref()?;
        let outside = self.recipients.iter().filter(|address| !domains.contains(address.domain()));
        let outside: Vec<String> = outside.map(EmailAddress::to_string).collect();
        let text = "its recipient_domains do not have the domain of";
        (!outside.is_empty()).then(|| self.not_allowed(text, &outside))
    }

    fn outside_conversation(&self) -> Option<Problem> {
        // One that answers nothing has nobody in it, which is said already.
        if self.capabilities.sending != Sending::ThreadRecipients || !self.conversation.is_received {
            return None;
        }
        let outside = self.recipients.iter().filter(|address| !self.conversation.people.contains(&address.key()));
        let outside: Vec<String> = outside.map(EmailAddress::to_string).collect();
        if !outside.is_empty() {
            return Some(
                self.not_allowed("sending is thread_recipients, and the conversation does not have", &outside),
            );
        }
        // Whoever answers is in the conversation from then on, so nobody else may be asked to.
        let is_inside = |text: &&String| {
            EmailAddress::parse(text).is_ok_and(|address| self.conversation.people.contains(&address.key()))
        };
        let outside: Vec<String> = self.reply_to.iter().filter(|text| !is_inside(text)).cloned().collect();
        let text = "sending is thread_recipients, and answers are asked to";
        (!outside.is_empty()).then(|| self.not_allowed(text, &outside))
    }

    fn not_allowed(&self, why: &str, outside: &[String]) -> Problem {
        let text = format!("the key {:?} may not write to everyone here: {why} {}", self.name, outside.join(", "));
        refusal("recipient_not_allowed", "to", text)
    }

    fn too_many_new(&self) -> Option<Problem> {
        let limit = self.capabilities.new_recipients_per_day?;
        if self.new_recipients.is_empty() || self.new_after() <= limit {
            return None;
        }
        let new: Vec<String> = self.new_recipients.iter().map(EmailAddress::to_string).collect();
        let text = format!(
            "the key {:?} may write to {limit} new recipients a day (new_recipients_per_day), {} are used until 00:00 UTC, \
             and these are new: {}",
            self.name,
            self.new_today,
            new.join(", ")
        );
        let exhausted = Exhausted { scope: "key", limit, used: self.new_today, resets_at: Some(self.resets_at) };
        Some(Problem {
            field: Some("to".into()),
            exhausted: Some(Box::new(exhausted)),
            ..Problem::new(ProblemKind::OverQuota, "new_recipients_exceeded", text)
        })
    }
}

/// The refusal of a key that may send nothing.
pub fn may_not_send(text: &str) -> Problem {
    Problem::new(ProblemKind::Forbidden, "key_may_not_send", text)
}

fn refusal(code: &'static str, field: &str, text: String) -> Problem {
    Problem { field: Some(field.to_owned()), ..Problem::new(ProblemKind::Forbidden, code, text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UtcDay;
    use proptest::prelude::*;

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    fn with(capabilities: Capabilities) -> KeyUse {
        KeyUse {
            name: "agent".into(),
            capabilities,
            recipients: vec![address("ada@good.test"), address("bob@bad.test")],
            reply_to: Vec::new(),
            attachments: 1,
            conversation: Conversation::default(),
            new_recipients: vec![address("bob@bad.test")],
            new_today: 4,
            resets_at: UtcDay::from_number(20_000).end(),
        }
    }

    fn codes(one: &KeyUse) -> Vec<&'static str> {
        one.refusals().iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn each_capability_refuses_what_it_names() {
        let all = Capabilities::default();
        assert!(!all.is_limited() && codes(&with(all.clone())).is_empty());
        let nothing = with(Capabilities { sending: Sending::Nothing, ..all.clone() });
        assert_eq!(codes(&nothing), ["key_may_not_send"]);
        assert_eq!(codes(&with(Capabilities { attachments: false, ..all.clone() })), ["attachments_not_allowed"]);
        let domains = Some(vec![Domain::parse("good.test").unwrap()]);
        let outside = with(Capabilities { recipient_domains: domains, ..all.clone() }).refusals();
        assert_eq!((outside[0].code, outside[0].kind), ("recipient_not_allowed", ProblemKind::Forbidden));
        assert!(outside[0].public.contains("bob@bad.test") && !outside[0].public.contains("ada@"), "{}", outside[0]);
        let new = |limit| with(Capabilities { new_recipients_per_day: Some(limit), ..all.clone() });
        assert!(codes(&new(5)).is_empty());
        let refused = new(4).refusals().remove(0);
        assert_eq!((refused.code, refused.kind), ("new_recipients_exceeded", ProblemKind::OverQuota));
        let exhausted = refused.exhausted.unwrap();
        assert_eq!((exhausted.scope, exhausted.limit, exhausted.used), ("key", 4, 4));
        assert_eq!(exhausted.resets_at, Some(UtcDay::from_number(20_000).end()));
        // Whoever is known may be written to although the day is used up.
        assert!(codes(&KeyUse { new_recipients: Vec::new(), ..new(0) }).is_empty());
    }

    #[test]
    fn answers_go_to_the_conversation() {
        let replies = |sending, people: &[&str]| KeyUse {
            conversation: Conversation {
                is_received: !people.is_empty(),
                people: people.iter().map(|text| (*text).to_owned()).collect(),
            },
            ..with(Capabilities { sending, ..Capabilities::default() })
        };
        for sending in [Sending::Replies, Sending::ThreadRecipients] {
            assert_eq!(codes(&replies(sending, &[])), ["key_may_only_reply"]);
            assert!(codes(&replies(sending, &["ada@good.test", "bob@bad.test"])).is_empty());
        }
        assert!(codes(&replies(Sending::Replies, &["ada@good.test"])).is_empty());
        let partly = replies(Sending::ThreadRecipients, &["ada@good.test"]);
        assert_eq!(codes(&partly), ["recipient_not_allowed"]);
        let lured = KeyUse {
            reply_to: vec!["eve@bad.test".into()],
            ..replies(Sending::ThreadRecipients, &["ada@good.test", "bob@bad.test"])
        };
        assert_eq!(codes(&lured), ["recipient_not_allowed"]);
        assert!(lured.refusals()[0].public.contains("eve@bad.test"));
    }

    fn some_use() -> impl Strategy<Value = KeyUse> {
        let people = || proptest::collection::vec((0..6_usize, 0..3_usize), 0..6);
        let capabilities =
            (0..4_usize, proptest::option::of(0..3_usize), proptest::option::of(0..8_u64), any::<bool>());
        (capabilities, people(), people(), people(), any::<bool>(), 0..3_usize, 0..8_u64).prop_map(
            |(
                (sending, domains, new_recipients_per_day, attachments),
                to,
                inside,
                new,
                is_received,
                files,
                new_today,
            )| {
                let one = |(local, domain): &(usize, usize)| address(&format!("p{local}@d{domain}.test"));
                let domain = |number| Domain::parse(&format!("d{number}.test")).unwrap();
                let recipients: Vec<EmailAddress> = to.iter().map(one).collect();
                let new: Vec<EmailAddress> = new.iter().map(one).filter(|new| recipients.contains(new)).collect();
                KeyUse {
                    name: "k".into(),
                    capabilities: Capabilities {
                        sending: Sending::ALL[sending],
                        recipient_domains: domains.map(|count| (0..count).map(domain).collect()),
                        new_recipients_per_day,
                        attachments,
                    },
                    recipients,
                    reply_to: Vec::new(),
                    attachments: files,
                    conversation: Conversation { is_received, people: inside.iter().map(|p| one(p).key()).collect() },
                    new_recipients: new,
                    new_today,
                    resets_at: UnixMicros::from_seconds(1),
                }
            },
        )
    }

    proptest! {
        /// What is not refused keeps every limit, and what keeps every limit is not refused.
        #[test]
        fn refused_is_exactly_what_breaks_a_limit(one in some_use()) {
            let may = &one.capabilities;
            let answers = one.conversation.is_received;
            let inside = one.recipients.iter().all(|address| one.conversation.people.contains(&address.key()));
            let sending = match may.sending {
                Sending::All => true,
                Sending::Replies => answers,
                Sending::ThreadRecipients => answers && inside,
                Sending::Nothing => false,
            };
            let domains = may.recipient_domains.as_ref()
                .is_none_or(|domains| one.recipients.iter().all(|address| domains.contains(address.domain())));
            let new = one.new_recipients.is_empty()
                || may.new_recipients_per_day.is_none_or(|limit| one.new_today + one.new_recipients.len() as u64 <= limit);
            let allowed = sending && domains && new && (may.attachments || one.attachments == 0);
            prop_assert_eq!(one.refusals().is_empty(), allowed, "{:?}", one.refusals());
        }

        /// Nobody gains by a limit: taking one away never refuses more.
        #[test]
        fn fewer_limits_refuse_no_more(one in some_use()) {
            let freed = [
                Capabilities { sending: Sending::All, ..one.capabilities.clone() },
                Capabilities { recipient_domains: None, ..one.capabilities.clone() },
                Capabilities { new_recipients_per_day: None, ..one.capabilities.clone() },
                Capabilities { attachments: true, ..one.capabilities.clone() },
            ];
            let before = codes(&one);
            for capabilities in freed {
                let after = codes(&KeyUse { capabilities, ..one.clone() });
                prop_assert!(after.iter().all(|code| before.contains(code)), "{:?} {:?}", before, after);
            }
        }
    }
}
