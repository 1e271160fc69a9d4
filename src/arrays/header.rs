//! Parses the .npy header: a magic number, a version, a length, and a Python dictionary on one line.

use std::io::Read;

use super::kind::{Kind, unquoted};

/// The first bytes of every .npy.
pub(super) const NPY: &[u8] = b"\x93NUMPY";
/// The most bytes of a header. numpy itself refuses more than 10,000.
const MOST: u64 = 1 << 20;

/// What a header says, before the kind of its numbers is known.
pub(super) struct Said {
    /// The kind as numpy writes it, such as `'<f4'`.
    pub(super) descr: String,
    columns_first: bool,
    pub(super) shape: Vec<usize>,
    /// Total bytes of the header.
    pub(super) bytes: u64,
}

pub(super) struct Header {
    pub(super) kind: Kind,
    /// Whether the first axis varies fastest (Fortran order).
    pub(super) columns_first: bool,
    pub(super) shape: Vec<usize>,
    /// Total bytes of the header.
    pub(super) bytes: u64,
}

impl Header {
    /// Reads the header of an array of numbers, in a file of `length` bytes.
    pub(super) fn read(from: &mut impl Read, length: u64) -> Result<Self, String> {
        let Said { descr, columns_first, shape, bytes } = Said::read(from, length)?;
        Ok(Self { kind: Kind::parse(&descr)?, columns_first, shape, bytes })
    }
}

impl Said {
    /// Reads the header of a file of `length` bytes.
    pub(super) fn read(from: &mut impl Read, length: u64) -> Result<Self, String> {
        let mut before = [0; 8];
        if from.read_exact(&mut before).is_err() || !before.starts_with(NPY) {
            return Err("is not an .npy file; save the matrix with numpy.save".into());
        }
        let mut sizes = [0; 4];
        let of_size = match before[6] {
            1 => 2,
            2 | 3 => 4,
            version => return Err(format!("has .npy version {version}; 1 to 3 are supported")),
        };
        from.read_exact(&mut sizes[..of_size]).map_err(|_| early())?;
        let size = u64::from(u32::from_le_bytes(sizes));
        let bytes = before.len() as u64 + of_size as u64 + size;
        if bytes > length {
            return Err(early());
        }
        if size > MOST {
            return Err(format!("has a header of {size} bytes, which is too long for an array"));
        }
        let mut text = vec![0; size as usize];
        from.read_exact(&mut text).map_err(|_| early())?;
        let entries = entries(&text)?;
        let value = |key: &str| {
            let found = entries.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.as_str()).ok_or_else(|| format!("has no {key} in its header"))
        };
        let columns_first = match value("fortran_order")? {
            "True" => true,
            "False" => false,
            other => return Err(format!("has fortran_order {other} in its header, not True or False")),
        };
        Ok(Self { descr: value("descr")?.into(), columns_first, shape: shape(value("shape")?)?, bytes })
    }
}

fn early() -> String {
    "ends inside its header; copy it again".into()
}

/// The keys and values of the dictionary. Values stay unparsed.
fn entries(text: &[u8]) -> Result<Vec<(String, String)>, String> {
    let damaged = || "has a damaged header; copy it again".to_string();
    let text = std::str::from_utf8(text).map_err(|_| damaged())?.trim_end_matches(['\0', '\n']).trim();
    let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(damaged)?;
    if inside.chars().any(char::is_control) {
        return Err(damaged());
    }
    let mut entries = Vec::new();
    for entry in split(inside, ',').ok_or_else(damaged)? {
        let [key, value] = split(entry, ':').ok_or_else(damaged)?[..] else { return Err(damaged()) };
        entries.push((unquoted(key.trim()).ok_or_else(damaged)?.to_string(), value.trim().to_string()));
    }
    Ok(entries)
}

/// Splits at each separator outside brackets and quotes, and drops an empty last part. Returns None if brackets or
/// quotes do not close.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut begin, mut depth, mut quote) = (Vec::new(), 0, 0usize, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth = depth.checked_sub(1)?,
            (None, _) if depth == 0 && character == separator => {
                parts.push(&text[begin..at]);
                begin = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    if !text[begin..].trim().is_empty() {
        parts.push(&text[begin..]);
    }
    (depth == 0 && quote.is_none()).then_some(parts)
}

/// Parses the tuple of axis lengths. Accepts plain integers, Python 2's `6L` and numpy's `np.int64(6)`.
fn shape(text: &str) -> Result<Vec<usize>, String> {
    let axis = |part: &str| {
        let part = part.trim();
        let inner = part.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')')).unwrap_or(part);
        inner.strip_suffix('L').unwrap_or(inner).parse().ok()
    };
    let within = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    let axes = within('(', ')').or_else(|| within('[', ']')).and_then(|inside| split(inside, ','));
    axes.and_then(|parts| parts.into_iter().map(axis).collect())
        .ok_or_else(|| format!("has shape {text} in its header, which is not a shape"))
}
