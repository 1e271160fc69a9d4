//! Reads numpy arrays: .npy, and .npz, which is a zip of them. All real number types are read as f64. Writes .npz.
//!
//! This is own code because the available crates allocate the size that a header claims before they check the file,
//! which can end the process. They also require the caller to know the number type.

mod archive;
mod header;
mod kind;
mod npy;
mod writer;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ndarray::ArrayD;

pub use archive::Archive;
pub use npy::read_from;
pub use writer::{ArchiveWriter, Number};

use self::header::NPY;
use crate::{Error, Result};

/// The first bytes of every non-empty .npz.
const ZIP: &[u8] = b"PK\x03\x04";

/// Reads the array of a .npy file, or the only array of an .npz.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read. [`Error::Input`] if it is not such a file, has no array or several, does
/// not hold real numbers, or has fewer or more bytes than its header says.
pub fn read(path: &Path) -> Result<ArrayD<f64>> {
    let mut file = File::open(path).map_err(Error::io(path, "open"))?;
    let length = file.metadata().map_err(Error::io(path, "read"))?.len();
    let mut begins = Vec::new();
    Read::by_ref(&mut file).take(NPY.len() as u64).read_to_end(&mut begins).map_err(Error::io(path, "read"))?;
    let name = path.display().to_string();
    if begins.starts_with(ZIP) {
        let mut archive = Archive::open(path)?;
        let [only] = archive.names() else {
            let names = archive.names().join(", ");
            return Err(Error::input(format!(
                "{name}: is an .npz with {names}; save the matrix alone, with numpy.save"
            )));
        };
        let only = only.clone();
        return archive.read(&only);
    }
    read_from(&name, begins.chain(BufReader::new(file)), length)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::{Array2, array};
    use ndarray_npy::{NpzWriter, WriteNpyExt};

    use super::*;

    /// A version 1 file with this header and these data bytes.
    fn file(header: &str, bytes: &[u8]) -> Vec<u8> {
        [NPY, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), bytes].concat()
    }

    fn of(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
        file(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), bytes)
    }

    fn parse(bytes: &[u8]) -> std::result::Result<ArrayD<f64>, String> {
        read_from("v", Cursor::new(bytes), bytes.len() as u64).map_err(|error| error.to_string())
    }

    #[test]
    fn every_number_type_is_read() {
        for (descr, bytes, expected) in [
            ("<f8", [1.5f64.to_le_bytes(), 1e-300f64.to_le_bytes()].concat(), [1.5, 1e-300]),
            (">f8", [1.5f64.to_be_bytes(), f64::INFINITY.to_be_bytes()].concat(), [1.5, f64::INFINITY]),
            ("=f4", [0.1f32.to_le_bytes(), 2f32.to_le_bytes()].concat(), [f64::from(0.1f32), 2.0]),
            // 1.5 and the smallest half-precision number; then the largest one and minus infinity.
            ("<f2", [0x3e00u16.to_le_bytes(), 1u16.to_le_bytes()].concat(), [1.5, 2f64.powi(-24)]),
            (">f2", [0x7bffu16.to_be_bytes(), 0xfc00u16.to_be_bytes()].concat(), [65504.0, f64::NEG_INFINITY]),
            ("|b1", vec![1, 0], [1.0, 0.0]),
            ("|u1", vec![200, 7], [200.0, 7.0]),
            ("|i1", vec![200, 7], [-56.0, 7.0]),
            ("<u2", [60000u16.to_le_bytes(), 3u16.to_le_bytes()].concat(), [60000.0, 3.0]),
            (">i2", [(-5i16).to_be_bytes(), 3i16.to_be_bytes()].concat(), [-5.0, 3.0]),
            ("<i4", [(-5i32).to_le_bytes(), i32::MAX.to_le_bytes()].concat(), [-5.0, 2147483647.0]),
            ("<u4", [u32::MAX.to_le_bytes(), 0u32.to_le_bytes()].concat(), [4294967295.0, 0.0]),
            ("<i8", [(-5i64).to_le_bytes(), (1i64 << 40).to_le_bytes()].concat(), [-5.0, 2f64.powi(40)]),
            ("<u8", [u64::MAX.to_le_bytes(), 9u64.to_le_bytes()].concat(), [2f64.powi(64), 9.0]),
        ] {
            assert_eq!(
                parse(&of(descr, "(1, 2)", &bytes)).unwrap(),
                Array2::from(vec![expected]).into_dyn(),
                "{descr}"
            );
        }
    }

    #[test]
    fn texts_are_read_and_others_refused() {
        let letters: Vec<u8> = "é\0\0abc".chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
        let texts = |bytes: &[u8]| {
            npy::read_texts_from("v", Cursor::new(bytes), bytes.len() as u64).map_err(|error| error.to_string())
        };
        assert_eq!(texts(&of("<U3", "(2,)", &letters)).unwrap(), ["é", "abc"]);
        assert!(texts(&of("<U0", "(2,)", &[])).unwrap().is_empty());
        for (bytes, reason) in [
            (of("<U3", "(3,)", &letters), "24 bytes follow"),
            (of("<U9000000000000000000", "(3,)", &letters), "24 bytes follow"),
            (of("<f4", "(6,)", &letters), "not text"),
            (of("<Ux", "(6,)", &letters), "not text"),
            (Vec::new(), "not an .npy"),
        ] {
            let error = texts(&bytes).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn orders_versions_and_odd_headers_are_read() {
        let bytes = [1u8, 2, 3, 4, 5, 6];
        let rows = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].into_dyn();
        let columns = array![[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]].into_dyn();
        let fortran = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }";
        assert_eq!(parse(&file(fortran, &bytes)).unwrap(), columns);
        for shape in ["(2, 3)", "(2L, 3L)", "(np.int64(2), np.int64(3))", "( 2,3, )", "[2, 3]"] {
            assert_eq!(parse(&of("|u1", shape, &bytes)).unwrap(), rows, "{shape}");
        }
        let turned = "{\"shape\": (2, 3), \"fortran_order\": False, \"descr\": \"|u1\"}      \n";
        assert_eq!(parse(&file(turned, &bytes)).unwrap(), rows);
        let header = turned.as_bytes();
        for version in [2, 3] {
            let long = [NPY, &[version, 0], &(header.len() as u32).to_le_bytes(), header, &bytes].concat();
            assert_eq!(parse(&long).unwrap(), rows);
        }
        assert_eq!(parse(&of("|u1", "(6,)", &bytes)).unwrap().shape(), [6]);
        assert_eq!(parse(&of("|u1", "()", &bytes[..1])).unwrap().shape(), [0usize; 0]);
        assert_eq!(parse(&of("|u1", "(0, 4)", &[])).unwrap().shape(), [0, 4]);
        // A file from the program's own writer.
        let mut written = Vec::new();
        rows.write_npy(&mut written).unwrap();
        assert_eq!(parse(&written).unwrap(), rows);
    }

    #[test]
    fn an_invalid_file_gives_an_error_that_names_the_cause() {
        let two = [0; 16];
        let whole = of("<f8", "(2,)", &two);
        for (bytes, part) in [
            (vec![], "is empty"),
            (b"1,2,3\n4,5,6\n".to_vec(), "is not an .npy file"),
            (whole[..5].to_vec(), "is not an .npy file"),
            (whole[..9].to_vec(), "ends inside its header"),
            (whole[..40].to_vec(), "ends inside its header"),
            ([NPY, &[9, 0], &whole[8..]].concat(), "version 9"),
            (of("<f8", "(200000, 100000)", &two), "says 200000 x 100000 of f8, but 16 bytes follow; copy it again"),
            (of("<f8", "(99999999999, 99999999999)", &two), "but 16 bytes follow"),
            (of("<f8", "(4000000000, 4000000000, 0)", &two), "but 16 bytes"),
            (of("<f8", "(1,)", &two), "says 1 of f8, but 8 bytes more follow"),
            (of("<f8", "(-2,)", &two), "shape (-2,)"),
            (of("<f8", "(99999999999999999999999,)", &two), "shape"),
            (of("<f8", "2", &two), "shape 2"),
            (of("<f8", "(2, x)", &two), "shape (2, x)"),
            (of("<c16", "(1,)", &two), "complex numbers (c16)"),
            (of("<f16", "(1,)", &two), "(f16)"),
            (of("<U2", "(2,)", &two), "text (U2)"),
            (of("|O", "(2,)", &two), "Python objects"),
            (of("<M8[ns]", "(2,)", &two), "M8[ns]"),
            (of("", "(2,)", &two), "descr"),
            (file("{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, 'shape': (2,)}", &two), "records"),
            (file("{'descr': '<f8', 'fortran_order': False}", &two), "no shape"),
            (file("{'descr': '<f8', 'shape': (2,)}", &two), "no fortran_order"),
            (file("{'fortran_order': False, 'shape': (2,)}", &two), "no descr"),
            (file("{'descr': '<f8', 'fortran_order': 7, 'shape': (2,)}", &two), "fortran_order 7"),
            (file("{'descr': '<f8', 'fortran_order': False, 'shape': (2,", &two), "damaged"),
            (file("\u{1b}[31m", &two), "damaged"),
        ] {
            let error = parse(&bytes).unwrap_err();
            assert!(error.starts_with("v: ") && error.contains(part), "{error}");
            assert!(!error.contains('\n') && !error.contains('\u{1b}'), "{error}");
        }
    }

    /// Mutates the fuzzer's seeds: changes, removes or inserts bytes. Each result must be an array or a one-line error.
    /// `PARTWISE_MUTATIONS` sets their number.
    #[test]
    fn damaged_files_are_refused_or_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/arrays");
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        assert!(seeds.len() > 15);
        let count = std::env::var("PARTWISE_MUTATIONS").map_or(5000, |count| count.parse().unwrap());
        let mut state = 1u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % bound.max(1)
        };
        let (mut read, mut refused) = (0, 0);
        for trial in 0..count {
            let mut bytes = seeds[trial % seeds.len()].clone();
            for _ in 0..=below(4) {
                let (at, with) = (below(bytes.len()), b"0123456789(), L'<>|fiubcO{}:\x00\xff"[below(30)]);
                match below(4) {
                    0 if at < bytes.len() => bytes[at] = with,
                    1 if at < bytes.len() => bytes[at] ^= 1 << below(8),
                    2 => bytes.insert(at, with),
                    _ => drop(bytes.drain(at..(at + below(9)).min(bytes.len()))),
                }
            }
            let mut check = |result: Result<ArrayD<f64>>| match result {
                Ok(array) => {
                    read += 1;
                    assert_eq!(array.len(), array.shape().iter().product::<usize>());
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().contains(char::is_control), "{error}");
                }
            };
            check(read_from("v", Cursor::new(&bytes), bytes.len() as u64));
            if let Ok(mut archive) = Archive::over("v", Cursor::new(&bytes)) {
                for name in archive.names().to_vec() {
                    check(archive.read(&name));
                }
            }
        }
        assert!(read > count / 50 && refused > count / 50, "{read} read, {refused} refused");
    }

    #[test]
    fn an_archive_with_one_array_is_read_as_a_matrix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let (w, h) = (array![[1.0f32, 2.0]], array![[3.0f64], [4.0]]);
        for compressed in [false, true] {
            let file = File::create(&path).unwrap();
            let mut archive = if compressed { NpzWriter::new_compressed(file) } else { NpzWriter::new(file) };
            archive.add_array("W", &w).unwrap();
            assert!(archive.finish().is_ok());
            assert_eq!(read(&path).unwrap(), w.mapv(f64::from).into_dyn());
            let mut archive = NpzWriter::new(File::create(&path).unwrap());
            archive.add_array("W", &w).unwrap();
            archive.add_array("H", &h).unwrap();
            archive.finish().unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("is an .npz with W, H; save"), "{error}");
            let mut archive = Archive::open(&path).unwrap();
            assert_eq!(archive.names(), ["W", "H"]);
            assert_eq!(archive.read("H").unwrap(), h.clone().into_dyn());
        }
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 30]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("is not an .npz file, or is damaged"));
    }
}
