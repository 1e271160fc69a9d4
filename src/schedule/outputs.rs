//! Where results go, and how they appear: whole or not at all.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::Input;
use crate::audio::{Format, FormatChoice, Writer};
use crate::{Error, Result};

/// What output files are called, and what they are.
#[derive(Debug, Clone)]
pub struct Naming {
    /// The folder of all results.
    pub folder: PathBuf,
    /// The name of a file, with {stem}, {source} and {ext} filled in.
    pub pattern: String,
    /// What is written.
    pub format: FormatChoice,
}

/// The default of [`Naming::pattern`].
pub const PATTERN: &str = "{stem}.{source}.{ext}";

impl Naming {
    /// The output files of every input, in the order of `sources`.
    ///
    /// # Errors
    /// [`Error::Input`] where a pattern cannot work, two outputs would be one file, or an output would overwrite an input.
    pub fn plan(&self, inputs: &[Input], sources: &[&str]) -> Result<Vec<Vec<PathBuf>>> {
        let pattern = &self.pattern;
        let places = pattern.replace("{stem}", "").replace("{source}", "").replace("{ext}", "");
        if places.contains(['{', '}', '/', '\\']) || !pattern.contains("{stem}") {
            return Err(Error::input(format!(
                "name '{pattern}': use {{stem}}, {{source}} and {{ext}}, and no folders"
            )));
        }
        if sources.len() > 1 && !pattern.contains("{source}") {
            return Err(Error::input(format!("name '{pattern}': {} sources need {{source}} in it", sources.len())));
        }
        let taken: HashSet<PathBuf> =
            inputs.iter().filter_map(|input| std::fs::canonicalize(&input.path).ok()).collect();
        let mut owners: HashMap<PathBuf, &Path> = HashMap::new();
        let mut plan = Vec::with_capacity(inputs.len());
        for input in inputs {
            let outputs: Vec<PathBuf> = sources.iter().map(|source| self.output(input, source)).collect();
            for output in &outputs {
                if std::fs::canonicalize(output).is_ok_and(|output| taken.contains(&output)) {
                    return Err(Error::input(format!(
                        "{}: this output would overwrite an input; choose another folder or --name",
                        output.display()
                    )));
                }
                if let Some(other) = owners.insert(output.clone(), &input.path) {
                    return Err(Error::input(format!(
                        "{} and {} would both be written to {}; name their common folder, or separate them one by one",
                        other.display(),
                        input.path.display(),
                        output.display()
                    )));
                }
            }
            plan.push(outputs);
        }
        Ok(plan)
    }

    fn output(&self, input: &Input, source: &str) -> PathBuf {
        let stem = input.path.file_stem().unwrap_or_default().to_string_lossy();
        let name = self.pattern.replace("{ext}", self.format.extension()).replace("{source}", source);
        self.folder.join(&input.below).join(name.replace("{stem}", &stem))
    }
}

/// A file being written beside its place; it gets its name when it is published, and is removed if it never is.
pub(super) struct Pending {
    /// Missing once the file is closed.
    writer: Option<Writer>,
    partial: PathBuf,
    output: PathBuf,
}

impl Pending {
    pub(super) fn create(
        output: &Path,
        format: Format,
        channels: usize,
        sample_rate: u32,
        frames: u64,
    ) -> Result<Self> {
        if let Some(folder) = output.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        }
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let partial = output.with_file_name(format!(".{name}.partial"));
        let writer = Some(Writer::create(&partial, format, channels, sample_rate, frames)?);
        Ok(Self { writer, partial, output: output.to_path_buf() })
    }

    /// Appends a block (C, n).
    pub(super) fn write(&mut self, block: &[Vec<f32>]) -> Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.write(block))
    }

    /// Ends the file, still under its temporary name; the number of samples clipped. A recording's files are all closed
    /// before the first is published: a full disk leaves none of them.
    pub(super) fn close(&mut self) -> Result<u64> {
        self.writer.take().map_or(Ok(0), Writer::finish)
    }

    /// Gives a closed file its name.
    pub(super) fn publish(mut self) -> Result<()> {
        self.close()?;
        std::fs::rename(&self.partial, &self.output).map_err(Error::io(&self.output, "write"))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.writer = None;
        // After a finished file there is nothing left to remove, and nowhere to report it if there is and it fails.
        let _ = std::fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(folder: &Path, pattern: &str) -> Naming {
        Naming { folder: folder.into(), pattern: pattern.into(), format: FormatChoice::Given(Format::WavF32) }
    }

    fn input(path: &str, below: &str) -> Input {
        Input { path: path.into(), below: below.into() }
    }

    #[test]
    fn names_follow_the_pattern_and_the_folders_below() {
        let inputs = [input("in/a.b.wav", ""), input("in/x/ü.flac", "x")];
        let plan = naming(Path::new("out"), PATTERN).plan(&inputs, &["s", "p"]).unwrap();
        let expected = [["out/a.b.s.wav", "out/a.b.p.wav"], ["out/x/ü.s.wav", "out/x/ü.p.wav"]];
        assert_eq!(plan, expected.map(|files| files.map(PathBuf::from).to_vec()));
        let plan = naming(Path::new("out"), "{source}-{stem}.w").plan(&inputs[..1], &["s"]).unwrap();
        assert_eq!(plan, [[PathBuf::from("out/s-a.b.w")]]);
    }

    #[test]
    fn a_stem_that_looks_like_a_place_is_left_alone() {
        let plan = naming(Path::new("out"), PATTERN).plan(&[input("{source}.wav", "")], &["s"]).unwrap();
        assert_eq!(plan, [[PathBuf::from("out/{source}.s.wav")]]);
    }

    #[test]
    fn plans_that_would_lose_something_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let refused = |pattern: &str, inputs: &[Input], sources: &[&str], reason: &str| {
            let error = naming(root.path(), pattern).plan(inputs, sources).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        };
        let two = [input("a/x.wav", ""), input("b/x.wav", "")];
        refused(PATTERN, &two, &["s"], "would both be written");
        refused("{source}.wav", &two[..1], &["s"], "{stem}");
        refused("{stem}.wav", &two[..1], &["s", "p"], "need {source}");
        refused("../{stem}.{source}", &two[..1], &["s"], "no folders");
        refused("{stem}{sauce}", &two[..1], &["s"], "use {stem}");
        let own = root.path().join("x.s.wav");
        std::fs::write(&own, "x").unwrap();
        std::fs::write(root.path().join("x.wav"), "x").unwrap();
        let inputs = [input(root.path().join("x.wav").to_str().unwrap(), ""), input(own.to_str().unwrap(), "")];
        refused(PATTERN, &inputs, &["s"], "overwrite an input");
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let output = root.path().join("sub/x.wav");
        let files = || std::fs::read_dir(root.path().join("sub")).unwrap().count();
        let mut pending = Pending::create(&output, Format::WavF32, 1, 8000, 1).unwrap();
        pending.write(&[vec![0.5]]).unwrap();
        assert!(!output.exists() && files() == 1);
        drop(pending);
        assert_eq!(files(), 0);
        let mut pending = Pending::create(&output, Format::WavF32, 1, 8000, 1).unwrap();
        pending.write(&[vec![0.5]]).unwrap();
        assert_eq!(pending.close().unwrap(), 0);
        assert!(!output.exists());
        pending.publish().unwrap();
        assert!(output.exists() && files() == 1);
    }
}
