//! How mail programs mark what they put into a message beside what its author wrote: by the class, the id or another
//! attribute of an element.

use crate::syntax::html::{DIV, Name, attributes};

/// What an element was put there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    /// Another message, or a piece of one.
    Quote,
    /// The line above it: who wrote that, and when.
    Attribution,
    /// Another message begins here, and reaches to the end.
    History,
    /// A message that is passed on begins here.
    Forward,
    /// The author's signature.
    Signature,
}

/// Octets of an attribute that are looked at.
const VALUE_OCTETS_MAX: usize = 500;

const CLASSES: &[(&str, Mark)] = &[
    // Gmail
    ("gmail_quote", Mark::Quote),
    ("gmail_quote_container", Mark::Quote),
    ("gmail_signature", Mark::Signature),
    ("gmail_signature_prefix", Mark::Signature),
    // Thunderbird
    ("moz-cite-prefix", Mark::Attribution),
    ("moz-forward-container", Mark::Forward),
    ("moz-signature", Mark::Signature),
    // Yahoo
    ("yahoo_quoted", Mark::Quote),
    ("yahoo-signature", Mark::Signature),
    // Outlook
    ("outlookmessageheader", Mark::History),
    ("ms-outlook-mobile-reference-message", Mark::History),
    ("ms-outlook-mobile-signature", Mark::Signature),
    // Proton, Tuta
    ("protonmail_quote", Mark::Quote),
    ("protonmail_signature_block", Mark::Signature),
    ("tutanota_quote", Mark::Quote),
    // others
    ("applemailsignature", Mark::Signature),
    ("zmail_extra", Mark::Quote),
    ("airmail_on", Mark::Attribution),
    ("bloop_sign", Mark::Signature),
    ("freshdesk_quote", Mark::Quote),
    ("front-blockquote", Mark::Quote),
    ("front-signature", Mark::Signature),
    ("ntes-mailmaster-quote", Mark::Quote),
    ("mail-quote-collapse", Mark::Quote),
    ("spark_quote", Mark::Quote),
];

const IDS: &[(&str, Mark)] = &[
    // Outlook
    ("divrplyfwdmsg", Mark::History),
    ("appendonsend", Mark::History),
    ("stopspelling", Mark::History),
    ("mail-editor-reference-message-container", Mark::History),
    ("olk_src_body_section", Mark::History),
    ("signature", Mark::Signature),
    ("ms-outlook-mobile-signature", Mark::Signature),
    // Apple, Yahoo, Roundcube, Mail.ru, NetEase, Zoho
    ("applemailsignature", Mark::Signature),
    ("yahoo_quoted", Mark::Quote),
    ("reply-intro", Mark::Attribution),
    ("mail-app-auto-quote", Mark::Quote),
    ("isreplycontent", Mark::Quote),
    ("isforwardcontent", Mark::Forward),
];

const NAMES: &[(&str, Mark)] =
    &[("quote", Mark::Quote), ("messagereplysection", Mark::Quote), ("messagesignaturesection", Mark::Signature)];

/// What an element is marked as, by the text of its tag behind its name.
pub(super) fn mark(name: Name, text: &str) -> Option<Mark> {
    const BLOCKQUOTE: Name = Name::of("blockquote");
    attributes(text).find_map(|(attribute, value)| {
        let value = value[..value.floor_char_boundary(VALUE_OCTETS_MAX)].trim().to_ascii_lowercase();
        match attribute.to_ascii_lowercase().as_str() {
            "class" => value.split_ascii_whitespace().find_map(|class| named(CLASSES, class)),
            "id" => named(IDS, &value),
            "name" if name == DIV || name == BLOCKQUOTE => named(NAMES, &value),
            "type" | "cite" if name == BLOCKQUOTE => {
                (attribute.eq_ignore_ascii_case("cite") || value == "cite").then_some(Mark::Quote)
            }
            "data-smartmail" => (value == "gmail_signature").then_some(Mark::Signature),
            "data-marker" => (value == "__quoted_text__").then_some(Mark::Quote),
            "style" if name == DIV => is_outlook_line(&value).then_some(Mark::History),
            _ => None,
        }
    })
}

/// Programs put letters before the names of others: `x_divRplyFwdMsg`, `m_-123gmail_quote`, `ydp12yahoo_quoted_7`.
fn named(table: &[(&str, Mark)], name: &str) -> Option<Mark> {
    let bare = name.trim_start_matches("x_");
    let found = table.iter().find(|(known, _)| *known == bare).map(|(_, mark)| *mark);
    found.or_else(|| {
        (bare.starts_with("ydp") || bare.starts_with("m_") || bare.starts_with("yahoo_quoted"))
            .then(|| table.iter().find(|(known, _)| known.len() > 9 && bare.contains(known)).map(|(_, mark)| *mark))?
    })
}

/// The line that Outlook draws above From, Sent, To and Subject.
fn is_outlook_line(style: &str) -> bool {
    let style: String = style.chars().filter(|c| !c.is_whitespace()).collect();
    ["border-top:solid#e1e1e11.0pt", "border-top:solid#b5c4df1.0pt", "border-top:1ptsolidrgb(225,225,225)"]
        .iter()
        .any(|line| style.contains(line))
}
