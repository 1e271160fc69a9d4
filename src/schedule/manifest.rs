//! `manifest.jsonl`: one line for every file that was done or failed. Later lines replace earlier ones.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::parameters::{Parameters, Recorded, newer};
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
    /// Its outputs are about to replace those of an earlier run. If this is the last line of a file, the run was killed at that
    /// moment, and the outputs may be of either run.
    Begun,
    /// `error` says why. Outputs of an earlier run are left as they were.
    Failed,
}

/// The result for one input: a line of the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// The file.
    #[serde(with = "path_json")]
    pub input: PathBuf,
    /// SHA-256 of its bytes, in hex; missing if it could not be read.
    pub hash: Option<String>,
    /// The folder of the results, as it was named.
    #[serde(default, with = "path_json")]
    pub folder: PathBuf,
    /// Its files in that folder, one per source; empty if it failed.
    #[serde(with = "path_json::list")]
    pub outputs: Vec<PathBuf>,
    /// The size of each of `outputs` in bytes.
    #[serde(default)]
    pub bytes: Vec<u64>,
    /// Everything that the outputs depend on besides the recording.
    #[serde(default)]
    pub parameters: Recorded,
    /// Its duration.
    pub seconds: f64,
    /// Channels.
    pub channels: usize,
    /// Hz.
    pub sample_rate: u32,
    /// The engine that computed it.
    pub engine: String,
    /// The most updates of any of its segments.
    pub iterations: usize,
    /// The final objective over all frames and channels.
    pub objective: Option<f64>,
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    pub error: Option<String>,
    /// Warnings about the recording.
    pub warnings: Vec<String>,
}

impl FileReport {
    /// The line, with its line end.
    ///
    /// # Errors
    /// Those of serde_json, for example for a path that is not Unicode.
    pub fn to_line(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// The outputs' paths below the folder of the results.
    fn places(&self) -> impl Iterator<Item = &Path> {
        self.outputs.iter().map(|output| output.strip_prefix(&self.folder).unwrap_or(output))
    }
}

/// Reads the lines of a manifest, in order. A last line without a line end counts if it is complete. The torn line of a killed
/// process is left out.
///
/// # Errors
/// [`Error::Io`]; [`Error::Input`] names a damaged line, or a line of a later version or of another program.
pub fn read_manifest(path: &Path) -> Result<Vec<FileReport>> {
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    let mut lines = Vec::new();
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match (serde_json::from_slice(line), begins_like_a_line(line)) {
            (Ok(report), _) => lines.push(report),
            (Err(_), true) if !line.ends_with(b"\n") => {}
            (Err(_), false) => return Err(foreign(path, &format!("line {}", index + 1))),
            (Err(cause), true) => {
                let fault = match newer(line) {
                    Some(version) => format!("was written by partwise {version}; use that version or a later one"),
                    None => format!("damaged ({cause}); delete the line, its file is then done anew"),
                };
                return Err(Error::input(format!("{}, line {}: {fault}", path.display(), index + 1)));
            }
        }
    }
    Ok(lines)
}

/// Whether bytes begin like the lines of [`FileReport::to_line`], or are only zeros: some file systems leave zeros after a crash.
pub(super) fn begins_like_a_line(bytes: &[u8]) -> bool {
    const INPUT: &[u8] = br#"{"input":"#;
    const HASH: &[u8] = br#","hash":"#;
    let agree = |bytes: &[u8], text: &[u8]| bytes.iter().zip(text).all(|(byte, expected)| byte == expected);
    let bytes = &bytes[..bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)];
    let Some(after) = bytes.strip_prefix(INPUT) else { return agree(bytes, INPUT) };
    if after.first().is_some_and(u8::is_ascii_whitespace) {
        return false;
    }
    let mut values = serde_json::Deserializer::from_slice(after).into_iter::<serde_json::Value>();
    match values.next() {
        None => true,
        Some(Ok(_)) => agree(&after[values.byte_offset()..], HASH),
        Some(Err(cause)) => cause.is_eof(),
    }
}

pub(super) fn foreign(path: &Path, place: &str) -> Error {
    Error::input(format!(
        "{}, {place}: damaged, or another program's; delete the line, or choose another folder for the results",
        path.display()
    ))
}

/// The manifest of earlier runs into a folder.
pub struct Record {
    folder: PathBuf,
    lines: Vec<FileReport>,
    /// The last line that has an output, by its path below the folder. So the folder may have been moved or renamed.
    last: HashMap<PathBuf, usize>,
    /// By input, the last line that is not [`Status::Done`].
    failed: HashMap<PathBuf, usize>,
}

impl Record {
    /// Reads the manifest of `folder`. Without one, the record is empty.
    ///
    /// # Errors
    /// Those of [`read_manifest`].
    pub fn read(folder: &Path) -> Result<Self> {
        let lines = match read_manifest(&folder.join(MANIFEST)) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
            lines => lines?,
        };
        let (mut last, mut failed) = (HashMap::new(), HashMap::new());
        for (index, line) in lines.iter().enumerate() {
            last.extend(line.places().map(|place| (place.to_path_buf(), index)));
            if line.status != Status::Done {
                failed.insert(line.input.clone(), index);
            }
        }
        Ok(Self { folder: folder.to_path_buf(), lines, last, failed })
    }

    /// The line that proves a file done: it has the same hash and parameters, and all `outputs` exist in the recorded sizes.
    pub fn proves(&self, hash: &str, parameters: &Parameters, outputs: &[PathBuf]) -> Option<&FileReport> {
        let places = outputs.iter().map(|output| output.strip_prefix(&self.folder).ok()).collect::<Option<Vec<_>>>()?;
        let index = *self.last.get(*places.first()?)?;
        let line = &self.lines[index];
        let there = |(output, &bytes): (&PathBuf, &u64)| {
            std::fs::metadata(output).is_ok_and(|found| found.is_file() && found.len() == bytes)
        };
        let proven = line.status == Status::Done
            && self.failed.get(&line.input).is_none_or(|&failed| failed < index)
            && line.hash.as_deref() == Some(hash)
            && line.parameters.is(parameters)
            && line.places().eq(places.iter().copied())
            && places.iter().all(|&place| self.last.get(place) == Some(&index))
            && line.bytes.len() == outputs.len()
            && outputs.iter().zip(&line.bytes).all(there);
        proven.then_some(line)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::append::Manifest;
    use super::super::parameters::Recorded;
    use super::*;
    use crate::job::{Separation, SeparationMethod};
    use crate::methods::gain_prior;

    fn parameters() -> Parameters {
        let separation = Separation { tolerance: 1.0 / 3.0, iterations: Some(40), ..Separation::default() };
        Parameters { version: "0".into(), model: "model".into(), separation }
    }

    /// The parameters of a line of this version.
    fn known(report: &mut FileReport) -> &mut Parameters {
        match &mut report.parameters {
            Recorded::Known(parameters) => parameters,
            Recorded::Earlier(value) => panic!("{value}"),
        }
    }

    /// A file that was done into `folder`, with two outputs.
    pub(in crate::schedule) fn report(folder: &Path, name: &str) -> FileReport {
        let output = |source: &str| folder.join(format!("{name}.{source}.wav"));
        FileReport {
            input: format!("in/{name}.wav").into(),
            hash: Some(format!("hash of {name}")),
            folder: folder.into(),
            outputs: vec![output("a"), output("b")],
            bytes: vec![3, 4],
            parameters: parameters().into(),
            seconds: 0.1,
            channels: 1,
            sample_rate: 8000,
            engine: "cpu".into(),
            iterations: 10,
            objective: Some(0.1 + 0.2),
            status: Status::Done,
            error: None,
            warnings: Vec::new(),
        }
    }

    fn write_outputs(report: &FileReport) {
        for (output, &bytes) in report.outputs.iter().zip(&report.bytes) {
            std::fs::create_dir_all(output.parent().unwrap()).unwrap();
            std::fs::write(output, vec![0; bytes as usize]).unwrap();
        }
    }

    /// Whether the record of `folder` proves what `report` says, with outputs in that folder.
    fn proven(folder: &Path, report: &FileReport) -> bool {
        let outputs: Vec<PathBuf> = report.places().map(|place| folder.join(place)).collect();
        let record = Record::read(folder).unwrap();
        record.proves(report.hash.as_deref().unwrap(), known(&mut report.clone()), &outputs).is_some()
    }

    #[test]
    fn what_was_done_is_proven_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let done = report(folder, "x");
        assert!(!proven(folder, &done), "no manifest");
        let mut manifest = Manifest::open(folder).unwrap();
        manifest.add(&done).unwrap();
        assert!(!proven(folder, &done), "no outputs");
        write_outputs(&done);
        let record = Record::read(folder).unwrap();
        assert_eq!(record.proves("hash of x", &parameters(), &done.outputs), Some(&done));

        let other = |change: fn(&mut FileReport)| {
            let mut other = done.clone();
            change(&mut other);
            assert!(!proven(folder, &other), "{other:?}");
        };
        other(|report| report.hash = Some("another".into()));
        other(|report| known(report).version = "0.0.1".into());
        other(|report| known(report).model = "another".into());
        other(|report| known(report).separation.tolerance = 0.0);
        other(|report| known(report).separation.only = Some("a".into()));
        other(|report| {
            known(report).separation.method = Some(SeparationMethod::GainPrior(gain_prior::Separation::default()));
        });
        other(|report| report.outputs.truncate(1));
        other(|report| report.outputs.reverse());
        other(|report| report.outputs[1].set_file_name("y.b.wav"));
        assert!(record.proves("hash of x", &parameters(), &[]).is_none());

        std::fs::write(&done.outputs[1], "five!").unwrap();
        assert!(!proven(folder, &done), "another size");
        std::fs::remove_file(&done.outputs[1]).unwrap();
        assert!(!proven(folder, &done), "an output is gone");
    }

    #[test]
    fn a_later_line_of_the_same_file_overrules() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let done = report(folder, "x");
        write_outputs(&done);
        let nothing = (Vec::new(), Vec::new());
        let failed = FileReport {
            status: Status::Failed,
            outputs: nothing.0,
            bytes: nothing.1,
            error: Some("why".into()),
            ..done.clone()
        };
        let mut alone = FileReport { hash: Some("another".into()), ..done.clone() };
        alone.outputs.remove(0);
        alone.bytes.remove(0);
        // Another run, which reached the input by another name, was killed while it replaced these outputs.
        let begun = FileReport { status: Status::Begun, input: "/abs/in/x.wav".into(), ..done.clone() };
        let mut manifest = Manifest::open(folder).unwrap();
        let lines = [(&done, true), (&failed, false), (&done, true), (&alone, false), (&done, true), (&begun, false)];
        for (line, proves) in lines {
            manifest.add(line).unwrap();
            manifest.add(&report(folder, "x/x")).unwrap();
            assert_eq!(proven(folder, &done), proves, "{line:?}");
        }
    }

    #[test]
    fn a_folder_may_be_moved_and_named_otherwise() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = (root.path().join("old"), root.path().join("new"));
        // Two inputs of one content and one name. The second was changed later.
        let mut lines = [report(&old, "x"), report(&old, "below/x")];
        lines[1].hash = lines[0].hash.clone();
        let changed = FileReport { hash: Some("changed".into()), ..lines[0].clone() };
        let mut manifest = Manifest::open(&old).unwrap();
        for line in [&lines[0], &lines[1], &changed] {
            manifest.add(line).unwrap();
            write_outputs(line);
        }
        std::fs::rename(&old, &new).unwrap();
        for folder in [new.clone(), root.path().join("new/."), root.path().join("new/below/..")] {
            assert_eq!([&lines[0], &lines[1], &changed].map(|line| proven(&folder, line)), [false, true, true]);
        }
        // Lines without a folder prove nothing.
        let line = std::fs::read_to_string(new.join(MANIFEST)).unwrap();
        let older = line.replace(&format!("\"folder\":{old:?},"), "").replace("\"bytes\":[3,4],", "");
        assert!(older.len() < line.len() - 90);
        std::fs::write(new.join(MANIFEST), older).unwrap();
        assert!(!proven(&new, &changed));
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_unicode_come_back_as_they_were() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;
        let root = tempfile::tempdir().unwrap();
        let mut odd = report(root.path(), "x");
        odd.input = OsString::from_vec(vec![b'i', 0xfe]).into();
        odd.outputs[1] = root.path().join(OsString::from_vec(vec![b'o', 0xff]));
        Manifest::open(root.path()).unwrap().add(&odd).unwrap();
        assert_eq!(read_manifest(&root.path().join(MANIFEST)).unwrap(), [odd]);
    }

    #[test]
    fn lines_are_not_searched_for_each_output() {
        let root = tempfile::tempdir().unwrap();
        let lines: String = (0..100_000).map(|n| report(root.path(), &format!("{n}/mix")).to_line().unwrap()).collect();
        std::fs::write(root.path().join(MANIFEST), lines).unwrap();
        let started = std::time::Instant::now();
        let record = Record::read(root.path()).unwrap();
        let reading = started.elapsed();
        let line = report(root.path(), "77777/mix");
        write_outputs(&line);
        let started = std::time::Instant::now();
        for _ in 0..1000 {
            assert!(record.proves("hash of 77777/mix", &parameters(), &line.outputs).is_some());
        }
        // A search through all lines for each output would take minutes.
        let proving = started.elapsed();
        assert!(proving < reading, "{proving:?} after {reading:?}");
    }
}
