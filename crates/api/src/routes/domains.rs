//! `/v3/domains` and `/v3/admin/domains`.

use crate::route::Route;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    Vec::new()
}
