//! The HTTP of the service: routes, and what all answers have in common.

mod answers;
mod caller;
mod create;
mod docs;
mod events;
mod jobs;
mod linger;
mod media;
mod models;
mod monitor;
mod page;
mod tests;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::refusal::Refusal;
use super::service::Service;
use docs::Documents;

pub use view::{JobView, RecordingView, SourceView, StemView};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What a browser may do with an answer that is no page.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

/// The service's routes. It can be called without a socket, as tests do.
pub(super) fn app(service: &Arc<Service>) -> Router {
    let (api, document) = api();
    let documents = Arc::new(Documents::of(&document, service.settings.tokens.is_some()));
    let same = Arc::clone(&documents);
    api.route("/v1/openapi.json", get(async move || documents.document()))
        .route("/v1/docs", get(async move || same.page()))
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .fallback(async || Refusal::not_found("such path; GET /v1/docs lists those that there are"))
        .method_not_allowed_fallback(async || Refusal::method_not_allowed())
        // The one call that takes a body counts its bytes itself.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(service), caller::own_pages_alone))
        .layer(middleware::from_fn(linger::read_the_rest))
        .layer(middleware::from_fn_with_state(Arc::clone(service), answered))
        .with_state(Arc::clone(service))
}

/// The calls of the API, and the document that describes them.
fn api() -> (Router<Arc<Service>>, OpenApi) {
    let info = InfoBuilder::new().title("partwise").version(env!("CARGO_PKG_VERSION")).description(Some(
        "Separates recordings into their sources. A client creates jobs, follows them and fetches their results.",
    ));
    let (router, mut document) = OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build())
        .routes(routes!(jobs::list, create::create))
        .routes(routes!(jobs::one, jobs::delete))
        .routes(routes!(jobs::cancel))
        .routes(routes!(events::events))
        .routes(routes!(media::archive))
        .routes(routes!(media::stem_file))
        .routes(routes!(media::stem_picture))
        .routes(routes!(media::recording))
        .routes(routes!(media::recording_picture))
        .routes(routes!(models::list))
        .routes(routes!(models::one))
        .routes(routes!(models::options))
        .routes(routes!(models::limits))
        .routes(routes!(monitor::health))
        .routes(routes!(monitor::ready))
        .routes(routes!(monitor::metrics))
        .split_for_parts();
    if let Some(components) = &mut document.components {
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
    (router, document)
}

/// Gives every answer its id and its headers, logs it and counts it. Neither headers nor queries are logged: they may have secrets.
async fn answered(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = Instant::now();
    let given = request.headers().get(&REQUEST_ID).filter(|id| {
        let visible = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=64).contains(&id.len()) && id.as_bytes().iter().all(visible)
    });
    let id = given.cloned().unwrap_or_else(|| {
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        HeaderValue::from_str(&format!("{process:x}-{count:x}")).unwrap_or(HeaderValue::from_static("0"))
    });
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let (status, time) = (response.status(), since.elapsed());
    service.metrics.answered(status.as_u16(), time);
    let shown = id.to_str().unwrap_or_default();
    log::info!("{shown} {method} {path} {} {:.1} ms", status.as_u16(), time.as_secs_f64() * 1e3);
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NO_PAGE));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
