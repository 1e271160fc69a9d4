//! Writes .npz files: arrays by name, row-major and not compressed.

use std::io::{self, BufWriter, Seek, Write};

use ndarray::{ArrayRef, Dimension};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::header::NPY;

/// A number as .npy files hold it.
pub trait Number: Copy {
    /// numpy's name of the type.
    const KIND: &'static str;
    /// Its bytes, the lowest first.
    fn bytes(self) -> impl AsRef<[u8]>;
}

impl Number for f32 {
    const KIND: &'static str = "<f4";
    fn bytes(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

impl Number for f64 {
    const KIND: &'static str = "<f8";
    fn bytes(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

impl Number for i64 {
    const KIND: &'static str = "<i8";
    fn bytes(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

/// An .npz that is being written.
pub struct ArchiveWriter<W: Write + Seek>(ZipWriter<W>);

impl<W: Write + Seek> ArchiveWriter<W> {
    /// An archive without arrays yet.
    pub fn new(to: W) -> Self {
        Self(ZipWriter::new(to))
    }

    /// Adds an array of any shape.
    ///
    /// # Errors
    /// Those of the writer; a name that is there already.
    pub fn add<T: Number, D: Dimension>(&mut self, name: &str, array: &ArrayRef<T, D>) -> io::Result<()> {
        self.begin(name, array.len() * size_of::<T>())?;
        let mut to = BufWriter::new(&mut self.0);
        to.write_all(&header(T::KIND, array.shape()))?;
        array.iter().try_for_each(|number| to.write_all(number.bytes().as_ref()))?;
        to.flush()
    }

    /// Adds a row of texts, which numpy reads as strings: each has as many characters as the longest, the last ones 0.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn add_texts(&mut self, name: &str, texts: &[impl AsRef<str>]) -> io::Result<()> {
        let length = texts.iter().map(|text| text.as_ref().chars().count()).max().unwrap_or(0).max(1);
        self.begin(name, 4 * length * texts.len())?;
        let mut to = BufWriter::new(&mut self.0);
        to.write_all(&header(&format!("<U{length}"), &[texts.len()]))?;
        for text in texts {
            let characters = text.as_ref().chars().map(u32::from).chain(std::iter::repeat(0)).take(length);
            characters.into_iter().try_for_each(|character| to.write_all(&character.to_le_bytes()))?;
        }
        to.flush()
    }

    /// Begins an array of so many bytes.
    fn begin(&mut self, name: &str, bytes: usize) -> io::Result<()> {
        let large = bytes as u64 >= u64::from(u32::MAX) / 2;
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(large);
        Ok(self.0.start_file(format!("{name}.npy"), options)?)
    }

    /// Writes the list of the arrays, without which there is no archive.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(self) -> io::Result<()> {
        self.0.finish()?.flush()
    }
}

/// Magic, version 1.0, a length in two bytes, and a dictionary with blanks up to a multiple of 64 bytes in all.
fn header(kind: &str, shape: &[usize]) -> Vec<u8> {
    let shape: String = shape.iter().map(|length| format!("{length}, ")).collect();
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    let before = NPY.len() + 4;
    let length = (before + text.len() + 1).next_multiple_of(64) - before;
    text.extend(std::iter::repeat_n(' ', length - 1 - text.len()));
    text.push('\n');
    [NPY, &[1, 0], &(length as u16).to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::{Array3, array};
    use ndarray_npy::NpzReader;

    use super::*;

    #[test]
    fn what_is_written_is_read_by_another_package() {
        let (matrix, solid) =
            (array![[1.0f32, 2.0], [3.0, -4.5]], Array3::from_shape_fn((2, 1, 3), |(i, _, k)| (10 * i + k) as f64));
        let mut bytes = Cursor::new(Vec::new());
        let mut archive = ArchiveWriter::new(&mut bytes);
        archive.add("turned", &matrix.t()).unwrap();
        archive.add("solid", &solid).unwrap();
        archive.add("row", &array![0.1f64]).unwrap();
        assert!(archive.add("row", &array![0.1f64]).is_err());
        archive.finish().unwrap();
        let mut archive = NpzReader::new(bytes).unwrap();
        assert_eq!(archive.by_name::<ndarray::OwnedRepr<f32>, ndarray::Ix2>("turned").unwrap(), matrix.t());
        assert_eq!(archive.by_name::<ndarray::OwnedRepr<f64>, ndarray::Ix3>("solid").unwrap(), solid);
        assert_eq!(archive.by_name::<ndarray::OwnedRepr<f64>, ndarray::Ix1>("row").unwrap(), array![0.1]);
    }

    #[test]
    fn texts_are_as_long_as_the_longest() {
        let mut bytes = Cursor::new(Vec::new());
        let mut archive = ArchiveWriter::new(&mut bytes);
        archive.add_texts("names", &["é", "abc"]).unwrap();
        archive.add("count", &ndarray::arr0(-3i64)).unwrap();
        archive.finish().unwrap();
        let mut archive = zip::ZipArchive::new(bytes).unwrap();
        let mut read = |name: &str| {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut archive.by_name(name).unwrap(), &mut text).unwrap();
            text
        };
        let names = read("names.npy");
        assert!(
            String::from_utf8_lossy(&names[..128]).contains("'descr': '<U3', 'fortran_order': False, 'shape': (2, )")
        );
        let characters: Vec<u32> = [0xe9, 0, 0].into_iter().chain("abc".chars().map(u32::from)).collect();
        assert_eq!(names[128..], characters.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
        assert!(read("count.npy").ends_with(&(-3i64).to_le_bytes()));
    }

    #[test]
    fn a_header_fills_whole_lines_of_64_bytes() {
        for shape in [&[][..], &[7], &[1025, 5168], &[usize::MAX; 8]] {
            let header = header("<f4", shape);
            assert!(header.len().is_multiple_of(64) && header.ends_with(b"\n"));
            assert_eq!(usize::from(header[8]) + 256 * usize::from(header[9]), header.len() - 10);
        }
    }
}
