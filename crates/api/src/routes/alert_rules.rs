//! `/v3/alerts/send`: rules by which an application is told that a rate of what it sends is beyond a line.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_core::Problem;
use postfleet_core::id::AlertRuleId;
use postfleet_fleet::alert_rules;
use postfleet_schema::alert_rule::{AlertRule, WriteAlertRule};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/alerts/send", "alerts.read", list)
            .about("List alert rules", "All of the application, oldest first, in one page, with what they found last.")
            .lists::<AlertRule>(),
        Route::post("/v3/alerts/send", "alerts.write", create)
            .about(
                "Make an alert rule",
                "It is looked at within seconds, then every five minutes. When its line is crossed, `alert.triggered` is \
                 announced: once, until the rate was within again. At most 20 in an application.",
            )
            .takes::<WriteAlertRule>()
            .answers::<AlertRule>(),
        Route::get("/v3/alerts/send/{alert_rule}", "alerts.read", find)
            .about("Find an alert rule", "")
            .answers::<AlertRule>(),
        Route::put("/v3/alerts/send/{alert_rule}", "alerts.write", update)
            .about("Change an alert rule", "What is absent stays. A line that is another is looked at anew.")
            .takes::<WriteAlertRule>()
            .answers::<AlertRule>(),
        Route::delete("/v3/alerts/send/{alert_rule}", "alerts.write", remove).about("Remove an alert rule", ""),
    ]
}

/// `GET /v3/alerts/send`
pub(crate) async fn list(call: Call) -> Answer {
    let list = alert_rules::list(&call.platform.store, call.application).await?;
    Ok(respond::page(&call.id, list.iter().map(alert_rules::show).collect(), None))
}

/// `POST /v3/alerts/send`
pub(crate) async fn create(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: WriteAlertRule = json(&parts, body, BODY_OCTETS_MAX).await?;
    let rule = alert_rules::create(&platform.store, &*platform.entropy, act, application, request).await?;
    Ok(respond::single(&id, alert_rules::show(&rule)))
}

/// `GET /v3/alerts/send/{alert_rule}`
pub(crate) async fn find(call: Call) -> Answer {
    let rule = alert_rules::find(&call.platform.store, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, alert_rules::show(&rule)))
}

/// `PUT /v3/alerts/send/{alert_rule}`
pub(crate) async fn update(call: Call) -> Answer {
    let rule: Result<AlertRuleId, Problem> = call.id_at(0);
    let (rule, act) = (rule?, call.act());
    let Call { platform, application, id, parts, body, .. } = call;
    let request: WriteAlertRule = json(&parts, body, BODY_OCTETS_MAX).await?;
    let rule = alert_rules::update(&platform.store, act, application, rule, request).await?;
    Ok(respond::single(&id, alert_rules::show(&rule)))
}

/// `DELETE /v3/alerts/send/{alert_rule}`
pub(crate) async fn remove(call: Call) -> Answer {
    alert_rules::remove(&call.platform.store, call.act(), call.application, call.id_at(0)?).await?;
    Ok(respond::done(&call.id))
}
