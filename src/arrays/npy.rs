//! A .npy: a header, and the numbers behind it.

use std::io::Read;

use ndarray::{ArrayD, ShapeBuilder};

use super::header::Header;
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
