//! FLAC, Ogg Vorbis and MP3 files to samples, through symphonia.

use super::implausible;
use super::reader::{Blocks, Shape, Source};
use crate::{Error, Result};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use symphonia::core::codecs::audio::well_known::CODEC_ID_FLAC;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};

/// The most samples of silence in a block.
const BLOCK: usize = 1 << 16;

/// Opens the default audio track of `source`, less the delay and padding of its encoder where the file tells them.
///
/// A packet that cannot be decoded becomes silence, so that what follows keeps its time; a file that ends within a
/// packet gives what came before. Both are warnings. A file of which nothing can be decoded is an error, and so is one
/// without a sample, which symphonia cannot open.
pub(super) fn open(path: &Path, source: impl Source) -> Result<(Shape, Box<dyn Blocks>)> {
    contained(path, || probe(path, source))
}

/// Runs a foreign decoder. None of those here is known to panic, but they read what anyone may have written, and one
/// file must not end the job of ten thousand: a panic becomes that file's error. The decoder is not used again.
fn contained<R>(path: &Path, work: impl FnOnce() -> Result<R>) -> Result<R> {
    let result = catch_unwind(AssertUnwindSafe(work));
    result.unwrap_or_else(|_| Err(Error::audio(path, "makes its decoder fail; convert it to wav")))
}

fn probe(path: &Path, mut source: impl Source) -> Result<(Shape, Box<dyn Blocks>)> {
    let length = source.seek(SeekFrom::End(0)).map_err(Error::io(path, "read"))?;
    source.rewind().map_err(Error::io(path, "read"))?;
    let stream = MediaSourceStream::new(Box::new(Known { source, length }), Default::default());
    let format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), Default::default())
        .map_err(|fault| refuse(path, fault))?;
    let track = format.default_track(TrackType::Audio);
    let Some((track, parameters)) = track.and_then(|track| Some((track.id, track.codec_params.as_ref()?.audio()?)))
    else {
        return Err(Error::audio(path, "has no audio track; convert it to wav"));
    };
    let options = AudioDecoderOptions::default().verify(true);
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &options)
        .map_err(|fault| refuse(path, fault))?;
    let shape = Shape {
        channels: parameters.channels.as_ref().map_or(0, |channels| channels.count()),
        sample_rate: parameters.sample_rate.unwrap_or(0),
        bits: parameters.bits_per_sample.filter(|_| parameters.codec == CODEC_ID_FLAC),
    };
    if let Some(reason) = implausible(shape.channels, shape.sample_rate) {
        return Err(Error::audio(path, reason));
    }
    let path = path.into();
    let track = Track { path, shape, track, format, decoder, silence: 0, decoded: 0, undecodable: 0, cut: false };
    Ok((shape, Box::new(track)))
}

/// A source of known length, as symphonia wants it.
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

/// An audio track being decoded packet by packet.
struct Track {
    path: PathBuf,
    shape: Shape,
    track: u32,
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    /// Samples still to be given for packets that could not be decoded.
    silence: u64,
    /// Packets.
    decoded: u64,
    undecodable: u64,
    /// Whether the file ends inside a packet.
    cut: bool,
}

impl Blocks for Track {
    fn next(&mut self, block: &mut Vec<Vec<f32>>, warnings: &mut Vec<String>) -> Result<bool> {
        contained(&self.path.clone(), || self.decode(block, warnings))
    }
}

impl Track {
    fn decode(&mut self, block: &mut Vec<Vec<f32>>, warnings: &mut Vec<String>) -> Result<bool> {
        loop {
            if self.silence > 0 {
                let length = self.silence.min(BLOCK as u64);
                self.silence -= length;
                for channel in block {
                    channel.clear();
                    channel.resize(length as usize, 0.0);
                }
                return Ok(true);
            }
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => packet,
                Ok(Some(_)) => continue,
                Ok(None) => break,
                Err(Fault::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    self.cut = true;
                    break;
                }
                Err(fault) => return Err(refuse(&self.path, fault)),
            };
            match self.decoder.decode(&packet) {
                Ok(buffer) => {
                    if buffer.num_planes() != self.shape.channels || buffer.spec().rate() != self.shape.sample_rate {
                        let reason = "changes its channels or sample rate midway; split it there";
                        return Err(Error::audio(&self.path, reason));
                    }
                    self.decoded += 1;
                    if buffer.frames() > 0 {
                        buffer.copy_to_vecs_planar(block);
                        return Ok(true);
                    }
                }
                Err(Fault::DecodeError(_)) => {
                    self.undecodable += 1;
                    self.silence = packet.dur.get();
                }
                Err(fault) => return Err(refuse(&self.path, fault)),
            }
        }
        self.end(warnings)?;
        Ok(false)
    }

    /// What there is to say of the file once all is read.
    fn end(&mut self, warnings: &mut Vec<String>) -> Result<()> {
        if self.cut {
            warnings.push("cut short: it ends inside a packet".to_owned());
        }
        if self.undecodable > 0 {
            warnings.push(format!("damaged: {} packets could not be decoded and are silent", self.undecodable));
        }
        if self.decoded == 0 && !warnings.is_empty() {
            return Err(Error::audio(&self.path, "nothing in it can be decoded; copy it again"));
        }
        if warnings.is_empty() && self.decoder.finalize().verify_ok == Some(false) {
            warnings.push("damaged: its samples do not match the checksum in its header".to_owned());
        }
        Ok(())
    }
}

fn refuse(path: &Path, fault: Fault) -> Error {
    match fault {
        Fault::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Error::audio(path, "ends before its first sample; record or copy it again")
        }
        Fault::IoError(error) => Error::io(path, "read")(error),
        fault => Error::audio(path, format!("cannot be decoded: {fault}; convert it to wav")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;
    use std::io::Cursor;

    /// A FLAC file whose bytes from a certain one on cannot be had without a panic.
    struct Bomb {
        bytes: Cursor<Vec<u8>>,
        from: u64,
    }

    impl Read for Bomb {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            let read = self.bytes.read(bytes)?;
            assert!(self.bytes.position() <= self.from, "this is meant to happen");
            Ok(read)
        }
    }

    impl Seek for Bomb {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.bytes.seek(to)
        }
    }

    #[test]
    fn a_decoder_that_panics_fails_its_file_alone() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(root.join("tests/audio/awkward/tone.flac")).unwrap();
        let read = |from: u64| {
            let mut reader = Reader::over(Path::new("x.flac"), Bomb { bytes: Cursor::new(bytes.clone()), from })?;
            let mut block = Vec::new();
            while reader.read(&mut block)? {}
            Ok(())
        };
        assert!(read(bytes.len() as u64).is_ok());
        for from in [10, 100, 5000] {
            let error: Error = read(from).unwrap_err();
            assert_eq!(error.to_string(), "x.flac: makes its decoder fail; convert it to wav");
        }
    }
}
