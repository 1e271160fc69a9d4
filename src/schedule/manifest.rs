//! `manifest.jsonl`: a line for every file that was worked on, done or failed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Result};

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All its outputs are there.
    Done,
    /// None of them is; the error says why.
    Failed,
}

/// What became of one input.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// The file.
    pub input: PathBuf,
    /// SHA-256 of its bytes, in hex; missing where it could not be read.
    pub hash: Option<String>,
    /// The files written, a source each.
    pub outputs: Vec<PathBuf>,
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

/// The manifest of a folder, being added to: a line is on disk before the next file is reported.
pub(super) struct Manifest {
    path: PathBuf,
    file: File,
}

impl Manifest {
    /// Opens the manifest of `folder`, which is created if need be; what earlier runs wrote stays.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let path = folder.join("manifest.jsonl");
        let file = File::options().append(true).create(true).open(&path).map_err(Error::io(&path, "write"))?;
        Ok(Self { path, file })
    }

    pub(super) fn add(&mut self, report: &FileReport) -> Result<()> {
        let mut line = serde_json::to_vec(report).map_err(|cause| Error::io(&self.path, "write")(cause.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io(&self.path, "write"))
    }
}
