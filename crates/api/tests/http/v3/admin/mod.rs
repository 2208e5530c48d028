//! What operators do: below `/v3/admin`.

pub(crate) mod api_keys;
pub(crate) mod applications;
pub(crate) mod audit;
pub(crate) mod destinations;
pub(crate) mod feedback;
pub(crate) mod keys;
pub(crate) mod organizations;
pub(crate) mod service_accounts;
pub(crate) mod tls_reports;

use crate::support::{Answer, Harness};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&[&str]] = &[
    api_keys::ROUTES,
    applications::ROUTES,
    audit::ROUTES,
    feedback::ROUTES,
    destinations::ROUTES,
    keys::ROUTES,
    organizations::ROUTES,
    service_accounts::ROUTES,
    tls_reports::ROUTES,
];

impl Harness {
    /// Asks as the first organization's operator, who is also the installation's.
    pub async fn administer(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask(&self.acme.operator_key, method, path, body).await
    }

    /// A key of an operator of the first organization alone, with some permissions.
    pub async fn operator(&self, permissions: &[&str]) -> String {
        let body = json!({"name": "ordinary", "permissions": permissions});
        let made = self.administer("POST", "/v3/admin/keys", Some(&body)).await;
        made.is_ok().data()["api_key"].as_str().expect("key").to_owned()
    }
}
