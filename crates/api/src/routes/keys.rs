//! `/v3/admin/applications/{application}/api-keys`, operator keys and service accounts.

use crate::route::Route;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    Vec::new()
}
