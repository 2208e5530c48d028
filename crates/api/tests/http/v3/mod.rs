pub(crate) mod admin;
pub(crate) mod applications;
pub(crate) mod audit;
pub(crate) mod connect;
pub(crate) mod grants;
pub(crate) mod webhooks;
