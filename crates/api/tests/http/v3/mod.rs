pub(crate) mod connect;
pub(crate) mod grants;
pub(crate) mod providers;
pub(crate) mod webhooks;
