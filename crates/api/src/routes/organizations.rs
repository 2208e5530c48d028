//! `/v3/admin/organizations` and `/v3/admin/applications`: what the operator says about who exists.

use crate::route::Route;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    Vec::new()
}
