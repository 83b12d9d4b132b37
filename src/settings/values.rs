//! The kinds of values that a job file holds, each with its bounds and the words for what is wrong.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;

use super::diagnostic::InvalidValue;
use crate::domain::time_limit::{TimeOfDay, Window};

/// A text as written in the file.
pub(super) type SpannedText = Spanned<String>;
/// A whole number as written in the file.
pub(super) type SpannedInteger = Spanned<i64>;
/// A number as written in the file.
pub(super) type SpannedFloat = Spanned<f64>;

/// Longest delay: a day. Longer ones are slips, and sums of them stay far from overflow.
pub(super) const DAY: Duration = Duration::from_hours(24);
/// Longest time that a plan may be held.
pub(super) const YEAR: Duration = Duration::from_hours(365 * 24);
const DURATION_HINT: &str = "write a number and its unit: \"500ms\", \"60s\", \"2m\", \"1h 30m\", \"72h\", \"3d\"";

/// A key that may be left out: its value checked if it is there.
pub(super) fn optional<V, T>(
    value: Option<&V>,
    check: impl FnOnce(&V) -> Result<T, InvalidValue>,
) -> Result<Option<T>, InvalidValue> {
    value.map(check).transpose()
}

/// One of a few words.
pub(super) fn choice<T: Copy>(key: &str, value: &SpannedText, legal: &[(&str, T)]) -> Result<T, InvalidValue> {
    let word = value.get_ref().as_str();
    let found = legal.iter().find(|(name, _)| *name == word);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names: Vec<&str> = legal.iter().map(|(name, _)| *name).collect();
        InvalidValue::new(value.span(), format!("{key}: unknown value `{word}`")).legal(word, &names)
    })
}

/// A whole number from 1 to 2³² − 1.
pub(super) fn count32(key: &str, value: &SpannedInteger) -> Result<NonZeroU32, InvalidValue> {
    let number = u32::try_from(*value.get_ref()).ok().and_then(NonZeroU32::new);
    number.ok_or_else(|| too_small(key, value, "from 1 to 4,294,967,295"))
}

/// A whole number from 1.
pub(super) fn count64(key: &str, value: &SpannedInteger) -> Result<NonZeroU64, InvalidValue> {
    let number = u64::try_from(*value.get_ref()).ok().and_then(NonZeroU64::new);
    number.ok_or_else(|| too_small(key, value, "at least 1"))
}

fn too_small(key: &str, value: &SpannedInteger, bounds: &str) -> InvalidValue {
    InvalidValue::new(value.span(), format!("{key}: must be {bounds}, not {}", value.get_ref()))
}

/// A share above 0, at most 1.
pub(super) fn share(key: &str, value: &SpannedFloat) -> Result<f64, InvalidValue> {
    let share = *value.get_ref();
    if share > 0.0 && share <= 1.0 {
        return Ok(share);
    }
    let message = format!("{key}: must be above 0 and at most 1, not {share}");
    Err(InvalidValue::new(value.span(), message).hint("write 5 % as 0.05"))
}

/// A share from 0 to 1, both included.
pub(super) fn share_or_none(key: &str, value: &SpannedFloat) -> Result<f64, InvalidValue> {
    let share = *value.get_ref();
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(InvalidValue::new(value.span(), format!("{key}: must be from 0 to 1, not {share}")).hint("write 5 % as 0.05"))
}

/// A whole number from 0.
pub(super) fn count_or_none(key: &str, value: &SpannedInteger) -> Result<u64, InvalidValue> {
    let number = u64::try_from(*value.get_ref());
    number.map_err(|_| InvalidValue::new(value.span(), format!("{key}: must be at least 0, not {}", value.get_ref())))
}

/// A factor of at least 1.
pub(super) fn factor(key: &str, value: &SpannedFloat) -> Result<f64, InvalidValue> {
    let factor = *value.get_ref();
    if factor >= 1.0 && factor.is_finite() {
        return Ok(factor);
    }
    Err(InvalidValue::new(value.span(), format!("{key}: must be finite and at least 1, not {factor}")))
}

/// `500ms`, `60s`, `2m`, `1h 30m` or `1d`; from a millisecond to a day.
pub(super) fn duration(key: &str, value: &SpannedText) -> Result<Duration, InvalidValue> {
    bounded(value, DAY).ok_or_else(|| {
        InvalidValue::new(value.span(), format!("{key}: `{}` is not a duration from 1ms to 1d", value.get_ref()))
            .hint(DURATION_HINT)
    })
}

/// The same up to a year, for waiting times between a plan and its run.
pub(super) fn long_duration(key: &str, value: &SpannedText) -> Result<Duration, InvalidValue> {
    bounded(value, YEAR).ok_or_else(|| {
        InvalidValue::new(value.span(), format!("{key}: `{}` is not a duration from 1ms to 365d", value.get_ref()))
            .hint(DURATION_HINT)
    })
}

fn bounded(value: &SpannedText, longest: Duration) -> Option<Duration> {
    parse_duration(value.get_ref()).filter(|delay| !delay.is_zero() && *delay <= longest)
}

/// As jiff reads durations, with days of 24 hours. Smaller units than a millisecond are refused, because nothing is
/// scheduled to them.
fn parse_duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    let day = jiff::SpanRelativeTo::days_are_24_hours();
    let duration = span.to_duration(day).ok().and_then(|duration| Duration::try_from(duration).ok())?;
    duration.subsec_nanos().is_multiple_of(1_000_000).then_some(duration)
}

/// `06:00`
pub(super) fn time_of_day(key: &str, value: &SpannedText) -> Result<TimeOfDay, InvalidValue> {
    let text = value.get_ref();
    parse_time(text).ok_or_else(|| {
        InvalidValue::new(value.span(), format!("{key}: `{text}` is not a time of day"))
            .hint("write two digits each for hour and minute, from \"00:00\" to \"23:59\"")
    })
}

/// `02:00-06:00`, or `02:00-06:00 Asia/Shanghai`
pub(super) fn window(key: &str, value: &SpannedText) -> Result<Window, InvalidValue> {
    let text = value.get_ref();
    let invalid = |what: &str, hint: &str| Err(InvalidValue::new(value.span(), format!("{key}: {what}")).hint(hint));
    let (times, zone) = match text.trim().split_once(char::is_whitespace) {
        Some((times, zone)) => (times, Some(zone.trim())),
        None => (text.trim(), None),
    };
    let times = times.split_once('-').and_then(|(from, to)| Some((parse_time(from)?, parse_time(to)?)));
    let Some((from, to)) = times else {
        return invalid(
            &format!("`{text}` is not a window"),
            "write its start, its end, and a time zone if it is not that of the machine: \"02:00-06:00 Asia/Shanghai\"",
        );
    };
    if from == to {
        return invalid(&format!("`{text}` starts when it ends"), "leave the key out if calls may begin at any time");
    }
    match zone.map(|name| (name, TimeZone::get(name))) {
        None => Ok(Window { from, to, zone: None }),
        Some((_, Ok(zone))) => Ok(Window { from, to, zone: Some(zone) }),
        Some((name, Err(_))) => invalid(
            &format!("unknown time zone `{name}`"),
            "write a name of the tz database, such as Asia/Shanghai, Europe/Berlin or UTC",
        ),
    }
}

fn parse_time(text: &str) -> Option<TimeOfDay> {
    let (hour, minute) = text.split_once(':')?;
    let part = |text: &str, below: u8| {
        let two_digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|number| two_digits && *number < below)
    };
    Some(TimeOfDay { hour: part(hour, 24)?, minute: part(minute, 60)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("60s"), Some(Duration::from_mins(1)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_mins(2)));
        assert_eq!(parse_duration("72h"), Some(Duration::from_hours(72)));
        assert_eq!(parse_duration("3d"), Some(Duration::from_hours(72)));
        assert_eq!(parse_duration("1d12h"), Some(Duration::from_hours(36)));
        assert_eq!(parse_duration("1h 30m"), Some(Duration::from_mins(90)));
        for text in
            ["", "60", "s", "-1s", "1us", "1.0005s", "1mo", "99999999999999999999s", "9999999999999999999d", "６s"]
        {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_window_has_a_start_an_end_and_perhaps_a_time_zone() {
        let window = |text: &str| window("stop.window", &Spanned::new(0..0, text.to_owned()));
        for text in ["02:00-06:00", "22:00-06:00 Asia/Shanghai", "00:00-23:59 UTC"] {
            assert_eq!(window(text).expect("a window").to_string(), text);
        }
        for (text, why) in [
            ("02:00", "`02:00` is not a window"),
            ("2:00-6:00", "`2:00-6:00` is not a window"),
            ("02:00-25:00 UTC", "is not a window"),
            ("02:00-02:00", "starts when it ends"),
            ("02:00-06:00 Asia/Shangai", "unknown time zone `Asia/Shangai`"),
        ] {
            let error = format!("{:?}", window(text).unwrap_err());
            assert!(error.contains("stop.window: ") && error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn times_of_day_have_two_digits_each() {
        assert_eq!(parse_time("06:00"), Some(TimeOfDay { hour: 6, minute: 0 }));
        assert_eq!(parse_time("23:59"), Some(TimeOfDay { hour: 23, minute: 59 }));
        for text in ["", "6:00", "24:00", "00:60", "+6:00", "06:00:00", "0600", ":", "０６:00"] {
            assert_eq!(parse_time(text), None, "{text:?}");
        }
    }
}
