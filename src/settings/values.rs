//! The kinds of values that a job file holds, each with its bounds and the words for what is wrong.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use toml::Spanned;

use super::mistake::{Checked, Wrong};
use crate::domain::job::TimeOfDay;

/// A text as it stands in the file.
pub(super) type Text = Spanned<String>;
/// A whole number as it stands in the file.
pub(super) type Whole = Spanned<i64>;
/// A number as it stands in the file.
pub(super) type Number = Spanned<f64>;

/// Longest delay: a day. Longer ones are slips, and sums of them stay far from overflow.
pub(super) const DAY: Duration = Duration::from_hours(24);
/// Longest time that a plan may be held.
pub(super) const YEAR: Duration = Duration::from_hours(365 * 24);

/// A key that may be left out: its value checked if it is there.
pub(super) fn optional<V, T>(value: Option<&V>, check: impl FnOnce(&V) -> Checked<T>) -> Checked<Option<T>> {
    value.map(check).transpose()
}

/// One of a few words.
pub(super) fn choice<T: Copy>(key: &str, value: &Text, legal: &[(&str, T)]) -> Checked<T> {
    let word = value.get_ref().as_str();
    let found = legal.iter().find(|(name, _)| *name == word);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names: Vec<&str> = legal.iter().map(|(name, _)| *name).collect();
        Wrong::new(value.span(), format!("`{word}` is no {key}")).legal(word, &names)
    })
}

/// A whole number from 1 to 2³² − 1.
pub(super) fn count32(key: &str, value: &Whole) -> Checked<NonZeroU32> {
    let number = u32::try_from(*value.get_ref()).ok().and_then(NonZeroU32::new);
    number.ok_or_else(|| too_small(key, value, "from 1 to 4294967295"))
}

/// A whole number from 1.
pub(super) fn count64(key: &str, value: &Whole) -> Checked<NonZeroU64> {
    let number = u64::try_from(*value.get_ref()).ok().and_then(NonZeroU64::new);
    number.ok_or_else(|| too_small(key, value, "at least 1"))
}

fn too_small(key: &str, value: &Whole, bounds: &str) -> Wrong {
    Wrong::new(value.span(), format!("`{key}` must be {bounds}, not {}", value.get_ref()))
}

/// A share above 0, at most 1.
pub(super) fn share(key: &str, value: &Number) -> Checked<f64> {
    let share = *value.get_ref();
    if share > 0.0 && share <= 1.0 {
        return Ok(share);
    }
    let message = format!("`{key}` must be above 0 and at most 1, not {share}");
    Err(Wrong::new(value.span(), message).hint("5 % is 0.05"))
}

/// A share from 0 to 1, both included.
pub(super) fn share_or_none(key: &str, value: &Number) -> Checked<f64> {
    let share = *value.get_ref();
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(Wrong::new(value.span(), format!("`{key}` must be from 0 to 1, not {share}")).hint("5 % is 0.05"))
}

/// A whole number from 0.
pub(super) fn count_or_none(key: &str, value: &Whole) -> Checked<u64> {
    let number = u64::try_from(*value.get_ref());
    number.map_err(|_| Wrong::new(value.span(), format!("`{key}` must be at least 0, not {}", value.get_ref())))
}

/// A factor of at least 1.
pub(super) fn factor(key: &str, value: &Number) -> Checked<f64> {
    let factor = *value.get_ref();
    if factor >= 1.0 && factor.is_finite() {
        return Ok(factor);
    }
    Err(Wrong::new(value.span(), format!("`{key}` must be finite and at least 1, not {factor}")))
}

/// `500ms`, `60s`, `2m`, `1h` or `1d`; from a millisecond to a day.
pub(super) fn duration(key: &str, value: &Text) -> Checked<Duration> {
    bounded(value, DAY).ok_or_else(|| {
        Wrong::new(value.span(), format!("`{key}` is no delay: `{}`", value.get_ref()))
            .hint("a whole number and its unit, from \"1ms\" to a day: \"500ms\", \"60s\", \"2m\", \"1h\"")
    })
}

/// The same up to a year, for waiting times between a plan and its run.
pub(super) fn long_duration(key: &str, value: &Text) -> Checked<Duration> {
    bounded(value, YEAR).ok_or_else(|| {
        Wrong::new(value.span(), format!("`{key}` is no duration: `{}`", value.get_ref()))
            .hint("a whole number and its unit, at most a year: \"90m\", \"72h\", \"3d\"")
    })
}

fn bounded(value: &Text, longest: Duration) -> Option<Duration> {
    parse_duration(value.get_ref()).filter(|delay| !delay.is_zero() && *delay <= longest)
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(60 * 60).map(Duration::from_secs),
        "d" => number.checked_mul(24 * 60 * 60).map(Duration::from_secs),
        _ => None,
    }
}

/// `06:00`
pub(super) fn time_of_day(key: &str, value: &Text) -> Checked<TimeOfDay> {
    let text = value.get_ref();
    parse_time(text).ok_or_else(|| {
        Wrong::new(value.span(), format!("`{key}` is no time of day: `{text}`"))
            .hint("two digits each for hour and minute, \"00:00\" to \"23:59\"")
    })
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
    fn delays_are_a_whole_number_and_a_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("60s"), Some(Duration::from_mins(1)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_mins(2)));
        assert_eq!(parse_duration("72h"), Some(Duration::from_hours(72)));
        assert_eq!(parse_duration("3d"), Some(Duration::from_hours(72)));
        for text in [
            "",
            "60",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "1w",
            "1H",
            "1h30m",
            "99999999999999999999s",
            "9999999999999999999m",
            "9999999999999999999h",
            "9999999999999999999d",
            "６s",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
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
