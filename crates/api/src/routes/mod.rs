//! One file per resource. A handler reads the request, calls one function of the layers below, and shows its answer.

pub(crate) mod attachments;
pub(crate) mod folders;
pub(crate) mod grants;
pub(crate) mod messages;
pub(crate) mod send;
pub(crate) mod threads;
pub(crate) mod webhooks;

use crate::router::Call;
use postfleet_core::Problem;
use postfleet_store::grants::Grant;

impl Call {
    /// The mailbox that the path names first.
    async fn grant(&self) -> Result<Grant, Problem> {
        postfleet_fleet::grants::find(&self.platform.store, self.application, &self.path[0]).await
    }

    /// An id that the path names; text that is no id names nothing.
    fn id_at<T: std::str::FromStr>(&self, index: usize) -> Result<T, Problem> {
        self.path[index].parse().map_err(|_| Problem::not_found())
    }
}
