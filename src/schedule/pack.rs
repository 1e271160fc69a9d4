//! Packs pieces into panels.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use ndarray::Array2;

use super::memory::panel_columns;
use super::{Piece, Step};
use crate::separate::{self, Scheme};
use crate::{Error, Result};

/// The data of several pieces, side by side.
pub(super) struct Panel {
    pub(super) pieces: Vec<Piece>,
    /// The data frame by frame (N, F'): every piece's channels one after another, each stretch at its level.
    pub(super) data: Array2<f32>,
    /// The columns of each stretch (sum N).
    pub(super) segments: Vec<usize>,
}

/// Packs pieces into panels that fit in memory. A single piece may exceed the width, and a recording that is separated
/// as a whole is a panel of its own. A panel that is not full is sent when no piece has come for a while. Packing runs
/// beside the engines, so that the next panel is ready when one finishes. It ends when there are no more pieces or
/// nobody receives panels.
pub(super) struct Packer<'a> {
    pub(super) scheme: &'a Scheme,
    pub(super) memory: u64,
    /// The number of panels in memory at once.
    pub(super) panels: u64,
    /// How long packed pieces wait for another one.
    pub(super) patience: Duration,
}

impl Packer<'_> {
    pub(super) fn run(&self, pieces: Receiver<Step<Piece>>, panels: &SyncSender<Step<Panel>>) {
        let mut packed = Vec::new();
        loop {
            let patience = if packed.is_empty() { Duration::MAX } else { self.patience };
            let sent = match pieces.recv_timeout(patience) {
                Ok(Step::Part(piece)) if piece.track.stretch.is_none() => send(vec![piece], panels),
                Ok(Step::Part(piece)) => {
                    let full = (!self.fits(&packed, &piece)).then(|| std::mem::take(&mut packed));
                    packed.push(piece);
                    full.is_none_or(|full| send(full, panels))
                }
                Ok(Step::Broken(track, error)) => panels.send(Step::Broken(track, error)).is_ok(),
                Err(RecvTimeoutError::Timeout) => send(std::mem::take(&mut packed), panels),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if !sent {
                return;
            }
        }
        if !packed.is_empty() {
            // If every engine has given up, nobody receives the panel.
            send(packed, panels);
        }
    }

    /// Whether a piece can join the packed ones: it has as many rows, and there is room.
    fn fits(&self, packed: &[Piece], piece: &Piece) -> bool {
        let Some(first) = packed.first() else { return true };
        let (view, columns) = (&first.track.view, packed.iter().map(Piece::columns).sum::<usize>());
        piece.track.view.rows() == view.rows()
            && columns + piece.columns() <= panel_columns(self.memory, self.scheme, view, self.panels)
    }
}

/// Sends pieces as a panel. Returns whether anybody still receives panels.
fn send(pieces: Vec<Piece>, panels: &SyncSender<Step<Panel>>) -> bool {
    match panel(&pieces) {
        Ok((data, segments)) => panels.send(Step::Part(Panel { pieces, data, segments })).is_ok(),
        Err(error) => {
            let broken = |piece: Piece| Step::Broken(piece.track, Error::input(error.to_string()));
            pieces.into_iter().map(broken).all(|step| panels.send(step).is_ok())
        }
    }
}

/// The data of pieces, and their segments.
fn panel(pieces: &[Piece]) -> Result<(Array2<f32>, Vec<usize>)> {
    let rows = pieces.first().map_or(0, |piece| piece.track.view.rows());
    let mut data = Array2::zeros((pieces.iter().map(Piece::columns).sum(), rows));
    let mut rest = data.view_mut();
    for piece in pieces {
        rest = separate::panel(&piece.track.view, &piece.spectra, rest)?;
    }
    Ok((data, pieces.iter().flat_map(Piece::segments).collect()))
}
