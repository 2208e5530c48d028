//! `/openapi.json` and `/reference`: whole, sound, and equal to the table of routes.

pub(crate) const ROUTES: &[&str] = &["GET /openapi.json", "GET /reference"];
