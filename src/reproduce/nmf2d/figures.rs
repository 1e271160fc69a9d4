//! The experiment's figures, as in the paper's figures 2 to 4.

use ndarray::{Array2, ArrayView2, Axis as Dimension};

use super::Attempt;
use super::scene::{PER_OCTAVE, Scene};
use crate::Result;
use crate::divergence::Divergence;
use crate::report::{Axis, Drawing, Strip, Tile, grid, heatmap};
use crate::reproduce::{Example, Figure};

/// The range of the pictures, in dB below the loudest.
const SHOWN: f64 = 40.0;

/// Draws the factors of NMFD and of the NMF2D with the most pitch lags, both by least squares as in the paper, and the
/// latter's separated sources.
pub(super) fn all(scene: &Scene, attempts: &[Attempt]) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if let Some(notes) = shown(attempts, false) {
        figures.push(nmfd(scene, notes)?);
    }
    if let Some(moving) = shown(attempts, true) {
        figures.push(nmf2d(scene, moving)?);
        figures.push(separated(scene, moving)?);
    }
    Ok(figures)
}

/// The NMFD that is shown, or the NMF2D with the most pitch lags.
fn shown(attempts: &[Attempt], whole: bool) -> Option<&Attempt> {
    let fit = |attempt: &&Attempt| attempt.arm.whole == whole && attempt.arm.divergence == Divergence::Euclidean;
    attempts.iter().filter(fit).max_by_key(|attempt| attempt.arm.lags.pitch)
}

/// The mixture to listen to, separated by both.
pub(super) fn example(scene: &Scene, attempts: &[Attempt]) -> Example {
    let sources = scene.names.iter().cloned().zip(scene.sources.iter().cloned());
    let mut example = Example::new("The mixture".into(), scene.sample_rate, scene.mixture.clone(), sources);
    for attempt in [true, false].into_iter().filter_map(|whole| shown(attempts, whole)) {
        let scored = attempt.estimates.iter().zip(&attempt.soft[attempt.best]);
        let estimates = scored.map(|(estimate, sdr)| (estimate.clone(), format!("SDR {sdr:.1} dB")));
        example.add(&attempt.arm.name(), estimates);
    }
    example
}

/// Figure 2: W of each component at the left, its gains at the top.
fn nmfd(scene: &Scene, attempt: &Attempt) -> Result<Figure> {
    let mut order: Vec<usize> = (0..attempt.arm.components).collect();
    order.sort_by_key(|&component| attempt.owners[component]);
    let rows = order.iter().map(|_| Strip { size: 30.0, axis: Axis::new("gain", 0.0..1.0) });
    let mut tiles = Vec::new();
    for (number, &component) in order.iter().enumerate() {
        let gains: Vec<f32> = attempt.score(component).iter().map(|&gain| gain as f32).collect();
        let most = gains.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let (frames, step) = (scene.axis().range, hop(scene) / 2.0);
        tiles.push(Tile {
            place: (number, order.len()),
            title: format!("H {}, {}", number + 1, scene.names[attempt.owners[component]]),
            drawing: Drawing::Trace {
                values: gains.iter().map(|gain| gain / most).collect(),
                span: frames.start + step..frames.end - step,
            },
        });
        tiles.push(pattern(attempt, component, (order.len(), number), format!("W {}", number + 1))?);
    }
    Ok(Figure {
        name: "nmfd".into(),
        title: "The patterns of NMFD".into(),
        caption: format!(
            "{}: the spectrogram of the mixture, the {} components' patterns at its left and their gains above it. Components are \
             sorted by their assigned source. Pictures are in dB below their own loudest, gains relative to their own \
             largest.",
            attempt.arm.name(),
            order.len()
        ),
        svg: factors(scene, attempt, rows.collect(), tiles)?,
    })
}

/// Figure 3: W of each source at the left, its gains by pitch at the top.
fn nmf2d(scene: &Scene, attempt: &Attempt) -> Result<Figure> {
    let semitones = (attempt.arm.lags.pitch * 12) as f64 / PER_OCTAVE as f64;
    let rows = scene.names.iter().map(|_| Strip { size: 90.0, axis: Axis::new("semitones", 0.0..semitones) });
    let mut tiles = Vec::new();
    for (component, &source) in attempt.owners.iter().enumerate() {
        let name = &scene.names[source];
        let (last, score) = (scene.names.len(), attempt.score(component));
        let drawing = picture(score.view())?;
        tiles.push(Tile { place: (source, last), title: format!("H, {name}"), drawing });
        tiles.push(pattern(attempt, component, (last, source), format!("W, {name}"))?);
    }
    Ok(Figure {
        name: "nmf2d".into(),
        title: "The patterns of NMF2D".into(),
        caption: format!(
            "{}: the spectrogram of the mixture, each source's pattern at its left, and above it the times and pitches at which the \
             pattern sounds. Pictures are in dB below their own loudest.",
            attempt.arm.name()
        ),
        svg: factors(scene, attempt, rows.collect(), tiles)?,
    })
}

/// W of a component.
fn pattern(attempt: &Attempt, component: usize, place: (usize, usize), title: String) -> Result<Tile> {
    Ok(Tile { place, title, drawing: picture(attempt.pattern(component).view())? })
}

/// Arranges tiles of factors around the spectrogram: one row per gains, one column per pattern.
fn factors(scene: &Scene, attempt: &Attempt, mut rows: Vec<Strip>, mut tiles: Vec<Tile>) -> Result<String> {
    let lag = Axis::new("lag in s", 0.0..attempt.arm.lags.time as f64 * hop(scene));
    let mut columns: Vec<Strip> = rows.iter().map(|_| Strip { size: 100.0, axis: lag.clone() }).collect();
    tiles.push(Tile {
        place: (rows.len(), columns.len()),
        title: "mixture".into(),
        drawing: picture(scene.data.mapv(f64::from).view())?,
    });
    rows.push(Strip { size: 280.0, axis: scene.frequency() });
    columns.push(Strip { size: 480.0, axis: scene.axis() });
    grid(&rows, &columns, &tiles, Some(&Axis::new("dB", -SHOWN..0.0)))
}

/// Figure 4: the mixture and the separated sources, as spectrograms and as waveforms.
fn separated(scene: &Scene, attempt: &Attempt) -> Result<Figure> {
    let mixture = ("mixture".to_string(), &scene.mixture);
    let signals: Vec<_> = std::iter::once(mixture).chain(scene.names.iter().cloned().zip(&attempt.estimates)).collect();
    let loudest = scene.data.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let mut tiles = Vec::new();
    for (column, (name, signal)) in signals.iter().enumerate() {
        let decibels = scene.magnitudes(signal)?.mapv(|magnitude| 20.0 * (magnitude / loudest).log10());
        let drawing = Drawing::Cells(heatmap(decibels.view(), -SHOWN as f32..0.0)?);
        tiles.push(Tile { place: (0, column), title: name.clone(), drawing });
        let drawing = Drawing::Trace { values: (*signal).clone(), span: 0.0..scene.seconds() };
        tiles.push(Tile { place: (1, column), title: String::new(), drawing });
    }
    let rows = [(240.0, scene.frequency()), (90.0, Axis::new("amplitude", -1.0..1.0))];
    let rows = rows.map(|(size, axis)| Strip { size, axis });
    let columns: Vec<Strip> = signals.iter().map(|_| Strip { size: 280.0, axis: scene.axis() }).collect();
    Ok(Figure {
        name: "separated".into(),
        title: "The separated sources".into(),
        caption: format!(
            "The mixture and the sources that {} separated with soft masks: spectrograms in dB below the mixture's loudest, and waveforms.",
            attempt.arm.name()
        ),
        svg: grid(&rows, &columns, &tiles, Some(&Axis::new("dB", -SHOWN..0.0)))?,
    })
}

/// Draws magnitudes in dB below the largest.
fn picture(values: ArrayView2<f64>) -> Result<Drawing> {
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let decibels: Array2<f32> = values.mapv(|value| (20.0 * (value / most).log10()) as f32);
    Ok(Drawing::Cells(heatmap(decibels.view(), -SHOWN as f32..0.0)?))
}

/// The hop in seconds.
fn hop(scene: &Scene) -> f64 {
    scene.stft.params().hop as f64 / f64::from(scene.sample_rate)
}

impl Scene {
    /// The time axis, from half a hop before the middle of the first frame to half a hop after the middle of the last.
    fn axis(&self) -> Axis {
        let half = (self.stft.params().window as f64 / f64::from(self.sample_rate) - hop(self)) / 2.0;
        let frames = self.data.len_of(Dimension(1)) as f64;
        Axis::new("time in s", -half..frames * hop(self) - half)
    }

    fn frequency(&self) -> Axis {
        let edges = self.bands.edges();
        Axis::log("frequency in Hz", edges[0]..edges[edges.len() - 1])
    }
}
