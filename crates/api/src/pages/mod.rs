//! Pages for people: signing in, what went wrong before that, unsubscribing, and agreeing to mail ([`opt_in`]). They are whole in themselves: no scripts, nothing from
//! elsewhere, never inside another page, never kept. Everything that a request said is escaped.

pub(crate) mod opt_in;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

const TEMPLATE: &str = include_str!("sign_in.html");

/// The form with which somebody signs in.
pub(crate) struct SignInForm<'a> {
    /// What the application is called.
    pub(crate) client: &'a str,
    /// Where it leads back to.
    pub(crate) redirect_uri: &'a str,
    /// What the form carries along, by name.
    pub(crate) carried: &'a [(&'static str, String)],
    /// The address that is filled in already.
    pub(crate) email: &'a str,
    /// Why it is shown again.
    pub(crate) failure: Option<&'a str>,
}

impl SignInForm<'_> {
    /// Shows the form. `nonce` is a random text of this answer alone.
    pub(crate) fn show(&self, status: StatusCode, nonce: &str) -> Response {
        let title = format!("Sign in to {}", escaped(self.client));
        page(status, nonce, &title, &self.content(), Some(scheme(self.redirect_uri)))
    }

    fn content(&self) -> String {
        let hidden = self
            .carried
            .iter()
            .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escaped(value)));
        let (failure, described) = match self.failure {
            Some(text) => (
                format!("<p class=\"failure\" id=\"failure\" role=\"alert\">{}</p>\n", escaped(text)),
                " aria-describedby=\"failure\"",
            ),
            None => (String::new(), ""),
        };
        // What is still to be typed comes first.
        let (on_email, on_password) = if self.email.is_empty() { (" autofocus", "") } else { ("", " autofocus") };
        format!(
            "<h1>Sign in to {client}</h1>\n\
             <p>Use the address and the app password of your mailbox.</p>\n\
             {failure}<form method=\"post\" action=\"auth\">\n{hidden}\
             <label for=\"email\">E-mail address</label>\n\
             <input id=\"email\" name=\"email\" type=\"email\" value=\"{email}\" autocomplete=\"username\" \
             maxlength=\"320\" required{described}{on_email}>\n\
             <label for=\"app_password\">App password</label>\n\
             <input id=\"app_password\" name=\"app_password\" type=\"password\" autocomplete=\"current-password\" \
             maxlength=\"256\" required{described}{on_password}>\n\
             <button type=\"submit\">Sign in</button>\n</form>\n\
             <p class=\"back\">You will be taken to {place}.</p>",
            client = escaped(self.client),
            hidden = hidden.collect::<String>(),
            email = escaped(self.email),
            place = escaped(place(self.redirect_uri)),
        )
    }
}

/// A page that leads nowhere: there is no place that is known to be the application's.
pub(crate) fn dead_end(status: StatusCode, nonce: &str, text: &str) -> Response {
    let content = format!("<h1>Sign-in is not possible</h1>\n<p role=\"alert\">{}</p>", escaped(text));
    page(status, nonce, "Sign-in is not possible", &content, None)
}

/// The page with the button by which somebody wants no more mail. It posts to where it stands, what mail programs post.
pub(crate) fn unsubscribe(nonce: &str, address: &str) -> Response {
    let content = format!(
        "<h1>Unsubscribe</h1>\n<p>No more mail of this sender to {}?</p>\n<form method=\"post\">\n\
         <input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">\n\
         <button type=\"submit\" autofocus>Unsubscribe</button>\n</form>",
        escaped(address)
    );
    page(StatusCode::OK, nonce, "Unsubscribe", &content, Some("https"))
}

/// What somebody sees who has unsubscribed.
pub(crate) fn unsubscribed(nonce: &str, address: &str) -> Response {
    let content =
        format!("<h1>You are unsubscribed</h1>\n<p role=\"status\">Nothing more is sent to {}.</p>", escaped(address));
    page(StatusCode::OK, nonce, "You are unsubscribed", &content, None)
}

/// A link to unsubscribe that nobody has made.
pub(crate) fn no_subscription(status: StatusCode, nonce: &str) -> Response {
    let content =
        "<h1>This link does not work</h1>\n<p role=\"alert\">It is incomplete, or of a sender that is gone.</p>";
    page(status, nonce, "This link does not work", content, None)
}

/// `leads_to` is the scheme of the place to which the form leads in the end: browsers hold redirects against the policy.
fn page(status: StatusCode, nonce: &str, title: &str, content: &str, leads_to: Option<&str>) -> Response {
    let form_action = leads_to.map_or("'none'".to_owned(), |scheme| format!("'self' https: {scheme}:"));
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action {form_action}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let text = filled(&[("title", title), ("nonce", nonce), ("content", content)]);
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // A scheme is of letters, digits, `+`, `-` and `.`, so that the policy is a header value always.
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: with it, browsers say `Origin: null` when the form is sent.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    never_kept(headers);
    response
}

/// Forbids keeping an answer.
pub(crate) fn never_kept(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

/// The template with something in its open places, in one pass: what is put in is not looked at again.
fn filled(values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(TEMPLATE.len() + 2_048);
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// A text as it may stand in HTML, between tags and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The scheme of a URI; `https` for what has none that can be one.
fn scheme(uri: &str) -> &str {
    let is_fit = |scheme: &&str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    uri.split_once(':').map(|(scheme, _)| scheme).filter(is_fit).unwrap_or("https")
}

/// What people know a URI by: its host, or its scheme if it leads to a program of the device.
fn place(uri: &str) -> &str {
    match uri.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].contains(&scheme) => {
            rest.split(['/', '?', '#']).next().unwrap_or(rest)
        }
        _ => scheme(uri),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_stays_what_it_is() {
        let form = SignInForm {
            client: "<script>alert(1)</script>{{nonce}}",
            redirect_uri: "https://app.test/back?a=\"><b>",
            carried: &[("state", "\"'><img src=x>".to_owned())],
            email: "a@b.test\" onfocus=\"x",
            failure: Some("no & never"),
        };
        let content = form.content();
        for part in ["<script>", "<img", "<b>", "\" onfocus", "& never"] {
            assert!(!content.contains(part), "{part}: {content}");
        }
        assert!(content.contains("taken to app.test."));
        // Not filled in a second time.
        assert!(filled(&[("content", &content), ("nonce", "secret")]).contains("&lt;/script&gt;{{nonce}}"));
    }

    #[test]
    fn schemes_and_places() {
        for (uri, expected) in [
            ("https://app.test/back", ("https", "app.test")),
            ("http://localhost:9007/callback", ("http", "localhost:9007")),
            ("com.example.app:/back", ("com.example.app", "com.example.app")),
            ("x; script-src *:y", ("https", "https")),
        ] {
            assert_eq!((scheme(uri), place(uri)), expected, "{uri}");
        }
    }
}
