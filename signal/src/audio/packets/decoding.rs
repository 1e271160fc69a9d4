//! Packets being decoded: where they come from, by what, and what is said where they cannot be.

use super::timeline::Timeline;
use crate::audio::source::{Blocks, Shape};
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

/// A stream of packets.
pub(super) trait Packets: Send + Sync {
    /// Decodes about one packet and puts its samples, if any, on the timeline. Returns false at the end.
    fn step(&mut self, line: &mut Timeline) -> Result<bool>;

    /// Ends the stream: adds its warnings and releases the samples held back.
    fn end(&mut self, line: &mut Timeline, warnings: &mut Vec<String>) -> Result<()>;
}

/// Decodes packets into blocks.
pub(super) struct Decoding<P> {
    path: PathBuf,
    packets: P,
    line: Timeline,
    ended: bool,
}

impl<P: Packets + 'static> Decoding<P> {
    pub(super) fn open(path: &Path, shape: Shape, packets: P, line: Timeline) -> (Shape, Box<dyn Blocks>) {
        (shape, Box::new(Self { path: path.into(), packets, line, ended: false }))
    }
}

impl<P: Packets> Blocks for Decoding<P> {
    fn next(&mut self, block: &mut Vec<Vec<f32>>, warnings: &mut Vec<String>) -> Result<bool> {
        let Self { path, packets, line, ended } = self;
        contained(path, || {
            loop {
                if line.next(block) {
                    return Ok(true);
                }
                if *ended {
                    return Ok(false);
                }
                if !packets.step(line)? {
                    *ended = true;
                    packets.end(line, warnings)?;
                    warnings.extend(line.warning());
                }
            }
        })
    }
}

/// Runs a third-party decoder. None of them is known to panic, but they parse untrusted files, and one file must not
/// end a job of ten thousand. A panic becomes an error of that file. The decoder is not used again.
pub(super) fn contained<R>(path: &Path, work: impl FnOnce() -> Result<R>) -> Result<R> {
    let result = catch_unwind(AssertUnwindSafe(work));
    result.unwrap_or_else(|_| Err(Error::audio(path, "crashes its decoder; convert it to wav")))
}

/// A recording cannot change its format midway.
pub(super) fn changes(path: &Path) -> Error {
    Error::audio(path, "changes its channels or sample rate midway; split it there")
}

pub(super) fn undecodable(path: &Path) -> Error {
    Error::audio(path, "holds nothing that can be decoded; copy it again")
}

pub(super) fn refuse(path: &Path, fault: Fault) -> Error {
    match fault {
        Fault::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::audio(path, "ends before its first sample; record or copy it again")
        }
        Fault::IoError(error) => Error::io(path, "read")(error),
        fault => Error::audio(path, format!("cannot be decoded: {fault}; convert it to wav")),
    }
}

/// A symphonia decoder for packets that this module finds.
pub(super) struct Decoder {
    decoder: Box<dyn AudioDecoder>,
    channels: usize,
    sample_rate: u32,
}

impl Decoder {
    /// With `verify`, compares the samples with the checksum in the parameters, if they have one.
    pub(super) fn new(path: &Path, parameters: &AudioCodecParameters, shape: &Shape, verify: bool) -> Result<Self> {
        let options = AudioDecoderOptions::default().verify(verify);
        let decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &options);
        let decoder = decoder.map_err(|fault| refuse(path, fault))?;
        Ok(Self { decoder, channels: shape.channels, sample_rate: shape.sample_rate })
    }

    /// Replaces `block` by the samples of a packet, which may be none. Returns false if the packet cannot be decoded.
    pub(super) fn decode(&mut self, path: &Path, packet: &[u8], block: &mut Vec<Vec<f32>>) -> Result<bool> {
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, packet);
        match self.decoder.decode_ref(&packet) {
            Ok(buffer) => {
                if buffer.num_planes() != self.channels || buffer.spec().rate() != self.sample_rate {
                    return Err(changes(path));
                }
                if buffer.frames() > 0 {
                    buffer.copy_to_vecs_planar(block);
                } else {
                    block.iter_mut().for_each(Vec::clear);
                }
                Ok(true)
            }
            Err(Fault::DecodeError(_) | Fault::IoError(_)) => Ok(false),
            Err(fault) => Err(refuse(path, fault)),
        }
    }

    /// Resets the decoder, because the next packet does not follow the previous one.
    pub(super) fn reset(&mut self) {
        self.decoder.reset();
    }

    /// Whether the samples match the checksum. True if there is none.
    pub(super) fn verified(&mut self) -> bool {
        self.decoder.finalize().verify_ok != Some(false)
    }
}

/// Codec parameters in symphonia's form.
pub(super) fn parameters(codec: symphonia::core::codecs::audio::AudioCodecId, header: Vec<u8>) -> AudioCodecParameters {
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(codec);
    if !header.is_empty() {
        parameters.with_extra_data(header.into_boxed_slice());
    }
    parameters
}
