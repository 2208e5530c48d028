//! The pages on which somebody says whether they want mail for a purpose. They post to where they stand.

use super::{escaped, page};
use axum::http::StatusCode;
use axum::response::Response;
use postfleet_core::opt_in::State;
use postfleet_store::opt_ins::OptIn;

/// The page of a question, as it stands now.
pub(crate) fn show(nonce: &str, opt_in: &OptIn, state: State) -> Response {
    let (status, title, content) = content(opt_in, state);
    let leads_to = content.contains("<form").then_some("https");
    page(status, nonce, title, &content, leads_to)
}

/// A link that nobody has made, or whose sender is gone.
pub(crate) fn unknown(nonce: &str) -> Response {
    super::no_subscription(StatusCode::NOT_FOUND, nonce)
}

fn content(opt_in: &OptIn, state: State) -> (StatusCode, &'static str, String) {
    let address = escaped(&opt_in.address.to_string());
    let words = format!("<blockquote>{}</blockquote>\n", escaped(&opt_in.words));
    match state {
        State::Pending => (
            StatusCode::OK,
            "Please confirm",
            format!(
                "<h1>Please confirm</h1>\n<p>Somebody has asked for mail to {address}. If it was you, and you agree to \
                 this, press the button:</p>\n{words}<form method=\"post\">\n\
                 <button type=\"submit\" name=\"answer\" value=\"confirm\">Yes, I agree</button>\n\
                 <button type=\"submit\" name=\"answer\" value=\"decline\" class=\"quiet\">This was not me</button>\n\
                 </form>\n<p class=\"back\">Without your confirmation nothing is sent for this purpose.</p>"
            ),
        ),
        State::Confirmed => (
            StatusCode::OK,
            "Thank you",
            format!(
                "<h1>Thank you</h1>\n<p role=\"status\">You have confirmed this:</p>\n{words}{}<form method=\"post\">\n\
                 <button type=\"submit\" name=\"answer\" value=\"decline\" class=\"quiet\">This was not me</button>\n\
                 </form>",
                going_on(opt_in)
            ),
        ),
        State::Declined => (
            StatusCode::OK,
            "Nothing is sent",
            format!(
                "<h1>Nothing is sent</h1>\n<p role=\"status\">You have said that this was not you. {address} is not asked \
                 about it again:</p>\n{words}"
            ),
        ),
        State::Expired => (
            StatusCode::GONE,
            "This link has ended",
            format!(
                "<h1>This link has ended</h1>\n<p role=\"alert\">It could be followed for seven days. Nothing was \
                 confirmed, and nothing is sent for this purpose. If you still want it, ask for it where you did \
                 before.</p>\n{words}<form method=\"post\">\n\
                 <button type=\"submit\" name=\"answer\" value=\"decline\" class=\"quiet\">This was not me</button>\n\
                 </form>"
            ),
        ),
        State::Withdrawn | State::NotSent => (
            StatusCode::GONE,
            "This is over",
            format!(
                "<h1>This is over</h1>\n<p role=\"alert\">It was taken back, or you have said since that you want no more \
                 mail. Nothing is sent for this purpose.</p>\n{words}"
            ),
        ),
    }
}

/// Where somebody may go on who has confirmed. It is theirs to follow: nothing leads there by itself.
fn going_on(opt_in: &OptIn) -> String {
    let Some(url) = &opt_in.redirect_url else { return String::new() };
    let (shown, url) = (escaped(super::place(url)), escaped(url));
    format!("<p><a href=\"{url}\" rel=\"noopener noreferrer\">Go on to {shown}</a></p>\n")
}
