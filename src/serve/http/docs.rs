//! The description of the API: as a document for programs, and as a page for people.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi;

use super::answers::typed;
use crate::report::html::{self, escape, table};

/// Both, made once.
pub(super) struct Documents {
    json: String,
    page: String,
    /// The page has one style, known by its hash, and nothing else.
    policy: HeaderValue,
}

impl Documents {
    pub(super) fn of(document: &OpenApi, needs_token: bool) -> Self {
        let mut value = serde_json::to_value(document).unwrap_or_default();
        if !needs_token {
            without_tokens(&mut value);
        }
        let page = html::page("The API of partwise", &format!("<div class=\"words\">\n{}</div>\n", body(&value)));
        let style = page.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
        let hash = STANDARD.encode(Sha256::digest(style.map_or("", |(style, _)| style)));
        let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'");
        let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { json: value.to_string(), page, policy }
    }

    /// The OpenAPI document.
    pub(super) fn document(&self) -> Response {
        typed("application/json", self.json.clone())
    }

    /// The same as a page.
    pub(super) fn page(&self) -> Response {
        let mut response = typed("text/html; charset=utf-8", self.page.clone());
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }
}

/// A service without tokens has no call that needs one.
fn without_tokens(document: &mut Value) {
    fn members(value: &mut Value) -> impl Iterator<Item = &mut Value> {
        value.as_object_mut().into_iter().flat_map(|members| members.values_mut())
    }
    let remove = |from: &mut Value, name: &str| drop(from.as_object_mut().and_then(|from| from.remove(name)));
    for call in members(&mut document["paths"]).flat_map(members) {
        remove(call, "security");
        remove(&mut call["responses"], "401");
    }
    remove(&mut document["components"], "securitySchemes");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The entries of an object, or none.
fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn paragraph(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p>{}</p>\n", escape(&plain(text))) }
}

/// Without the marks of code that descriptions have.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

fn body(document: &Value) -> String {
    let mut html = paragraph(text(&document["info"]["description"]));
    html += "<p>The same <a href=\"/v1/openapi.json\">for programs</a>. <a href=\"/\">To the page</a>.</p>\n";
    let heading = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
    let calls = || entries(&document["paths"]).flat_map(|(path, calls)| entries(calls).map(move |call| (path, call)));
    let mut rows = vec![heading(&["call", "", "what it does"])];
    rows.extend(
        calls().map(|(path, (method, call))| vec![method.to_uppercase(), path.clone(), plain(text(&call["summary"]))]),
    );
    html += &table("calls", &rows);
    for (path, (method, call)) in calls() {
        html += &format!("<h2>{} {}</h2>\n", method.to_uppercase(), escape(path));
        html += &paragraph(text(&call["summary"]));
        html += &paragraph(text(&call["description"]));
        let parameters: Vec<&Value> = call["parameters"].as_array().into_iter().flatten().collect();
        if !parameters.is_empty() {
            let mut rows = vec![heading(&["parameter", "in", "value", ""])];
            rows.extend(parameters.iter().map(|parameter| {
                let part = |name: &str| plain(text(&parameter[name]));
                vec![part("name"), part("in"), kind(&parameter["schema"]), part("description")]
            }));
            html += &table("parameters", &rows);
        }
        let mut rows = vec![heading(&["", "media type", "body", ""])];
        for (media_type, content) in entries(&call["requestBody"]["content"]) {
            rows.push(vec!["request".into(), media_type.clone(), kind(&content["schema"]), String::new()]);
        }
        for (status, answer) in entries(&call["responses"]) {
            let described = plain(text(&answer["description"]));
            let mut contents = entries(&answer["content"]).peekable();
            if contents.peek().is_none() {
                rows.push(vec![status.clone(), String::new(), String::new(), described.clone()]);
            }
            for (media_type, content) in contents {
                rows.push(vec![status.clone(), media_type.clone(), kind(&content["schema"]), described.clone()]);
            }
        }
        html += &table("bodies", &rows);
    }
    for (name, schema) in entries(&document["components"]["schemas"]) {
        html += &format!("<h2>{}</h2>\n", escape(name));
        html += &paragraph(text(&schema["description"]));
        let mut rows = vec![heading(&["field", "value", ""])];
        let fields = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
        for (field, property) in fields.flat_map(|part| entries(&part["properties"])) {
            rows.push(vec![field.clone(), kind(property), plain(text(&property["description"]))]);
        }
        html += &if rows.len() > 1 { table(name, &rows) } else { paragraph(&kind(schema)) };
    }
    html
}

/// A schema in a few words: `string or null`, `array of Job`.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    let join = |schemas: &[Value]| schemas.iter().map(kind).collect::<Vec<_>>().join(" or ");
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(schemas) = schema[several].as_array() {
            return join(schemas);
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match &schema["type"] {
        Value::String(word) if word == "array" => format!("array of {}", kind(&schema["items"])),
        Value::String(word) => word.clone(),
        Value::Array(words) => words.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "any".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::api;
    use super::*;

    #[test]
    fn only_a_service_with_tokens_says_that_it_needs_them() {
        let (_, document) = api();
        let json = |needs_token| Documents::of(&document, needs_token).json;
        for word in ["\"security\"", "\"401\"", "securitySchemes"] {
            assert!(json(true).contains(word) && !json(false).contains(word), "{word}");
        }
        assert!(json(false).contains("\"/v1/jobs/{id}/events\""));
    }
}
