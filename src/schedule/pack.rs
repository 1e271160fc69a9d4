//! Pieces to panels.

use std::sync::mpsc::{Receiver, SyncSender};

use ndarray::Array2;

use super::decode::usable_bins;
use super::{Piece, Step};
use crate::model::Model;
use crate::spectrogram::level_scale;

/// The data of several pieces side by side.
pub(super) struct Panel {
    pub(super) pieces: Vec<Piece>,
    /// Frame by frame (N, F'), every piece's channels one after the other, scaled by their track's peak.
    pub(super) data: Array2<f32>,
    /// The columns of the stretches that it is made of (sum N).
    pub(super) segments: Vec<usize>,
}

/// Packs pieces into panels of at most `columns` columns, or of one piece. It runs beside the engines, so that the next
/// panel is there when one has done the last. Ends when there are no more pieces, or nobody wants panels.
pub(super) fn pack_all(model: &Model, columns: usize, pieces: Receiver<Step<Piece>>, panels: &SyncSender<Step<Panel>>) {
    let mut packed = Vec::new();
    let (mut width, mut bins) = (0, 0);
    for step in pieces {
        let sent = match step {
            Step::Part(piece) => {
                let its_bins = usable_bins(model, piece.track.sample_rate);
                let fits = width + piece.columns() <= columns && its_bins == bins;
                let full = (!fits && !packed.is_empty()).then(|| std::mem::take(&mut packed));
                (width, bins) = (if fits { width } else { 0 } + piece.columns(), its_bins);
                packed.push(piece);
                full.is_none_or(|full| panels.send(Step::Part(panel(model, full))).is_ok())
            }
            Step::Broken(track, error) => panels.send(Step::Broken(track, error)).is_ok(),
        };
        if !sent {
            return;
        }
    }
    if !packed.is_empty() {
        // Nobody is left to take it where every engine has given up.
        let _ = panels.send(Step::Part(panel(model, packed)));
    }
}

fn panel(model: &Model, pieces: Vec<Piece>) -> Panel {
    let bins = pieces.first().map_or(0, |piece| usable_bins(model, piece.track.sample_rate));
    let columns: usize = pieces.iter().map(Piece::columns).sum();
    let mut data = Array2::zeros((columns, bins));
    let mut rows = data.outer_iter_mut();
    for piece in &pieces {
        let scale = level_scale(piece.track.peak);
        let frames = piece.spectra.iter().flat_map(|spectra| spectra.outer_iter());
        for (mut row, frame) in rows.by_ref().take(piece.columns()).zip(frames) {
            row.iter_mut().zip(frame).for_each(|(datum, &bin)| *datum = model.spectrum.of(bin * scale));
        }
    }
    let segments = pieces.iter().flat_map(Piece::segments).collect();
    Panel { pieces, data, segments }
}
