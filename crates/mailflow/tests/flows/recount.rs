//! Counting anew by itself: each organization when it is due, and nothing is set right without being asked for.

use postfleet_fleet::recount as fleet;
use postfleet_mailflow::{janitor, recount};
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx};
use postfleet_testkit::world::{NewTenant, World};

/// Makes a counter of one organization wrong.
struct Falsify(uuid::Uuid);

impl Command for Falsify {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        let values = postfleet_store::params![self.0];
        tx.execute("UPDATE organizations SET grant_count = grant_count + 1 WHERE id = $1", values).await
    }
}

#[tokio::test]
async fn every_organization_is_counted_anew_when_it_is_due_and_what_is_wrong_stays_until_somebody_repairs_it() {
    let world = World::new().await;
    let tenant = world.tenant(NewTenant::of("acme.test")).await;
    world.tenant(NewTenant::of("other.test")).await;
    world.mailbox(&tenant, "agent").await;
    let platform = &world.platform;
    let round = async || {
        let mut organizations = 0;
        while recount::run_once(platform).await.expect("recount") {
            organizations += 1;
        }
        recount::measure_once(platform).await.expect("measure");
        organizations
    };
    let wrong = async || fleet::adrift(&platform.store).await.expect("adrift")["accounts"];
    assert_eq!((round().await, wrong().await), (2, 0));
    assert_eq!(round().await, 0, "not due again");
    platform.store.run(Falsify(tenant.organization_id.uuid())).await.expect("falsify");
    world.advance(fleet::EVERY.as_secs());
    janitor::clean_once(platform).await.expect("clean");
    for _ in 0..2 {
        assert_eq!((round().await, wrong().await), (2, 1));
        world.advance(fleet::EVERY.as_secs());
    }
}
