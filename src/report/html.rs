//! Text that cannot become markup, and numbers as people read them.

use std::fmt::{Display, Formatter, Result, Write};

/// Text from outside, escaped for an element or a quoted attribute.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// `text` at the end of `html`; writing to memory does not fail.
macro_rules! push {
    ($html:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        write!($html, $($text)*).expect("a String takes every text")
    }};
}
pub(super) use push;

/// JSON that can stand within a script element: there is no `<` in it that could begin its end.
pub(super) fn embedded(json: &str) -> String {
    // In JSON these characters occur within strings only, where the escape means the same.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Base64 with padding (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for digit in 0..4 {
            let known = digit <= chunk.len();
            text.push(if known { DIGITS[(bits >> (18 - 6 * digit)) as usize & 63] as char } else { '=' });
        }
    }
    text
}

/// Three digits of a positive number below 1000; more of a larger one, without a fraction.
fn three(value: f64) -> String {
    let decimals = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    signed_minus(format!("{value:.decimals$}"))
}

/// The minus of print instead of a hyphen, and none before zero.
fn signed_minus(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// What is not a number.
const NOTHING: &str = "–";

/// `0.374` with so many decimals.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    if value.is_finite() { signed_minus(format!("{value:.decimals$}")) } else { NOTHING.into() }
}

/// `3.92 ms`, `412 µs`.
pub(super) fn milliseconds(value: f64) -> String {
    match value {
        v if !v.is_finite() => NOTHING.into(),
        0.0 => "0 ms".into(),
        v if v < 0.9995 => format!("{}\u{a0}µs", three(v * 1e3)),
        v => format!("{}\u{a0}ms", three(v)),
    }
}

/// `3.71 M`, `58.2 k`, `912`.
pub(super) fn count(value: f64) -> String {
    match value {
        v if !v.is_finite() => NOTHING.into(),
        v if v >= 999.5e6 => format!("{}\u{a0}G", three(v / 1e9)),
        v if v >= 999.5e3 => format!("{}\u{a0}M", three(v / 1e6)),
        v if v >= 9999.5 => format!("{}\u{a0}k", three(v / 1e3)),
        v => format!("{v:.0}"),
    }
}

/// `87.4 %` of a share.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{}\u{a0}%", points(share)) } else { NOTHING.into() }
}

/// `87.4` of a share: percent without the sign.
pub(super) fn points(share: f64) -> String {
    if share.is_finite() { signed_minus(format!("{:.1}", share * 100.0)) } else { NOTHING.into() }
}

/// `+1.3` of a difference of shares, in percentage points.
pub(super) fn difference(share: f64) -> String {
    let text = points(share);
    if share > 0.0 && text != "0.0" { format!("+{text}") } else { text }
}

/// `+1.3 %` of a share.
pub(super) fn signed_percent(share: f64) -> String {
    if share.is_finite() { format!("{}\u{a0}%", difference(share)) } else { NOTHING.into() }
}

/// `−48 %`: how much less or more `to` is than `from`; empty where that means nothing.
pub(super) fn change(from: f64, to: f64) -> String {
    let share = (to / from - 1.0) * 100.0;
    match share {
        s if !s.is_finite() => String::new(),
        s if s.round() == 0.0 => "±0\u{a0}%".into(),
        s if s > 0.0 => format!("+{s:.0}\u{a0}%"),
        s => format!("−{:.0}\u{a0}%", -s),
    }
}

/// `4.2 s`, `12 min 05 s`, `3 h 12 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if !s.is_finite() || s < 0.0 => NOTHING.into(),
        s if s < 9.95 => format!("{s:.1}\u{a0}s"),
        s if s < 59.5 => format!("{s:.0}\u{a0}s"),
        s if s < 3599.5 => format!("{}\u{a0}min\u{a0}{:02}\u{a0}s", whole / 60, whole % 60),
        _ => format!("{}\u{a0}h\u{a0}{:02}\u{a0}min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, want) in vectors.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), *want);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn text_and_json_cannot_become_markup() {
        let hostile = "<a href=\"x\" b='y'>&</script>";
        let escaped = Text(hostile).to_string();
        assert_eq!(escaped, "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;&lt;/script&gt;");
        let json = embedded(&serde_json::to_string(hostile).expect("a string is JSON"));
        assert!(!json.contains(['<', '>', '&']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).expect("still JSON"), hostile);
    }

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let spaced = |text: String| text.replace('\u{a0}', " ");
        let cases = [
            (milliseconds(3.917), "3.92 ms"),
            (milliseconds(0.0417), "41.7 µs"),
            (milliseconds(0.9996), "1.00 ms"),
            (milliseconds(f64::NAN), "–"),
            (count(3_713_000.0), "3.71 M"),
            (count(9_999.0), "9999"),
            (count(999_600.0), "1.00 M"),
            (percent(0.8742), "87.4 %"),
            (difference(0.0131), "+1.3"),
            (difference(-0.0131), "−1.3"),
            (difference(-0.0001), "0.0"),
            (signed_percent(-0.0131), "−1.3 %"),
            (change(2.0, 1.0), "−50 %"),
            (change(0.0, 1.0), ""),
            (duration(4.21), "4.2 s"),
            (duration(59.7), "1 min 00 s"),
            (duration(725.0), "12 min 05 s"),
            (duration(11_520.0), "3 h 12 min"),
        ];
        for (got, want) in cases {
            assert_eq!(spaced(got), want);
        }
    }
}
