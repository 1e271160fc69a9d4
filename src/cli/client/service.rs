//! Calls of the service, and how they fail.

use std::fmt::{self, Display, Formatter};
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{Method, Request, Response, StatusCode, header};
use ureq::{Agent, AsSendBody, Body, SendBody};

use super::form::Form;

/// A service that does not answer a connection for so long is not there.
const CONNECT: Duration = Duration::from_secs(10);
/// Nothing comes and nothing goes for so long: the connection is given up. A service reads a long recording from end to end before it
/// answers.
const REST: Duration = Duration::from_secs(600);
/// The longest answer that is kept in memory.
const MOST: u64 = 64 << 20;
/// After a full queue.
const LATER: Duration = Duration::from_secs(5);
/// After a connection that broke.
const SOON: Duration = Duration::from_secs(1);
/// How often the user's wish to stop is looked for.
const GLANCE: Duration = Duration::from_millis(50);

/// A service.
pub(super) struct Service {
    agent: Agent,
    /// Its URL without a slash at the end.
    pub(super) server: String,
    token: Option<String>,
}

/// Why a call failed, in one line.
#[derive(Debug)]
pub(super) struct Failure {
    reason: String,
    /// The status of an answer.
    status: Option<StatusCode>,
    /// When another try makes sense, if ever.
    again: Option<Duration>,
}

impl Failure {
    /// Nothing that another try would mend.
    pub(super) fn of(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), status: None, again: None }
    }

    /// A queue without room, which will have some.
    pub(super) fn passing(reason: impl Display) -> Self {
        Self { again: Some(LATER), ..Self::of(reason) }
    }

    /// Whether the service refuses whoever calls, whatever is asked for.
    pub(super) fn is_of_the_caller(&self) -> bool {
        matches!(self.status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    /// Whether the service may take later what it did not take now.
    pub(super) fn is_passing(&self) -> bool {
        self.again.is_some()
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}

/// How long a call is tried.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    pub(super) most: Duration,
    /// The user wants no more.
    pub(super) stop: &'a AtomicBool,
}

impl Patience<'_> {
    /// Tries until it is done, cannot be done, or patience ends.
    pub(super) fn keep<T>(self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let since = Instant::now();
        loop {
            let failure = match attempt() {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let Some(after) = failure.again.filter(|after| since.elapsed() + *after <= self.most) else {
                return Err(failure);
            };
            log::info!("{failure}; trying again in {} s", after.as_secs());
            if !self.rest(after) {
                return Err(failure);
            }
        }
    }

    /// Waits. Returns whether the user wants to go on.
    pub(super) fn rest(self, time: Duration) -> bool {
        let since = Instant::now();
        while since.elapsed() < time && !self.is_over() {
            std::thread::sleep(GLANCE.min(time));
        }
        !self.is_over()
    }

    /// Whether the user wants no more.
    pub(super) fn is_over(self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Service {
    pub(super) fn new(server: &str, token: Option<String>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy would see the token.
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(REST))
            .timeout_per_write(Some(REST))
            .user_agent(concat!("partwise/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), server: server.into(), token }
    }

    /// The JSON that a GET brings. `path` begins with a slash.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.call(Method::GET, path, &[], ())?)
    }

    /// The JSON that a POST without a body brings.
    pub(super) fn post(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.call(Method::POST, path, &[], ())?)
    }

    /// A DELETE, which brings nothing.
    pub(super) fn delete(&self, path: &str) -> Result<(), Failure> {
        self.call(Method::DELETE, path, &[], ()).map(drop)
    }

    /// Sends a form. `key` makes one job of it, however often it is sent.
    pub(super) fn send(&self, path: &str, key: &str, mut form: Form) -> Result<Value, Failure> {
        let length = form.length().to_string();
        let headers = [
            ("idempotency-key", key),
            ("content-type", &form.media_type()),
            ("content-length", &length),
            // What is refused without being read need not be sent.
            ("expect", "100-continue"),
        ];
        let sent = self.call(Method::POST, path, &headers, SendBody::from_reader(&mut form));
        if let Some(cause) = form.failure() {
            return Err(Failure::of(cause));
        }
        self.json(sent?)
    }

    /// What a file's GET brings.
    pub(super) fn download(&self, path: &str) -> Result<impl Read + use<>, Failure> {
        Ok(self.call(Method::GET, path, &[], ())?.into_body().into_with_config().limit(u64::MAX).reader())
    }

    /// A connection that broke while an answer was read.
    pub(super) fn broken(&self, cause: &std::io::Error) -> Failure {
        Failure { again: Some(SOON), ..Failure::of(format!("{}: the connection broke: {cause}", self.server)) }
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.server));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|cause| Failure::of(format!("{}: {cause}", self.server)))?;
        let response = self.agent.run(request).map_err(|cause| self.unanswered(&cause))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response)) }
    }

    fn json(&self, mut response: Response<Body>) -> Result<Value, Failure> {
        let text = response.body_mut().with_config().limit(MOST).read_to_vec();
        let text = text.map_err(|cause| self.unanswered(&cause))?;
        serde_json::from_slice(&text).map_err(|_| Failure::of(self.foreign()))
    }

    fn foreign(&self) -> String {
        format!("{}: answers, but not as a partwise service does; name the service by --server", self.server)
    }

    /// There is no answer.
    fn unanswered(&self, cause: &ureq::Error) -> Failure {
        let server = &self.server;
        let reason = match cause {
            ureq::Error::HostNotFound => format!("{server}: there is no such host; name the service by --server"),
            ureq::Error::Io(cause) if cause.kind() == ErrorKind::ConnectionRefused => {
                format!(
                    "{server}: cannot be reached: {cause}; start `partwise serve` there, or name the service by --server"
                )
            }
            ureq::Error::Timeout(ureq::Timeout::Connect) => {
                format!(
                    "{server}: cannot be reached: no answer in {} s; name the service by --server",
                    CONNECT.as_secs()
                )
            }
            ureq::Error::Io(cause) => return self.broken(cause),
            cause => format!("{server}: the connection broke: {cause}"),
        };
        Failure { again: Some(SOON), ..Failure::of(reason) }
    }

    /// There is an answer, and it is no. The service's sentence says why.
    fn refused(&self, mut response: Response<Body>) -> Failure {
        let status = response.status();
        let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let passing =
            [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE, StatusCode::INSUFFICIENT_STORAGE];
        let again = passing.contains(&status).then(|| seconds.map_or(SOON, Duration::from_secs).max(SOON));
        let body = response.body_mut().with_config().limit(MOST).read_to_vec().unwrap_or_default();
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        let reason = match (told["error"]["message"].as_str(), status) {
            (Some(sentence), StatusCode::UNAUTHORIZED) => match self.token {
                Some(_) => format!("{}: the service does not know this token; {sentence}", self.server),
                None => format!("{}: {sentence}; give it by --token-file or as PARTWISE_TOKEN", self.server),
            },
            (Some(sentence), _) => sentence.to_owned(),
            (None, status) if status.is_redirection() || again.is_none() => {
                format!("{}: it answered {status}", self.foreign())
            }
            (None, status) => format!("{}: answered {status}", self.server),
        };
        Failure { reason, status: Some(status), again }
    }
}

/// A part of a path, in which a slash means nothing.
pub(super) fn encoded(part: &str) -> String {
    let mut text = String::new();
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => text += &format!("%{byte:02X}"),
        }
    }
    text
}
