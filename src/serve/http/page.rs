//! The page: its files are in the program.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answers::typed;
use crate::report::html::COLOURS;
use crate::serve::refusal::Refusal;

/// Names, and what is in the files. A folder could be taken as a whole, but then a changed file would not be noticed.
macro_rules! files {
    ($($name:literal,)*) => {
        &[$(($name, include_bytes!(concat!("../page/", $name)))),*]
    };
}

static FILES: &[(&str, &[u8])] = files![
    "api.js",
    "app.js",
    "card.js",
    "dialogs.js",
    "dom.js",
    "events.js",
    "files.js",
    "icon.svg",
    "index.html",
    "jobs.js",
    "long.js",
    "mixer.js",
    "options.js",
    "player.js",
    "save.js",
    "separate.js",
    "style.css",
    "tabs.js",
    "track.js",
    "train.js",
    "uploads.js",
];

/// The page loads nothing from elsewhere and runs nothing that is not a file of it.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page itself.
pub(super) async fn index() -> Response {
    file("index.html")
}

/// A file that the page consists of.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    file(&name)
}

fn file(name: &str) -> Response {
    let own = || FILES.iter().find(|(known, _)| *known == name).map(|(_, content)| *content);
    let shared = (name == "colours.css").then_some(COLOURS.as_bytes());
    let Some(content) = shared.or_else(own) else {
        return Refusal::not_found("such file").into_response();
    };
    let media_type = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let mut response = typed(media_type, content);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // A new version of the program has new files under the same names.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_in_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/serve/page");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
