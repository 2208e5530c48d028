//! A tenant with a mailbox whose rules are changed, as judging is tested: what is sent, and what comes in.

use crate::support::{Engine, Tenant, fresh, tenant};
use postfleet_core::id::GrantId;
use postfleet_store::db::{DbError, Param};
use postfleet_store::judging::refresh_once;
use postfleet_store::outbound::Submit;
use postfleet_store::{Command, Store, Tx, params};
use serde_json::{Value, json};
use uuid::Uuid;

/// Something new: its id, and the statements that make it.
pub(crate) type Making = (Uuid, Vec<(&'static str, Vec<Of>)>);

/// A value of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Of {
    Int(i64),
    Text(String),
    Id(Uuid),
}

/// Statements in one transaction that also says that the rules are not what they were; then perhaps a submission, and
/// perhaps a failure, so that all of it is taken back.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) application: Uuid,
    pub(crate) statements: Vec<(&'static str, Vec<Of>)>,
    pub(crate) then: Option<Box<Submit>>,
    pub(crate) fails: bool,
}

impl Command for Change {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const CHANGED: &str = "UPDATE applications SET rules_version = rules_version + 1 WHERE id = $1";
        tx.execute(CHANGED, params![self.application]).await?;
        for (sql, values) in &self.statements {
            let bind = |value| match value {
                &Of::Int(value) => Param::Int(value),
                Of::Text(text) => Param::Text(text),
                &Of::Id(id) => Param::Uuid(id),
            };
            tx.execute(sql, &values.iter().map(bind).collect::<Vec<_>>()).await?;
        }
        if let Some(submit) = &self.then {
            submit.run(tx).await?;
        }
        if self.fails { Err(DbError::Malformed("test")) } else { Ok(()) }
    }
}

/// A tenant with a mailbox, and what its rules are changed with.
pub(crate) struct Case<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tenant: Tenant,
    pub(crate) grant: GrantId,
    /// Of the rules that are made.
    direction: &'static str,
}

impl<'a> Case<'a> {
    pub(crate) async fn new(engine: &'a Engine, direction: &'static str) -> Self {
        Self::of(engine, direction, None).await
    }

    /// The same with a policy, by which as many may be sent a day.
    pub(crate) async fn under_policy(engine: &'a Engine, direction: &'static str) -> Self {
        Self::of(engine, direction, Some(100)).await
    }

    async fn of(engine: &'a Engine, direction: &'static str, daily_sends: Option<u64>) -> Self {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", daily_sends).await;
        let grant = tenant.mailbox(store, "a").await;
        Self { store, tenant, grant, direction }
    }

    pub(crate) fn changing(&self, statements: Vec<(&'static str, Vec<Of>)>) -> Change {
        Change { application: self.tenant.application.uuid(), statements, then: None, fails: false }
    }

    pub(crate) async fn change(&self, statements: Vec<(&'static str, Vec<Of>)>) {
        self.store.run(self.changing(statements)).await.expect("change");
    }

    /// The statements that make a rule of the workspace.
    pub(crate) fn rule(&self, mode: &str, conditions: &Value, actions: &Value) -> Making {
        self.rule_at(10, mode, conditions, actions)
    }

    /// The same, with a priority.
    fn rule_at(&self, priority: i64, mode: &str, conditions: &Value, actions: &Value) -> Making {
        const RULE: &str = "INSERT INTO rules (id, application_id, name, priority, enabled, mode, direction, \
            match_operator, conditions, actions, created_at, updated_at) \
            VALUES ($1, $2, 'rule', $6, 1, $3, $7, 'all', $4, $5, 0, 0)";
        const USE: &str = "INSERT INTO workspace_rules (workspace_id, position, rule_id) \
            SELECT CAST($1 AS {id}), count(*), CAST($2 AS {id}) FROM workspace_rules WHERE workspace_id = $1";
        let id = fresh();
        let (application, workspace) = (self.tenant.application.uuid(), self.tenant.workspace.uuid());
        let text = |value: &Value| Of::Text(value.to_string());
        let mut values = vec![Of::Id(id), Of::Id(application), Of::Text(mode.into()), text(conditions), text(actions)];
        values.extend([Of::Int(priority), Of::Text(self.direction.into())]);
        (id, vec![(RULE, values), (USE, vec![Of::Id(workspace), Of::Id(id)])])
    }

    pub(crate) async fn add_rule(&self, mode: &str, conditions: Value, actions: Value) -> Uuid {
        self.add_rule_at(10, mode, conditions, actions).await
    }

    pub(crate) async fn add_rule_at(&self, priority: i64, mode: &str, conditions: Value, actions: Value) -> Uuid {
        let (id, statements) = self.rule_at(priority, mode, &conditions, &actions);
        self.change(statements).await;
        id
    }

    pub(crate) async fn remove_rules(&self) {
        const NONE: &str = "DELETE FROM workspace_rules WHERE workspace_id = $1";
        self.change(vec![(NONE, vec![Of::Id(self.tenant.workspace.uuid())])]).await;
    }

    pub(crate) async fn add_list(&self) -> Uuid {
        const LIST: &str = "INSERT INTO lists (id, application_id, name, kind, items_count, version, removals_since, \
            created_at, updated_at) VALUES ($1, $2, 'list', 'domain', 0, 1, 0, 0, 0)";
        let id = fresh();
        self.change(vec![(LIST, vec![Of::Id(id), Of::Id(self.tenant.application.uuid())])]).await;
        id
    }

    pub(crate) async fn add_items(&self, list: Uuid, values: impl IntoIterator<Item = String>) {
        const NEXT: &str = "UPDATE lists SET version = version + 1, items_count = items_count + $2 WHERE id = $1";
        const ITEM: &str = "INSERT INTO list_items (list_id, value, id, version, created_at) \
            SELECT l.id, $2, CAST($3 AS {id}), l.version, CAST(0 AS {int}) FROM lists l WHERE l.id = $1";
        let values: Vec<String> = values.into_iter().collect();
        let mut statements = vec![(NEXT, vec![Of::Id(list), Of::Int(values.len() as i64)])];
        statements.extend(values.into_iter().map(|value| (ITEM, vec![Of::Id(list), Of::Text(value), Of::Id(fresh())])));
        self.change(statements).await;
    }

    pub(crate) async fn remove_item(&self, list: Uuid, value: &str) {
        const NEXT: &str = "UPDATE lists SET version = version + 1, items_count = items_count - 1 WHERE id = $1";
        const REMOVE: &str = "DELETE FROM list_items WHERE list_id = $1 AND value = $2";
        const REMEMBER: &str = "INSERT INTO list_removals (list_id, version, value, removed_at) \
            SELECT l.id, l.version, $2, CAST(0 AS {int}) FROM lists l WHERE l.id = $1";
        let both = || vec![Of::Id(list), Of::Text(value.into())];
        self.change(vec![(NEXT, vec![Of::Id(list)]), (REMOVE, both()), (REMEMBER, both())]).await;
    }

    pub(crate) async fn remove_list(&self, list: Uuid) {
        self.change(vec![("DELETE FROM lists WHERE id = $1", vec![Of::Id(list)])]).await;
    }

    /// Reads everything into memory that is wanted there; answers in how many rounds.
    pub(crate) async fn refresh(&self) -> usize {
        let mut rounds = 0;
        while refresh_once(self.store).await.expect("refresh") {
            rounds += 1;
            assert!(rounds < 1_000, "it has no end");
        }
        rounds
    }
}

pub(crate) fn is(field: &str, value: &str) -> Value {
    json!([{"field": field, "operator": "is", "value": value}])
}
