//! FLAC, Ogg Vorbis and MP3 files to samples, through symphonia.

use super::{Recording, implausible};
use crate::{Error, Result};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;

/// Reads the default audio track of `file`, less the delay and padding of its encoder where the file tells them.
///
/// A packet that cannot be decoded becomes silence, so that what follows keeps its time; a file that ends within a
/// packet gives what came before. Both are warnings. A file of which nothing can be decoded is an error, and so is one
/// without a sample, which symphonia cannot open.
pub(super) fn read(path: &Path, file: File) -> Result<Recording> {
    let refuse = |fault: Fault| match fault {
        Fault::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Error::audio(path, "ends before its first sample; record or copy it again")
        }
        Fault::IoError(error) => Error::io(path, "read")(error),
        fault => Error::audio(path, format!("cannot be decoded: {fault}; convert it to wav")),
    };
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), Default::default())
        .map_err(refuse)?;
    let track = format.default_track(TrackType::Audio);
    let Some((track_id, parameters)) = track.and_then(|track| Some((track.id, track.codec_params.as_ref()?.audio()?)))
    else {
        return Err(Error::audio(path, "has no audio track; convert it to wav"));
    };
    let options = AudioDecoderOptions::default().verify(true);
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &options).map_err(refuse)?;
    let sample_rate = parameters.sample_rate.unwrap_or(0);
    let count = parameters.channels.as_ref().map_or(0, |channels| channels.count());
    if let Some(reason) = implausible(count, sample_rate) {
        return Err(Error::audio(path, reason));
    }

    let mut channels = vec![Vec::new(); count];
    let mut block: Vec<Vec<f32>> = Vec::new();
    let mut warnings = Vec::new();
    let (mut decoded, mut undecodable) = (0, 0);
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == track_id => packet,
            Ok(Some(_)) => continue,
            Ok(None) => break,
            Err(Fault::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                warnings.push("cut short: it ends inside a packet".to_owned());
                break;
            }
            Err(fault) => return Err(refuse(fault)),
        };
        match decoder.decode(&packet) {
            Ok(buffer) => {
                if buffer.num_planes() != count || buffer.spec().rate() != sample_rate {
                    return Err(Error::audio(path, "changes its channels or sample rate midway; split it there"));
                }
                buffer.copy_to_vecs_planar(&mut block);
                for (channel, samples) in channels.iter_mut().zip(&block) {
                    channel.extend_from_slice(samples);
                }
                decoded += 1;
            }
            Err(Fault::DecodeError(_)) => {
                for channel in &mut channels {
                    channel.resize(channel.len() + packet.dur.get() as usize, 0.0);
                }
                undecodable += 1;
            }
            Err(fault) => return Err(refuse(fault)),
        }
    }

    if undecodable > 0 {
        warnings.push(format!("damaged: {undecodable} packets could not be decoded and are silent"));
    }
    if decoded == 0 && !warnings.is_empty() {
        return Err(Error::audio(path, "nothing in it can be decoded; copy it again"));
    }
    if warnings.is_empty() && decoder.finalize().verify_ok == Some(false) {
        warnings.push("damaged: its samples do not match the checksum in its header".to_owned());
    }
    Ok(Recording { channels, sample_rate, warnings })
}
