//! `partwise info`

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use partwise::Model;
use partwise::audio::{self, Recording};
use partwise::schedule::{FileReport, MANIFEST, Status, read_manifest};
use serde::Serialize;
use serde_json::{Value, json};

use super::common::heading::MODEL;
use super::{Common, Ending, escaped, examples, manifest, print, shown, train};

/// Say what a model, a recording or a folder of results holds
#[derive(Args)]
#[command(after_long_help = examples::INFO)]
pub(super) struct Info {
    /// A model (a file, or a name of `partwise models`), a recording, or a folder of results
    #[arg(value_name = "MODEL|AUDIO|RESULTS")]
    path: PathBuf,
    /// With a recording: also say what `separate` would do to it with this model
    #[arg(long, value_name = "MODEL", help_heading = MODEL)]
    model: Option<PathBuf>,
}

impl Info {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<Ending> {
        if self.path.is_dir() {
            self.no_model()?;
            let path = self.path.join(MANIFEST);
            if !path.exists() {
                bail!("{}: has no {MANIFEST}, so it is no folder of results", shown(&self.path));
            }
            let results = Results::of(&manifest::merge(read_manifest(&path)?));
            print(common.json, &results, || results.text())?;
        } else if audio::is_audio_name(&self.path) {
            let recording = Heard::of(&self.path, &audio::read(&self.path)?);
            let model = self.model.as_deref().map(Model::load).transpose()?;
            let would = model.map(|model| recording.separation(&model));
            let value = json!({ "recording": recording, "separate": would });
            let would = || would.iter().flatten().map(|line| format!("separate {line}\n")).collect::<String>();
            print(common.json, &value, || recording.text() + &would())?;
        } else {
            self.no_model()?;
            let model = Model::load(&self.path)?;
            print(common.json, &of_model(&model), || model_text(&model, &self.path))?;
        }
        Ok(Ending::Done)
    }

    fn no_model(&self) -> anyhow::Result<()> {
        match &self.model {
            Some(_) => bail!("--model: says what would be done to a recording, and {} is none", shown(&self.path)),
            None => Ok(()),
        }
    }
}

/// A model as JSON.
fn of_model(model: &Model) -> Value {
    let source = |source: &partwise::model::Source| json!({ "name": source.name, "components": source.bases.ncols(), "rows": source.bases.nrows() });
    json!({
        "method": model.parts.method(),
        "divergence": model.divergence.to_string(),
        "sample_rate": model.sample_rate,
        "stft": model.stft,
        "spectrum": model.spectrum.to_string(),
        "bands": model.bands.to_string(),
        "sources": model.sources.iter().map(source).collect::<Vec<_>>(),
        "members": model.parts.manners(),
        "training": model.training,
        "options": model.options,
    })
}

fn model_text(model: &Model, path: &Path) -> String {
    let mut text = train::learned(model, path);
    text += &format!("method {}, the {} of {}\n", model.parts.method(), model.spectrum, bands(model));
    for (index, manner) in model.parts.manners().into_iter().enumerate() {
        let frames = if manner.context == 1 { "1 frame".into() } else { format!("{} frames", manner.context) };
        text += &format!(
            "set {} of bases, used from --quality {} on: {frames} a basis, {} updates, a penalty of {:.2}\n",
            index + 1,
            manner.quality,
            manner.iterations,
            manner.sparsity,
        );
    }
    text += &format!("made by partwise {}, seed {}\n", escaped(&model.training.version), model.training.seed);
    text
}

fn bands(model: &Model) -> String {
    match model.bands.to_string().as_str() {
        "linear" => "all bins".into(),
        bands => format!("bands ({bands})"),
    }
}

/// A recording.
#[derive(Serialize)]
struct Heard {
    path: PathBuf,
    channels: usize,
    sample_rate: u32,
    frames: usize,
    seconds: f64,
    /// The peak in dB of full scale; null for silence.
    peak_db: Option<f64>,
    /// Samples at or above full scale.
    clipped: usize,
    warnings: Vec<String>,
}

impl Heard {
    fn of(path: &Path, recording: &Recording) -> Self {
        let peak = f64::from(recording.peak());
        Self {
            path: path.into(),
            channels: recording.channels.len(),
            sample_rate: recording.sample_rate,
            frames: recording.frames(),
            seconds: recording.seconds(),
            peak_db: (peak > 0.0).then(|| 20.0 * peak.log10()),
            clipped: recording.channels.iter().flatten().filter(|sample| sample.abs() >= 1.0).count(),
            warnings: recording.warnings.clone(),
        }
    }

    fn text(&self) -> String {
        let peak = self.peak_db.map_or("silent".into(), |peak| format!("peak {peak:.1} dB of full scale"));
        let clipped =
            if self.clipped > 0 { format!(", {} samples at full scale", self.clipped) } else { String::new() };
        let head = format!(
            "{}: {:.1} s, {} Hz, {} channels, {peak}{clipped}\n",
            shown(&self.path),
            self.seconds,
            self.sample_rate,
            self.channels,
        );
        self.warnings.iter().fold(head, |text, warning| text + &format!("warning: {}\n", escaped(warning)))
    }

    /// What `separate` would do with a model, a sentence each.
    fn separation(&self, model: &Model) -> Vec<String> {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let outputs: Vec<String> = model.names().iter().map(|name| format!("{stem}.{name}.wav")).collect();
        let mut would = vec![format!("writes {}", outputs.join(", "))];
        if let ([only], false) = (&model.sources[..], model.parts.has_background()) {
            would = vec![format!("needs --rest: '{}' is the only source of the model", only.name)];
        }
        let (own, rate) = (self.sample_rate, model.sample_rate);
        if own != rate {
            would.push(format!("computes at {rate} Hz and writes at {own} Hz"));
        }
        if own > rate {
            would.push(format!("shares what lies above {} Hz equally: the model does not know it", rate / 2));
        }
        if self.channels > 1 {
            would.push(format!("separates each of the {} channels by itself", self.channels));
        }
        would
    }
}

/// A folder of results.
#[derive(Serialize)]
struct Results {
    summary: manifest::Summary,
    /// What the files were separated with, each once.
    parameters: Vec<Value>,
    engines: Vec<String>,
    warnings: Vec<String>,
}

impl Results {
    fn of(lines: &[FileReport]) -> Self {
        let done = || lines.iter().filter(|line| line.status == Status::Done);
        let mut parameters: Vec<Value> = Vec::new();
        for line in done().filter_map(|line| serde_json::to_value(&line.parameters).ok()) {
            if !parameters.contains(&line) {
                parameters.push(line);
            }
        }
        let mut engines: Vec<String> = done().map(|line| line.engine.clone()).collect();
        engines.sort_unstable();
        engines.dedup();
        let warnings = done().flat_map(|line| {
            line.warnings.iter().map(|warning| format!("{}: {warning}", line.input.display())).collect::<Vec<_>>()
        });
        Self { summary: manifest::summarize(lines), parameters, engines, warnings: warnings.collect() }
    }

    fn text(&self) -> String {
        let mut text = self.summary.text();
        for parameters in &self.parameters {
            let model = parameters["model"].as_str().unwrap_or_default();
            let model =
                if model.is_empty() { String::new() } else { format!(", the model {}", &model[..model.len().min(12)]) };
            let method = parameters["method"].as_str();
            text += &format!(
                "separated by partwise {}, method {}{model}\n",
                parameters["version"].as_str().unwrap_or("?"),
                method.unwrap_or("?"),
            );
        }
        if !self.engines.is_empty() {
            text += &format!("on {}\n", escaped(&self.engines.join(", ")));
        }
        self.warnings.iter().fold(text, |text, warning| text + &format!("warning: {}\n", escaped(warning)))
    }
}
