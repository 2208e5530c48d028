//! Double opt-in: asking somebody by mail whether they want mail for a purpose, and the proof of what they said.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/grants/{grant}/opt-ins`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RequestOptIn {
    /// Whom to ask.
    #[serde(default)]
    #[schema(required = true)]
    pub email: String,
    /// What they agree to: 1 to 500 characters, which the mail and the page show. Sends that need the agreement name it in
    /// exactly these words.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 500)]
    pub purpose: String,
    /// What they are called; nothing if absent.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// The language of the mail and the page: `en`, which is also what absent means.
    #[serde(default)]
    pub language: Option<String>,
    /// What is known of who asked for it; kept as proof.
    #[serde(default)]
    pub source: Option<OptInSource>,
    /// A page that is offered after confirming: `https://…`, at most 2,048 characters; none if absent.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub redirect_url: Option<String>,
}

/// What an application knows of who asked to get mail.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct OptInSource {
    /// Their IP address; null if it is not known.
    #[serde(default)]
    pub ip: Option<String>,
    /// What their program calls itself, at most 512 characters; null if it is not known.
    #[serde(default)]
    #[schema(max_length = 512)]
    pub user_agent: Option<String>,
    /// The page on which they asked, at most 2,048 characters; null if there was none.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub url: Option<String>,
}

/// The record of an opt-in, which is its proof.
#[derive(Debug, Serialize, ToSchema)]
pub struct OptIn {
    /// Its id.
    pub id: String,
    /// `opt_in`.
    pub object: &'static str,
    /// The application.
    pub application_id: String,
    /// The mailbox that asked.
    pub grant_id: String,
    /// Who was asked.
    pub email: String,
    /// What they are called; null if nothing was said.
    pub name: Option<String>,
    /// What they agree to.
    pub purpose: String,
    /// The language of the mail and the page.
    pub language: String,
    /// `pending`, `confirmed`, `declined` (it was not them), `not_sent` (its mail was held and never left), `withdrawn` (taken back, or ended by what the reader said
    /// later) or `expired` (nothing was said within 7 days).
    pub state: &'static str,
    /// Exactly the words that the mail and the page have, and that are agreed to.
    pub text: String,
    /// The SHA-256 of these words in UTF-8, in hexadecimal digits.
    pub text_sha256: String,
    /// The message that asked, in the mailbox that did.
    pub message_id: String,
    /// What the application knew of who asked for it.
    pub source: OptInSource,
    /// The page that is offered after confirming; null for none.
    pub redirect_url: Option<String>,
    /// When they were asked, in unix seconds.
    pub asked_at: i64,
    /// Until when they may confirm, in unix seconds.
    pub expires_at: i64,
    /// When and from where they confirmed, which stays whatever becomes of it later; null if they did not.
    pub confirmed: Option<OptInAnswer>,
    /// When and from where they said that it was not them; null if they did not.
    pub declined: Option<OptInAnswer>,
    /// When it was taken back, in unix seconds; null if it was not.
    pub withdrawn_at: Option<i64>,
}

/// What somebody said on the page.
#[derive(Debug, Serialize, ToSchema)]
pub struct OptInAnswer {
    /// When, in unix seconds.
    pub at: i64,
    /// From which IP address; null if it is not known, or if it was said of another request for the same purpose.
    pub ip: Option<String>,
    /// What their program calls itself, at most 512 characters; null if it does not say.
    pub user_agent: Option<String>,
}

/// What `POST /v3/opt-in/{token}` takes, as a form.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OptInForm {
    /// `confirm` or `decline`.
    pub answer: String,
}
