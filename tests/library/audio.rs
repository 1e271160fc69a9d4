//! Reads odd and broken files. Each must behave as `tests/audio/awkward/expected.csv` says.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use partwise::audio::{self, Reader, Recording};
use partwise::{Error, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// One quantization step of 16-bit integers.
const STEP: f32 = 1.0 / 32768.0;

fn awkward(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/awkward").join(name)
}

fn read(name: &str) -> Recording {
    audio::read(&awkward(name)).unwrap()
}

/// The rows of `expected.csv` below its header. A quoted field may contain commas.
fn expected() -> Vec<Vec<String>> {
    let table = std::fs::read_to_string(awkward("expected.csv")).unwrap();
    let row = |line: &str| {
        let mut fields = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                c => fields.last_mut().unwrap().push(c),
            }
        }
        fields
    };
    table.lines().skip(1).map(row).collect()
}

/// The difference between `outcome` and its row, if any. Where the table allows a choice, the reader must read the
/// file.
fn complaint(row: &[String], outcome: Result<Recording>) -> Option<String> {
    let [name, class, channels, rate, _bits, frames, ..] = row else { return Some("short row".into()) };
    let refused = match name.as_str() {
        "ima_adpcm.wav" => true,
        "truncated.flac" => false,
        _ => class.starts_with("error"),
    };
    let recording = match outcome {
        Ok(recording) if !refused => recording,
        Ok(_) => return Some("was read, should be refused".into()),
        Err(error) => {
            let line = error.to_string();
            let fair = refused && matches!(error, Error::Audio { .. }) && line.contains(name) && !line.contains('\n');
            return (!fair).then_some(line);
        }
    };
    let differs = |field: &str, found: usize| !field.is_empty() && field.parse() != Ok(found);
    if differs(channels, recording.channels.len())
        || differs(rate, recording.sample_rate as usize)
        || differs(frames, recording.frames())
        || recording.channels.iter().any(|channel| channel.len() != recording.frames())
    {
        let (channels, rate) = (recording.channels.len(), recording.sample_rate);
        return Some(format!("{}x{channels}@{rate}", recording.frames()));
    }
    // Ignored bytes after the samples always give a warning.
    let warns = ["truncated.flac", "header_only.wav", "trailing_garbage.wav", "two_data_chunks.wav"];
    let warned = class.contains("(warn)") || warns.contains(&name.as_str());
    (recording.warnings.is_empty() == warned).then(|| format!("warnings {:?}", recording.warnings))
}

#[test]
fn every_awkward_file_is_read_exactly_or_refused_clearly() {
    let complaints: Vec<String> = expected()
        .iter()
        .filter_map(|row| Some(format!("{}: {}", row[0], complaint(row, audio::read(&awkward(&row[0])))?)))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Gives a file a few bytes at a time, as a pipe may.
struct Drops(File);

impl Read for Drops {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let most = out.len().min(7);
        self.0.read(&mut out[..most])
    }
}

#[test]
fn a_wav_through_a_pipe_has_the_samples_of_the_file() {
    let collect = |mut reader: Reader| -> Result<(Vec<Vec<f32>>, Vec<String>)> {
        let (mut channels, mut block) = (vec![Vec::new(); reader.channels()], Vec::new());
        while reader.read(&mut block)? {
            channels.iter_mut().zip(&block).for_each(|(channel, samples)| channel.extend_from_slice(samples));
        }
        Ok((channels, reader.warnings().to_vec()))
    };
    let mut warned = Vec::new();
    for row in expected() {
        let (path, name) = (awkward(&row[0]), &row[0]);
        let piped = Reader::stream(&path, Drops(File::open(&path).unwrap())).and_then(collect);
        let is_wav = std::fs::read(&path).unwrap().starts_with(b"R");
        match (Reader::open(&path).and_then(collect), piped) {
            (Ok((from_file, _)), Ok((piped, warnings))) => {
                assert!(from_file == piped, "{name}");
                warned.extend(warnings.into_iter().map(|warning| format!("{name}: {warning}")));
            }
            (Ok(_), Err(error)) => assert!(!is_wav && error.to_string().contains("ffmpeg"), "{error}"),
            (Err(_), Err(error)) => assert!(!error.to_string().contains('\n'), "{error}"),
            (Err(error), Ok(_)) => panic!("{name}: {error}"),
        }
    }
    // A size of 2 GiB or more may stand for an open one.
    let expected = [
        "trailing_garbage.wav: ignored 36 bytes after the samples",
        "truncated_data.wav: cut short: 2666 of 8000 frames are there",
        "truncated_mid_sample.wav: cut short: 2666 of 8000 frames are there",
        "header_only.wav: cut short: 0 of 8000 frames are there",
    ];
    assert_eq!(warned, expected);
}

#[test]
fn the_table_lists_exactly_the_awkward_files() {
    let listed: BTreeSet<String> = expected().into_iter().map(|row| row[0].clone()).collect();
    let entries = std::fs::read_dir(awkward("")).unwrap();
    let mut there: BTreeSet<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(there.remove("expected.csv") && there.remove("README.md"));
    assert_eq!(listed, there);
}

#[test]
fn every_encoding_of_one_tone_gives_the_same_samples() {
    let reference = read("ref_s16.wav");
    let stereo = read("extensible_f32_stereo.wav");
    let mono = &reference.channels[..];
    let cases = [
        (mono, 0.0, "tone.flac flac_named.wav wav_named.flac rifx_big_endian.wav rf64.wav extensible_s16.wav"),
        (mono, 0.0, "list_after_data.wav odd_chunk_padded.wav odd_chunk_unpadded.wav trailing_garbage.wav"),
        (mono, 0.0, "riff_size_0.wav riff_size_ffffffff.wav streamed_sizes_0.wav riff_size_too_small.wav"),
        (mono, 0.0, "truncated_data.wav truncated_mid_sample.wav truncated.flac"),
        (mono, STEP, "mono_s24.wav mono_s32.wav mono_f32.wav mono_f64.wav extensible_s24_20valid.wav"),
        (mono, 1.0 / 128.0, "mono_u8.wav"),
        // Full scale over the 16 segment steps of the top half of G.711, halved by rounding.
        (mono, 1.0 / 64.0, "alaw.wav mulaw.wav"),
        // Lossy: errors of 0.036 and 0.079 at peaks of 0.49. A shift by one sample would give 0.20 and 0.14.
        (mono, 0.05, "tone.mp3"),
        (&stereo.channels[..], 0.1, "tone.ogg"),
    ];
    let mut complaints = Vec::new();
    for (wanted, tolerance, names) in cases {
        for name in names.split(' ') {
            for (wanted, found) in wanted.iter().zip(read(name).channels) {
                assert!(!found.is_empty(), "{name}");
                let worst = wanted.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                if worst > tolerance {
                    complaints.push(format!("{name}: {} steps off", worst / STEP));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn an_error_names_the_first_nan() {
    let error = audio::read(&awkward("nan_inf_f32.wav")).unwrap_err().to_string();
    assert!(error.contains("nan_inf_f32.wav: sample 100 of channel 0"), "{error}");
}

#[test]
fn the_index_of_an_odd_sample_counts_from_the_start_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.wav");
    let samples = vec![0.0; 100_000];
    let recording = Recording { channels: vec![samples.clone(), samples], sample_rate: 8000, warnings: Vec::new() };
    audio::write(&path, &recording, audio::Format::WavF32).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 8 * 100_000 + 8 * 70_001 + 4;
    // A sum of samples that are that loud is infinite.
    for (odd, what) in [(f32::NAN, "NaN or infinite"), (-f32::INFINITY, "NaN or infinite"), (-3e38, "-3e38, beyond")] {
        bytes[at..at + 4].copy_from_slice(&odd.to_le_bytes());
        let error = blocks(Reader::over(&path, Cursor::new(bytes.clone())).unwrap()).unwrap_err().to_string();
        assert!(error.contains(&format!("late.wav: sample 70001 of channel 1 (from 0) is {what}")), "{error}");
    }
}

/// Concatenates all blocks of a recording, and checks each block's form.
fn blocks(mut reader: Reader) -> Result<Recording> {
    let mut channels = vec![Vec::new(); reader.channels()];
    let mut block = vec![vec![7.0; 3]; 5];
    while reader.read(&mut block)? {
        assert_eq!(block.len(), channels.len());
        let length = block[0].len();
        assert!((1..=65_536).contains(&length) && block.iter().all(|samples| samples.len() == length));
        channels.iter_mut().zip(&block).for_each(|(channel, samples)| channel.extend_from_slice(samples));
    }
    assert_eq!(block, vec![Vec::<f32>::new(); channels.len()], "empty at the end");
    assert!(!reader.read(&mut block).unwrap(), "later reads stay at the end");
    Ok(Recording { channels, sample_rate: reader.sample_rate(), warnings: reader.warnings().to_vec() })
}

#[test]
fn reading_from_memory_equals_reading_from_a_file() {
    for row in expected() {
        let path = awkward(&row[0]);
        let bytes = Cursor::new(std::fs::read(&path).unwrap());
        match (audio::read(&path), Reader::over(&path, bytes).and_then(blocks)) {
            (Ok(file), Ok(memory)) => assert_eq!(file, memory, "{}", row[0]),
            (Err(file), Err(memory)) => assert_eq!(file.to_string(), memory.to_string()),
            (file, memory) => panic!("{}: {:?} and {:?}", row[0], file.is_ok(), memory.is_ok()),
        }
    }
}

#[test]
fn bits_are_known_for_integer_samples_only() {
    let cases = [
        (Some(8), "mono_u8.wav"),
        (Some(16), "ref_s16.wav rifx_big_endian.wav rf64.wav extensible_s16.wav six_channels_s16.wav tone.flac"),
        (Some(16), "alaw.wav mulaw.wav"),
        (Some(24), "mono_s24.wav extensible_s24_20valid.wav"),
        (Some(32), "mono_s32.wav"),
        (None, "mono_f32.wav mono_f64.wav extensible_f32_stereo.wav tone.mp3 tone.ogg"),
    ];
    for (bits, names) in cases {
        for name in names.split(' ') {
            assert_eq!(Reader::open(&awkward(name)).unwrap().bits(), bits, "{name}");
        }
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_without_blocking() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&pipe, Path::new("/dev/zero")] {
        let error = Reader::open(path).err().unwrap().to_string();
        assert!(error.contains("is a pipe or a device"), "{error}");
    }
}

/// Tags with cover pictures have this size.
#[test]
fn an_mp3_after_a_large_tag_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tagged.mp3");
    let mut file = b"ID3\x03\0\0\0\x7F\x7F\x7FPRIV\0\x1F\xFF\xF5\0\0".to_vec();
    file.resize(10 + (1 << 21) - 1, 0xFF);
    file.extend(std::fs::read(awkward("tone.mp3")).unwrap());
    std::fs::write(&path, file).unwrap();
    assert_eq!(audio::read(&path).unwrap(), read("tone.mp3"));
}

#[test]
fn a_missing_file_and_a_folder_are_io_errors() {
    for name in ["no such file.wav", ""] {
        let error = audio::read(&awkward(name)).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}

/// A damaged file must be read or refused, without a panic, a hang or a NaN. The test replaces one to eight bytes of
/// the first KiB, which contains the headers.
#[test]
fn damaged_files_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for name in ["tone.flac", "tone.ogg", "tone.mp3", "mono_u8_odd_length.wav", "alaw.wav", "rf64.wav"] {
        let sound = std::fs::read(awkward(name)).unwrap();
        for _ in 0..100 {
            let mut bytes = sound[..random(sound.len()) + 1].to_vec();
            for _ in 0..=random(8) {
                let at = random(bytes.len().min(1024));
                bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, random(256) as u8][random(6)];
            }
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(recording) = audio::read(&path) {
                assert!(recording.channels.iter().flatten().all(|sample| sample.is_finite()), "{name}");
            }
        }
    }
}
