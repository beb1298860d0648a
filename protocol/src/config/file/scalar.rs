//! Numbers, booleans, escapes and durations of the configuration file (wire.md 9.1).

use std::time::Duration;

use super::value::Value;

/// What a word without quotes means: a number, a boolean, or else itself. No error quotes the word: variables bring it where
/// a secret is wanted.
pub(super) fn parse_bare(token: &str) -> Result<Value, String> {
    let first = token.chars().next();
    if matches!(first, Some('-' | '0'..='9')) {
        return parse_number(token);
    }
    if first == Some('.') {
        return Err("Floats must start with a digit".to_owned());
    }
    match token.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Ok(Value::Bool(true)),
        "false" | "no" | "off" => Ok(Value::Bool(false)),
        _ => unescape(token).map(Value::String),
    }
}

/// An integer with its suffix, or a float. What only begins like one is a string, such as `10s` and `1.2.3.4:5`.
fn parse_number(token: &str) -> Result<Value, String> {
    let digits_start = usize::from(token.starts_with('-'));
    let digits_end = token[digits_start..]
        .find(|c: char| !c.is_ascii_digit())
        .map_or(token.len(), |length| digits_start + length);
    let (number, rest) = token.split_at(digits_end);
    if number.len() == digits_start {
        return Err(format!("Expected a digit but got '{}'.", rest.chars().next().unwrap_or(' ')));
    }
    if let Some(factor) = suffix_factor(rest) {
        let value = number.parse::<i64>().map_err(|_| "integer is out of the range".to_owned())?;
        // As in nats-server, where `9EiB` is less than nothing.
        return Ok(Value::Integer(value.wrapping_mul(factor)));
    }
    if let Some(fraction) = rest.strip_prefix('.')
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(float) = token.parse()
    {
        return Ok(Value::Float(float));
    }
    if digits_start == 1 {
        return Err("Expected a number after '-'.".to_owned());
    }
    unescape(token).map(Value::String)
}

fn suffix_factor(suffix: &str) -> Option<i64> {
    let suffix = suffix.to_ascii_lowercase();
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None => return Some(1),
        Some(letter) => "kmgtpe".find(letter)? as u32 + 1,
    };
    match letters.as_str() {
        "" => Some(1000i64.pow(power)),
        "b" | "i" | "ib" => Some(1024i64.pow(power)),
        _ => None,
    }
}

/// Replaces `\t`, `\n`, `\r`, `\"`, `\\` and `\xHH`.
pub(super) fn unescape(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let mut chars = escape.chars();
        let byte = match chars.next() {
            Some('t') => b'\t',
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('"') => b'"',
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.bytes().all(|digit| digit.is_ascii_hexdigit()) && digits.len() == 2);
                byte.ok_or_else(|| {
                    format!("Expected two hexadecimal digits after '\\x', but got '{digits}'")
                })?
            }
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!(
                    "Invalid escape character '{other}'. Only the following escape characters are allowed: \
                     \\xXX, \\t, \\n, \\r, \\\", \\\\."
                ));
            }
        };
        bytes.push(byte);
        rest = chars.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| "Escapes must make valid UTF-8.".to_owned())
}

/// A duration in Go's notation, such as `1m30s` or `1.5h`. It cannot be negative.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let seconds = match unit {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| invalid())?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = tail;
    }
    Ok(total)
}
