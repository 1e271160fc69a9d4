//! A .npy: a header, and the numbers behind it.

use std::io::Read;

use ndarray::{ArrayD, ShapeBuilder};

use super::header::{Header, Said};
use super::kind::unquoted;
use crate::{Error, Result};

/// Numbers read at a time.
const BLOCK: usize = 8192;

/// Reads the array of a .npy of `length` bytes. Error messages use `name`.
///
/// # Errors
/// As [`read`](super::read).
pub fn read_from(name: &str, mut from: impl Read, length: u64) -> Result<ArrayD<f64>> {
    read_array(&mut from, length).map_err(|reason| Error::input(format!("{name}: {reason}")))
}

/// Reads the texts of a .npy of `length` bytes, in order. Error messages use `name`.
///
/// # Errors
/// As [`read`](super::read); [`Error::Input`] for an array of anything but texts.
pub(super) fn read_texts_from(name: &str, mut from: impl Read, length: u64) -> Result<Vec<String>> {
    read_texts(&mut from, length).map_err(|reason| Error::input(format!("{name}: {reason}")))
}

fn read_texts(from: &mut impl Read, length: u64) -> std::result::Result<Vec<String>, String> {
    let said = Said::read(from, length)?;
    let letters = unquoted(&said.descr).and_then(|descr| descr.strip_prefix("<U")?.parse::<usize>().ok());
    let letters = letters.ok_or_else(|| format!("holds {}, not text", said.descr))?;
    let count = said.shape.iter().try_fold(1usize, |count, &axis| count.checked_mul(axis));
    let wanted = count.and_then(|count| count.checked_mul(letters)?.checked_mul(4));
    let rest = length - said.bytes;
    if wanted.is_none_or(|wanted| wanted as u64 != rest) {
        return Err(format!("its header says {:?} texts of {letters} letters, but {rest} bytes follow", said.shape));
    }
    let mut bytes = Vec::new();
    from.take(rest).read_to_end(&mut bytes).map_err(|cause| format!("cannot be read: {cause}"))?;
    let letter = |bytes: &[u8]| {
        let code = bytes.iter().rev().fold(0, |code, &byte| code << 8 | u32::from(byte));
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    let text = |bytes: &[u8]| bytes.chunks(4).map(letter).collect::<String>().trim_end_matches('\0').to_string();
    Ok(bytes.chunks((4 * letters).max(1)).map(text).collect())
}

fn read_array(from: &mut impl Read, length: u64) -> std::result::Result<ArrayD<f64>, String> {
    if length == 0 {
        return Err("is empty".into());
    }
    let header = Header::read(from, length)?;
    let Header { kind, shape, .. } = &header;
    let said = || {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        format!("its header says {} of {kind}", if shape.is_empty() { "one".into() } else { shape.join(" x ") })
    };
    let count = shape.iter().try_fold(1usize, |count, &axis| count.checked_mul(axis));
    let wanted = count.and_then(|count| count.checked_mul(kind.bytes())).map(|wanted| wanted as u64);
    let rest = length - header.bytes;
    match (count, wanted) {
        (Some(count), Some(wanted)) if wanted == rest => {
            let values = read_values(from, &header, count)?;
            let shape = shape.as_slice().set_f(header.columns_first);
            ArrayD::from_shape_vec(shape, values).map_err(|cause| cause.to_string())
        }
        (_, Some(wanted)) if wanted < rest => Err(format!("{}, but {} bytes more follow", said(), rest - wanted)),
        _ => Err(format!("{}, but {rest} bytes follow; copy it again", said())),
    }
}

/// Reads the numbers in file order.
fn read_values(from: &mut impl Read, header: &Header, count: usize) -> std::result::Result<Vec<f64>, String> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| format!("{count} numbers are more than the memory holds"))?;
    let size = header.kind.bytes();
    let mut block = vec![0; BLOCK.min(count) * size];
    while values.len() < count {
        let block = &mut block[..BLOCK.min(count - values.len()) * size];
        from.read_exact(block).map_err(|cause| format!("cannot be read: {cause}"))?;
        values.extend(block.chunks_exact(size).map(|bytes| header.kind.value(bytes)));
    }
    Ok(values)
}
