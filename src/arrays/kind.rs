//! Number types of arrays.

use std::fmt;

/// A real number type, read as f64. Integers beyond 2^53 are rounded to the nearest f64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    class: Class,
    bytes: usize,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Bool,
    Signed,
    Unsigned,
    Float,
}

impl Kind {
    /// Parses the header's `descr` value, such as `'<f4'`.
    pub(super) fn parse(descr: &str) -> Result<Self, String> {
        if descr.starts_with('[') {
            return Err("holds records; save one of their fields with numpy.save".into());
        }
        let unknown = || format!("has descr {descr} in its header, which is not a number type");
        let text = unquoted(descr).ok_or_else(unknown)?;
        let (order, code) = match text.chars().next().ok_or_else(unknown)? {
            order @ ('<' | '>' | '=' | '|') => (order, &text[1..]),
            _ => ('=', text),
        };
        let mut rest = code.chars();
        let class = match (rest.next().ok_or_else(unknown)?, rest.as_str()) {
            ('b', "1") | ('?', "") => Class::Bool,
            ('i', "1" | "2" | "4" | "8") => Class::Signed,
            ('u', "1" | "2" | "4" | "8") => Class::Unsigned,
            ('f', "2" | "4" | "8") => Class::Float,
            (class, _) => {
                let what = match class {
                    'c' => "complex numbers",
                    'U' | 'S' | 'a' => "text",
                    'O' => "Python objects",
                    _ => "an unsupported type",
                };
                return Err(format!("holds {what} ({code}); save real numbers: numpy.save(f, V.astype(\"float32\"))"));
            }
        };
        Ok(Self { class, bytes: rest.as_str().parse().unwrap_or(1), big_endian: order == '>' })
    }

    /// Bytes per number.
    pub(super) fn bytes(self) -> usize {
        self.bytes
    }

    /// Decodes one number.
    pub(super) fn value(self, bytes: &[u8]) -> f64 {
        let join = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
        let bits = if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
        match (self.class, self.bytes) {
            (Class::Bool, _) => f64::from(u8::from(bits != 0)),
            (Class::Unsigned, _) => bits as f64,
            (Class::Signed, bytes) => {
                let unused = 64 - 8 * bytes as u32;
                ((bits << unused) as i64 >> unused) as f64
            }
            (Class::Float, 2) => half(bits as u16),
            (Class::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Class::Float, _) => f64::from_bits(bits),
        }
    }
}

/// The text between quotes.
pub(super) fn unquoted(text: &str) -> Option<&str> {
    let bare = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    bare('\'').or_else(|| bare('"'))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Bool => 'b',
            Class::Signed => 'i',
            Class::Unsigned => 'u',
            Class::Float => 'f',
        };
        write!(f, "{class}{}", self.bytes)
    }
}

/// Decodes a half-precision number: a sign, 5 bits of exponent, 10 bits of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 0 { size } else { -size }
}
