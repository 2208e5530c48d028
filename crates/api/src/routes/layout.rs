//! Moving an existing fleet into another layout: previews, jobs, findings.

use crate::route::Route;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    Vec::new()
}
