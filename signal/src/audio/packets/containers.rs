//! Decodes the containers that symphonia demuxes: AAC and ALAC in M4A and MP4.

use super::timeline::Timeline;
use super::{Decoder, Decoding, Packets, refuse, undecodable};
use crate::audio::implausible;
use crate::audio::source::{Blocks, Shape, Source};
use crate::{Error, Result};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};

/// Opens the default audio track.
pub(super) fn open(path: &Path, mut source: impl Source) -> Result<(Shape, Box<dyn Blocks>)> {
    let length = source.seek(SeekFrom::End(0)).map_err(Error::io(path, "read"))?;
    source.rewind().map_err(Error::io(path, "read"))?;
    let stream = MediaSourceStream::new(Box::new(Known { source, length }), Default::default());
    let format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), Default::default())
        .map_err(|fault| refuse(path, fault))?;
    let sounds: Vec<_> = (format.tracks().iter())
        .filter_map(|track| Some((track.id, track.codec_params.as_ref()?.audio()?, track.num_frames)))
        .collect();
    let default = format.default_track(TrackType::Audio).map(|track| track.id);
    let Some(&(track, parameters, total)) = sounds.iter().find(|(id, ..)| Some(*id) == default) else {
        return Err(Error::audio(path, "has no audio track of a supported codec; convert it to wav"));
    };
    if holds_upper_band(parameters) {
        return Err(Error::audio(path, "is HE-AAC, and only half of its band can be decoded; convert it to wav"));
    }
    let shape = Shape {
        channels: parameters.channels.as_ref().map_or(0, Channels::count),
        sample_rate: parameters.sample_rate.unwrap_or(0),
        bits: integer_bits(parameters),
        mask: match &parameters.channels {
            Some(Channels::Positioned(positions)) => u32::try_from(positions.bits()).unwrap_or(0),
            _ => 0,
        },
    };
    if let Some(reason) = implausible(shape.channels, shape.sample_rate) {
        return Err(Error::audio(path, reason));
    }
    let decoder = Decoder::new(path, parameters, &shape, true)?;
    let others = sounds.len() - 1;
    let line = Timeline::new(shape.channels, shape.sample_rate);
    let container = Container {
        path: path.into(),
        format,
        track,
        others,
        total,
        decoder,
        packet: 0,
        decoded: false,
        damaged: false,
        cut: false,
    };
    Ok(Decoding::open(path, shape, container, line))
}

/// Bits per sample of lossless integer codecs.
fn integer_bits(parameters: &AudioCodecParameters) -> Option<u32> {
    let bits = match parameters.codec {
        // For ALAC, symphonia leaves the bit depth in the decoder's own configuration.
        CODEC_ID_ALAC => Some(u32::from(*parameters.extra_data.as_ref()?.get(5)?)),
        CODEC_ID_FLAC => parameters.bits_per_sample,
        _ => None,
    };
    bits.filter(|bits| (1..=32).contains(bits))
}

/// Whether an AAC stream carries the upper half of its band in SBR, which symphonia's decoder does not support. Such a
/// configuration begins with an SBR object type, or ends with the SBR sync extension.
fn holds_upper_band(parameters: &AudioCodecParameters) -> bool {
    let configuration = parameters.extra_data.as_deref().unwrap_or_default();
    parameters.codec == CODEC_ID_AAC
        && match configuration {
            [first, ..] if matches!(first >> 3, 5 | 29) => true,
            [_, _, 0x56, 0xE5, flag, ..] => flag & 0x80 != 0,
            _ => false,
        }
}

/// A source of known length, as symphonia requires.
struct Known<S> {
    source: S,
    length: u64,
}

impl<S: Source> Read for Known<S> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.source.read(bytes)
    }
}

impl<S: Source> Seek for Known<S> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.source.seek(to)
    }
}

impl<S: Source> MediaSource for Known<S> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

/// Decodes a track packet by packet.
struct Container {
    path: PathBuf,
    format: Box<dyn FormatReader>,
    track: u32,
    /// Number of other audio tracks.
    others: usize,
    /// Samples per channel, if the file says so.
    total: Option<u64>,
    decoder: Decoder,
    /// Samples per channel of the previous packet.
    packet: u64,
    decoded: bool,
    damaged: bool,
    /// Whether the file ends inside a packet.
    cut: bool,
}

impl Packets for Container {
    fn step(&mut self, line: &mut Timeline) -> Result<bool> {
        let packet = match self.format.next_packet() {
            Ok(Some(packet)) if packet.track_id == self.track => packet,
            Ok(Some(_)) => return Ok(true),
            Ok(None) => return Ok(false),
            Err(Fault::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                self.cut = true;
                return Ok(false);
            }
            Err(fault) => return Err(refuse(&self.path, fault)),
        };
        let mut block = line.block();
        if self.decoder.decode(&self.path, &packet.data, &mut block)? {
            self.decoded = true;
            self.packet = block.first().map_or(0, Vec::len) as u64;
            line.put(block);
        } else {
            self.damaged = true;
            line.gap(self.packet);
        }
        Ok(true)
    }

    fn end(&mut self, line: &mut Timeline, warnings: &mut Vec<String>) -> Result<()> {
        let found = line.position();
        if !self.decoded && (self.cut || self.damaged) {
            return Err(undecodable(&self.path));
        }
        match self.total {
            Some(total) if found < total => warnings.push(format!("cut short: {found} of {total} samples are there")),
            _ if self.cut => warnings.push("cut short: it ends inside a packet".to_owned()),
            _ if !self.damaged && !self.decoder.verified() => {
                warnings.push("damaged: its samples do not match the checksum in its header".to_owned());
            }
            _ => {}
        }
        if self.others > 0 {
            warnings.push(format!("ignored {} more audio tracks", self.others));
        }
        Ok(())
    }
}
