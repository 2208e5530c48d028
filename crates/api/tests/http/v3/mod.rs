pub(crate) mod connect;
pub(crate) mod domains;
pub(crate) mod grants;
pub(crate) mod webhooks;
