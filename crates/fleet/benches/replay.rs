//! How many messages of the past a replay judges per second, by rules as they are and as they would be.
//!
//! `cargo bench -p postfleet-fleet --bench replay`: SQLite, 200,000 sent messages of 50 mailboxes to one to three
//! recipients; 30 rules of two conditions, one of them about a list of 1,000 addresses or domains; one rule is changed,
//! and one list gets an item. `whole` is everything that a request does, page by page, the database included; `judging`
//! is the same messages already read, judged twice and compared. One thread; the best of three rounds counts.

use postfleet_core::audit::Act;
use postfleet_core::id::{
    ApplicationId, AuditId, DomainId, EventId, GrantId, ListId, ListItemId, OrganizationId, RuleId, WorkspaceId,
    uuid_v7,
};
use postfleet_core::list::ListKind;
use postfleet_core::plan::Plans;
use postfleet_core::rule::validate::{ActionInput, ConditionInput, MatchInput, RuleChange, RuleInput, ValueInput};
use postfleet_core::rule::{Rule, difference};
use postfleet_core::{Domain, EmailAddress, Patch, UnixMicros};
use postfleet_fleet::rule_replay::{ITEMS_READ_MAX, LIMIT_DEFAULT, replay};
use postfleet_schema::rule_replay::{ReplayRules, RuleReplay};
use postfleet_store::db::DbError;
use postfleet_store::domains::NewDomain;
use postfleet_store::grants::{CreateGrant, NewGrant, Origin};
use postfleet_store::judging::{Anew, ListChange, Overlay, Sides};
use postfleet_store::lists::{AddItems, CreateList, NewItem};
use postfleet_store::organizations::CreateOrganization;
use postfleet_store::past::{self, Past, Span};
use postfleet_store::rules::{self, CreateRule};
use postfleet_store::workspaces::UpdateWorkspace;
use postfleet_store::{Command, Location, Store, Tx, params};
use serde_json::json;
use std::hint::black_box;
use std::time::{Duration, Instant};
use uuid::Uuid;

const MESSAGES: usize = 200_000;
/// Messages that one command inserts.
const AT_ONCE: usize = 2_000;
const MAILBOXES: usize = 50;
const ITEMS: usize = 1_000;
const RULES: usize = 30;
const ROUNDS: usize = 3;
const START: UnixMicros = UnixMicros::from_seconds(1_772_445_600);
const NOW: UnixMicros = UnixMicros::from_seconds(1_772_545_600);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("folder");
        let location = Location::Sqlite(folder.path().join("store.db"));
        let store = Store::open(location, folder.path().join("bodies"), Plans::presets()).await.expect("open");
        let bench = Bench::prepare(store).await;
        let (mut whole, mut judging) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            whole = whole.min(bench.whole().await);
            judging = judging.min(bench.judging().await);
        }
        for (name, time) in [("whole", whole), ("judging", judging)] {
            println!("{name:>8}: {:9.0} messages/s", MESSAGES as f64 / time.as_secs_f64());
        }
    });
}

struct Bench {
    store: Store,
    organization: OrganizationId,
    application: ApplicationId,
    workspace: WorkspaceId,
    lists: [ListId; 2],
    rules: Vec<RuleId>,
    made: u64,
}

/// Copies of sent messages, as they are kept.
struct Sent {
    application: ApplicationId,
    rows: Vec<(Uuid, GrantId, UnixMicros, String)>,
}

impl Command for Sent {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO messages (id, grant_id, thread_id, blob_id, outgoing, date, unread, starred, \
            octets, folders, summary, sent_by) VALUES ($1, $2, $1, $1, 1, $3, 0, 0, 2000, '[\"sent\"]', $4, $5)";
        for (id, grant, at, summary) in &self.rows {
            let values = params![*id, grant.uuid(), at.as_micros(), summary, self.application.uuid()];
            tx.execute(INSERT, values).await?;
        }
        Ok(())
    }
}

impl Bench {
    async fn prepare(store: Store) -> Self {
        let mut bench = Self {
            store,
            organization: OrganizationId::from_uuid(Uuid::nil()),
            application: ApplicationId::from_uuid(Uuid::nil()),
            workspace: WorkspaceId::from_uuid(Uuid::nil()),
            lists: [ListId::from_uuid(Uuid::nil()); 2],
            rules: Vec::new(),
            made: 0,
        };
        bench.organization = OrganizationId::from_uuid(bench.fresh());
        bench.application = ApplicationId::from_uuid(bench.fresh());
        bench.workspace = WorkspaceId::from_uuid(bench.fresh());
        let domain = Domain::parse("agents.example").expect("domain");
        let domain = NewDomain::trusted(DomainId::from_uuid(bench.fresh()), domain);
        let organization = CreateOrganization {
            id: bench.organization,
            name: "Organization".into(),
            plan: "self_hosted".into(),
            application_id: bench.application,
            environment: "production".into(),
            workspace_id: bench.workspace,
            policy: None,
            keys: Vec::new(),
            domains: vec![domain],
            at: START,
            act: bench.act(),
        };
        bench.store.run(organization).await.expect("organization");
        bench.lists = [bench.list(ListKind::Address).await, bench.list(ListKind::Domain).await];
        for number in 0..RULES {
            bench.rule(number).await;
        }
        let update = UpdateWorkspace {
            act: bench.act(),
            application_id: bench.application,
            id: bench.workspace,
            name: None,
            auto_group: None,
            domain: None,
            on_quota: None,
            policy_id: Patch::Keep,
            rule_ids: Patch::Set(bench.rules.clone()),
        };
        bench.store.run(update).await.expect("workspace");
        bench.send().await;
        bench
    }

    fn fresh(&mut self) -> Uuid {
        self.made += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.made.to_be_bytes());
        uuid_v7(START, random)
    }

    fn act(&mut self) -> Act {
        Act::of_command_line(AuditId::from_uuid(self.fresh()), self.organization, START)
    }

    async fn list(&mut self, kind: ListKind) -> ListId {
        let (id, application_id) = (ListId::from_uuid(self.fresh()), self.application);
        let create = CreateList { act: self.act(), id, application_id, name: "List".into(), description: None, kind };
        self.store.run(create).await.expect("list");
        let value = |number| match kind {
            ListKind::Address => format!("person{number}@listed.example"),
            _ => format!("listed{number}.example"),
        };
        let items = (0..ITEMS)
            .map(|number| NewItem { id: ListItemId::from_uuid(self.fresh()), value: value(number) })
            .collect();
        let add = AddItems { act: self.act(), application_id, id, items };
        self.store.run(add).await.expect("items");
        id
    }

    async fn rule(&mut self, number: usize) {
        let texts = |field: &str, operator: &str, value| ConditionInput {
            field: field.into(),
            operator: operator.into(),
            value,
        };
        let field = ["recipient.address", "recipient.domain"][number % 2];
        let listed = texts(field, "in_list", ValueInput::Texts(vec![self.lists[number % 2].to_string()]));
        let field = ["from.domain", "recipient.domain", "recipient.tld", "from.address"][number % 4];
        let operator = if number.is_multiple_of(3) { "contains" } else { "is" };
        let other = texts(field, operator, ValueInput::Text(format!("other{number}.example")));
        let action = if number.is_multiple_of(10) { "block" } else { "mark_as_starred" };
        let operator = if number.is_multiple_of(5) { "any" } else { "all" };
        let input = RuleInput {
            name: Patch::Set(format!("Rule {number}")),
            trigger: Patch::Set("outbound".into()),
            matching: Patch::Set(MatchInput { operator: Some(operator.into()), conditions: vec![listed, other] }),
            actions: Patch::Set(vec![ActionInput { kind: action.into(), value: None }]),
            ..RuleInput::default()
        };
        let (id, change) = (RuleId::from_uuid(self.fresh()), RuleChange::of_new(input).expect("rule"));
        let create = CreateRule { act: self.act(), id, application_id: self.application, change };
        self.store.run(create).await.expect("rule");
        self.rules.push(id);
    }

    async fn send(&mut self) {
        let mut grants = Vec::new();
        for number in 0..MAILBOXES {
            let (id, event_id) = (GrantId::from_uuid(self.fresh()), EventId::from_uuid(self.fresh()));
            let email = EmailAddress::parse(&format!("agent{number}@agents.example")).expect("address");
            let grant =
                NewGrant { id, workspace_id: None, email, name: None, app_password: None, state: None, event_id };
            let (act, application_id) = (self.act(), self.application);
            let create = CreateGrant { act, application_id, origin: Origin::default(), grant };
            self.store.run(create).await.expect("mailbox");
            grants.push(id);
        }
        const ANY: &str = "SELECT id FROM grants WHERE application_id = $1";
        let mut reader = self.store.reader().await.expect("reader");
        let found = reader.query(ANY, params![self.application.uuid()]).await.expect("mailboxes");
        assert_eq!(found.len(), MAILBOXES, "domains are checked where mailboxes are made");
        drop(reader);
        for first in (0..MESSAGES).step_by(AT_ONCE) {
            let rows = (first..first + AT_ONCE).map(|number| {
                let at = START.plus(Duration::from_millis(number as u64));
                let mut random = [0; 10];
                random[2..].copy_from_slice(&(number as u64).to_be_bytes());
                (uuid_v7(at, random), grants[number % MAILBOXES], at, summary(number))
            });
            let sent = Sent { application: self.application, rows: rows.collect() };
            self.store.run(sent).await.expect("messages");
        }
    }

    /// What is to be different: the last rule blocks, and a list has one item more.
    fn request(&self, cursor: Option<String>) -> ReplayRules {
        let rule = json!({"rule_id": self.rules[RULES - 1].to_string(), "rule": {"actions": [{"type": "block"}]}});
        let list = json!({"list_id": self.lists[1].to_string(), "add": ["shop7.example"]});
        let body = json!({
            "since": START.as_seconds(), "cursor": cursor, "changes": {"rules": [rule], "lists": [list]},
        });
        serde_json::from_value(body).expect("request")
    }

    async fn whole(&self) -> Duration {
        let (mut judged, mut changed, mut cursor, begun) = (0, 0, None, Instant::now());
        loop {
            let request = self.request(cursor);
            let page: RuleReplay = replay(&self.store, NOW, self.application, request).await.expect("replay");
            judged += page.judged;
            changed += page.totals.changed;
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let taken = begun.elapsed();
        assert!(judged == MESSAGES as u64 && changed > 0, "{judged} judged, {changed} changed");
        taken
    }

    async fn judging(&self) -> Duration {
        let mut reader = self.store.reader().await.expect("reader");
        let present: Vec<Rule> = rules::of_workspace(&mut reader, self.workspace)
            .await
            .expect("rules")
            .into_iter()
            .map(|kept| kept.named.rule)
            .collect();
        let change = ListChange { added: ["shop7.example".to_owned()].into(), ..ListChange::default() };
        let overlay = Overlay::from([(self.lists[1], change)]);
        let sides = Sides::new(present, None, &overlay);
        let mut anew = Anew::new(&self.store, &overlay, ITEMS_READ_MAX);
        anew.prepare(&mut reader, self.workspace, &sides).await.expect("lists");
        let (mut taken, mut after, until) = (Duration::ZERO, past::from(START), NOW);
        loop {
            let span = Span { application_id: self.application, after, until, limit: LIMIT_DEFAULT };
            let messages: Vec<Past> = past::read(&mut reader, span).await.expect("past");
            let Some(last) = messages.last() else { return taken };
            after = last.id;
            let begun = Instant::now();
            for message in &messages {
                let input = message.input.as_ref().expect("input");
                let (before, after) = anew.judge(&mut reader, &sides, input).await.expect("judged");
                black_box(difference(&before, &after.expect("both")));
            }
            taken += begun.elapsed();
        }
    }
}

/// What is kept beside a copy. One recipient in a hundred is an item of a list.
fn summary(number: usize) -> String {
    let scattered = number.wrapping_mul(0x9e37_79b1) % ITEMS;
    let recipients = (0..=number % 3).map(|place| {
        let email = match (number + place) % 200 {
            0 => format!("person{scattered}@listed.example"),
            1 => format!("somebody@listed{scattered}.example"),
            _ => format!("customer{scattered}.{place}@shop{number}.example"),
        };
        json!({"email": email, "name": "Customer"})
    });
    json!({
        "subject": format!("Your order {number}"),
        "from": [{"email": format!("agent{}@agents.example", number % MAILBOXES), "name": "Agent"}],
        "to": recipients.collect::<Vec<_>>(),
        "snippet": "Thank you for your order. We have received it and will tell you as soon as it is on its way to you.",
        "message_id": format!("{number}@agents.example"),
    })
    .to_string()
}
