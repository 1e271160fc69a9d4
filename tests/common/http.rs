//! A client of the service in the standard library alone: HTTP/1.1 over one connection that is kept open.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer takes this long at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client and its connection.
pub(crate) struct Http {
    pub(crate) address: SocketAddr,
    token: Option<String>,
    stream: Option<BufReader<TcpStream>>,
}

/// An answer, with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header; its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|cause| panic!("{}: {cause}: {}", self.status, self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Http {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, token: None, stream: None }
    }

    pub(crate) fn with_token(address: SocketAddr, token: &str) -> Self {
        Self { token: Some(token.into()), ..Self::new(address) }
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        self.call("GET", path, &[], &[])
    }

    /// Creates a job by a form, under a key.
    pub(crate) fn create(&mut self, form: &Form, key: &str) -> Result<Answer> {
        let media_type = form.media_type();
        self.call("POST", "/v1/jobs", &[("content-type", &media_type), ("idempotency-key", key)], &form.body())
    }

    /// Sends a request and reads its answer. After an error, the next request takes a new connection.
    pub(crate) fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let sent = self.send(method, path, headers, body);
        // A server may refuse a request before it has read all of it; then the answer is there, although the rest was not taken.
        let answer = match (sent, self.stream.as_mut()) {
            (Err(cause), None) => Err(cause),
            (sent, Some(stream)) => read(stream).map_err(|cause| sent.err().unwrap_or(cause)),
            (Ok(()), None) => Err(ErrorKind::NotConnected.into()),
        };
        let stays = answer.as_ref().is_ok_and(|answer| answer.header("connection") != Some("close"));
        if !stays {
            self.stream = None;
        }
        answer
    }

    /// Sends a request and does not wait for its answer.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        // A test may say that more will come.
        if !headers.iter().any(|(name, _)| *name == "content-length") {
            head += &format!("content-length: {}\r\n", body.len());
        }
        if let Some(token) = &self.token {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                BufReader::with_capacity(4096, stream)
            }
        };
        self.stream.insert(stream).get_mut().write_all(&request)
    }

    /// Breaks the connection.
    pub(crate) fn hang_up(&mut self) {
        self.stream = None;
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn read(stream: &mut BufReader<TcpStream>) -> Result<Answer> {
    let odd = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let first = line(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| odd(&first))?;
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| odd(&line))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if let Some(length) = answer.header("content-length") {
        answer.body.resize(length.parse().map_err(|_| odd(length))?, 0);
        stream.read_exact(&mut answer.body)?;
    } else if answer.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = line(stream)?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| odd(&size))?;
            let start = answer.body.len();
            answer.body.resize(start + size, 0);
            stream.read_exact(&mut answer.body[start..])?;
            line(stream)?;
            if size == 0 {
                break;
            }
        }
    }
    Ok(answer)
}

/// A form with files.
#[derive(Default)]
pub(crate) struct Form(Vec<u8>);

const BOUNDARY: &str = "----------------------------1b5f4a0c";

impl Form {
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        self.0.extend_from_slice(head.as_bytes());
        self
    }

    pub(crate) fn file(mut self, name: &str, file: &str, bytes: &[u8]) -> Self {
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        );
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub(crate) fn media_type(&self) -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        [&self.0, format!("--{BOUNDARY}--\r\n").as_bytes()].concat()
    }
}
