//! `/v3/workspaces`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json, json_or_nothing, typed};
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_fleet::{layout, rule_test, workspaces};
use postfleet_schema::rule_test::{RuleTest, TestRules};
use postfleet_schema::workspace::{
    Assigned, AutoGroup, AutoGroupStarted, CreateWorkspace, ManualAssign, Preset, UpdateWorkspace, Workspace,
};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/workspaces", "workspaces.read", list)
            .about("List workspaces", "All of them, oldest first.")
            .lists::<Workspace>(),
        Route::post("/v3/workspaces", "workspaces.write", create)
            .about("Make a workspace", "With preset, a policy of that kind is made with it.")
            .takes::<CreateWorkspace>()
            .answers::<Workspace>(),
        Route::get("/v3/workspaces/presets", "workspaces.read", presets)
            .about("List presets", "Kinds of workspace that can be asked for by name.")
            .lists::<Preset>(),
        Route::post("/v3/workspaces/auto-group", "workspaces.write", auto_group)
            .about(
                "Group mailboxes by domain",
                "Begins a job that moves mailboxes of the default workspace, and those in none, into the oldest \
                 workspace that takes mailboxes of their domain. Once a minute.",
            )
            .takes::<AutoGroup>()
            .answers::<AutoGroupStarted>(),
        Route::get("/v3/workspaces/{workspace}", "workspaces.read", find)
            .about("Find a workspace", "By id or domain; of several with one domain, the oldest.")
            .answers::<Workspace>(),
        Route::patch("/v3/workspaces/{workspace}", "workspaces.write", update)
            .about("Change a workspace", "Absent fields stay; null detaches the policy or all rules.")
            .takes::<UpdateWorkspace>()
            .answers::<Workspace>(),
        Route::delete("/v3/workspaces/{workspace}", "workspaces.write", remove)
            .about("Remove a workspace", "By id or domain. Its mailboxes go into the default workspace."),
        Route::post("/v3/workspaces/{workspace}/manual-assign", "workspaces.write", assign)
            .about(
                "Move mailboxes",
                "Into the workspace, which is named by id or domain, or out of it into none. All of them or none.",
            )
            .takes::<ManualAssign>()
            .answers::<Assigned>(),
        Route::post("/v3/workspaces/{workspace}/rules/test", "rules.read", test_rules)
            .about(
                "Judge a message",
                "What the rules of the workspace, or others that the request brings, say of one given message, and why. \
                 Nothing is sent, kept, counted or recorded.",
            )
            .takes::<TestRules>()
            .answers::<RuleTest>(),
    ]
}

/// `GET /v3/workspaces`
pub(crate) async fn list(call: Call) -> Answer {
    let list = workspaces::list(&call.platform.store, call.application).await?;
    Ok(respond::page(&call.id, list.iter().map(workspaces::show).collect(), None))
}

/// `POST /v3/workspaces`
pub(crate) async fn create(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateWorkspace = json(&parts, body, BODY_OCTETS_MAX).await?;
    let made = workspaces::create(&platform.store, &*platform.entropy, act, application, &request).await?;
    Ok(respond::single(&id, workspaces::show(&made)))
}

/// `GET /v3/workspaces/presets`
pub(crate) async fn presets(call: Call) -> Answer {
    Ok(respond::page(&call.id, workspaces::presets(), None))
}

/// `POST /v3/workspaces/auto-group`
pub(crate) async fn auto_group(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: AutoGroup = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await?;
    let started = layout::group(&platform.store, &*platform.entropy, act, application, &request).await?;
    Ok(respond::single(&id, started))
}

/// `GET /v3/workspaces/{workspace}`
pub(crate) async fn find(call: Call) -> Answer {
    let found = workspaces::find(&call.platform.store, call.application, &call.path[0]).await?;
    Ok(respond::single(&call.id, workspaces::show(&found)))
}

/// `PATCH /v3/workspaces/{workspace}`
pub(crate) async fn update(call: Call) -> Answer {
    let (act, workspace) = (call.act(), call.id_at(0)?);
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateWorkspace = json(&parts, body, BODY_OCTETS_MAX).await?;
    let updated = workspaces::update(&platform.store, act, application, workspace, &request).await?;
    Ok(respond::single(&id, workspaces::show(&updated)))
}

/// `DELETE /v3/workspaces/{workspace}`
pub(crate) async fn remove(call: Call) -> Answer {
    let platform = &call.platform;
    workspaces::remove(&platform.store, &*platform.entropy, call.act(), call.application, &call.path[0]).await?;
    Ok(respond::done(&call.id))
}

/// `POST /v3/workspaces/{workspace}/manual-assign`
pub(crate) async fn assign(call: Call) -> Answer {
    let act = call.act();
    let workspace = workspaces::named(&call.platform.store, call.application, &call.path[0]).await?;
    let Call { platform, application, id, parts, body, .. } = call;
    let request: ManualAssign = json(&parts, body, BODY_OCTETS_MAX).await?;
    let (store, entropy) = (&platform.store, &*platform.entropy);
    let assigned = workspaces::assign(store, entropy, act, application, workspace, &request).await?;
    Ok(respond::single(&id, assigned))
}

/// `POST /v3/workspaces/{workspace}/rules/test`
pub(crate) async fn test_rules(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, path, .. } = call;
    let body = json(&parts, body, BODY_OCTETS_MAX).await.map_err(rule_test::header_is_enough)?;
    rule_test::check_objects(&body)?;
    let request: TestRules = typed(body)?;
    let tested = rule_test::test(&platform.store, application, &path[0], request).await?;
    Ok(respond::single(&id, tested))
}
