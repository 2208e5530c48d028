//! Grants: mailboxes as the interface calls them.

use crate::stop::GrantSending;
use postfleet_core::{Patch, Secret};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A mailbox to make.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct CreateGrant {
    /// Must be `nylas`.
    #[schema(pattern = "^nylas$", example = "nylas")]
    pub provider: String,
    /// The display name of what the mailbox sends: 1 to 256 characters. Without one, mail shows the bare address.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256, example = "Support agent")]
    pub name: Option<String>,
    /// The id of the workspace whose policy is to govern the mailbox. Without one it goes into the oldest workspace
    /// that takes mailboxes of its domain by itself, else into the application's default workspace.
    #[serde(default)]
    pub workspace_id: Option<String>,
    /// The address, and what belongs to it.
    pub settings: CreateGrantSettings,
    /// Text that the mailbox shows again: at most 2,048 characters.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub state: Option<String>,
}

/// The `settings` of a new grant.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct CreateGrantSettings {
    /// The address, on a domain that is registered for the organization. Its part before the `@` has at most 64 octets
    /// and is not quoted.
    #[schema(max_length = 320, example = "support@agents.example.com")]
    pub email: String,
    /// The password with which mail clients sign in: 18 to 40 printable ASCII characters without spaces, among them an
    /// upper-case letter, a lower-case letter and a digit. Without one none can. It is never shown again.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 18, max_length = 40)]
    pub app_password: Option<Secret<String>>,
    /// Taken from older clients and ignored: a mailbox gets its policy from its workspace.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub policy_id: IgnoredAny,
}

/// `PATCH /v3/grants/{grant}`: absent fields stay. At least one must be there.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct UpdateGrant {
    /// The settings that are to change.
    #[serde(default)]
    #[schema(value_type = Option<UpdateGrantSettings>)]
    pub settings: Patch<UpdateGrantSettings>,
    /// Taken from clients of other providers and ignored: these mailboxes have no scopes.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub scope: Patch<IgnoredAny>,
    /// The display name, 1 to 256 characters; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    pub name: Patch<String>,
    /// The id of the workspace to move to; null takes the mailbox out of its workspace, so that the plan alone governs
    /// it. The move holds for the next message.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub workspace_id: Patch<String>,
    /// Text that the mailbox shows again, at most 2,048 characters; null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    pub state: Patch<String>,
}

/// The `settings` in a change of a grant.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct UpdateGrantSettings {
    /// The address that the mailbox has. It cannot be changed.
    #[serde(default)]
    pub email: Option<String>,
    /// The password for mail clients, as for a new mailbox. Absent it stays, null removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 18, max_length = 40)]
    pub app_password: Patch<Secret<String>>,
}

/// A mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// Always `nylas`.
    pub provider: &'static str,
    /// Its address.
    pub email: String,
    /// The display name of what it sends; empty if it has none.
    pub name: String,
    /// Always `valid`: these mailboxes do not expire.
    pub grant_status: &'static str,
    /// Always empty.
    pub scope: Vec<String>,
    /// The address again, and whether mail clients can sign in.
    pub settings: GrantSettings,
    /// The text that was given when it was made or changed; null if none was.
    pub state: Option<String>,
    /// The address from which the request came that made it; empty if it is not known.
    pub ip: String,
    /// What that client called itself; empty if it did not say.
    pub user_agent: String,
    /// Whether the interface refuses it.
    pub blocked: bool,
    /// The workspace whose policy governs it; null for one that is in none.
    pub workspace_id: Option<String>,
    /// How it came into its workspace: `explicit` (the request that made it named it), `auto_group` (the workspace
    /// takes mailboxes of its domain), `default` (nothing else matched) or `moved` (somebody moved it since).
    pub placement: &'static str,
    /// The id of the application's connector; null if it has none.
    pub credential_id: Option<String>,
    /// Always null: there is no other provider behind it.
    pub provider_user_id: Option<String>,
    /// Always null: it was not migrated from an older version of the hosted service.
    pub account_id: Option<String>,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
    /// Always empty: it has one address.
    pub email_aliases: Vec<String>,
    /// By what its sending is stopped, where one mailbox is asked for; null if it is not, and in lists.
    pub sending: Option<GrantSending>,
}

/// The `settings` of a grant.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantSettings {
    /// Its address.
    pub email: String,
    /// Whether mail clients can log in.
    pub has_app_password: bool,
}
