//! What others say of a domain: answers of block lists, with who is told of a new entry, and reports, each counted once.

use crate::support::{NOON, Tenant, all_events, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::block_list::Verdict;
use postfleet_core::event::Trigger;
use postfleet_core::id::{DomainId, DomainReportId};
use postfleet_store::block_answers::{self, ClaimBlockChecks, RecordBlockAnswers, Said};
use postfleet_store::domain_reports::{
    self, Kind, PruneReports, REPORTS_PER_DAY, Report, ReportRow, TakeReport, Taken,
};
use postfleet_store::domains::{RemoveDomain, RemoveDomainOutcome};
use postfleet_store::{Store, domains};
use std::net::Ipv4Addr;
use std::time::Duration;

fn after(seconds: u64) -> UnixMicros {
    NOON.plus(Duration::from_secs(seconds))
}

async fn domain_id(store: &Store, tenant: &Tenant) -> DomainId {
    let mut reader = store.reader().await.expect("reader");
    let found = domains::find_name(&mut reader, tenant.organization, &tenant.domain).await.expect("read");
    found.expect("domain").domain.id
}

fn said(subject: &str, verdict: Verdict) -> Said {
    Said { zone: "list.test".to_owned(), subject: subject.to_owned(), verdict }
}

fn listed() -> Verdict {
    Verdict::Listed(vec![Ipv4Addr::new(127, 0, 0, 2)], "spam".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_entry_is_told_once_and_what_is_not_asked_is_forgotten() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let id = domain_id(store, &tenant).await;
        let claim = |now| ClaimBlockChecks { now, until: after(600), limit: 8 };
        let claimed = at_once(store, vec![claim(NOON), claim(NOON)]).await.concat();
        let of_ours = |claimed: &[(_, DomainId, _)]| claimed.iter().filter(|(_, found, _)| *found == id).count();
        assert_eq!(of_ours(&claimed), 1, "one node asks");
        let record = async |seconds: u64, said: Vec<Said>| {
            let command = RecordBlockAnswers {
                organization_id: tenant.organization,
                id,
                said,
                next_at: after(seconds + 3_600),
                at: after(seconds),
            };
            store.run(command).await.expect("recorded").len()
        };
        let endangered = async || {
            let events = all_events(store).await;
            events.iter().filter(|event| event.event.trigger == Trigger::DomainEndangered).count()
        };
        let told = endangered().await;
        assert_eq!(record(1, vec![said("192.0.2.1", listed()), said("192.0.2.2", Verdict::Clear)]).await, 1);
        assert_eq!(record(2, vec![said("192.0.2.1", listed()), said("192.0.2.2", Verdict::Clear)]).await, 0);
        assert_eq!(record(3, vec![said("192.0.2.1", Verdict::Unknown("silence".to_owned()))]).await, 0);
        assert_eq!(endangered().await - told, 1, "an application is told, once");
        let kept = block_answers::of_domain(&mut store.reader().await.expect("reader"), id).await.expect("read");
        let [kept] = kept.as_slice() else { panic!("{kept:?}") };
        assert_eq!((kept.subject.as_str(), kept.known.since, kept.known.failures), ("192.0.2.1", Some(after(1)), 1));
        assert_eq!((kept.known.reason.as_str(), kept.asked_at), ("spam", after(3)));
        let none = store.run(claim(after(3_602))).await.expect("claimed");
        assert_eq!(of_ours(&none), 0, "it is not due before its time");
        assert_eq!(of_ours(&store.run(claim(after(3_603))).await.expect("claimed")), 1);
        // Clear, and on the list again: that is new.
        assert_eq!(record(4, vec![said("192.0.2.1", Verdict::Clear)]).await, 0);
        assert_eq!(record(5, vec![said("192.0.2.1", listed())]).await, 1);
        let removed = store.run(RemoveDomain { id, act: tenant.act(NOON) }).await.expect("removed");
        assert_eq!(removed, RemoveDomainOutcome::Removed);
        assert_eq!(record(6, vec![said("192.0.2.1", listed())]).await, 0, "nothing is kept of what is gone");
        let left = number(store, "SELECT count(*) FROM block_answers WHERE domain_id = $1", &[id.uuid().into()]).await;
        assert_eq!(left, 0);
    })
    .await;
}

fn report(report_id: &str, at: UnixMicros) -> Report {
    let mut ten = [0; 10];
    ten.copy_from_slice(&fresh().as_bytes()[..10]);
    Report {
        id: DomainReportId::new(at, ten),
        kind: Kind::Dmarc,
        is_verified: true,
        reporter: "Big".to_owned(),
        contact: String::new(),
        report_id: report_id.to_owned(),
        policy: "p=none".to_owned(),
        begins_at: NOON,
        ends_at: NOON,
        total: 12,
        failed: 2,
        quarantined: 1,
        rejected: 0,
    }
}

fn sources() -> Vec<ReportRow> {
    let row = |source: &str, dkim, count| ReportRow {
        source: source.to_owned(),
        what: "none".to_owned(),
        dkim,
        spf: false,
        count,
    };
    vec![row("192.0.2.1", true, 10), row("192.0.2.2", false, 2)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_counts_once_and_not_for_ever() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (ours, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let domain_id = domain_id(store, &ours).await;
        let take =
            |report| TakeReport { organization_id: ours.organization, domain_id, report, rows: sources(), at: NOON };
        let mut again = report("1", NOON);
        again.reporter = "BIG".to_owned();
        let mut taken = at_once(store, vec![take(report("1", NOON)), take(again)]).await;
        taken.sort_by_key(|taken| *taken != Taken::Kept);
        assert_eq!(taken, [Taken::Kept, Taken::Repeated]);
        assert_eq!(store.run(take(report("2", NOON))).await.expect("run"), Taken::Kept);
        let foreign = TakeReport { organization_id: other.organization, ..take(report("3", NOON)) };
        assert_eq!(store.run(foreign).await.expect("run"), Taken::Gone);
        let mut reader = store.reader().await.expect("reader");
        let of = (domain_id, Kind::Dmarc);
        let kept = domain_reports::of_domain(&mut reader, of, NOON, 10).await.expect("read");
        let sums = kept.iter().map(|kept| (kept.total, kept.failed, kept.quarantined)).collect::<Vec<_>>();
        assert_eq!(sums, [(12, 2, 1), (12, 2, 1)]);
        let rows = domain_reports::rows(&mut reader, of, NOON, 3).await.expect("read");
        let rows: Vec<_> = rows.iter().map(|row| (row.source.as_str(), row.dkim, row.count)).collect();
        assert_eq!(rows, [("192.0.2.1", true, 10), ("192.0.2.2", false, 2), ("192.0.2.1", true, 10)]);
        assert_eq!(domain_reports::of_domain(&mut reader, of, after(1), 10).await.expect("read"), []);
        assert_eq!(domain_reports::of_domain(&mut reader, (domain_id, Kind::Tls), NOON, 10).await.expect("read"), []);
        // What is below a domain is of the domain, for its own organization.
        let below = postfleet_core::Domain::parse(&format!("a.b.{}", ours.domain)).expect("domain");
        let found = domain_reports::registered(&mut reader, ours.organization, &below).await.expect("read");
        assert_eq!(found, Some(domain_id));
        let found = domain_reports::registered(&mut reader, other.organization, &below).await.expect("read");
        assert_eq!(found, None);
        drop(reader);
        for number in 2..REPORTS_PER_DAY {
            let command = TakeReport { at: after(60), ..take(report(&format!("n{number}"), after(60))) };
            assert_eq!(store.run(command).await.expect("run"), Taken::Kept);
        }
        let late = |seconds| TakeReport { at: after(seconds), ..take(report("late", after(seconds))) };
        assert_eq!(store.run(late(120)).await.expect("run"), Taken::TooMany);
        assert_eq!(store.run(late(2 * 86_400)).await.expect("run"), Taken::Kept, "tomorrow there is room again");
        let prune = PruneReports { before: after(86_400), limit: 1_000 };
        assert_eq!(store.run(prune).await.expect("run"), REPORTS_PER_DAY as u64);
        let left = "SELECT count(*) FROM domain_report_rows WHERE domain_id = $1";
        assert_eq!(number(store, left, &[domain_id.uuid().into()]).await, 2);
    })
    .await;
}
