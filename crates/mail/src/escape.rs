//! Text as it may stand in HTML.

/// A text between tags.
pub(crate) fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The value of an attribute between double quotes.
pub(crate) fn value(value: &str) -> String {
    text(value).replace('"', "&quot;").replace('\'', "&#39;").replace('`', "&#96;")
}
