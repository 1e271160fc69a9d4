//! Reads truncated, concatenated, damaged and mislabelled recordings. No sample may be lost without a warning, and
//! samples after damage must keep their time. `tests/audio/whole` has the intact files that these tests damage.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use partwise::audio::{self, Format, Reader, Recording, Writer};
use partwise::{Error, Result};
use std::io::Cursor;
use std::path::{Path, PathBuf};

fn whole(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/whole").join(name)).unwrap()
}

fn try_read(bytes: &[u8]) -> Result<Recording> {
    let mut reader = Reader::over(Path::new("spoiled"), Cursor::new(bytes.to_vec()))?;
    let (mut channels, mut block) = (vec![Vec::new(); reader.channels()], Vec::new());
    while reader.read(&mut block)? {
        channels.iter_mut().zip(&block).for_each(|(channel, samples)| channel.extend_from_slice(samples));
    }
    Ok(Recording { channels, sample_rate: reader.sample_rate(), warnings: reader.warnings().to_vec() })
}

fn read(bytes: &[u8]) -> Recording {
    try_read(bytes).unwrap()
}

/// Asserts that a recording equals the intact one and has no warnings.
fn assert_same(found: &Recording, sound: &Recording, what: &str) {
    assert_eq!(found.warnings, Vec::<String>::new(), "{what}");
    assert!(found.channels == sound.channels, "{what}: {} of {} samples", found.frames(), sound.frames());
}

fn assert_warns(found: &Recording, expected: &str, what: &str) {
    let warned = found.warnings.iter().any(|warning| warning.contains(expected) && !warning.contains('\n'));
    assert!(warned, "{what}: {:?} lacks {expected:?}", found.warnings);
}

/// Deterministic pseudo-random numbers.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

/// Tags as players write them, before and after the audio.
const ID3V2: &[u8] = b"ID3\x03\0\0\0\0\0\x0Aten bytes.";

fn id3v1() -> Vec<u8> {
    [&b"TAG"[..], &[b' '; 125]].concat()
}

fn ape() -> Vec<u8> {
    let part = |flags: u32| [&b"APETAGEX\xD0\x07\0\0\x24\0\0\0\x01\0\0\0"[..], &flags.to_le_bytes(), &[0; 8]].concat();
    [part(0xA000_0000), b"item".to_vec(), part(0x8000_0000)].concat()
}

/// The positions of the frames of `vbr.mp3`, starting with its tag frame, and the end of the last one.
fn frames(mp3: &[u8]) -> Vec<usize> {
    let kilobits = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let mut starts = vec![0];
    while let Some(&[0xFF, 0xF3, sizes, _, ..]) = mp3.get(*starts.last().unwrap()..) {
        let padding = usize::from(sizes >> 1 & 1);
        starts.push(starts.last().unwrap() + 72_000 * kilobits[usize::from(sizes >> 4)] / 16_000 + padding);
    }
    assert_eq!(starts.last(), Some(&mp3.len()));
    starts
}

/// Samples per frame of `vbr.mp3`.
const FRAME: usize = 576;

#[test]
fn an_mp3_without_a_tag_is_read_to_its_end() {
    let mp3 = whole("vbr.mp3");
    let starts = frames(&mp3);
    let bare = read(&mp3[starts[1]..]);
    assert_eq!((bare.frames(), bare.warnings), ((starts.len() - 2) * FRAME, vec![]));
    // The tag says that the encoder added 1105 samples before the audio, and how many after it.
    let tagged = read(&mp3);
    assert_eq!((tagged.frames(), &tagged.warnings), (32_000, &vec![]));
    assert_eq!(tagged.channels[0], bare.channels[0][1105..1105 + 32_000]);
}

#[test]
fn a_wrong_frame_count_in_an_mp3_tag_only_gives_a_warning() {
    let mp3 = whole("vbr.mp3");
    let count = (frames(&mp3).len() - 2) as u32;
    let at = mp3.windows(4).position(|bytes| bytes == b"Xing").unwrap() + 8;
    assert_eq!(mp3[at..at + 4], count.to_be_bytes());
    for wrong in [0, 1, count / 2, count - 1, count + 1, 1_000_000] {
        let mut spoiled = mp3.clone();
        spoiled[at..at + 4].copy_from_slice(&wrong.to_be_bytes());
        let found = read(&spoiled);
        assert!(found.frames() >= 32_000, "{wrong}: {}", found.frames());
        let short = if wrong > count { "cut short: " } else { "" };
        assert_warns(&found, &format!("{short}its tag counts {wrong} frames, but {count} were found"), "count");
    }
}

#[test]
fn joined_mp3s_are_read_as_one() {
    let mp3 = whole("vbr.mp3");
    let bare = &mp3[frames(&mp3)[1]..];
    let one = read(bare).frames();
    for between in [&b""[..], &id3v1(), &ape(), ID3V2] {
        let joined = read(&[bare, between, bare].concat());
        assert_eq!((joined.frames(), joined.warnings), (2 * one, vec![]), "{}", between.escape_ascii());
    }
    // Only the first tag's delay and the last tag's padding are at the ends.
    let (tagged, single) = (read(&[&mp3[..], &mp3].concat()), read(&mp3));
    assert_eq!((tagged.frames(), tagged.warnings), (2 * one - (one - 32_000), vec![]));
    assert_eq!(tagged.channels[0][..30_000], single.channels[0][..30_000]);
}

#[test]
fn junk_before_and_after_an_mp3_is_skipped() {
    let mp3 = whole("vbr.mp3");
    let sound = read(&mp3);
    let http = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n";
    let mut noise = random(3);
    let noise: Vec<u8> = (0..5000).map(|_| noise(256) as u8).collect();
    for front in [&[0; 4096][..], &noise, http, ID3V2, &ape(), &[0xFF; 99], &[ID3V2, &ape(), &[0; 9]].concat()] {
        assert_same(&read(&[front, &mp3].concat()), &sound, "in front");
    }
    for behind in [id3v1(), ape(), [ape(), id3v1()].concat(), ID3V2.to_vec()] {
        assert_same(&read(&[&mp3[..], &behind].concat()), &sound, "behind");
    }
    let found = read(&[&mp3[..], &noise].concat());
    assert_eq!(found.channels, sound.channels);
    assert_warns(&found, "ignored 5000 bytes after its last frame", "noise behind");
}

#[test]
fn a_truncated_mp3_gives_its_samples_and_a_warning() {
    let mp3 = whole("vbr.mp3");
    let (starts, sound) = (frames(&mp3), read(&mp3));
    for (end, frames) in [(starts[20], 19), (starts[20] + 30, 19), (starts[21] - 1, 19)] {
        let found = read(&mp3[..end]);
        assert_warns(&found, "cut short: its tag counts", "cut");
        assert_eq!(found.channels[0], sound.channels[0][..frames * FRAME - 1105]);
        let bare = read(&mp3[starts[1]..end]);
        assert_eq!(bare.frames(), frames * FRAME);
        assert_eq!(bare.warnings.is_empty(), end == starts[20], "{:?}", bare.warnings);
    }
}

#[test]
fn samples_after_damage_in_an_mp3_keep_their_time() {
    let mp3 = whole("vbr.mp3");
    let (starts, sound) = (frames(&mp3), read(&mp3));
    for first in [2, 9, 20, 30] {
        // A header; a frame; two and a half frames; the start of a frame that is lost completely.
        let after = starts[first + 1];
        let holes = [starts[first]..starts[first] + 4, starts[first]..after, starts[first]..starts[first + 2] + 9];
        for hole in holes {
            for filling in [0, 0xFF, 0x55] {
                let mut spoiled = mp3.clone();
                spoiled[hole.clone()].fill(filling);
                let found = read(&spoiled);
                assert_warns(&found, "samples (0.", "hole");
                assert_warns(&found, "are lost and became silence, at ", "hole");
                // With frames of varying size, the number of lost frames is estimated from their bytes, to within one
                // frame.
                let shift = (0..3 * FRAME).step_by(FRAME).find(|&shift| {
                    let (from, to) = (24_000 + shift - FRAME, 30_000 + shift - FRAME);
                    found.channels[0][from..to] == sound.channels[0][24_000..30_000]
                });
                assert!(shift == Some(FRAME) || shift.is_some() && hole.len() > 150, "{hole:?}: {shift:?}");
            }
        }
    }
}

#[test]
fn lost_frames_of_constant_size_are_counted_exactly() {
    // 32 kb/s at 22.05 kHz: 104 24/49 bytes per frame.
    let frame = |n: usize| {
        let padded = (n + 1) * 24 / 49 > n * 24 / 49;
        [&[0xFF, 0xF3, 0x40 | u8::from(padded) << 1, 0xC0][..], &vec![0; 100 + usize::from(padded)]].concat()
    };
    let mp3: Vec<u8> = (0..2000).flat_map(frame).collect();
    let sound = read(&mp3);
    assert_eq!((sound.frames(), &sound.warnings), (2000 * FRAME, &vec![]));
    for (at, length) in [(5000, 400), (20_000, 7), (30_000, 100_000), (100_000, 64_000)] {
        let mut spoiled = mp3.clone();
        spoiled[at..at + length].fill(0x11);
        assert_eq!(read(&spoiled).frames(), sound.frames(), "{length} at {at}");
    }
}

#[test]
fn an_mp3_that_changes_its_format_is_refused() {
    let mp3 = whole("vbr.mp3");
    let stereo = [&[0xFF, 0xF3, 0x48, 0x00][..], &[0; 140]].concat().repeat(5);
    let rate = [&[0xFF, 0xF3, 0x40, 0xC0][..], &[0; 100]].concat().repeat(5);
    for other in [stereo, rate] {
        for joined in [[&mp3[..], &other].concat(), [&other[..], &mp3].concat()] {
            let error = try_read(&joined).unwrap_err().to_string();
            assert_eq!(error, "spoiled: changes its channels or sample rate midway; split it there");
        }
    }
}

/// A FLAC of noise with 6 frames, and the positions of the frames.
fn flac(channels: usize) -> (Vec<u8>, Vec<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound.flac");
    let mut noise = random(1);
    let mut channel = || (0..22_000).map(|_| (noise(20_001) as f32 - 10_000.0) / 32_768.0).collect();
    let channels: Vec<Vec<f32>> = (0..channels).map(|_| channel()).collect();
    audio::write(&path, &Recording { channels, sample_rate: 16_000, warnings: vec![] }, Format::Flac16).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let sync = |at: &usize| bytes[*at..].starts_with(&[0xFF, 0xF8]) && bytes[at + 4] < 6;
    let starts: Vec<usize> = (42..bytes.len() - 5).filter(sync).collect();
    assert_eq!(starts.len(), 6);
    (bytes, starts)
}

/// Asserts that every sample is right or silent, and returns the number of silent ones.
fn silent(found: &Recording, sound: &Recording) -> usize {
    assert_eq!(found.frames(), sound.frames());
    let mut count = 0;
    for (found, sound) in found.channels.iter().flatten().zip(sound.channels.iter().flatten()) {
        assert!(found == sound || *found == 0.0);
        count += usize::from(found != sound);
    }
    count
}

#[test]
fn a_flac_frame_damaged_anywhere_becomes_silence() {
    let (bytes, starts) = flac(2);
    let sound = read(&bytes);
    let mut random = random(7);
    for unknown in [false, true] {
        for frame in 0..6 {
            let end = starts.get(frame + 1).copied().unwrap_or(bytes.len());
            let inside = starts[frame] + 20 + random(end - starts[frame] - 20);
            // The sync code, the number, the header checksum, the subframes, the frame checksum.
            for at in [starts[frame], starts[frame] + 4, starts[frame] + 5, inside, end - 1] {
                let mut spoiled = bytes.clone();
                spoiled[at] ^= 0x10;
                if unknown {
                    // As in a stream, neither the total length nor the checksum is known.
                    spoiled[21] &= 0xF0;
                    spoiled[22..42].fill(0);
                }
                let found = read(&spoiled);
                // Without its header, a last frame cannot be recognized as one.
                if unknown && frame == 5 && at < starts[5] + 6 {
                    assert_warns(&found, "bytes after its last frame", "the last header");
                    continue;
                }
                let lost = silent(&found, &sound);
                assert!(lost > 0 && lost <= 2 * 4096, "{frame}, {at}: {lost}");
                assert_warns(&found, "samples (0.", "flip");
            }
        }
    }
}

#[test]
fn lost_or_inserted_bytes_do_not_shift_flac_frames() {
    let (bytes, starts) = flac(1);
    let sound = read(&bytes);
    let without = [&bytes[..starts[2]], &bytes[starts[4]..]].concat();
    let cut_out = [&bytes[..starts[2] + 100], &bytes[starts[4] + 50..]].concat();
    for spoiled in [without, cut_out] {
        assert!(silent(&read(&spoiled), &sound) > 8000);
        assert_warns(&read(&spoiled), "are lost and became silence, at 0.512 s", "lost");
    }
    for behind in [id3v1(), ape()] {
        assert_same(&read(&[&bytes[..], &behind].concat()), &sound, "tags behind");
        assert_same(&read(&[ID3V2, &bytes[..]].concat()), &sound, "a tag in front");
    }
    let found = read(&[&bytes[..], b"something else"].concat());
    assert_eq!(found.channels, sound.channels);
    assert_warns(&found, "ignored 14 bytes after its last frame", "junk behind");
    let joined = read(&[&bytes[..], &bytes].concat());
    assert_eq!((joined.frames(), joined.warnings), (44_000, vec![]));
    let cut = read(&bytes[..starts[4] + 30]);
    assert_eq!(cut.channels[0], sound.channels[0][..4 * 4096]);
    assert_warns(&cut, "cut short: 16384 of 22000 samples are there", "cut");
}

/// The positions of the pages of an Ogg, and the end of the last one.
fn pages(ogg: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(head) = ogg.get(*starts.last().unwrap()..).filter(|rest| !rest.is_empty()) {
        let table = &head[27..27 + usize::from(head[26])];
        starts.push(starts.last().unwrap() + 27 + table.len() + table.iter().map(|&n| usize::from(n)).sum::<usize>());
    }
    starts
}

#[test]
fn samples_after_a_damaged_ogg_page_keep_their_time() {
    let ogg = whole("pages.ogg");
    let (starts, sound) = (pages(&ogg), read(&ogg));
    assert_eq!((sound.frames(), &sound.warnings), (32_000, &vec![]));
    assert!(starts.len() > 8, "{starts:?}");
    for page in 2..starts.len() - 3 {
        let (start, end) = (starts[page], starts[page + 1]);
        let mut flipped = ogg.clone();
        flipped[(start + end) / 2] ^= 1;
        let mut zeroed = ogg.clone();
        zeroed[start..end].fill(0);
        let removed = [&ogg[..start], &ogg[end..]].concat();
        for spoiled in [flipped, zeroed, removed] {
            let found = read(&spoiled);
            assert_eq!(found.frames(), 32_000, "page {page}");
            assert_warns(&found, "are lost and became silence, at ", "page");
            let back = starts.len() - 3 - page;
            let after = 32_000 - back.min(2) * 3000;
            assert!(found.channels[0][after..] == sound.channels[0][after..] || back == 0, "page {page}");
        }
    }
    let last = starts[starts.len() - 2];
    assert_warns(&read(&ogg[..last]), "cut short: its last page is missing", "cut");
    assert_warns(&read(&ogg[..last + 9]), "cut short: its last page is missing", "cut");
    assert_same(&read(&[&ogg[..], &id3v1()].concat()), &sound, "a tag behind");
}

#[test]
fn chained_oggs_are_read_as_one() {
    let ogg = whole("pages.ogg");
    let (sound, chained) = (read(&ogg), read(&ogg.repeat(3)));
    assert_eq!((chained.frames(), chained.warnings), (96_000, vec![]));
    assert_eq!(chained.channels[0], sound.channels[0].repeat(3));
    let stereo = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/awkward/tone.ogg")).unwrap();
    let error = try_read(&[ogg, stereo].concat()).unwrap_err().to_string();
    assert!(error.contains("changes its channels or sample rate midway"), "{error}");
}

#[test]
fn containers_of_other_programs_are_read() {
    let tone = read(&whole("s24.w64"));
    assert_eq!((tone.frames(), tone.sample_rate), (4000, 16_000));
    for name in ["alac.m4a", "s16.caf"] {
        let found = read(&whole(name));
        let worst = found.channels[0].iter().zip(&tone.channels[0]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert_eq!((found.frames(), found.warnings), (4000, vec![]), "{name}");
        assert!(worst <= 1.0 / 32_768.0, "{name}: {worst}");
        let bits = Reader::over(Path::new(name), Cursor::new(whole(name))).unwrap().bits();
        assert_eq!(bits, Some(16), "{name}");
    }
    // AAC begins with an encoder delay of one frame and ends with a full frame.
    let aac = read(&whole("aac.m4a"));
    assert!(aac.warnings.is_empty() && (4000..=4000 + 2 * 1024).contains(&aac.frames()), "{}", aac.frames());
    for name in ["alac.m4a", "s16.caf", "s24.w64", "aac.m4a"] {
        let bytes = whole(name);
        let cut = try_read(&bytes[..bytes.len() * 2 / 3]);
        assert!(cut.map_or(true, |cut| !cut.warnings.is_empty()), "{name}");
    }
}

#[test]
fn an_unsupported_type_is_named_in_the_error() {
    let cases = [
        (whole("adts.aac"), "is AAC in ADTS, which is not supported; convert it to wav"),
        (whole("layer2.mp2"), "is MPEG audio of layer II, which is not supported; convert it to wav"),
        (whole("opus.ogg"), "is Opus in ogg, which is not supported; convert it to wav"),
        (b"\x1A\x45\xDF\xA3 and more".to_vec(), "is Matroska or WebM, which is not supported; convert it to wav"),
    ];
    for (bytes, expected) in cases {
        let error = try_read(&bytes).unwrap_err();
        assert!(matches!(error, Error::Audio { .. }));
        assert_eq!(error.to_string(), format!("spoiled: {expected}"));
    }
}

#[test]
fn channel_masks_are_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("masked");
    for format in [Format::WavF32, Format::WavPcm16, Format::Flac24] {
        for (channels, mask) in [(6, 0x3F), (6, 0x60F), (4, 0x107), (2, 0x600), (1, 0x4), (2, 3)] {
            let mut writer = Writer::masked(&path, format, channels, 48_000, 100, mask).unwrap();
            writer.write(&vec![vec![0.25; 100]; channels]).unwrap();
            writer.finish().unwrap();
            let mut reader = Reader::open(&path).unwrap();
            // A plain WAV of one or two channels needs no mask.
            let plain = format != Format::Flac24 && matches!((channels, mask), (1, 4) | (2, 3));
            assert_eq!(reader.channel_mask(), if plain { 0 } else { mask }, "{format} {channels}");
            let mut block = Vec::new();
            assert!(reader.read(&mut block).unwrap());
            assert_eq!(block, vec![vec![0.25; 100]; channels]);
        }
    }
}

#[test]
fn a_flac_can_have_any_rate_that_its_header_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fast.flac");
    for sample_rate in [1, 8000, 96_000, 96_001, 176_400, 192_000, 384_000, 655_350] {
        let channels = vec![(0..5000).map(|n| (n % 100) as f32 / 128.0).collect::<Vec<f32>>()];
        let recording = Recording { channels, sample_rate, warnings: vec![] };
        audio::write(&path, &recording, Format::Flac16).unwrap();
        assert!(audio::read(&path).unwrap() == recording, "{sample_rate}");
    }
    let beyond = Recording { channels: vec![vec![0.0]], sample_rate: 655_351, warnings: vec![] };
    let error = audio::write(&path, &beyond, Format::Flac16).unwrap_err().to_string();
    assert!(error.contains("has a sample rate of 655351 Hz, and flac can hold 655350 Hz; write it as wav"), "{error}");
}

/// Found by fuzzing: the checksum of this frame matches in its middle by chance, and a decoder would overflow there.
#[test]
fn the_end_of_a_damaged_frame_is_found_without_decoding() {
    let error = try_read(&whole("damaged_frame.flac")).unwrap_err().to_string();
    assert_eq!(error, "spoiled: holds nothing that can be decoded; copy it again");
}

/// Found by fuzzing: symphonia's demuxer overflows when it multiplies this header's numbers.
#[test]
fn an_extreme_caf_header_does_not_overflow() {
    let mut caf = whole("s16.caf");
    let at = caf.windows(4).position(|bytes| bytes == b"lpcm").unwrap();
    caf[at + 8] = 0x3B;
    let error = try_read(&caf).unwrap_err().to_string();
    assert!(error.contains("its frames have 989855746 bytes, not 2"), "{error}");
}

/// Found by fuzzing: 64-bit sizes may have any value.
#[test]
fn extreme_64_bit_sizes_do_not_overflow() {
    let mut w64 = whole("s24.w64");
    w64[56..64].fill(0xFF);
    let error = try_read(&w64).unwrap_err().to_string();
    assert_eq!(error, "spoiled: has a chunk that runs past the end of the file; copy it again");
    let mut rf64 = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/awkward/rf64.wav")).unwrap();
    rf64[20..28].fill(0xFF);
    assert_eq!(read(&rf64).frames(), 8000);
}
