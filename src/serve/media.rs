//! Sound and pictures of a job, made when they are asked for and kept beside it.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::audio::{Format, Reader, Writer, length};
use crate::report::{Spectrogram, fewer_rows, heatmap};
use crate::{Error, Result};

/// The range of pictures: from full scale down to this, in dB.
const RANGE: f32 = 90.0;
/// The most rows of a picture.
const MOST_ROWS: usize = 256;

/// Makes a file beside its place and renames it, unless it is there.
fn kept(path: PathBuf, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    if path.exists() {
        return Ok(path);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
    let draft = tempfile::Builder::new().prefix(".").tempfile_in(folder).map_err(Error::io(folder, "write to"))?;
    let draft = draft.into_temp_path();
    make(&draft)?;
    draft.persist(&path).map_err(|failed| Error::io(&path, "write")(failed.error))?;
    Ok(path)
}

/// A recording as WAV that browsers play: 16 bit for all that has no more, otherwise 32 bit floating point.
///
/// # Errors
/// Those of reading and of writing.
pub(super) fn as_wav(recording: &Path, wav: PathBuf) -> Result<PathBuf> {
    kept(wav, |path| {
        let (frames, _) = length(recording)?;
        let mut reader = Reader::open(recording)?;
        let format = if reader.bits().is_some_and(|bits| bits <= 16) { Format::WavPcm16 } else { Format::WavF32 };
        let mut writer = Writer::create(path, format, reader.channels(), reader.sample_rate(), frames)?;
        let mut block = Vec::new();
        while reader.read(&mut block)? {
            writer.write(&block)?;
        }
        writer.finish().map(drop)
    })
}

/// The spectrogram of all channels of a recording together, as PNG.
///
/// # Errors
/// Those of reading and of writing; [`Error::Audio`] for a sample rate that leaves nothing to show.
pub(super) fn picture(recording: &Path, png: PathBuf) -> Result<PathBuf> {
    kept(png, |path| {
        let (frames, sample_rate) = length(recording)?;
        let frames = usize::try_from(frames).map_err(|_| Error::audio(recording, "is too long for this machine"))?;
        let odd = |error: Error| Error::audio(recording, format!("has no spectrogram: {error}"));
        let mut spectrogram = Spectrogram::new(frames, sample_rate).map_err(odd)?;
        let mut reader = Reader::open(recording)?;
        let (mut block, mut mean) = (Vec::new(), Vec::new());
        while reader.read(&mut block)? {
            mean.clear();
            mean.resize(block.first().map_or(0, Vec::len), 0.0);
            for channel in &block {
                mean.iter_mut().zip(channel).for_each(|(mean, sample)| *mean += sample / block.len() as f32);
            }
            spectrogram.push(&mean);
        }
        let shown = fewer_rows(&spectrogram.finish(), MOST_ROWS);
        let png = heatmap(shown.view(), -RANGE..0.0).map_err(odd)?;
        std::fs::write(path, png).map_err(Error::io(path, "write"))
    })
}

/// Writes files as a zip archive, as they are: sound is not made smaller by zip.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn archive(files: &[(String, PathBuf)], to: impl Write) -> Result<()> {
    let mut zip = ZipWriter::new_stream(BufWriter::with_capacity(1 << 16, to));
    for (name, path) in files {
        let failed = |cause: zip::result::ZipError| Error::io(path, "pack")(cause.into());
        let mut file = std::fs::File::open(path).map_err(Error::io(path, "open"))?;
        let large = file.metadata().map_err(Error::io(path, "read"))?.len() >= u64::from(u32::MAX);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        zip.start_file(name.as_str(), options).map_err(failed)?;
        std::io::copy(&mut file, &mut zip).map_err(Error::io(path, "pack"))?;
    }
    let mut to = zip.finish().map_err(|cause| Error::io("the archive", "write")(cause.into()))?;
    to.flush().map_err(Error::io("the archive", "write"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::audio::{self, Recording};

    #[test]
    fn a_recording_has_a_picture_and_a_form_for_browsers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        let tone = (0..44_100).map(|n| (n as f32 * 0.1).sin()).collect::<Vec<f32>>();
        let recording = Recording::new(vec![tone.clone(), tone], 44_100).unwrap();
        audio::write(&path, &recording, Format::Flac24).unwrap();
        let wav = as_wav(&path, folder.path().join("pictures/x.wav")).unwrap();
        let back = audio::read(&wav).unwrap();
        assert_eq!((back.channels.len(), back.frames(), back.sample_rate), (2, 44_100, 44_100));
        assert!(audio::read(&path).unwrap().channels == back.channels, "24 bits fit in a float");
        let png = std::fs::read(picture(&path, folder.path().join("pictures/x.png")).unwrap()).unwrap();
        let mut decoded = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        assert_eq!((decoded.info().width, decoded.info().height), (100, 205));
        let mut pixels = vec![0; decoded.output_buffer_size().unwrap()];
        decoded.next_frame(&mut pixels).unwrap();
        // 702 Hz is in bin 32 of 1025, and five bins are a row, from the bottom.
        let column: Vec<u8> = pixels.iter().skip(50).step_by(100).copied().collect();
        let brightest = column.iter().enumerate().max_by_key(|(_, value)| **value).unwrap();
        assert_eq!(brightest.0, 204 - 32 / 5, "{column:?}");
        let hidden = std::fs::read_dir(folder.path().join("pictures")).unwrap().count();
        assert_eq!(hidden, 2, "a draft is left");
    }

    #[test]
    fn an_archive_has_the_bytes_of_its_files_under_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<(String, PathBuf)> =
            ["ä.speech.wav", "ä.piano.wav"].map(|name| (name.to_owned(), folder.path().join(name))).into();
        files.iter().enumerate().for_each(|(n, (_, path))| std::fs::write(path, vec![n as u8; 70_000 * n]).unwrap());
        let mut bytes = Vec::new();
        archive(&files, &mut bytes).unwrap();
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        for (n, (name, _)) in files.iter().enumerate() {
            let mut found = Vec::new();
            zip.by_name(name).unwrap().read_to_end(&mut found).unwrap();
            assert!(found == vec![n as u8; 70_000 * n], "{name}");
        }
    }
}
