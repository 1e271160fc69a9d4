//! Reads WAV files.
//!
//! This module walks the chunks itself. Real files break the specification in ways that no available library accepts.
//! hound refuses 64-bit float, A-law, 20 bits in 24, odd-sized chunks with their pad byte, and truncated data; it reads
//! no samples from a stream with zero sizes. symphonia refuses sizes that a streaming writer left open, and panics at
//! 65535 channels. Neither reads RIFX, RF64 or BW64.

use super::chunks::{Chunks, is_chunk_list};
use super::pcm::{Encoding, Layout, Samples, number};
use super::source::{Blocks, Shape, Source, end_of};
use super::tail::{self, Declared};
use super::{implausible, tags};
use crate::{Error, Result};
use std::io::{Read, SeekFrom};
use std::path::Path;

/// The last half of every sub-format GUID that encodes a plain format tag (KSDATAFORMAT_SUBTYPE_*).
pub(super) const GUID_TAIL: [u8; 8] = [0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
/// The bytes after the format tag in the sub-format GUIDs of ambisonic B-format. Its samples are stored as usual.
const AMBISONIC: [u8; 12] = [0x21, 0x07, 0xD3, 0x11, 0x86, 0x44, 0xC8, 0xC1, 0xCA, 0, 0, 0];
/// A 32-bit size that stands for a 64-bit size elsewhere, or for no size.
const OPEN: u64 = u32::MAX as u64;
/// If the RIFF size goes this many bytes or more beyond the samples, something follows them.
const SLACK: u64 = 16;

/// Opens the RIFF, RIFX (big-endian), RF64 or BW64 (64-bit sizes) that begins at `start` and seeks to its first sample.
/// Declared sizes are compared with the file, never trusted.
pub(super) fn open(path: &Path, mut source: impl Source, start: u64) -> Result<(Shape, Box<dyn Blocks>)> {
    let read = |error| Error::io(path, "read")(error);
    let mut header = Vec::new();
    source.seek(SeekFrom::Start(start)).map_err(read)?;
    source.by_ref().take(12).read_to_end(&mut header).map_err(read)?;
    if header.len() == 12 && !header.ends_with(b"WAVE") {
        return Err(Error::audio(path, "is a riff file but not a wav; convert it to wav"));
    }
    let big_endian = header.starts_with(b"RIFX");
    let number = |bytes: &[u8]| number(bytes, big_endian);
    let mut sizes = Sizes { riff: header.get(4..8).map_or(0, number), wide: None, start };
    let mut layout = None;
    let mut chunks = Chunks::new(&mut source, start + 12, big_endian).map_err(read)?;
    while let Some(chunk) = chunks.next().map_err(read)? {
        match &chunk.name {
            b"fmt " => {
                let fields = chunks.bytes(&chunk, 40).map_err(read)?;
                layout = Some(Layout::parse(&fields, big_endian).map_err(|reason| Error::audio(path, reason))?);
            }
            b"ds64" => {
                if let Some(wide) = chunks.bytes(&chunk, 16).map_err(read)?.first_chunk::<16>() {
                    (sizes.riff, sizes.wide) = (number(&wide[..8]), Some(number(&wide[8..])));
                }
            }
            b"data" => {
                let Some(layout) = layout else {
                    return Err(Error::audio(path, "has a `data` chunk before any `fmt ` chunk; convert it again"));
                };
                let declared = sizes.declared(chunk.size);
                let Some(end) = end_of(&mut source).map_err(read)? else {
                    source.seek(SeekFrom::Start(chunk.start)).map_err(read)?;
                    let is_confirmed = declared.is_some_and(|bytes| sizes.confirm(chunk.start, bytes));
                    return Ok(tail::open(path, source, layout, Declared { bytes: declared, is_confirmed }));
                };
                let place = Place { start: chunk.start, size: chunk.size, there: end - chunk.start };
                let data = sizes.data(&mut source, &place, declared, layout.frame_bytes()).map_err(read)?;
                source.seek(SeekFrom::Start(chunk.start)).map_err(read)?;
                return Ok(Samples::open(path, source, layout, data.length, data.warnings));
            }
            _ => {}
        }
        if !chunks.pass(&chunk).map_err(read)? {
            let name = chunk.name.escape_ascii();
            return Err(Error::audio(path, format!("its chunk `{name}` runs past the end of the file; copy it again")));
        }
    }
    let missing = if header.len() < 12 {
        "a header"
    } else if layout.is_none() {
        "`fmt `"
    } else {
        "`data`"
    };
    Err(Error::audio(path, format!("is a wav that ends before its {missing} chunk; record or copy it again")))
}

/// The sizes declared before the samples.
struct Sizes {
    riff: u64,
    /// The 64-bit size of the samples, if the file has one.
    wide: Option<u64>,
    /// The position where the RIFF begins.
    start: u64,
}

/// Where the samples are.
struct Place {
    start: u64,
    /// Their size, as their chunk declares it.
    size: u64,
    /// The bytes up to the end of the file.
    there: u64,
}

/// The number of sample bytes, and oddities of the sizes.
struct Data {
    length: u64,
    warnings: Vec<String>,
}

impl Sizes {
    /// The bytes of samples that the header declares, given the `size` of their chunk. None if it leaves them open.
    fn declared(&self, size: u64) -> Option<u64> {
        match (size, self.wide) {
            (0 | OPEN, Some(wide)) => Some(wide).filter(|&wide| wide > 0 && wide < i64::MAX as u64),
            (0 | OPEN, None) => None,
            _ => Some(size),
        }
    }

    /// Whether the RIFF ends with so many bytes of samples from `start` on.
    fn confirm(&self, start: u64, bytes: u64) -> bool {
        let data_end = start.saturating_add(bytes);
        (data_end..data_end.saturating_add(SLACK)).contains(&self.riff_end())
    }

    fn riff_end(&self) -> u64 {
        (self.start + 8).saturating_add(self.riff)
    }

    /// Decides how many bytes of samples there are. Sizes that agree with each other and with the file are used. Otherwise the
    /// length of the file decides.
    fn data(
        &self,
        source: &mut impl Source,
        &Place { start, size, there }: &Place,
        declared: Option<u64>,
        frame: u64,
    ) -> std::io::Result<Data> {
        let odd = |length, warning: String| Ok(Data { length, warnings: vec![warning] });
        let end = tags::trailing(source)?.max(start);
        let Some(declared) = declared else {
            if size == 0 && (end == start || is_chunk_list(source, start, end)?.is_some()) {
                return Ok(Data { length: 0, warnings: Vec::new() });
            }
            return odd(end - start, "its header sizes were never filled in; read to the end of the file".to_owned());
        };
        if declared > there {
            return odd(there, format!("cut short: {} of {} frames are there", there / frame, declared / frame));
        }
        let wraps = if declared == size { (there - declared) >> 32 } else { 0 };
        if wraps > 0 {
            return odd(declared + (wraps << 32), "its header sizes wrapped at 4 GiB; read beyond them".to_owned());
        }
        // A pad byte follows a chunk of odd size; some writers forget it.
        let data_end = start + declared;
        let after = end.saturating_sub(data_end + declared % 2);
        let mut warnings = Vec::new();
        if self.riff_end() < data_end {
            warnings.push(format!("its riff size of {} bytes is too small; used its data size", self.riff));
        }
        if after < frame {
            return Ok(Data { length: declared, warnings });
        }
        match is_chunk_list(source, data_end, end)? {
            Some(list) => {
                if list.has_data {
                    warnings.push("ignored another `data` chunk after the first".to_owned());
                }
                if list.left > 0 {
                    warnings.push(format!("ignored {} bytes after its last chunk", list.left));
                }
            }
            None if self.confirm(start, declared) => {
                warnings.push(format!("ignored {after} bytes after the samples"));
            }
            None => {
                let length = end - start;
                let (frames, counted) = (length / frame, declared / frame);
                return odd(length, format!("its header counts {counted} frames, but {frames} were found; read all"));
            }
        }
        Ok(Data { length: declared, warnings })
    }
}

impl Layout {
    /// Parses the fields of a `fmt ` chunk. The error says why they are unusable.
    pub(super) fn parse(fields: &[u8], big_endian: bool) -> std::result::Result<Self, String> {
        let Some(basic) = fields.first_chunk::<16>() else {
            return Err(format!("its `fmt ` chunk has {} bytes, not 16 or more; convert it again", fields.len()));
        };
        let number = |bytes: &[u8]| number(bytes, big_endian);
        let channels = number(&basic[2..4]) as usize;
        let sample_rate = number(&basic[4..8]) as u32;
        if let Some(reason) = implausible(channels, sample_rate) {
            return Err(reason);
        }
        let (mut tag, mut mask) = (number(&basic[..2]), 0);
        if tag == 0xFFFE {
            let Some(extended) = fields.first_chunk::<40>() else {
                return Err("its extensible wav format is cut short; convert it to pcm".to_owned());
            };
            mask = number(&extended[20..24]) as u32;
            tag = match extended[24..] {
                // libsndfile and others write the GUID's first number in little-endian order in RIFX too.
                _ if extended.ends_with(&GUID_TAIL) => number(&extended[24..28]),
                _ if extended.ends_with(&AMBISONIC) => number(&extended[24..28]),
                _ => return Err("its extensible wav format is unknown; convert it to pcm".to_owned()),
            };
        }
        let bits = number(&basic[14..]);
        let (block_align, sample_bytes) = (number(&basic[12..14]), bits.div_ceil(8));
        let wide = sample_bytes == 3 && block_align == 4 * channels as u64;
        let encoding = match (tag, sample_bytes) {
            (1, 3) if wide => Some(Encoding::I24Of32),
            (1, 1) => Some(Encoding::U8),
            (1, bytes) => Encoding::integer(bytes),
            (3, 4) => Some(Encoding::F32),
            (3, 8) => Some(Encoding::F64),
            (6, 1) => Some(Encoding::ALaw),
            (7, 1) => Some(Encoding::MuLaw),
            _ => None,
        };
        let Some(encoding) = encoding else {
            let name = codec_name(tag).map_or_else(String::new, |name| format!(" ({name})"));
            return Err(format!("wav format {tag:#06x}{name} of {bits} bits is not supported; convert it to pcm"));
        };
        let layout = Self { encoding, channels, sample_rate, bits: bits as u32, big_endian, mask };
        if block_align != layout.frame_bytes() {
            let expected = layout.frame_bytes();
            return Err(format!("its frames have {block_align} bytes, not {expected}; convert it again"));
        }
        Ok(layout)
    }
}

/// The name of an unsupported codec's format tag.
fn codec_name(tag: u64) -> Option<&'static str> {
    Some(match tag {
        0x02 => "Microsoft ADPCM",
        0x11 => "IMA ADPCM",
        0x31 => "GSM 6.10",
        0x50 => "MPEG layer I or II",
        0x55 => "MP3",
        0xFF | 0x1600 | 0x1610 => "AAC",
        0x160..=0x163 => "Windows Media Audio",
        0x2000 => "AC-3",
        0x2001 => "DTS",
        0x674F..=0x6771 => "Vorbis",
        0xF1AC => "FLAC",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Reader, Recording};
    use std::io::Cursor;

    /// A WAV of `data` with a 16-byte `fmt ` chunk.
    fn wav(tag: u16, channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
        let align = channels * bits.div_ceil(8);
        let mut file = [b"RIFF", &(36 + data.len() as u32).to_le_bytes()[..], b"WAVEfmt ", &[16, 0, 0, 0]].concat();
        file.extend([tag, channels].map(u16::to_le_bytes).as_flattened());
        file.extend([8000, 8000 * u32::from(align)].map(u32::to_le_bytes).as_flattened());
        file.extend([align, bits].map(u16::to_le_bytes).as_flattened());
        file.extend(b"data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }

    fn read_bytes(file: &[u8]) -> Result<Recording> {
        Reader::over(Path::new("test.wav"), Cursor::new(file.to_vec()))?.collect()
    }

    #[test]
    fn samples_of_every_width_are_scaled_to_full_scale_one() {
        let single = [-1.5_f32, 0.0, 3.0].map(f32::to_le_bytes);
        let double = [-1.5_f64, 0.0, 3.0].map(f64::to_le_bytes);
        let cases: [(u16, u16, &[u8], [f32; 3]); 8] = [
            (1, 8, &[0, 128, 192], [-1.0, 0.0, 0.5]),
            (1, 16, &[0, 0x80, 0, 0, 0, 0x40], [-1.0, 0.0, 0.5]),
            (1, 12, &[0, 0x80, 0, 0, 0, 0x40], [-1.0, 0.0, 0.5]),
            (1, 24, &[0, 0, 0x80, 0, 0, 0, 0, 0, 0x40], [-1.0, 0.0, 0.5]),
            (1, 32, &[0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x40], [-1.0, 0.0, 0.5]),
            (3, 32, single.as_flattened(), [-1.5, 0.0, 3.0]),
            (3, 64, double.as_flattened(), [-1.5, 0.0, 3.0]),
            // G.711: the largest negative and positive values and the smallest positive one.
            (6, 8, &[0x2A, 0xAA, 0xD5], [-4032.0 / 4096.0, 4032.0 / 4096.0, 1.0 / 4096.0]),
        ];
        for (tag, bits, data, expected) in cases {
            assert_eq!(read_bytes(&wav(tag, 1, bits, data)).unwrap().channels, [expected], "{tag} {bits}");
        }
        let mu_law = read_bytes(&wav(7, 1, 8, &[0x00, 0x80, 0xFF])).unwrap();
        assert_eq!(mu_law.channels, [[-8031.0 / 8192.0, 8031.0 / 8192.0, 0.0]]);
    }

    #[test]
    fn channels_are_deinterleaved_and_a_partial_frame_is_dropped() {
        let file = wav(1, 3, 8, &[128, 129, 130, 131, 132, 133, 134]);
        let recording = read_bytes(&file).unwrap();
        let steps: Vec<Vec<f32>> = recording.channels.iter().map(|c| c.iter().map(|x| x * 128.0).collect()).collect();
        assert_eq!(steps, [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]);
        let cut = read_bytes(&file[..file.len() - 2]).unwrap();
        assert_eq!((cut.frames(), cut.warnings), (1, vec!["cut short: 1 of 2 frames are there".to_owned()]));
    }

    #[test]
    fn a_frame_may_cross_a_block_boundary() {
        // A 65536-byte block is no multiple of a 7-byte frame.
        let data: Vec<u8> = (0..70_007).map(|i| (i % 7) as u8).collect();
        let recording = read_bytes(&wav(1, 7, 8, &data)).unwrap();
        for (c, channel) in recording.channels.iter().enumerate() {
            assert_eq!(channel.len(), 10_001);
            assert!(channel.iter().all(|&x| x == (c as f32 - 128.0) / 128.0), "channel {c}");
        }
    }

    #[test]
    fn a_declared_size_allocates_nothing() {
        let mut file = wav(1, 1, 16, &[0, 64]);
        file[40..44].copy_from_slice(&0xFFFF_FFF0_u32.to_le_bytes());
        let mut reader = Reader::over(Path::new("test.wav"), Cursor::new(file)).unwrap();
        let mut block = Vec::new();
        assert!(reader.read(&mut block).unwrap());
        assert_eq!(block, [[0.5]]);
        assert!(block[0].capacity() < 100, "{}", block[0].capacity());
    }

    #[test]
    fn an_unusable_header_gives_a_one_line_error() {
        let mut wrong_align = wav(1, 1, 16, &[0, 0]);
        wrong_align[32] = 4;
        let cases = [
            (wav(1, 0, 16, &[]), "0 channels"),
            (wav(1, 257, 8, &[]), "257 channels"),
            (wav(1, 1, 40, &[]), "format 0x0001 of 40 bits"),
            (wav(3, 1, 16, &[]), "format 0x0003 of 16 bits"),
            (wav(0x11, 1, 4, &[]), "format 0x0011 (IMA ADPCM) of 4 bits"),
            (wrong_align, "frames have 4 bytes, not 2"),
            (b"RIFF\0\0\0\0WAVE".to_vec(), "before its `fmt ` chunk"),
            (b"RIFF\0\0\0\0WAVEjunk\xF0\xFF\xFF\xFF".to_vec(), "`junk` runs past the end"),
        ];
        for (file, expected) in cases {
            let error = read_bytes(&file).unwrap_err().to_string();
            assert!(error.starts_with("test.wav: ") && error.contains(expected) && !error.contains('\n'), "{error}");
        }
    }
}
