//! `/v3/workspaces`.

use crate::route::Route;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    Vec::new()
}
