//! The types whose values can be told.

use super::{arrays, numbers, texts, times};

/// How values of a type are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `t` or `f`.
    Bool,
    /// `\x` and digits.
    Bytes,
    /// Of two bytes.
    Int2,
    /// Of four.
    Int4,
    /// Of eight.
    Int8,
    /// Of four bytes.
    Float4,
    /// Of eight.
    Float8,
    /// Any digits.
    Numeric,
    /// As it is: text, JSON, an enum's labels.
    Text,
    /// As it is, behind the number of its format.
    Jsonb,
    /// Eight, four, four, four and twelve digits.
    Uuid,
    /// A day.
    Date,
    /// A day and a time.
    Timestamp,
    /// The same with the distance to UTC.
    TimestampTz,
    /// Of one dimension; of elements of the type of this number.
    Array(u32),
}

impl Kind {
    /// By the type's number, which all servers have in common (`pg_type.dat`); of an enum by that of `text`.
    pub fn of(oid: u32) -> Option<Kind> {
        Some(match oid {
            16 => Kind::Bool,
            17 => Kind::Bytes,
            20 => Kind::Int8,
            21 => Kind::Int2,
            23 => Kind::Int4,
            // text, json, bpchar, varchar
            25 | 114 | 1042 | 1043 => Kind::Text,
            700 => Kind::Float4,
            701 => Kind::Float8,
            1082 => Kind::Date,
            1114 => Kind::Timestamp,
            1184 => Kind::TimestampTz,
            1700 => Kind::Numeric,
            2950 => Kind::Uuid,
            3802 => Kind::Jsonb,
            1000 => Kind::Array(16),
            1005 => Kind::Array(21),
            1007 => Kind::Array(23),
            1009 => Kind::Array(25),
            1015 => Kind::Array(1043),
            1016 => Kind::Array(20),
            1022 => Kind::Array(701),
            1115 => Kind::Array(1114),
            1182 => Kind::Array(1082),
            1185 => Kind::Array(1184),
            1231 => Kind::Array(1700),
            2951 => Kind::Array(2950),
            _ => return None,
        })
    }

    /// Whether its values may hold line ends, so that a bare carriage return among them is not for us to judge.
    pub(super) fn is_free_text(self) -> bool {
        matches!(self, Kind::Text | Kind::Jsonb | Kind::Array(_))
    }

    /// Appends a value's length and bytes; nothing, and then anything may have been appended, where the server would write another text.
    pub(super) fn put(self, text: &[u8], to: &mut Vec<u8>) -> Option<()> {
        match self {
            Kind::Int2 => fixed(i16::try_from(numbers::integer(text)?).ok()?.to_be_bytes(), to),
            Kind::Int4 => fixed(i32::try_from(numbers::integer(text)?).ok()?.to_be_bytes(), to),
            Kind::Int8 => fixed(numbers::integer(text)?.to_be_bytes(), to),
            Kind::Bool => fixed([u8::from(texts::boolean(text)?)], to),
            Kind::Float4 => fixed(numbers::float::<f32>(text)?.to_be_bytes(), to),
            Kind::Float8 => fixed(numbers::float::<f64>(text)?.to_be_bytes(), to),
            Kind::Date => fixed(times::date(text)?.to_be_bytes(), to),
            Kind::Timestamp => fixed(times::timestamp(text)?.to_be_bytes(), to),
            Kind::TimestampTz => fixed(times::timestamp_tz(text)?.to_be_bytes(), to),
            Kind::Uuid => fixed(texts::uuid(text)?, to),
            Kind::Numeric => measured(to, |to| numbers::numeric(text, to)),
            Kind::Bytes => measured(to, |to| texts::bytes(text, to)),
            Kind::Array(element) => measured(to, |to| arrays::array(element, text, to)),
            Kind::Jsonb => {
                to.extend_from_slice(&length(text.len() + 1)?);
                to.push(1);
                to.extend_from_slice(text);
                Some(())
            }
            Kind::Text => {
                to.extend_from_slice(&length(text.len())?);
                to.extend_from_slice(text);
                Some(())
            }
        }
    }
}

/// The length of a value that is NULL.
pub(super) const NULL: [u8; 4] = (-1_i32).to_be_bytes();

fn length(bytes: usize) -> Option<[u8; 4]> {
    Some(i32::try_from(bytes).ok()?.to_be_bytes())
}

fn fixed<const BYTES: usize>(value: [u8; BYTES], to: &mut Vec<u8>) -> Option<()> {
    to.extend_from_slice(&length(BYTES)?);
    to.extend_from_slice(&value);
    Some(())
}

/// Writes a value and, before it, how long it became.
fn measured(to: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let from = to.len();
    to.extend_from_slice(&NULL);
    put(to)?;
    let bytes = length(to.len() - from - NULL.len())?;
    to[from..from + bytes.len()].copy_from_slice(&bytes);
    Some(())
}
