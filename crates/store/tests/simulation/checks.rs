//! What the product keeps, beside what the oracle has counted: where everybody stands, recounts, the ledger, and sums.

use crate::history::{Account, Counts, Fact, Subject};
use crate::oracle::Wrong;
use crate::world::World;
use postfleet_core::id::{ApplicationId, OrganizationId, WorkspaceId};
use postfleet_core::reputation::{self as rules, State, SubjectKind};
use postfleet_core::send_event::Counted;
use postfleet_store::reputation::{self, Kept};
use postfleet_store::send_events;
use std::collections::BTreeMap;

/// Names that are asked about at once.
const NAMES_AT_ONCE: usize = 1_000;

fn counts(counts: rules::Counts) -> Counts {
    [counts.attempts, counts.feedback_attempts, counts.hard_bounces, counts.complaints]
}

fn kind(whom: Subject) -> SubjectKind {
    match whom {
        Subject::Grant(_) | Subject::Thread(_) => SubjectKind::Grant,
        Subject::Domain(_) => SubjectKind::Domain,
        Subject::Workspace(_) => SubjectKind::Workspace,
        Subject::Application(_) => SubjectKind::Application,
        Subject::Organization(_) => SubjectKind::Organization,
    }
}

impl World {
    /// Where everybody stands.
    pub async fn check_standings(&mut self) -> Result<(), Wrong> {
        for of in [
            SubjectKind::Grant,
            SubjectKind::Domain,
            SubjectKind::Workspace,
            SubjectKind::Application,
            SubjectKind::Organization,
        ] {
            let is_meant = |whom: Subject| kind(whom) == of && !matches!(whom, Subject::Thread(_));
            let mut all: BTreeMap<String, Subject> = BTreeMap::new();
            all.extend(
                self.names.iter().filter(|(_, whom)| is_meant(**whom)).map(|(name, whom)| (name.clone(), *whom)),
            );
            let mut found: BTreeMap<String, Kept> = BTreeMap::new();
            let names: Vec<String> = all.keys().cloned().collect();
            for some in names.chunks(NAMES_AT_ONCE) {
                let mut reader = self.store().reader().await.expect("reader");
                let kept = reputation::find_all(&mut reader, of, some).await.expect("standings");
                found.extend(kept.into_iter().map(|kept| (kept.name.clone(), kept)));
            }
            for (name, whom) in all {
                let (state, counted) = match found.get(&name) {
                    Some(kept) => (kept.standing.state, counts(kept.standing.window.counts())),
                    None => (State::Healthy, [0; 4]),
                };
                self.fact(Fact::Stands { whom, state, counts: counted })?;
            }
        }
        Ok(())
    }

    /// The product's own recount of a mailbox.
    pub async fn check_recount(&mut self, account: Account) -> Result<(), Wrong> {
        let grant = self.mailboxes[account].id;
        let recount = {
            let mut reader = self.store().reader().await.expect("reader");
            reputation::recount(&mut reader, grant).await.expect("recount")
        };
        let fact = match recount {
            Some(found) => {
                Fact::Recounted { account, agrees: found.agrees && found.is_complete, counts: counts(found.counts) }
            }
            None => Fact::Recounted { account, agrees: true, counts: [0; 4] },
        };
        self.fact(fact)
    }

    /// Every row of the ledger of a mailbox that counts.
    pub async fn check_ledger(&mut self, account: Account) -> Result<(), Wrong> {
        if self.mailboxes[account].is_removed {
            return Ok(());
        }
        let grant = self.mailboxes[account].id;
        let mut events = {
            let mut reader = self.store().reader().await.expect("reader");
            send_events::of_grant(&mut reader, grant, None, false, 1_000_000).await.expect("ledger")
        };
        events.retain(|event| event.counted.is_anything());
        events.sort_by_key(|event| event.number);
        let rows = events.iter().map(|event| (event.number, flags(event.counted))).collect();
        self.fact(Fact::Ledger { account, rows })
    }

    /// The whole ledger, summed up for everybody that mailboxes share.
    pub async fn check_sums(&mut self) -> Result<(), Wrong> {
        const SUMS: &str = "SELECT organization_id, application_id, workspace_id, sender_domain, counted, count(*) \
            FROM send_events WHERE counted > 0 GROUP BY organization_id, application_id, workspace_id, sender_domain, \
            counted";
        let mut sums: BTreeMap<Subject, Counts> = BTreeMap::new();
        {
            let mut reader = self.store().reader().await.expect("reader");
            for row in reader.query(SUMS, &[]).await.expect("sums") {
                let names = [
                    OrganizationId::from_uuid(row.uuid(0).expect("id")).to_string(),
                    ApplicationId::from_uuid(row.uuid(1).expect("id")).to_string(),
                    WorkspaceId::from_uuid(row.uuid(2).expect("id")).to_string(),
                    row.text(3).expect("domain"),
                ];
                let (counted, times) =
                    (flags(Counted::numbered(row.int(4).expect("flags"))), row.int(5).expect("count"));
                for name in names {
                    let sum = sums.entry(self.names[&name]).or_default();
                    (0..4).for_each(|column| sum[column] += u64::from(counted[column]) * times as u64);
                }
            }
        }
        for (whom, counts) in sums {
            self.fact(Fact::Sum { whom, counts })?;
        }
        Ok(())
    }

    /// Everything, of everybody.
    pub async fn check_all(&mut self) -> Result<(), Wrong> {
        self.check_standings().await?;
        for account in 0..self.mailboxes.len() {
            self.check_recount(account).await?;
            self.check_ledger(account).await?;
        }
        self.check_sums().await
    }
}

fn flags(counted: Counted) -> [bool; 4] {
    [counted.attempt, counted.feedback, counted.hard_bounce, counted.complaint]
}
