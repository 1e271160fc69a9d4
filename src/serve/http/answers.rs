//! What handlers make answers with.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::serve::refusal::Refusal;

/// Runs work that waits for the disk on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|cause| Err(Refusal::internal(cause)))
}

/// An answer with this media type.
pub(super) fn typed(media_type: &'static str, body: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response()
}
