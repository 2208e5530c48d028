//! The document as one page: no scripts, no other files, readable on a phone. Made from the document alone, so that it
//! can show nothing else.

mod example;
mod shape;
mod text;

use serde_json::Value;
use shape::Shapes;
use text::{escape, prose};

const STYLE: &str = include_str!("style.css");

/// The page.
pub(crate) fn render(document: &Value) -> String {
    let shapes = Shapes(document);
    let version = escape(string(&document["info"]["version"]));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>postfleet {version}: reference</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n"
    );
    page.push_str(&contents(document));
    page.push_str("<main>\n");
    page.push_str(&format!(
        "<header id=\"top\"><h1>postfleet <small>{version}</small></h1>\n{}\
         <p>The same for programs: <a href=\"/openapi.json\">openapi.json</a>.</p></header>\n",
        prose(string(&document["info"]["description"]))
    ));
    page.push_str(&credentials(document));
    for tag in list(&document["tags"]) {
        page.push_str(&group(document, &shapes, tag));
    }
    page.push_str(&errors(document));
    page.push_str(&shapes.all());
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// Method, path and operation of everything in a group.
fn operations<'a>(document: &'a Value, tag: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
    let of_path = |(path, item)| fields(item).map(move |(method, operation)| (method, path, operation));
    fields(&document["paths"]).flat_map(of_path).filter(move |(_, _, operation)| operation["tags"][0] == tag)
}

fn badge(method: &str) -> String {
    format!("<span class=\"method {method}\">{}</span>", method.to_ascii_uppercase())
}

/// The table of contents: beside the text on a wide screen, above it and folded on a narrow one.
fn contents(document: &Value) -> String {
    let mut groups = String::new();
    for tag in list(&document["tags"]) {
        let name = string(&tag["name"]);
        let line = |(method, _, operation): (&str, &str, &Value)| {
            let (id, summary) = (escape(string(&operation["operationId"])), escape(string(&operation["summary"])));
            format!("<li><a href=\"#{id}\">{} {summary}</a></li>\n", badge(method))
        };
        let lines: String = operations(document, name).map(line).collect();
        groups.push_str(&format!("<h2><a href=\"#group-{0}\">{0}</a></h2>\n<ul>\n{lines}</ul>\n", escape(name)));
    }
    let inner = format!(
        "<p><a href=\"#top\">Conventions</a> · <a href=\"#credentials\">Keys</a> · <a href=\"#errors\">Errors</a> · \
         <a href=\"#shapes\">Shapes</a></p>\n{groups}"
    );
    // The same twice: which one is shown depends on the width, without a script.
    format!(
        "<nav class=\"wide\" aria-label=\"Contents\">\n{inner}</nav>\n\
         <details class=\"narrow\"><summary>Contents</summary>\n<nav aria-label=\"Contents\">\n{inner}</nav>\n</details>\n"
    )
}

fn credentials(document: &Value) -> String {
    let row = |(name, scheme): (&str, &Value)| {
        let place = match string(&scheme["type"]) {
            "apiKey" => format!("<code>{}: …</code>", escape(string(&scheme["name"]))),
            _ => "<code>Authorization: Bearer …</code>".to_owned(),
        };
        let text = prose(string(&scheme["description"]));
        format!("<tr id=\"key-{0}\"><td><code>{0}</code></td><td>{place}</td><td>{text}</td></tr>\n", escape(name))
    };
    let rows: String = fields(&document["components"]["securitySchemes"]).map(row).collect();
    format!(
        "<section id=\"credentials\"><h2>Keys</h2>\n<div class=\"scroll\"><table>\n\
         <tr><th>Name</th><th>Where</th><th>What</th></tr>\n{rows}</table></div></section>\n"
    )
}

fn group(document: &Value, shapes: &Shapes<'_>, tag: &Value) -> String {
    let name = string(&tag["name"]);
    let all =
        operations(document, name).map(|(method, path, operation)| self::operation(shapes, method, path, operation));
    format!(
        "<section id=\"group-{0}\"><h2>{0}</h2>\n{1}{2}</section>\n",
        escape(name),
        prose(string(&tag["description"])),
        all.collect::<String>()
    )
}

fn operation(shapes: &Shapes<'_>, method: &str, path: &str, operation: &Value) -> String {
    let (id, summary) = (escape(string(&operation["operationId"])), escape(string(&operation["summary"])));
    // A long path may be broken between its segments.
    let shown = escape(path).replace('/', "/<wbr>");
    let mut html = format!(
        "<article id=\"{id}\">\n<h3><a href=\"#{id}\">{summary}</a></h3>\n\
         <p class=\"path\">{} <code>{shown}</code></p>\n{}",
        badge(method),
        prose(string(&operation["description"]))
    );
    html.push_str(&parameters(shapes, operation));
    if let Some((media_type, body)) = fields(&operation["requestBody"]["content"]).next() {
        let schema = &body["schema"];
        html.push_str(&format!("<h4>Body <small>{}</small></h4>\n{}", escape(media_type), shapes.table(schema)));
    }
    html.push_str(&answers(shapes, operation));
    let command = escape(&example::curl(shapes, method, path, operation));
    html.push_str(&format!("<h4>Example</h4>\n<pre><code>{command}</code></pre>\n</article>\n"));
    html
}

fn parameters(shapes: &Shapes<'_>, operation: &Value) -> String {
    let row = |parameter: &Value| {
        let place = parameter["in"].as_str().unwrap_or("query");
        format!(
            "<tr><td><code>{}</code><br><small>{place}</small></td><td>{}</td><td>{}</td></tr>\n",
            escape(string(&parameter["name"])),
            shapes.kind(&parameter["schema"]),
            prose(string(&parameter["description"]))
        )
    };
    let rows: String = list(&operation["parameters"]).iter().map(row).collect();
    if rows.is_empty() {
        return rows;
    }
    format!("<h4>Parameters</h4>\n<div class=\"scroll\"><table>\n{rows}</table></div>\n")
}

fn answers(shapes: &Shapes<'_>, operation: &Value) -> String {
    let (refusals, successes): (Vec<_>, Vec<_>) =
        fields(&operation["responses"]).partition(|(_, response)| !response["$ref"].is_null());
    let mut html = "<h4>Answers</h4>\n".to_owned();
    for (status, response) in successes {
        let (media_type, content) = fields(&response["content"]).next().unwrap_or(("", &Value::Null));
        let headers: Vec<_> =
            fields(&response["headers"]).map(|(name, _)| format!("<code>{}</code>", escape(name))).collect();
        let title = format!("<strong>{}</strong> {}", escape(status), escape(string(&response["description"])));
        let headers = format!("<p><small>{} {}</small></p>\n", escape(media_type), headers.join(" "));
        let body = shapes.alternatives(&content["schema"]);
        html.push_str(&format!("<details><summary>{title}</summary>\n{headers}{body}</details>\n"));
    }
    let link = |(status, _): (&str, &Value)| format!("<a href=\"#error-{0}\">{0}</a>", escape(status));
    let refusals: Vec<_> = refusals.into_iter().map(link).collect();
    if !refusals.is_empty() {
        html.push_str(&format!("<p>Errors: {}</p>\n", refusals.join(", ")));
    }
    html
}

fn errors(document: &Value) -> String {
    let statuses = |name: &str| {
        let reference = format!("#/components/responses/{name}");
        let all = fields(&document["paths"]).flat_map(|(_, item)| fields(item));
        let mut of_all = all.flat_map(|(_, operation)| fields(&operation["responses"]));
        of_all.find(|(_, response)| response["$ref"] == reference.as_str()).map(|(status, _)| status)
    };
    let mut refusals: Vec<_> = fields(&document["components"]["responses"])
        .filter_map(|(name, response)| Some((statuses(name)?, name, response)))
        .collect();
    refusals.sort_by_key(|(status, ..)| *status);
    let one = |(status, name, response): (&str, &str, &Value)| {
        let (status, name) = (escape(status), escape(name));
        format!(
            "<article id=\"error-{status}\"><h3>{status} {name}</h3>\n{}</article>\n",
            prose(string(&response["description"]))
        )
    };
    let all: String = refusals.into_iter().map(one).collect();
    format!(
        "<section id=\"errors\"><h2>Errors</h2>\n<p>Every refusal is an \
         <a href=\"#shape-ErrorEnvelope\">ErrorEnvelope</a> with one of these words in <code>error.code</code>.</p>\n\
         {all}</section>\n"
    )
}
