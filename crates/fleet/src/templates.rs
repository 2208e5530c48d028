//! Templates for messages: reading what a request wants, carrying it out, showing what there is, and filling one in.

use crate::input;
use crate::pages::{self, Page};
use postfleet_core::audit::Act;
use postfleet_core::id::TemplateId;
use postfleet_core::{Problem, ProblemKind};
use postfleet_mail::template::{self as language, Form};
use postfleet_net::Entropy;
use postfleet_schema::template as schema;
use postfleet_store::Store;
use postfleet_store::templates::{
    self, CreateOutcome, CreateTemplate, Owner, RemoveTemplate, TEMPLATES_MAX, Template, UpdateTemplate,
};
use serde_json::{Map, Value};

/// Octets of the template of a subject.
pub const SUBJECT_OCTETS_MAX: usize = 998;

/// Octets of the template of a body.
pub const BODY_OCTETS_MAX: usize = 512 << 10;

/// The language of templates.
const ENGINE: &str = "mustache";

fn engine(name: Option<&str>) -> Result<(), Problem> {
    match name {
        None | Some("" | ENGINE) => Ok(()),
        Some(_) => Err(Problem::invalid("engine", "engine must be mustache: others are not available")),
    }
}

/// A template that can be read: what is wrong is said when it is written, not when it is used.
fn checked(field: &'static str, text: String, octets_max: usize) -> Result<String, Problem> {
    if text.len() > octets_max {
        return Err(Problem::invalid(field, format!("{field} must have at most {octets_max} bytes")));
    }
    language::Template::read(&text).map_err(|fault| Problem::invalid(field, format!("{field}: {fault}")))?;
    Ok(text)
}

struct Wish {
    name: Option<String>,
    subject: Option<String>,
    body: Option<String>,
}

fn read(request: schema::WriteTemplate) -> Result<Wish, Problem> {
    engine(request.engine.as_deref())?;
    let subject = |text: String| {
        if text.contains(|c: char| c.is_control()) {
            return Err(Problem::invalid("subject", "subject must not have control characters"));
        }
        checked("subject", text, SUBJECT_OCTETS_MAX)
    };
    Ok(Wish {
        name: request.name.map(|name| input::name("name", &name)).transpose()?,
        subject: request.subject.map(subject).transpose()?,
        body: request.body.map(|text| checked("body", text, BODY_OCTETS_MAX)).transpose()?,
    })
}

/// Makes a template.
pub async fn create(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    owner: Owner,
    request: schema::WriteTemplate,
) -> Result<Template, Problem> {
    let now = act.at;
    let Wish { name, subject, body } = read(request)?;
    let missing = |field: &'static str| move || Problem::invalid(field, format!("{field} must be given"));
    let template = Template {
        id: TemplateId::new(now, entropy.ten()),
        owner,
        name: name.ok_or_else(missing("name"))?,
        subject: subject.ok_or_else(missing("subject"))?,
        body: body.ok_or_else(missing("body"))?,
        created_at: now,
        updated_at: now,
    };
    match store.run(CreateTemplate { act, template: template.clone() }).await? {
        CreateOutcome::Created => Ok(template),
        CreateOutcome::NoSuchOwner => Err(Problem::not_found()),
        CreateOutcome::TooMany => {
            let whose = if owner.grant.is_some() { "account" } else { "application" };
            let text = format!("an {whose} may have at most {TEMPLATES_MAX} templates");
            Err(Problem::new(ProblemKind::Conflict, "templates_max_reached", text))
        }
    }
}

/// Changes a template; what the request does not name stays.
pub async fn update(
    store: &Store,
    act: Act,
    owner: Owner,
    id: TemplateId,
    request: schema::WriteTemplate,
) -> Result<Template, Problem> {
    let Wish { name, subject, body } = read(request)?;
    store.run(UpdateTemplate { act, owner, id, name, subject, body }).await?.ok_or_else(Problem::not_found)
}

/// Removes a template.
pub async fn remove(store: &Store, act: Act, owner: Owner, id: TemplateId) -> Result<(), Problem> {
    let removed = store.run(RemoveTemplate { act, owner, id }).await?;
    if removed { Ok(()) } else { Err(Problem::not_found()) }
}

/// A page of an owner's templates.
pub async fn list(
    store: &Store,
    owner: Owner,
    limit: usize,
    page_token: Option<&str>,
) -> Result<Page<Template>, Problem> {
    let after = pages::after(page_token)?;
    let found = templates::list(&mut store.reader().await?, owner, after, limit + 1).await?;
    Ok(pages::cut(found, limit, |template| template.id))
}

/// One template of an owner.
pub async fn find(store: &Store, owner: Owner, id: TemplateId) -> Result<Template, Problem> {
    let found = templates::find(&mut store.reader().await?, owner.application, id).await?;
    found.filter(|template| template.owner == owner).ok_or_else(Problem::not_found)
}

/// Shows a template.
pub fn show(template: &Template) -> schema::Template {
    let Owner { application, grant } = template.owner;
    schema::Template {
        id: template.id.to_string(),
        object: "template",
        app_id: grant.is_none().then(|| application.to_string()),
        grant_id: grant.map(|grant| grant.to_string()),
        engine: ENGINE,
        name: template.name.clone(),
        subject: template.subject.clone(),
        body: template.body.clone(),
        created_at: template.created_at.as_seconds(),
        updated_at: template.updated_at.as_seconds(),
    }
}

/// Fills a template in. `at` is the field that gave the variables.
fn fill(
    text: &str,
    variables: &Value,
    strict: Option<bool>,
    form: Form,
    [what, at]: [&str; 2],
) -> Result<String, Problem> {
    let filled =
        language::Template::read(text).and_then(|template| template.render(variables, strict.unwrap_or(true), form));
    filled.map_err(|fault| match fault {
        language::Fault::Undefined(name) => {
            let field = format!("{at}.{name}");
            Problem::invalid(&field, format!("{field} is not defined, and {what} of the template shows it"))
        }
        fault => Problem::invalid(what, format!("{what}: {fault}")),
    })
}

/// Fills in subject and body of a template.
pub fn render(template: &Template, request: schema::RenderTemplate) -> Result<schema::Rendered, Problem> {
    let schema::RenderTemplate { variables, strict } = request;
    let variables = Value::Object(variables);
    let subject = fill(&template.subject, &variables, strict, Form::Line, ["subject", "variables"])?;
    let body = fill(&template.body, &variables, strict, Form::Html, ["body", "variables"])?;
    Ok(schema::Rendered { subject: Some(subject), body })
}

/// Fills in a body that is not kept.
pub fn render_body(request: schema::RenderBody) -> Result<schema::Rendered, Problem> {
    engine(request.engine.as_deref())?;
    let body = request.body.ok_or_else(|| Problem::invalid("body", "body must be given"))?;
    let body = checked("body", body, BODY_OCTETS_MAX)?;
    let body = fill(&body, &Value::Object(request.variables), request.strict, Form::Html, ["body", "variables"])?;
    Ok(schema::Rendered { subject: None, body })
}

/// What a template gives to a message: the subject and the body that the request does not give itself.
#[derive(Debug)]
pub struct Filled {
    /// The subject, if it is wanted.
    pub subject: Option<String>,
    /// The body, if it is wanted.
    pub body: Option<String>,
}

/// Fills a template of a mailbox or of its application in for a message.
pub async fn fill_message(
    store: &Store,
    owner: Owner,
    wanted: schema::UseTemplate,
    [wants_subject, wants_body]: [bool; 2],
    is_plaintext: bool,
) -> Result<Filled, Problem> {
    let schema::UseTemplate { id, strict, variables } = wanted;
    let unknown =
        || Problem::invalid("template.id", "template.id is not a template of this account or its application");
    let id = id.parse().map_err(|_| unknown())?;
    let found = templates::find(&mut store.reader().await?, owner.application, id).await?;
    let is_ours = |template: &Template| template.owner.grant.is_none_or(|grant| owner.grant == Some(grant));
    let template = found.filter(is_ours).ok_or_else(unknown)?;
    let variables = Value::Object(variables as Map<String, Value>);
    let form = if is_plaintext { Form::Text } else { Form::Html };
    let fill = |text: &str, form, what| fill(text, &variables, strict, form, [what, "template.variables"]);
    Ok(Filled {
        subject: wants_subject.then(|| fill(&template.subject, Form::Line, "subject")).transpose()?,
        body: wants_body.then(|| fill(&template.body, form, "body")).transpose()?,
    })
}
