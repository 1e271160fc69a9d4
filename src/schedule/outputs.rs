//! Names output files, and writes them so that they are complete or absent.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::unfinished::Run;
use super::{Input, Track};
use crate::audio::{FormatChoice, Writer};
use crate::{Error, Result};

/// The names and the format of output files.
#[derive(Debug, Clone)]
pub struct Naming {
    /// The folder of all results.
    pub folder: PathBuf,
    /// The pattern of a file name, with {stem}, {source} and {ext} to fill in.
    pub pattern: String,
    /// The output format.
    pub format: FormatChoice,
}

/// The default of [`Naming::pattern`].
pub const PATTERN: &str = "{stem}.{source}.{ext}";

impl Naming {
    /// Plans the output files of every input, in the order of `sources`.
    ///
    /// An output lies in the input's folder relative to the named folder, and {stem} is the input's name without its
    /// extension. Inputs that would share outputs instead keep the folders in which their paths differ, and inputs of
    /// the same folder also keep their extension. For example: `a/x.speech.wav` and `b/x.speech.wav`,
    /// `x.flac.speech.wav` and `x.mp3.speech.wav`. An input that is not a file has no outputs and does not affect other
    /// names.
    ///
    /// # Errors
    /// [`Error::Input`] if the pattern is invalid, two outputs would be the same file, or an output would overwrite an
    /// input.
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
        let mut plan = vec![Vec::new(); inputs.len()];
        let files: Vec<(usize, &Input)> =
            inputs.iter().enumerate().filter(|(_, input)| input.problem.is_none()).collect();
        let places = places_of(&files.iter().map(|&(_, input)| input).collect::<Vec<_>>());
        for ((index, input), place) in files.into_iter().zip(places) {
            let outputs: Vec<PathBuf> = sources.iter().map(|source| self.output(&place, source)).collect();
            for output in &outputs {
                if std::fs::canonicalize(output).is_ok_and(|output| taken.contains(&output)) {
                    return Err(Error::input(format!(
                        "{}: this output would overwrite an input; choose another folder or --name",
                        output.display()
                    )));
                }
                if let Some(other) = owners.insert(output.clone(), &input.path) {
                    return Err(Error::input(format!(
                        "{} and {} would both be written to {}; separate them one by one, or choose another --name",
                        other.display(),
                        input.path.display(),
                        output.display()
                    )));
                }
            }
            plan[index] = outputs;
        }
        Ok(plan)
    }

    fn output(&self, place: &Place, source: &str) -> PathBuf {
        let pattern = self.pattern.replace("{ext}", self.format.extension()).replace("{source}", source);
        let mut name = OsString::new();
        for (gap, part) in pattern.split("{stem}").enumerate() {
            if gap > 0 {
                name.push(&place.stem);
            }
            name.push(part);
        }
        self.folder.join(&place.below).join(name)
    }
}

/// The parts of an output's path that come from its input.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    /// The folder, relative to the results folder.
    below: PathBuf,
    stem: OsString,
}

/// The places of all inputs, made distinct if possible. They depend only on the list, not on existing files.
fn places_of(inputs: &[&Input]) -> Vec<Place> {
    let place = |input: &&Input| Place {
        below: input.below.clone(),
        stem: input.path.file_stem().unwrap_or_default().to_os_string(),
    };
    let mut places: Vec<Place> = inputs.iter().map(place).collect();
    // Do each step twice, because an input that was moved may collide at its new place.
    for _ in 0..2 {
        for group in shared(&places) {
            keep_folders(inputs, &group, &mut places);
        }
    }
    for _ in 0..2 {
        for index in shared(&places).into_iter().flatten() {
            places[index].stem = inputs[index].path.file_name().unwrap_or_default().to_os_string();
        }
    }
    places
}

/// The indices of inputs that share a place, grouped.
fn shared(places: &[Place]) -> Vec<Vec<usize>> {
    let mut groups: HashMap<&Place, Vec<usize>> = HashMap::new();
    for (index, place) in places.iter().enumerate() {
        groups.entry(place).or_default().push(index);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|group| group.len() > 1).collect();
    groups.sort();
    groups
}

/// Moves the inputs of a group into the folders in which their paths differ. Inputs of the same folder stay.
fn keep_folders(inputs: &[&Input], group: &[usize], places: &mut [Place]) {
    let folders: Vec<Vec<OsString>> = group.iter().map(|&index| folders_above(&inputs[index].path)).collect();
    let common = folders.iter().skip(1).fold(folders[0].len(), |common, other| {
        common.min(folders[0].iter().zip(other).take_while(|(one, other)| one == other).count())
    });
    if folders.iter().any(|folders| folders.len() > common) {
        for (&index, folders) in group.iter().zip(&folders) {
            places[index].below = folders[common..].iter().collect();
        }
    }
}

/// The folder names from the root to a file, without links, as far as the folders exist.
fn folders_above(file: &Path) -> Vec<OsString> {
    let folder = Path::new(".").join(file.parent().unwrap_or(file));
    let folder = folder.canonicalize().or_else(|_| std::path::absolute(&folder)).unwrap_or(folder);
    let name = |part: Component| if let Component::Normal(name) = part { Some(name.to_os_string()) } else { None };
    folder.components().filter_map(name).collect()
}

/// An output being written under a temporary name. It is renamed once all outputs of its recording are complete, and
/// removed otherwise.
pub(super) struct Pending {
    /// None once the file is closed.
    writer: Option<Writer>,
    partial: PathBuf,
    output: PathBuf,
}

impl Pending {
    /// Starts an output of a track.
    pub(super) fn create(output: &Path, track: &Track, run: &Run) -> Result<Self> {
        if let Some(folder) = output.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        }
        let mut pending = Self { writer: None, partial: run.partial(output), output: output.to_path_buf() };
        let Track { format, channels, sample_rate, length, mask, .. } = *track;
        let writer = Writer::masked(&pending.partial, format, channels, sample_rate, length, mask);
        pending.writer = Some(writer.map_err(|error| about(output, error))?);
        Ok(pending)
    }

    /// Appends a block (C, n).
    pub(super) fn write(&mut self, block: &[Vec<f32>]) -> Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.write(block)).map_err(|error| about(&self.output, error))
    }

    /// Closes the file under its temporary name. Returns its size and the number of clipped samples.
    pub(super) fn close(&mut self) -> Result<(u64, u64)> {
        let clipped = self.writer.take().map_or(Ok(0), Writer::finish).map_err(|error| about(&self.output, error))?;
        let size = std::fs::metadata(&self.partial).map_err(Error::io(&self.output, "write"))?.len();
        Ok((size, clipped))
    }

    /// Whether the output would replace an existing file.
    pub(super) fn replaces(&self) -> bool {
        self.output.symlink_metadata().is_ok()
    }

    /// Renames a closed file to its output name.
    fn name(self) -> Result<()> {
        std::fs::rename(&self.partial, &self.output).map_err(Error::io(&self.output, "write"))
    }
}

/// Rewrites an error to name the output, which is the name that the user knows.
fn about(output: &Path, error: Error) -> Error {
    match error {
        Error::Io { action, source, .. } => Error::Io { path: output.to_path_buf(), action, source },
        Error::Audio { reason, .. } => Error::audio(output, reason),
        other => other,
    }
}

/// Renames the closed files of a recording to their output names. If one fails, the others are removed.
pub(super) fn publish(files: Vec<Pending>) -> Result<()> {
    let mut named: Vec<PathBuf> = Vec::new();
    for file in files {
        let output = file.output.clone();
        if let Err(error) = file.name() {
            // Report the first error, not those of the removal.
            named.iter().for_each(|output| drop(std::fs::remove_file(output)));
            return Err(error);
        }
        named.push(output);
    }
    Ok(())
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.writer = None;
        // A finished file has no temporary file left. If removing one fails, there is nowhere to report it.
        let _ = std::fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::audio::Format;
    use crate::spectrogram::{BandMap, Front, Length, Shape, Spectrum, Transform};

    fn naming(folder: &Path, pattern: &str) -> Naming {
        Naming { folder: folder.into(), pattern: pattern.into(), format: FormatChoice::Same }
    }

    fn input(path: &str, below: &str) -> Input {
        Input { path: path.into(), below: below.into(), problem: None }
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
    fn a_stem_that_contains_a_placeholder_is_not_expanded() {
        let plan = naming(Path::new("out"), PATTERN).plan(&[input("{source}.wav", "")], &["s"]).unwrap();
        assert_eq!(plan, [[PathBuf::from("out/{source}.s.wav")]]);
    }

    /// The outputs of one source, relative to the results folder.
    fn planned(inputs: &[Input]) -> Vec<String> {
        let plan = naming(Path::new("out"), PATTERN).plan(inputs, &["s"]).unwrap();
        plan.iter().map(|outputs| outputs[0].strip_prefix("out").unwrap().to_str().unwrap().to_string()).collect()
    }

    #[test]
    fn files_with_one_name_keep_the_folders_in_which_they_differ() {
        let inputs = ["set/one/mix.wav", "set/two/stems/mix.wav", "set/mix.wav", "set/two/other.wav"];
        assert_eq!(
            planned(&inputs.map(|path| input(path, ""))),
            ["one/mix.s.wav", "two/stems/mix.s.wav", "mix.s.wav", "other.s.wav"]
        );
        // Two named folders contain a file of the same relative path. Other files keep their place.
        let named = [input("p/sub/x.wav", "sub"), input("q/sub/x.wav", "sub"), input("q/sub/y.wav", "sub")];
        assert_eq!(planned(&named), ["p/sub/x.s.wav", "q/sub/x.s.wav", "sub/y.s.wav"]);
        let mut reversed = inputs.map(|path| input(path, ""));
        reversed.reverse();
        assert_eq!(planned(&reversed), ["other.s.wav", "mix.s.wav", "two/stems/mix.s.wav", "one/mix.s.wav"]);
    }

    #[test]
    fn an_input_that_is_not_a_file_does_not_affect_names() {
        let locked = Input { path: "in/x".into(), problem: Some("cannot be read".into()), ..Input::default() };
        let plan = naming(Path::new("out"), PATTERN).plan(&[locked, input("in/x.wav", "")], &["s"]).unwrap();
        assert_eq!(plan, [vec![], vec![PathBuf::from("out/x.s.wav")]]);
    }

    #[test]
    fn files_of_one_folder_and_stem_keep_their_extension() {
        let inputs = ["d/tone.flac", "d/tone.mp3", "d/note.ogg"].map(|path| input(path, "d"));
        assert_eq!(planned(&inputs), ["d/tone.flac.s.wav", "d/tone.mp3.s.wav", "d/note.s.wav"]);
        // Both cases at once, and a file whose name equals another's extended name.
        let inputs = ["a/x.flac", "a/x.mp3", "b/x.mp3", "b/x.mp3.wav"].map(|path| input(path, ""));
        assert_eq!(planned(&inputs), ["a/x.flac.s.wav", "a/x.mp3.s.wav", "b/x.s.wav", "x.mp3.s.wav"]);
        let inputs = ["x.flac", "x.mp3", "x.mp3.wav"].map(|path| input(path, ""));
        assert_eq!(planned(&inputs), ["x.flac.s.wav", "x.mp3.s.wav", "x.mp3.wav.s.wav"]);
        // A moved file collides with one that already has this place.
        let inputs = [input("p/a/x.wav", ""), input("p/b/x.wav", ""), input("q/a/x.wav", "a")];
        assert_eq!(planned(&inputs), ["p/a/x.s.wav", "b/x.s.wav", "q/a/x.s.wav"]);
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_unicode_are_kept() {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let file =
            |byte: u8| Input { path: OsString::from_vec(vec![b'a', byte, b'.', b'w']).into(), ..Input::default() };
        let plan = naming(Path::new("out"), PATTERN).plan(&[file(0xfe), file(0xff)], &["s"]).unwrap();
        assert_eq!(plan[0][0].as_os_str().as_bytes(), b"out/a\xfe.s.wav");
        assert_eq!(plan[1][0].as_os_str().as_bytes(), b"out/a\xff.s.wav");
    }

    #[cfg(unix)]
    #[test]
    fn an_output_linked_to_an_input_is_refused() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("in")).unwrap();
        std::fs::write(at("in/x.wav"), "x").unwrap();
        std::fs::write(at("in/x.s.wav"), "x").unwrap();
        let inputs = ["in/x.wav", "in/x.s.wav"].map(|name| input(at(name).to_str().unwrap(), ""));
        let error = |folder: &str| naming(&at(folder), PATTERN).plan(&inputs, &["s"]).unwrap_err().to_string();
        symlink(at("in"), at("linked")).unwrap();
        assert!(error("linked").contains("overwrite an input"));
        std::fs::create_dir_all(at("out")).unwrap();
        symlink(at("in/x.wav"), at("out/x.s.wav")).unwrap();
        assert!(error("out").contains("overwrite an input"));
    }

    #[test]
    fn colliding_or_overwriting_outputs_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let refused = |pattern: &str, inputs: &[Input], sources: &[&str], reason: &str| {
            let error = naming(root.path(), pattern).plan(inputs, sources).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        };
        let two = [input("ab.wav", ""), input("a.wav", "")];
        refused("{stem}{source}", &two, &["c", "bc"], "would both be written");
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

    fn track(outputs: &[PathBuf]) -> Track {
        let transform = Transform { window: Some(Length::Samples(8)), hop: None, fft: None, shape: Shape::Hann };
        let front = Front { transform, spectrum: Spectrum::Power, bands: Some(BandMap::Linear), pre_emphasis: 0.0 };
        Track {
            index: 0,
            input: input("in.wav", ""),
            outputs: outputs.to_vec(),
            format: Format::WavF32,
            hash: String::new(),
            bytes: 0,
            channels: 1,
            mask: 0,
            sample_rate: 8000,
            length: 1,
            warnings: Vec::new(),
            view: Arc::new(front.view(8000, 8000).unwrap()),
            stretch: Some(128),
            signal_length: 1,
            failed: AtomicBool::new(false),
        }
    }

    #[test]
    fn the_outputs_of_a_recording_appear_complete_and_together_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let outputs = ["sub/x.wav", "sub/y.wav"].map(|name| root.path().join(name));
        let track = track(&outputs);
        let runs = tempfile::tempdir().unwrap();
        let run = Run::begin(runs.path()).unwrap();
        let files = || std::fs::read_dir(root.path().join("sub")).unwrap().count();
        let pending = || {
            outputs.each_ref().map(|output| {
                let mut pending = Pending::create(output, &track, &run).unwrap();
                pending.write(&[vec![0.5]]).unwrap();
                pending
            })
        };
        let begun = pending();
        assert_eq!((files(), outputs[0].exists()), (2, false));
        drop(begun);
        assert_eq!(files(), 0);
        let mut whole = pending();
        assert!(!whole[0].replaces());
        let closed = whole.each_mut().map(|file| file.close().unwrap());
        publish(whole.into()).unwrap();
        assert_eq!((files(), closed.map(|(_, clipped)| clipped)), (2, [0, 0]));
        assert!(pending()[1].replaces());
        assert_eq!(
            closed.map(|(size, _)| size),
            outputs.each_ref().map(|output| std::fs::metadata(output).unwrap().len())
        );
        std::fs::remove_file(&outputs[0]).unwrap();
        std::fs::remove_file(&outputs[1]).unwrap();
        let begun = pending();
        std::fs::create_dir(&outputs[1]).unwrap();
        assert!(publish(begun.into()).unwrap_err().to_string().contains("y.wav: cannot write"));
        assert_eq!(files(), 1, "the folder that stood in the way");
    }
}
