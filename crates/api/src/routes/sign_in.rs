//! `/v3/connect/…` and `/v3/providers/detect`: the OAuth-shaped sign-in for mail applications.

use crate::route::Route;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    Vec::new()
}
