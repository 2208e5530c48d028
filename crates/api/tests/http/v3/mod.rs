pub(crate) mod connect;
pub(crate) mod connectors;
pub(crate) mod domains;
pub(crate) mod grants;
pub(crate) mod jobs;
pub(crate) mod policies;
pub(crate) mod webhooks;
pub(crate) mod workspaces;
