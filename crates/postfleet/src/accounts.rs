//! Metrics of each mailbox: what it has sent and received today, and what it keeps. They are read from the store
//! whenever somebody asks, so they are the very counters that mailboxes are held against, and a mailbox that is removed
//! is gone from them.

use postfleet_core::UtcDay;
use postfleet_store::meters::{self, AccountUsed};
use postfleet_store::{Store, StoreError};
use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};

/// Mailboxes of which there are metrics: the oldest ones.
pub const ACCOUNTS_MAX: usize = 10_000;

/// Mailboxes that are read at once.
const PAGE: usize = 1_000;

const LABELS: &[&str] = &["grant", "email"];

/// The metrics of at most `most` mailboxes in Prometheus text format.
pub async fn text(store: &Store, day: UtcDay, most: usize) -> Result<String, StoreError> {
    let gauges = Gauges::new();
    let (mut after, mut left) = (None, most);
    while left > 0 {
        let page = left.min(PAGE);
        let read = meters::of_accounts(&mut store.reader().await?, day, after, page).await?;
        read.iter().for_each(|account| gauges.set(account));
        if read.len() < page {
            break;
        }
        (after, left) = (read.last().map(|account| account.grant_id), left - page);
        tokio::task::yield_now().await;
    }
    Ok(gauges.text())
}

/// What a gauge says of a mailbox.
type Value = fn(&AccountUsed) -> u64;

struct Gauges {
    registry: Registry,
    gauges: Vec<(IntGaugeVec, Value)>,
}

impl Gauges {
    fn new() -> Self {
        let registry = Registry::new();
        let wanted: [(&str, &str, Value); 3] = [
            ("postfleet_account_sends_today", "Messages sent by a mailbox this UTC day", |account| account.sent),
            ("postfleet_account_received_today", "Messages received by a mailbox this UTC day", |account| {
                account.received
            }),
            ("postfleet_account_storage_bytes", "Bytes that a mailbox keeps", |account| account.stored),
        ];
        let gauges = wanted.into_iter().filter_map(|(name, help, of)| {
            // Refused are names that are wrong or there twice, which these are not.
            let gauge = IntGaugeVec::new(Opts::new(name, help), LABELS).ok()?;
            registry.register(Box::new(gauge.clone())).ok()?;
            Some((gauge, of))
        });
        let gauges = gauges.collect();
        Self { registry, gauges }
    }

    fn set(&self, account: &AccountUsed) {
        let grant = account.grant_id.to_string();
        for (gauge, of) in &self.gauges {
            let value = i64::try_from(of(account)).unwrap_or(i64::MAX);
            gauge.with_label_values(&[grant.as_str(), account.email.as_str()]).set(value);
        }
    }

    fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}
