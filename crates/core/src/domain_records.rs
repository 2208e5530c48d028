//! What is to be published in the DNS for a domain, and what becomes of each record as the DNS is looked at again and
//! again. Pure: who asks the DNS is `postfleet-fleet`, how an answer is judged is `domain_check`.

use crate::block_list::BlockLists;
use crate::domain::Domain;
use crate::domain_check::Judgement;
use crate::sending_addresses::SendingAddresses;
use crate::time::UnixMicros;
use std::time::Duration;

/// What the operator has set for all domains.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainSettings {
    /// Domains below which an organization may take a name that counts as verified at once.
    pub trial: Vec<Domain>,
    /// The server that takes the mail of all domains.
    pub mx_host: Domain,
    /// The SPF mechanism that names the servers that send (RFC 7208 §5), such as `a:mx.example.com`.
    pub spf_mechanism: String,
    /// The label below a domain at which bounces and complaints would be taken.
    pub feedback_label: String,
    /// The part before the `@` of the address of every domain at which other servers report what they saw of its mail.
    pub report_mailbox: String,
    /// What must be right before a domain may send.
    pub required_to_send: Vec<RecordKind>,
    /// How often a domain that may send is looked at again.
    pub recheck: Duration,
    /// Which block lists are asked.
    pub block_lists: BlockLists,
    /// From which addresses mail leaves.
    pub sending: SendingAddresses,
}

impl DomainSettings {
    /// The defaults of an installation whose server has this name.
    pub fn of(hostname: &Domain) -> Self {
        Self {
            trial: Vec::new(),
            mx_host: hostname.clone(),
            spf_mechanism: format!("a:{hostname}"),
            feedback_label: "bounces".to_owned(),
            report_mailbox: "domain-reports".to_owned(),
            required_to_send: vec![RecordKind::Ownership, RecordKind::Spf, RecordKind::Dkim],
            recheck: Duration::from_secs(86_400),
            block_lists: BlockLists::default(),
            sending: SendingAddresses { host: Some(hostname.clone()), ..SendingAddresses::default() },
        }
    }
}

/// A kind of record, or what it is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RecordKind {
    /// Proves that the domain is its organization's.
    Ownership,
    /// Brings its mail here.
    Mx,
    /// Says that this installation may send for it (RFC 7208).
    Spf,
    /// The public half of a signing key (RFC 6376).
    Dkim,
    /// Brings bounces and complaints here.
    Feedback,
    /// What receivers are to do with mail that fails (RFC 7489).
    Dmarc,
    /// Chains of authentication (RFC 8617): the keys of DKIM serve, so it has no record of its own.
    Arc,
}

impl RecordKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 7] =
        [Self::Ownership, Self::Mx, Self::Spf, Self::Dkim, Self::Feedback, Self::Dmarc, Self::Arc];

    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ownership => "ownership",
            Self::Mx => "mx",
            Self::Spf => "spf",
            Self::Dkim => "dkim",
            Self::Feedback => "feedback",
            Self::Dmarc => "dmarc",
            Self::Arc => "arc",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind whose records serve this one.
    pub const fn published_as(self) -> Self {
        match self {
            Self::Arc => Self::Dkim,
            other => other,
        }
    }
}

/// One record to publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// What it is for.
    pub kind: RecordKind,
    /// The selector of the signing key that it publishes; empty for all other kinds.
    pub selector: String,
    /// Where, from the domain: `@` is the domain itself.
    pub host: String,
    /// Where, in full.
    pub name: String,
    /// What.
    pub data: RecordData,
}

/// What a record holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordData {
    /// A text.
    Txt(String),
    /// A mail exchanger.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// Its name.
        host: Domain,
    },
}

impl RecordData {
    /// The type in the DNS.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Txt(_) => "TXT",
            Self::Mx { .. } => "MX",
        }
    }

    /// The text, or the name of the host.
    pub fn value(&self) -> &str {
        match self {
            Self::Txt(text) => text,
            Self::Mx { host, .. } => host.as_str(),
        }
    }

    /// The preference of a mail exchanger.
    pub const fn priority(&self) -> Option<u16> {
        match self {
            Self::Txt(_) => None,
            Self::Mx { preference, .. } => Some(*preference),
        }
    }
}

/// What the text that proves ownership begins with; official clients know it.
pub const OWNERSHIP_PREFIX: &str = "nylas-ownership-verify=";

/// The preference of the mail exchangers to publish.
const MX_PREFERENCE: u16 = 10;

/// What of a domain goes into its records.
#[derive(Clone, Copy, Debug)]
pub struct Publisher<'a> {
    /// Its name.
    pub domain: &'a Domain,
    /// What proves its ownership.
    pub ownership_token: &'a str,
    /// Selector and TXT record of every signing key that is to be published.
    pub keys: &'a [(String, String)],
}

/// All records that a domain should publish, in the order in which they are shown.
pub fn to_publish(publisher: Publisher<'_>, settings: &DomainSettings) -> Vec<Record> {
    let Publisher { domain, ownership_token, keys } = publisher;
    let at = |kind: RecordKind, host: &str, data: RecordData| {
        let name = if host == "@" { domain.to_string() } else { format!("{host}.{domain}") };
        Record { kind, selector: String::new(), host: host.to_owned(), name, data }
    };
    let mx = || RecordData::Mx { preference: MX_PREFERENCE, host: settings.mx_host.clone() };
    let mut records = vec![
        at(RecordKind::Ownership, "@", RecordData::Txt(format!("{OWNERSHIP_PREFIX}{ownership_token}"))),
        at(RecordKind::Mx, "@", mx()),
        at(RecordKind::Spf, "@", RecordData::Txt(format!("v=spf1 {} ~all", settings.spf_mechanism))),
    ];
    for (selector, text) in keys {
        let record = at(RecordKind::Dkim, &format!("{selector}._domainkey"), RecordData::Txt(text.clone()));
        records.push(Record { selector: selector.clone(), ..record });
    }
    records.push(at(RecordKind::Feedback, &settings.feedback_label, mx()));
    let policy = format!("v=DMARC1; p=none; rua=mailto:{}@{domain}", settings.report_mailbox);
    records.push(at(RecordKind::Dmarc, "_dmarc", RecordData::Txt(policy)));
    records
}

/// Whether a record was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RecordStatus {
    /// Nothing definite was found out yet.
    #[default]
    Pending,
    /// It is published as it should be.
    Done,
    /// It is not there, or not as it should be.
    Failed,
}

impl RecordStatus {
    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The status of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Done, Self::Failed].into_iter().find(|status| status.name() == name)
    }
}

/// What is known of one record.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordState {
    /// Whether it was found.
    pub status: RecordStatus,
    /// What was found last, for people; may be empty.
    pub message: String,
    /// How often in a row it was found wrong.
    pub failures: u32,
    /// When it was last looked at.
    pub checked_at: Option<UnixMicros>,
    /// Since when it is done.
    pub verified_at: Option<UnixMicros>,
}

/// How often in a row a record that was right must be wrong before that is believed: somebody may be editing the zone.
pub const FAILURES_MAX: u32 = 3;

/// What is known of a record after one more look at it. An answer that says nothing (a failing name server) changes
/// nothing but the text.
pub fn after_check(state: &RecordState, judgement: &Judgement, now: UnixMicros) -> RecordState {
    let checked_at = Some(now);
    match judgement {
        Judgement::Right => RecordState {
            status: RecordStatus::Done,
            message: String::new(),
            failures: 0,
            checked_at,
            verified_at: state.verified_at.or(Some(now)),
        },
        Judgement::Unanswerable(why) => RecordState { message: why.clone(), checked_at, ..state.clone() },
        Judgement::Wrong(why) => {
            let failures = state.failures.saturating_add(1);
            let stays = state.status == RecordStatus::Done && failures < FAILURES_MAX;
            RecordState {
                status: if stays { RecordStatus::Done } else { RecordStatus::Failed },
                message: why.clone(),
                failures,
                checked_at,
                verified_at: state.verified_at.filter(|_| stays),
            }
        }
    }
}

/// Whether everything of one kind is done, given the states of its records: `None` where nothing was looked at yet.
pub fn is_done<'a>(states: impl IntoIterator<Item = Option<&'a RecordState>>) -> bool {
    let mut any = false;
    states.into_iter().inspect(|_| any = true).all(|state| state.is_some_and(|s| s.status == RecordStatus::Done)) && any
}

/// The shortest and the longest time between looks at a domain that may not send yet.
const UNVERIFIED_EVERY: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(3_600));

/// How long retired keys stay: longer than a message is on its way, so that its signature can be verified.
pub const RETIRED_KEEP: Duration = Duration::from_secs(7 * 86_400);

/// When a domain is to be looked at again: one that is verified now and then, one that is not soon, and less often the
/// longer it has waited.
pub fn next_check(is_verified: bool, created_at: UnixMicros, now: UnixMicros, recheck: Duration) -> UnixMicros {
    let (shortest, longest) = UNVERIFIED_EVERY;
    let interval = if is_verified { recheck } else { (now.since(created_at) / 6).clamp(shortest, longest) };
    now.plus(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn what_is_published() {
        let keys =
            [("r1".to_owned(), "v=DKIM1; k=rsa; p=AA".to_owned()), ("e1".to_owned(), "v=DKIM1; p=BB".to_owned())];
        let name = domain("agents.example.com");
        let publisher = Publisher { domain: &name, ownership_token: "t0k", keys: &keys };
        let settings = DomainSettings::of(&domain("mx.fleet.example"));
        let lines: Vec<String> = to_publish(publisher, &settings)
            .iter()
            .map(|record| {
                let priority = record.data.priority().map_or(String::new(), |priority| format!("{priority} "));
                let (kind, data) = (record.kind.name(), &record.data);
                format!("{kind} {} {} {} {priority}{}", record.host, record.name, data.kind(), data.value())
            })
            .collect();
        assert_eq!(
            lines,
            [
                "ownership @ agents.example.com TXT nylas-ownership-verify=t0k",
                "mx @ agents.example.com MX 10 mx.fleet.example",
                "spf @ agents.example.com TXT v=spf1 a:mx.fleet.example ~all",
                "dkim r1._domainkey r1._domainkey.agents.example.com TXT v=DKIM1; k=rsa; p=AA",
                "dkim e1._domainkey e1._domainkey.agents.example.com TXT v=DKIM1; p=BB",
                "feedback bounces bounces.agents.example.com MX 10 mx.fleet.example",
                "dmarc _dmarc _dmarc.agents.example.com TXT \
                 v=DMARC1; p=none; rua=mailto:domain-reports@agents.example.com",
            ]
        );
    }

    /// R: right, W: wrong, U: unanswerable; then the status, the failures in a row, and since when it is done.
    #[test]
    fn states_follow_judgements() {
        use RecordStatus::{Done, Failed, Pending};
        for (looks, status, failures, verified_at) in [
            ("", Pending, 0, None),
            ("U", Pending, 0, None),
            ("W", Failed, 1, None),
            ("WU", Failed, 1, None),
            ("R", Done, 0, Some(1)),
            ("RR", Done, 0, Some(1)),
            ("WWWWR", Done, 0, Some(5)),
            ("RW", Done, 1, Some(1)),
            ("RWW", Done, 2, Some(1)),
            ("RWWW", Failed, 3, None),
            ("RWWR", Done, 0, Some(1)),
            ("RWWRWW", Done, 2, Some(1)),
            ("RWUWUUW", Failed, 3, None),
            ("RUUUUUU", Done, 0, Some(1)),
            ("RWWWR", Done, 0, Some(5)),
        ] {
            let mut state = RecordState::default();
            for (second, look) in (1..).zip(looks.chars()) {
                let judgement = match look {
                    'R' => Judgement::Right,
                    'W' => Judgement::Wrong("not there".into()),
                    _ => Judgement::Unanswerable("no answer".into()),
                };
                state = after_check(&state, &judgement, UnixMicros::from_seconds(second));
                let says = [("R", ""), ("W", "not there"), ("U", "no answer")];
                assert!(says.contains(&(&*look.to_string(), &*state.message)), "{looks}");
                assert_eq!(state.checked_at, Some(UnixMicros::from_seconds(second)));
            }
            let verified_at = verified_at.map(UnixMicros::from_seconds);
            assert_eq!((state.status, state.failures, state.verified_at), (status, failures, verified_at), "{looks}");
        }
    }

    #[test]
    fn a_kind_is_done_when_all_of_it_is() {
        let done = RecordState { status: RecordStatus::Done, ..RecordState::default() };
        let failed = RecordState { status: RecordStatus::Failed, ..RecordState::default() };
        assert!(is_done([Some(&done)]) && is_done([Some(&done), Some(&done)]));
        assert!(!is_done([]) && !is_done([None]) && !is_done([Some(&done), None]) && !is_done([Some(&failed)]));
    }

    #[test]
    fn the_next_look() {
        let created = UnixMicros::from_seconds(1_000_000);
        let day = Duration::from_secs(86_400);
        let minutes = |is_verified, age_minutes: u64| {
            let now = created.plus(Duration::from_secs(age_minutes * 60));
            next_check(is_verified, created, now, day).since(now).as_secs() / 60
        };
        assert_eq!([0, 10, 60, 120, 360, 10_000].map(|age| minutes(false, age)), [10, 10, 10, 20, 60, 60]);
        assert_eq!(minutes(true, 0), 24 * 60);
    }

    #[test]
    fn names_are_read_back() {
        for kind in RecordKind::ALL {
            assert_eq!(RecordKind::named(kind.name()), Some(kind));
        }
        assert_eq!(RecordKind::named("MX"), None);
        assert_eq!(RecordKind::Arc.published_as(), RecordKind::Dkim);
    }
}
