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
        let large = array.len() as u64 * size_of::<T>() as u64 >= u64::from(u32::MAX) / 2;
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(large);
        self.0.start_file(format!("{name}.npy"), options)?;
        let mut to = BufWriter::new(&mut self.0);
        to.write_all(&header(T::KIND, array.shape()))?;
        array.iter().try_for_each(|number| to.write_all(number.bytes().as_ref()))?;
        to.flush()
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
    fn a_header_fills_whole_lines_of_64_bytes() {
        for shape in [&[][..], &[7], &[1025, 5168], &[usize::MAX; 8]] {
            let header = header("<f4", shape);
            assert!(header.len().is_multiple_of(64) && header.ends_with(b"\n"));
            assert_eq!(usize::from(header[8]) + 256 * usize::from(header[9]), header.len() - 10);
        }
    }
}
