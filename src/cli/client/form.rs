//! The body of an upload: parts in memory, and files that are read as they are sent.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read, Take};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use partwise::Error;

/// A body of the media type `multipart/form-data`.
pub(super) struct Form {
    boundary: String,
    parts: VecDeque<Part>,
    length: u64,
    /// Of its files.
    bytes: u64,
    bar: ProgressBar,
    failure: Option<Error>,
}

enum Part {
    Bytes(Cursor<Vec<u8>>),
    /// What is left of a file. It is sent with the length that it had first.
    File(PathBuf, Take<File>),
}

impl Form {
    /// A form without parts. `boundary` must not occur in any. The bar advances by the bytes of files.
    pub(super) fn new(boundary: &str, bar: ProgressBar) -> Self {
        let mut form =
            Self { boundary: boundary.into(), parts: VecDeque::new(), length: 0, bytes: 0, bar, failure: None };
        form.put(format!("--{boundary}"));
        form
    }

    pub(super) fn media_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// Bytes of all parts.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Why a file could not be read while it was sent.
    pub(super) fn failure(self) -> Option<Error> {
        self.failure
    }

    /// Adds a part of text.
    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        self.put(format!(
            "\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{text}\r\n--{}",
            quoted(name),
            self.boundary
        ));
        self
    }

    /// Adds a part that is a file.
    pub(super) fn file(mut self, name: &str, path: &Path) -> Result<Self, Error> {
        let opened = File::open(path).and_then(|file| {
            let there = file.metadata()?;
            if there.is_dir() { Err(ErrorKind::IsADirectory.into()) } else { Ok((file, there.len())) }
        });
        let (file, length) = opened.map_err(Error::io(path, "read"))?;
        // A service would take what is before a backslash for folders.
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().replace('\\', "_");
        self.put(format!(
            "\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: application/octet-stream\r\n\r\n",
            quoted(name),
            quoted(&file_name)
        ));
        self.length += length;
        self.bytes += length;
        self.parts.push_back(Part::File(path.into(), file.take(length)));
        self.put(format!("\r\n--{}", self.boundary));
        Ok(self)
    }

    /// Ends the form.
    pub(super) fn end(mut self) -> Self {
        self.put("--\r\n".into());
        self
    }

    fn put(&mut self, text: String) {
        self.length += text.len() as u64;
        self.parts.push_back(Part::Bytes(Cursor::new(text.into())));
    }
}

impl Read for Form {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(part) = self.parts.front_mut() {
            let count = match part {
                Part::Bytes(bytes) => bytes.read(buffer)?,
                Part::File(path, file) => {
                    let read = match file.read(buffer) {
                        Ok(0) if file.limit() > 0 && !buffer.is_empty() => {
                            Err(io::Error::new(ErrorKind::UnexpectedEof, "it became shorter while it was sent"))
                        }
                        read => read,
                    };
                    if let Err(cause) = read {
                        let kind = cause.kind();
                        self.failure = Some(Error::io(path, "read")(cause));
                        return Err(kind.into());
                    }
                    let count = read.unwrap_or_default();
                    self.bar.inc(count as u64);
                    count
                }
            };
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.parts.pop_front();
        }
        Ok(0)
    }
}

/// A name between quotes, as forms have it. A line break would begin a header.
fn quoted(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '_' } else { c }).collect::<String>().replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_the_length_that_it_tells() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a\"b.wav");
        std::fs::write(&path, "sound").unwrap();
        let bar = ProgressBar::hidden();
        let mut form =
            Form::new("limit", bar.clone()).text("options\r\nx: y", "{}").file("recording", &path).unwrap().end();
        let length = form.length();
        let mut text = String::new();
        form.read_to_string(&mut text).unwrap();
        assert_eq!(text.len() as u64, length);
        assert_eq!(bar.position(), 5);
        assert_eq!(
            text,
            "--limit\r\nContent-Disposition: form-data; name=\"options__x: y\"\r\n\r\n{}\r\n--limit\r\n\
             Content-Disposition: form-data; name=\"recording\"; filename=\"a\\\"b.wav\"\r\n\
             Content-Type: application/octet-stream\r\n\r\nsound\r\n--limit--\r\n"
        );
    }

    #[test]
    fn a_file_that_changes_while_it_is_sent_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let form = |grown: &str| {
            std::fs::write(&path, "sound").unwrap();
            let mut form = Form::new("limit", ProgressBar::hidden()).file("recording", &path).unwrap().end();
            std::fs::write(&path, grown).unwrap();
            let mut text = String::new();
            let read = form.read_to_string(&mut text);
            (read.is_ok(), text, form.failure().map(|error| error.to_string()))
        };
        let (whole, text, _) = form("soundless");
        assert!(whole && text.contains("\r\n\r\nsound\r\n"), "{text}");
        let (whole, _, failure) = form("so");
        assert!(!whole && failure.unwrap().contains("became shorter"));
        assert!(Form::new("limit", ProgressBar::hidden()).file("recording", folder.path()).is_err());
    }
}
