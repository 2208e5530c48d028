//! `/v3/templates` and `/v3/grants/{grant}/templates`: the same routes for an application and for one of its mailboxes.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_core::id::TemplateId;
use postfleet_fleet::templates;
use postfleet_schema::template::{RenderBody, RenderTemplate, Rendered, Template, WriteTemplate};
use postfleet_store::templates::Owner;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    let of_application =
        ["/v3/templates", "/v3/templates/render", "/v3/templates/{template}", "/v3/templates/{template}/render"];
    let of_mailbox = [
        "/v3/grants/{grant}/templates",
        "/v3/grants/{grant}/templates/render",
        "/v3/grants/{grant}/templates/{grant_template}",
        "/v3/grants/{grant}/templates/{grant_template}/render",
    ];
    [of_application, of_mailbox].into_iter().flat_map(at).collect()
}

fn at([all, render_any, one, render_one]: [&'static str; 4]) -> Vec<Route> {
    vec![
        Route::get(all, "templates.read", list).about("List templates", LIST_DETAILS).query(LIST).lists::<Template>(),
        Route::post(all, "templates.write", create)
            .about("Make a template", DETAILS)
            .takes::<WriteTemplate>()
            .answers::<Template>(),
        Route::post(render_any, "templates.read", render_body)
            .about("Fill in a body", "It is not kept.")
            .takes::<RenderBody>()
            .answers::<Rendered>(),
        Route::get(one, "templates.read", find).about("Find a template", "").answers::<Template>(),
        Route::put(one, "templates.write", update)
            .about("Change a template", "What is absent stays.")
            .takes::<WriteTemplate>()
            .answers::<Template>(),
        Route::patch(one, "templates.write", update)
            .about("Change a template", "What is absent stays.")
            .takes::<WriteTemplate>()
            .answers::<Template>(),
        Route::delete(one, "templates.write", remove).about("Remove a template", ""),
        Route::post(render_one, "templates.read", render)
            .about("Fill in a template", RENDER_DETAILS)
            .takes::<RenderTemplate>()
            .answers::<Rendered>(),
    ]
}

const LIST_DETAILS: &str = "Oldest first: the application's own, or those of one mailbox.";

const DETAILS: &str = "The language is mustache: `{{name}}` (escaped in HTML), `{{{name}}}` and `{{&name}}` (as it is), \
    sections `{{#list}}…{{/list}}`, inverted ones `{{^list}}…{{/list}}`, comments `{{! … }}`, `{{.}}` for the item itself, names \
    with dots. There are no partials and no other delimiters. Templates that cannot be read are refused, with the line. \
    A template of the application is for all of its mailboxes. At most 1,000 of an application and 1,000 of a mailbox.";

const RENDER_DETAILS: &str = "A variable that is shown and has no value is refused by name, unless `strict` is `false`: then it \
    is nothing. Sections only ask whether there is something. Null, `false`, an empty text and an empty list are nothing. The \
    result has at most 1 MiB.";

const LIST: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
];

impl Call {
    /// Whose templates the path speaks of: the mailbox that it names, or the application.
    async fn templates_of(&self) -> Result<Owner, Problem> {
        let is_of_mailbox = self.parts.uri.path().starts_with("/v3/grants/");
        let grant = if is_of_mailbox { Some(self.grant().await?.id) } else { None };
        Ok(Owner { application: self.application, grant })
    }

    /// The template that the path names last.
    fn template(&self) -> Result<TemplateId, Problem> {
        self.id_at(self.path.len().saturating_sub(1))
    }
}

/// `GET …/templates`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let owner = call.templates_of().await?;
    let page = templates::list(&call.platform.store, owner, query.limit(50, 200)?, query.get("page_token")).await?;
    let page = page.map(|template| templates::show(&template));
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `POST …/templates`
pub(crate) async fn create(call: Call) -> Answer {
    let (owner, act) = (call.templates_of().await?, call.act());
    let Call { platform, id, parts, body, .. } = call;
    let request: WriteTemplate = json(&parts, body, BODY_OCTETS_MAX).await?;
    let made = templates::create(&platform.store, &*platform.entropy, act, owner, request).await?;
    Ok(respond::single(&id, templates::show(&made)))
}

/// `GET …/templates/{template}`
pub(crate) async fn find(call: Call) -> Answer {
    let owner = call.templates_of().await?;
    let found = templates::find(&call.platform.store, owner, call.template()?).await?;
    Ok(respond::single(&call.id, templates::show(&found)))
}

/// `PUT` and `PATCH …/templates/{template}`
pub(crate) async fn update(call: Call) -> Answer {
    let (owner, act) = (call.templates_of().await?, call.act());
    let template = call.template()?;
    let Call { platform, id, parts, body, .. } = call;
    let request: WriteTemplate = json(&parts, body, BODY_OCTETS_MAX).await?;
    let changed = templates::update(&platform.store, act, owner, template, request).await?;
    Ok(respond::single(&id, templates::show(&changed)))
}

/// `DELETE …/templates/{template}`
pub(crate) async fn remove(call: Call) -> Answer {
    let owner = call.templates_of().await?;
    templates::remove(&call.platform.store, call.act(), owner, call.template()?).await?;
    Ok(respond::done(&call.id))
}

/// `POST …/templates/{template}/render`
pub(crate) async fn render(call: Call) -> Answer {
    let owner = call.templates_of().await?;
    let template = templates::find(&call.platform.store, owner, call.template()?).await?;
    let Call { id, parts, body, .. } = call;
    let request: RenderTemplate = json(&parts, body, BODY_OCTETS_MAX).await?;
    Ok(respond::single(&id, templates::render(&template, request)?))
}

/// `POST …/templates/render`
pub(crate) async fn render_body(call: Call) -> Answer {
    call.templates_of().await?;
    let Call { id, parts, body, .. } = call;
    let request: RenderBody = json(&parts, body, BODY_OCTETS_MAX).await?;
    Ok(respond::single(&id, templates::render_body(request)?))
}
