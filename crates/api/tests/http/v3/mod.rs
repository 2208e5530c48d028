pub(crate) mod connect;
pub(crate) mod grants;
pub(crate) mod jobs;
pub(crate) mod webhooks;
pub(crate) mod workspaces;
