//! `/v3/addresses/validate`.

use crate::call::Call;
use crate::extract::{BULK_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_schema::recipient::{ValidateAddresses, ValidatedAddress};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v3/addresses/validate", "addresses.validate", validate)
            .about(
                "Validate addresses",
                "Up to 1,000 at once, answered in their order. Looks at the address itself, its domain in the DNS, \
                 suppressions, and mailboxes of the own organization; the servers that would receive are not asked. What \
                 the DNS does not tell within ten seconds is `unknown`.",
            )
            .takes::<ValidateAddresses>()
            .lists::<ValidatedAddress>(),
    ]
}

/// `POST /v3/addresses/validate`
pub(crate) async fn validate(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, .. } = call;
    let request: ValidateAddresses = json(&parts, body, BULK_OCTETS_MAX).await?;
    let validated = platform.addresses().validate(application, &request.addresses).await?;
    Ok(respond::page(&id, validated, None))
}
