//! `partwise plot`

mod arrays;
mod found;
mod options;
mod results;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::bail;
use partwise::audio;
use partwise::job::Separation;
use partwise::model::Model;
use partwise::report::pictures::{Picture, sheet, sheet_as_png};
use partwise::separate::Plan;
use serde::Serialize;

use super::engine::open;
use super::pictures::{Drawn, Explainer, Heard, What, of_model, spectrogram};
use super::{Common, Ending, check_output, progress, shown, write_whole};

pub(super) use options::Plot;

/// What was drawn.
#[derive(Serialize)]
struct Summary<'a> {
    output: &'a Path,
    pictures: Vec<What>,
}

impl Plot {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        if !(self.seconds > 0.0 && self.seconds.is_finite()) {
            bail!("--seconds {}: use more than 0", self.seconds);
        }
        if self.path.is_dir() {
            return results::run(&self, common);
        }
        let output = self.output.clone().unwrap_or_else(|| self.named("svg"));
        let format = Format::of(&output)?;
        check_output(&output, [self.path.as_path()].into_iter().chain(self.model.as_deref()))?;
        let drawn = self.chosen(self.drawn(common)?)?;
        let (pictures, what): (Vec<Picture>, Vec<What>) =
            drawn.into_iter().map(|drawn| (drawn.picture, drawn.what)).unzip();
        let bytes = match format {
            Format::Svg => sheet(&pictures).into_bytes(),
            Format::Png => sheet_as_png(&pictures)?,
        };
        write_whole(&output, |path| std::fs::write(path, bytes))?;
        let summary = Summary { output: &output, pictures: once_each(what) };
        common.conclude(&summary, || {
            let names: Vec<&str> = summary.pictures.iter().map(|what| what.name()).collect();
            format!("wrote {}: {}\n", shown(&output), names.join(", "))
        })?;
        Ok(Ending::Done)
    }

    /// The name of the input with another ending.
    fn named(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or(self.path.as_os_str()).to_os_string();
        name.push(format!(".{ending}"));
        name.into()
    }

    /// All that there is of the input.
    fn drawn(&self, common: &Common) -> anyhow::Result<Vec<Drawn>> {
        if audio::is_audio_name(&self.path) {
            return self.of_recording(common);
        }
        if let Some(model) = &self.model {
            bail!(
                "--model {}: goes with a recording or a folder of results, and {} is neither",
                shown(model),
                shown(&self.path)
            );
        }
        if self.path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz")) {
            return arrays::drawn(&self.path);
        }
        let model = Model::load(&self.path)?;
        of_model(&model).map_err(|error| anyhow::anyhow!("{}: {error}", shown(&self.path)))
    }

    /// A recording: its spectrogram, and under a model what a separation finds.
    fn of_recording(&self, common: &Common) -> anyhow::Result<Vec<Drawn>> {
        let heard = Heard::of(&self.path)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut drawn = vec![spectrogram("Spectrogram", &[(name, heard)])?];
        let Some(path) = &self.model else { return Ok(drawn) };
        let model = Model::load(path)?;
        let plan = Plan::new(Some(&model), &Separation::default(), &mut |_| Ok(())).map_err(|error| {
            anyhow::anyhow!(
                "--model {}: {error}; `partwise separate --report` takes all options of a separation",
                shown(path)
            )
        })?;
        let engine = open(common)?;
        let separator = plan.on_borrowed(&engine);
        let stop = AtomicBool::new(false);
        let spinner = progress::spinner(common, "separating");
        let explainer = Explainer { plan: &plan, separator: &*separator, seconds: self.seconds, stop: &stop };
        let wants = |what: &[What]| self.what.is_empty() || self.what.iter().any(|wanted| what.contains(wanted));
        if wants(&[What::Spectrogram]) {
            drawn.extend(explainer.stems(&self.path)?);
        }
        if wants(&[What::Masks, What::Gains, What::Bases, What::Objective]) {
            drawn.extend(explainer.factors(&self.path)?);
        }
        spinner.finish_and_clear();
        Ok(drawn)
    }

    /// What was asked for of what there is.
    fn chosen(&self, mut drawn: Vec<Drawn>) -> anyhow::Result<Vec<Drawn>> {
        let missing = self.what.iter().find(|wanted| !drawn.iter().any(|drawn| drawn.what == **wanted));
        if let Some(missing) = missing {
            let there: Vec<&str> =
                once_each(drawn.iter().map(|drawn| drawn.what)).iter().map(|what| what.name()).collect();
            let more =
                if audio::is_audio_name(&self.path) && self.model.is_none() { "; --model finds more" } else { "" };
            bail!("--what {}: {} has none, only {}{more}", missing.name(), shown(&self.path), there.join(", "));
        }
        drawn.retain(|drawn| self.what.is_empty() || self.what.contains(&drawn.what));
        Ok(drawn)
    }
}

/// Each of them once, in order.
fn once_each(all: impl IntoIterator<Item = What>) -> Vec<What> {
    let mut once = Vec::new();
    for what in all {
        if !once.contains(&what) {
            once.push(what);
        }
    }
    once
}

enum Format {
    Svg,
    Png,
}

impl Format {
    /// That of a name.
    fn of(path: &Path) -> anyhow::Result<Self> {
        let ending = path.extension().unwrap_or_default();
        match () {
            () if ending.eq_ignore_ascii_case("svg") => Ok(Self::Svg),
            () if ending.eq_ignore_ascii_case("png") => Ok(Self::Png),
            () => bail!("-o {}: pictures are written as SVG or PNG; use a name that ends in .svg or .png", shown(path)),
        }
    }
}
