//! Shares in percent, as the value of a flag.

/// A share of 1 from a text like `10%`.
///
/// # Errors
/// What to give instead.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("give a share like 10%".to_owned()),
    }
}

#[test]
fn shares_are_percents() {
    assert_eq!([share("10%"), share("0%"), share("2.5 %")], [Ok(0.1), Ok(0.0), Ok(0.025)]);
    for text in ["10", "0.1", "-1%", "101%", "NaN%", "%", ""] {
        assert!(share(text).is_err(), "{text}");
    }
}
