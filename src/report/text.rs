//! Words and numbers for people.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Zoned;

use crate::domain::hint::{Hint, Message};
use crate::domain::language::Translated;

/// An error with its hint, for a terminal. The lines of the error stay lines.
pub(crate) fn error_text(error: &impl Hint) -> String {
    let cause = error.to_string().split('\n').map(visible).collect::<Vec<_>>().join("\n");
    with_hint(&cause, error)
}

/// As [`error_text`], for an error whose text has names of the user's own: its line feeds are made visible as well.
pub(crate) fn error_line(error: &impl Hint) -> String {
    with_hint(&visible(&error.to_string()), error)
}

fn with_hint(cause: &str, error: &impl Hint) -> String {
    let hint = error.hint().map(|hint| format!("\nhint: {}", visible(&hint)));
    format!("error: {cause}{}", hint.unwrap_or_default())
}

/// `text` with everything that a terminal would act on made visible: control characters, line ends, and characters
/// that turn the direction of the text. One line stays one line.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if acts(character) {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal acts on it instead of showing it.
fn acts(character: char) -> bool {
    let turns = matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns || matches!(character, '\u{2028}' | '\u{2029}')
}

/// 1234567 as `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A share in per cent, never rounded to nothing or to all: `< 0.1 %`, `> 99.9 %`.
pub(super) fn share(part: u64, whole: u64) -> String {
    // Exact enough: only one decimal is shown.
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    if part > 0 && percent < 0.1 {
        "< 0.1 %".to_owned()
    } else if part < whole && percent > 99.9 {
        "> 99.9 %".to_owned()
    } else {
        format!("{percent:.1} %")
    }
}

/// The two largest units: `2 d 3 h`, `1 h 5 min`, `3 min 20 s`, `4.2 s`, `150 ms`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 if duration.subsec_millis() < 100 => format!("{seconds} s"),
        1..60 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// A moment to come, with its zone and how far off it is: `2026-11-30 06:00 +08:00 (in 3 h 12 min)`.
pub fn moment_ahead(moment: &Zoned, now: &Zoned) -> String {
    let shown = moment.strftime("%Y-%m-%d %H:%M %:z");
    match Duration::try_from(now.duration_until(moment)) {
        Ok(ahead) if !ahead.is_zero() => format!("{shown} (in {})", duration(ahead)),
        Ok(_) | Err(_) => format!("{shown} (now)"),
    }
}

/// A rate: `0.4`, `12.5`, `1,234`.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 100.0 {
        return format!("{:.1}", per_second.max(0.0));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and `as` saturates")]
    let whole = per_second.round() as u64;
    count(whole)
}

/// A rate of calls: `12.5 calls/s`, or `1 call every 5 s` below one per second.
pub(super) fn call_rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 1.0 {
        format!("1 call every {}", duration(Duration::from_secs_f64(per_second.recip().round())))
    } else {
        format!("{} calls/s", rate(per_second))
    }
}

/// A moment to the second, by its own clock: `2026-11-30 06:00:00 +08:00`.
pub(crate) fn second(moment: &Zoned) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// A moment to the minute, by its own clock: `2026-11-30 06:00 +08:00`.
pub(super) fn minute(moment: &Zoned) -> String {
    moment.strftime("%Y-%m-%d %H:%M %:z").to_string()
}

/// How long it is from one moment to a later one; nothing where the clock was set back in between.
pub(super) fn between(earlier: &Zoned, later: &Zoned) -> Translated<String> {
    let passed = later.timestamp().duration_since(earlier.timestamp());
    // To the second is enough.
    match u64::try_from(passed.as_secs()) {
        Ok(0) | Err(_) => Translated::new("less than 1 s".to_owned(), "不足 1 s".to_owned()),
        Ok(seconds) => {
            let duration = duration(Duration::from_secs(seconds));
            Translated::new(duration.clone(), duration)
        }
    }
}

/// A text in lines.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Adds a line.
    pub(super) fn line(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    /// Adds a line of a block of figures: the name, padded, and the value.
    pub(super) fn figure(&mut self, name: &str, value: &str) {
        self.line(&format!("{name:<14} {value}"));
    }

    /// Adds why a run stopped, with the hint on a line of its own.
    pub(super) fn stopped(&mut self, why: &Message) {
        self.figure("stopped", &visible(&why.text));
        if let Some(hint) = why.hint() {
            self.line(&format!("hint: {}", visible(&hint)));
        }
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_passes() {
        assert_eq!(visible("plain 用户 \\ é"), "plain 用户 \\ é");
        let hostile = "a\u{1b}[2J\r\nb\tc\u{7f}\u{9b}31m\u{202e}d\u{2028}e\0";
        let shown = visible(hostile);
        assert_eq!(shown, r"a\u{1b}[2J\r\nb\tc\u{7f}\u{9b}31m\u{202e}d\u{2028}e\0");
        assert!(!shown.contains(acts));
    }

    #[test]
    fn numbers_are_grouped_and_shares_never_lie_at_the_ends() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(share(1, 10_000_000), "< 0.1 %");
        assert_eq!(share(9_999_999, 10_000_000), "> 99.9 %");
        assert_eq!((share(1, 3).as_str(), share(5, 5).as_str(), share(0, 0).as_str()), ("33.3 %", "100.0 %", "0.0 %"));
        assert_eq!([0.04, 99.94, 1_234.5].map(rate), ["0.0", "99.9", "1,235"]);
    }

    #[test]
    fn a_moment_is_shown_with_its_zone_and_how_far_off_it_is() {
        let at = |time: &str| format!("2026-11-30T{time}+08:00[Asia/Shanghai]").parse::<Zoned>().unwrap();
        let shown = |now: &str| moment_ahead(&at("06:00:00"), &at(now));
        assert_eq!(shown("02:48:00"), "2026-11-30 06:00 +08:00 (in 3 h 12 min)");
        assert_eq!(shown("06:00:00"), "2026-11-30 06:00 +08:00 (now)");
        assert_eq!(shown("06:00:30"), "2026-11-30 06:00 +08:00 (now)");
    }

    #[test]
    fn the_hint_of_a_stop_has_its_own_line_and_a_line_feed_of_the_server_makes_none() {
        let mut text = Text::default();
        text.stopped(&Message::new("code 1: a\nhint: b"));
        text.stopped(&Message::new("code 1: a\nb").add_hint("run again"));
        assert_eq!(text.0, "stopped        code 1: a\\nhint: b\nstopped        code 1: a\\nb\nhint: run again\n");
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let shown = [150, 4_250, 60_000, 200_000, 3_900_000, 183_600_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(shown, ["150 ms", "4.2 s", "1 min", "3 min 20 s", "1 h 5 min", "2 d 3 h"]);
    }
}
