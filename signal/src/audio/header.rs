//! Builds the header of a WAV whose length is known before its first sample, or left open.

use super::format::Format;
use super::wav::GUID_TAIL;

/// Returns all bytes before the samples of a WAV of `frames` frames. If the samples take an odd number of bytes, the
/// writer must add a pad byte after them.
///
/// The header is a RIFF, or an RF64 (EBU Tech 3306) if a size needs more than 32 bits. One or two channels get the
/// plain `fmt ` chunk that libsndfile writes and every reader knows. More channels, or a `mask` other than the default
/// one, need the extensible `fmt ` chunk. A mask of 0 means that the loudspeaker of each channel is unknown. Float
/// files get a `fact` chunk. Without a number of frames all sizes that depend on it are all ones, as ffmpeg writes them to pipes.
pub(super) fn header(format: Format, channels: usize, sample_rate: u32, frames: Option<u64>, mask: u32) -> Vec<u8> {
    let float = format == Format::WavF32;
    let extensible = !matches!((channels, mask), (1, 0 | 4) | (2, 0 | 3));
    let tag: u16 = if float { 3 } else { 1 };
    let bits = 8 * format.sample_bytes() as u16;
    let align = (channels * format.sample_bytes()) as u16;

    let mut fields = Vec::new();
    fields.extend([if extensible { 0xFFFE } else { tag }, channels as u16].map(u16::to_le_bytes).as_flattened());
    fields.extend([sample_rate, sample_rate * u32::from(align)].map(u32::to_le_bytes).as_flattened());
    fields.extend([align, bits].map(u16::to_le_bytes).as_flattened());
    match (extensible, float) {
        (true, _) => {
            fields.extend([22, bits].map(u16::to_le_bytes).as_flattened());
            fields.extend([mask, u32::from(tag), 0x0010_0000].map(u32::to_le_bytes).as_flattened());
            fields.extend(GUID_TAIL);
        }
        (false, true) => fields.extend([0, 0]),
        (false, false) => {}
    }

    let (is_open, frames) = (frames.is_none(), frames.unwrap_or(0));
    let data_bytes = frames * u64::from(align);
    let fact_bytes = if float { 12 } else { 0 };
    let riff_bytes = 4 + (8 + fields.len() as u64) + fact_bytes + 8 + data_bytes.next_multiple_of(2);
    // A 32-bit size of all ones refers to a 64-bit size in RF64. In RIFF it means that the size was never filled in.
    let wide = riff_bytes >= u64::from(u32::MAX);
    let size = |size: u64| if wide || is_open { [0xFF; 4] } else { (size as u32).to_le_bytes() };

    let mut header = Vec::new();
    header.extend(if wide { b"RF64" } else { b"RIFF" });
    header.extend(size(riff_bytes));
    header.extend(b"WAVE");
    if wide {
        let ds64_bytes = 28_u32;
        header.extend(b"ds64");
        header.extend(ds64_bytes.to_le_bytes());
        header
            .extend([riff_bytes + 8 + u64::from(ds64_bytes), data_bytes, frames].map(u64::to_le_bytes).as_flattened());
        header.extend([0; 4]);
    }
    header.extend(b"fmt ");
    header.extend((fields.len() as u32).to_le_bytes());
    header.extend(fields);
    if float {
        header.extend(b"fact");
        header.extend(4_u32.to_le_bytes());
        header.extend(size(frames));
    }
    header.extend(b"data");
    header.extend(size(data_bytes));
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Reader;
    use std::io::Cursor;
    use std::path::Path;

    /// Reads a header followed by `data` alone: channels, sample rate, bits and warnings.
    fn read(mut file: Vec<u8>, data: &[u8]) -> (usize, u32, Option<u32>, Vec<String>) {
        file.extend(data);
        let mut reader = Reader::over(Path::new("test.wav"), Cursor::new(file)).unwrap();
        while reader.read(&mut Vec::new()).unwrap() {}
        (reader.channels(), reader.sample_rate(), reader.bits(), reader.warnings().to_vec())
    }

    #[test]
    fn a_16_bit_stereo_header_equals_one_written_by_hand() {
        let expected = [
            &b"RIFF"[..],
            &[36 + 12, 0, 0, 0],
            b"WAVE",
            b"fmt ",
            &[16, 0, 0, 0],
            &[1, 0, 2, 0],
            &[0x40, 0x1F, 0, 0],
            &[0, 0x7D, 0, 0],
            &[4, 0, 16, 0],
            b"data",
            &[12, 0, 0, 0],
        ];
        assert_eq!(header(Format::WavPcm16, 2, 8000, Some(3), 3), expected.concat());
    }

    #[test]
    fn a_three_channel_float_header_equals_one_written_by_hand() {
        let expected = [
            &b"RIFF"[..],
            &[4 + 48 + 12 + 8 + 24, 0, 0, 0],
            b"WAVE",
            b"fmt ",
            &[40, 0, 0, 0],
            &[0xFE, 0xFF, 3, 0],
            &[0x40, 0x1F, 0, 0],
            &[0, 0x77, 1, 0],
            &[12, 0, 32, 0],
            &[22, 0, 32, 0],
            &[7, 0, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71],
            b"fact",
            &[4, 0, 0, 0],
            &[2, 0, 0, 0],
            b"data",
            &[24, 0, 0, 0],
        ];
        assert_eq!(header(Format::WavF32, 3, 8000, Some(2), 7), expected.concat());
    }

    #[test]
    fn a_size_beyond_32_bits_makes_an_rf64() {
        let frames = 1 << 32;
        let file = header(Format::WavPcm24, 1, 48_000, Some(frames), 0);
        let ds64 = [36 + 36 + 3 * frames, 3 * frames, frames].map(u64::to_le_bytes);
        let expected = [b"RF64", &[0xFF; 4][..], b"WAVEds64", &[28, 0, 0, 0], ds64.as_flattened(), &[0; 4]].concat();
        assert_eq!(file[..48], expected);
        assert_eq!(file[file.len() - 8..], *b"data\xFF\xFF\xFF\xFF");
        let cut = "cut short: 2 of 4294967296 frames are there".to_owned();
        assert_eq!(read(file, &[0; 6]), (1, 48_000, Some(24), vec![cut]));
    }

    /// A RIFF's size is at most 2^32 - 2: sizes are even, and all ones have a meaning of their own.
    #[test]
    fn the_largest_riff_is_not_an_rf64() {
        let most = (u64::from(u32::MAX) - 1 - 36) / 2;
        assert!(header(Format::WavPcm16, 1, 8000, Some(most), 0).starts_with(b"RIFF\xFE\xFF\xFF\xFF"));
        assert!(header(Format::WavPcm16, 1, 8000, Some(most + 1), 0).starts_with(b"RF64"));
    }

    #[test]
    fn the_reader_reads_back_the_header() {
        for (format, bits) in [(Format::WavF32, None), (Format::WavPcm16, Some(16)), (Format::WavPcm24, Some(24))] {
            for channels in [1, 2, 3, 8, 256] {
                let data = vec![0; 5 * channels * format.sample_bytes()];
                let found = read(header(format, channels, 44_100, Some(5), 0), &data);
                assert_eq!(found, (channels, 44_100, bits, Vec::new()), "{format} {channels}");
            }
        }
    }
}
