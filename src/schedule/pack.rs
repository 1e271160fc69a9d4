//! Pieces to panels.

use std::sync::mpsc::{Receiver, SyncSender};

use ndarray::Array2;

use super::memory::panel_columns;
use super::{Piece, Step};
use crate::separate::{self, Scheme};
use crate::{Error, Result};

/// The data of several pieces side by side.
pub(super) struct Panel {
    pub(super) pieces: Vec<Piece>,
    /// Frame by frame (N, F'), every piece's channels one after the other, scaled by their track's peak.
    pub(super) data: Array2<f32>,
    /// The columns of the stretches that it is made of (sum N).
    pub(super) segments: Vec<usize>,
}

/// Packs pieces into panels of as many columns as the memory has room for, or of one piece; a recording that is separated as one
/// is a panel. It runs beside the engines, so that the next panel is there when one has done the last. Ends when there are no more
/// pieces, or nobody wants panels.
pub(super) struct Packer<'a> {
    pub(super) scheme: &'a Scheme,
    pub(super) memory: u64,
    /// How many panels are about at once.
    pub(super) panels: u64,
}

impl Packer<'_> {
    pub(super) fn run(&self, pieces: Receiver<Step<Piece>>, panels: &SyncSender<Step<Panel>>) {
        let mut packed = Vec::new();
        for step in pieces {
            let sent = match step {
                Step::Part(piece) if piece.track.whole => send(vec![piece], panels),
                Step::Part(piece) => {
                    let full = (!self.fits(&packed, &piece)).then(|| std::mem::take(&mut packed));
                    packed.push(piece);
                    full.is_none_or(|full| send(full, panels))
                }
                Step::Broken(track, error) => panels.send(Step::Broken(track, error)).is_ok(),
            };
            if !sent {
                return;
            }
        }
        if !packed.is_empty() {
            // Nobody is left to take it where every engine has given up.
            send(packed, panels);
        }
    }

    /// Whether a piece goes into a panel with others: of as many rows.
    fn fits(&self, packed: &[Piece], piece: &Piece) -> bool {
        let Some(first) = packed.first() else { return true };
        let (view, columns) = (&first.track.view, packed.iter().map(Piece::columns).sum::<usize>());
        piece.track.view.rows() == view.rows()
            && columns + piece.columns() <= panel_columns(self.memory, self.scheme, view, self.panels)
    }
}

/// Sends pieces as a panel; whether anybody wants more.
fn send(pieces: Vec<Piece>, panels: &SyncSender<Step<Panel>>) -> bool {
    match panel(&pieces) {
        Ok((data, segments)) => panels.send(Step::Part(Panel { pieces, data, segments })).is_ok(),
        Err(error) => {
            let broken = |piece: Piece| Step::Broken(piece.track, Error::input(error.to_string()));
            pieces.into_iter().map(broken).all(|step| panels.send(step).is_ok())
        }
    }
}

/// The data of pieces, and its segments.
fn panel(pieces: &[Piece]) -> Result<(Array2<f32>, Vec<usize>)> {
    let rows = pieces.first().map_or(0, |piece| piece.track.view.rows());
    let mut data = Array2::zeros((pieces.iter().map(Piece::columns).sum(), rows));
    let mut rest = data.view_mut();
    for piece in pieces {
        rest = separate::panel(&piece.track.view, &piece.spectra.channels, piece.track.peak, rest)?;
    }
    Ok((data, pieces.iter().flat_map(Piece::segments).collect()))
}
