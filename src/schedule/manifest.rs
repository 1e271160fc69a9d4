//! `manifest.jsonl`: a line for every file that was worked on, done or failed. Later lines overrule earlier ones.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::path_json;
use crate::{Error, Result};

/// The name of a folder's manifest.
pub const MANIFEST: &str = "manifest.jsonl";

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All its outputs are there.
    Done,
    /// The error says why. Its outputs are not there, or left from an earlier run and not to be relied on.
    Failed,
}

/// What a result depends on beside the recording: equal here, equal bytes there (on one engine).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parameters {
    /// Of the program.
    pub version: String,
    /// SHA-256 of the model file, in hex.
    pub model: String,
    /// How cells are shared.
    pub mask: String,
    /// How the gains are updated.
    pub updates: String,
    /// The most updates of the gains.
    pub iterations: usize,
    /// The relative change of the objective at which updates end; 0: never.
    pub tolerance: f64,
    /// What is written.
    pub format: String,
    /// The one source that is written; all of them if it is missing.
    pub only: Option<String>,
}

/// What became of one input: a line of the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// The file.
    #[serde(with = "path_json")]
    pub input: PathBuf,
    /// SHA-256 of its bytes, in hex; missing where it could not be read.
    pub hash: Option<String>,
    /// The folder of the results, as it was named.
    #[serde(default, with = "path_json")]
    pub folder: PathBuf,
    /// Its files in that folder, a source each; of one that failed, those that there would be.
    #[serde(with = "path_json::list")]
    pub outputs: Vec<PathBuf>,
    /// Sizes of `outputs`, one each; none of a file that failed.
    #[serde(default)]
    pub bytes: Vec<u64>,
    /// What the outputs depend on.
    #[serde(default)]
    pub parameters: Parameters,
    /// Its length.
    pub seconds: f64,
    /// Channels.
    pub channels: usize,
    /// Hz.
    pub sample_rate: u32,
    /// What it was computed on.
    pub engine: String,
    /// Iterations of every panel.
    pub iterations: usize,
    /// The objective after the last, over all frames and channels.
    pub objective: Option<f64>,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    pub error: Option<String>,
    /// What was odd about it.
    pub warnings: Vec<String>,
}

impl FileReport {
    /// The line, with its end.
    ///
    /// # Errors
    /// What serde_json says, as of a number that JSON has not got.
    pub fn to_line(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// Where the outputs lie below the folder of the results.
    fn places(&self) -> impl Iterator<Item = &Path> {
        self.outputs.iter().map(|output| output.strip_prefix(&self.folder).unwrap_or(output))
    }
}

/// The lines of a manifest, in order. What follows the last line's end is left out: a killed process began to write it.
///
/// # Errors
/// [`Error::Io`]; [`Error::Input`] naming a line that is none.
pub fn read_manifest(path: &Path) -> Result<Vec<FileReport>> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    let whole = bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let read = |(index, line)| {
        serde_json::from_slice(line).map_err(|cause| {
            let (path, number) = (path.display(), index + 1);
            Error::input(format!(
                "{path}, line {number}: damaged ({cause}); delete the line, its file is then done anew"
            ))
        })
    };
    whole.enumerate().map(read).collect()
}

/// What earlier runs left in a folder.
pub struct Record {
    folder: PathBuf,
    lines: Vec<FileReport>,
    /// By an output's place below the folder, the last line that has it: so the folder may have been moved, or be named
    /// otherwise than then.
    last: HashMap<PathBuf, usize>,
}

impl Record {
    /// Reads the manifest of `folder`; where there is none, nothing is recorded.
    ///
    /// # Errors
    /// Those of [`read_manifest`].
    pub fn read(folder: &Path) -> Result<Self> {
        let lines = match read_manifest(&folder.join(MANIFEST)) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
            lines => lines?,
        };
        let mut last = HashMap::new();
        for (index, line) in lines.iter().enumerate() {
            last.extend(line.places().map(|place| (place.to_path_buf(), index)));
        }
        Ok(Self { folder: folder.to_path_buf(), lines, last })
    }

    /// The line that says that this was done: same hash of the input, same parameters, all `outputs` there with the recorded
    /// sizes.
    pub fn proves(&self, hash: &str, parameters: &Parameters, outputs: &[PathBuf]) -> Option<&FileReport> {
        let places = outputs.iter().map(|output| output.strip_prefix(&self.folder).ok()).collect::<Option<Vec<_>>>()?;
        let index = *self.last.get(*places.first()?)?;
        let line = &self.lines[index];
        let there = |(output, &bytes): (&PathBuf, &u64)| {
            std::fs::metadata(output).is_ok_and(|found| found.is_file() && found.len() == bytes)
        };
        let proven = line.status == Status::Done
            && line.hash.as_deref() == Some(hash)
            && line.parameters == *parameters
            && line.places().eq(places.iter().copied())
            && places.iter().all(|&place| self.last.get(place) == Some(&index))
            && line.bytes.len() == outputs.len()
            && outputs.iter().zip(&line.bytes).all(there);
        proven.then_some(line)
    }
}

/// The manifest of a folder, being added to: a line is on disk before the next file is reported. Several processes may add to
/// one.
pub(super) struct Manifest {
    path: PathBuf,
    file: File,
    /// Whether the file can be locked where it is.
    locks: bool,
}

impl Manifest {
    /// Opens the manifest of `folder`, which is created if need be; what earlier runs wrote stays, but for a last line that one
    /// of them only began.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let path = folder.join(MANIFEST);
        let file = File::options().read(true).append(true).create(true).open(&path);
        let mut manifest = Self { file: file.map_err(Error::io(&path, "write"))?, path, locks: true };
        manifest.append(b"")?;
        Ok(manifest)
    }

    pub(super) fn add(&mut self, report: &FileReport) -> Result<()> {
        let line = report.to_line().map_err(|cause| Error::io(&self.path, "write")(cause.into()))?;
        self.append(line.as_bytes())
    }

    /// Adds a line while no other process does.
    fn append(&mut self, line: &[u8]) -> Result<()> {
        if self.locks
            && let Err(cause) = self.file.lock()
        {
            let path = self.path.display();
            log::warn!("{path}: cannot be locked here ({cause}); let one process at a time write to this folder");
            self.locks = false;
        }
        // Another process may have been killed in the middle of a line since the last one.
        let appended = self.cut_torn_line().and_then(|()| self.file.write_all(line));
        let unlocked = if self.locks { self.file.unlock() } else { Ok(()) };
        appended.and(unlocked).map_err(Error::io(&self.path, "write"))
    }

    /// Cuts the file back to the end of its last whole line.
    fn cut_torn_line(&mut self) -> std::io::Result<()> {
        let mut last = [b'\n'];
        if self.file.metadata()?.len() > 0 {
            self.file.seek(SeekFrom::End(-1))?;
            self.file.read_exact(&mut last)?;
        }
        if last == *b"\n" {
            return Ok(());
        }
        let mut bytes = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        // A file opened for appending cannot be cut on every system.
        File::options().write(true).open(&self.path)?.set_len(whole as u64)
    }
}
