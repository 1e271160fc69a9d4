//! Why a request cannot be served: what the client is told, with its status.

use std::fmt::{self, Display, Formatter};

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::queue::Full;
use super::store::StoreError;
use crate::Error;

/// What clients are told of faults that are the service's own.
pub(super) const INTERNAL: &str = "the service could not do this; its log says why";

/// A refusal: a status, a code for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds after which another try makes sense.
    retry_after: Option<u64>,
}

/// The body of every answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorDetail {
    /// For programs: `bad-request`, `unauthorized`, `forbidden`, `not-found`, `method-not-allowed`, `conflict`, `too-large`,
    /// `unsupported-media-type`, `unusable`, `queue-full`, `internal`, `not-ready` or `disk-full`.
    #[schema(example = "queue-full")]
    pub code: String,
    /// For people: one sentence.
    pub message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// The request itself is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    /// There is no token, or none that is known.
    pub(super) fn unauthorized() -> Self {
        let message = "this service needs a token: send the header Authorization: Bearer TOKEN";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn not_found(what: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {what}"))
    }

    /// The same for a path that is no call of the API.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path has no such method")
    }

    /// The job is not in a state for this.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    }

    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", message)
    }

    /// A recording or an option cannot be used.
    pub(super) fn unusable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unusable", message)
    }

    pub(super) fn not_ready(message: impl Into<String>) -> Self {
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", message);
        Self { retry_after: Some(5), ..refusal }
    }

    pub(super) fn disk_full() -> Self {
        let message = "there is no room on the service's disk; what was accepted is kept";
        let refusal = Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", message);
        Self { retry_after: Some(60), ..refusal }
    }

    /// Something that is nobody's fault outside. The cause goes to the log alone.
    pub(super) fn internal(cause: impl Display) -> Self {
        log::error!("{cause}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", INTERNAL)
    }

    /// A failure of the file system while a request was served.
    pub(super) fn io(cause: std::io::Error) -> Self {
        let error = Error::io("", "write")(cause);
        if error.is_full() { Self::disk_full() } else { Self::internal(error) }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Full> for Refusal {
    fn from(Full { retry_after, reason }: Full) -> Self {
        match retry_after {
            None => Self::too_large(reason),
            retry_after => Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "queue-full", reason) },
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::disk_full(),
            StoreError::Other(reason) => Self::internal(reason),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let detail = ErrorDetail { code: self.code.into(), message: self.message };
        let mut response = (self.status, Json(ErrorBody { error: detail })).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
